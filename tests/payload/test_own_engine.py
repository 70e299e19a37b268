"""An engine of a user's own: the documented one, and what is told of mistakes in one."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from slam.dataset.layout import open_sequence
from slam.dataset.sequence import Choice, Sequence
from slam.demo.scene import make_scene
from slam.engine.estimate import Estimate, Settings
from slam.engine.own import OwnEngine, takes_pictures
from slam.errors import CrashError, InputError, ReconstructionError

PAGE = Path(__file__).parents[2] / "docs" / "engines.md"
LINE = """
import numpy as np
from slam.engine.interface import InputError, ReconstructionError, Result

straight = np.repeat(np.eye(4)[None], 4, 0)
straight[:, 0, 3] = range(4)


def estimate(sequence, settings, workspace):
    return """
Run = Callable[[str], Estimate]


@pytest.fixture
def sequence(photos: Path) -> Sequence:
    return open_sequence(photos, Choice(as_taken=True))


@pytest.fixture
def run(sequence: Sequence, tmp_path: Path) -> Run:
    def run(code: str, **options: object) -> Estimate:
        (tmp_path / "toy").mkdir(exist_ok=True)
        (tmp_path / "toy" / "engine.py").write_text(code)
        return OwnEngine(folder=tmp_path / "toy")(sequence, Settings(threads=1, options=options), tmp_path)

    return run


@pytest.mark.long
def test_the_page_s_engine_finds_the_camera_of_the_demo_s_room(slam, tmp_path: Path) -> None:
    pytest.importorskip("cv2")
    make_scene(tmp_path / "data" / "room", frames=8, width=320, depth=True)
    code = re.search(r'```python title="odometry/engine.py"\n(.*?)```', PAGE.read_text(), re.DOTALL)
    assert code is not None
    folder = tmp_path / "odometry"
    folder.mkdir()
    (folder / "engine.py").write_text(code[1])
    arguments = [
        "--task", "infer", "--engine", folder, "--engine-option", "features=800", "--depth",
        "--data-root", tmp_path / "data", "--dataset", "room", "--out", tmp_path / "out",
    ]  # fmt: skip
    done = slam(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    summary, ate = (
        json.loads((tmp_path / "out" / f"{name}.json").read_text()) for name in ("summary", "ate")
    )
    assert (summary["engine"], summary["frames_registered"]) == (str(folder), 8)
    assert summary["arguments"]["engine_option"] == [["features", "800"]]
    assert "opencv" in summary["versions"]
    # In metres, for depth gives the scale.
    assert (ate["alignment"], ate["pairs"]) == ("se3", 8)
    assert ate["rmse_percent_of_path"] < 1
    without = slam(*[one for one in arguments if one != "--depth"])
    assert (without.returncode, without.stderr) == (4, "slam: room: this engine needs depth; add --depth\n")


def test_what_it_returns_becomes_the_run_s(run: Run, sequence: Sequence) -> None:
    # A quarter turn about the camera's y axis, written by hand.
    estimate = run(
        LINE.replace("\n\n\n", "\nstraight[1:, :3, :3] = [[0, 0, 1], [0, 1, 0], [-1, 0, 0]]\n\n\n")
        + "Result(poses=straight[1:], frames=[0, 1, 3], points=[[1, 2, 3]], colors=[[255, 0, 7]],"
        " facts={'loops': 2}, caveat='a toy')"
    )  # fmt: skip
    stamps = sequence.stamps
    assert estimate.trajectory.stamps == (stamps[0], stamps[1], stamps[3])
    assert estimate.frames == (0, 1, 3)
    np.testing.assert_allclose(estimate.trajectory.positions, [[1, 0, 0], [2, 0, 0], [3, 0, 0]])
    half = np.sqrt(0.5)
    np.testing.assert_allclose(estimate.trajectory.quaternions, [[0, half, 0, half]] * 3, atol=1e-12)
    assert (estimate.cloud.points.tolist(), estimate.cloud.colors.tolist()) == ([[1, 2, 3]], [[255, 0, 7]])
    assert (estimate.facts, estimate.caveat) == ({"loops": 2}, "a toy")
    # The calibration is of the files: `50 51 20 15` in photos/calib.txt.
    assert estimate.camera.parameters[:2] == (50, 51)


def test_a_camera_that_nothing_names(photos: Path, tmp_path: Path) -> None:
    (photos / "calib.txt").unlink()
    sequence = open_sequence(photos, Choice(as_taken=True))
    file = tmp_path / "engine.py"
    file.write_text(LINE + "Result(poses=straight)")
    with pytest.raises(InputError, match=r"engine.py: nothing says what the camera of photos is"):
        OwnEngine(folder=tmp_path)(sequence, Settings(threads=1), tmp_path)
    found = "Result(poses=straight, intrinsics=Intrinsics(fx=40, fy=41, cx=19.5, cy=15))"
    file.write_text("from slam.engine.interface import Intrinsics" + LINE + found)
    camera = OwnEngine(folder=tmp_path)(sequence, Settings(threads=1), tmp_path).camera
    assert (camera.model, camera.parameters) == ("PINHOLE", (40, 41, 19.5, 15))


def test_options_and_modules_beside_it(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "step_length.py").write_text("raise RuntimeError('not this one')")
    monkeypatch.syspath_prepend(tmp_path)
    code = LINE + "Result(poses=straight, facts={'step': step_length.read(settings.options)})"
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "step_length.py").write_text("def read(options): return float(options['step'])")
    assert run("import step_length" + code, step="0.5").facts == {"step": 0.5}


def test_pictures_are_asked_for_without_running_it(tmp_path: Path) -> None:
    file = tmp_path / "engine.py"
    for code, asked in (("PICTURES = True", True), ("PICTURES = False", False), ("raise SystemExit", False)):
        file.write_text(code)
        assert takes_pictures(tmp_path) is asked


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        ("None", "returned nothing; return a Result"),
        ("straight", "returned a ndarray; return a Result"),
        ("Result(poses=straight[:3])", "3 poses, and the sequence has 4; name in `frames`"),
        ("Result(poses=straight, frames=[0, 1])", "4 poses, and 2 frames"),
        ("Result(poses=straight[:3], frames=[0, 2, 1])", "frames has 1 after 2; they are places from 0 to 3"),
        ("Result(poses=straight[:3], frames=[0, 2, 4])", "frames has 4 after 2"),
        ("Result(poses=straight[:, :3])", "poses have the shape [4, 3, 4]; it is [n, 4, 4]"),
        ("Result(poses='all')", "poses are no array of numbers"),
        ("Result(poses=straight / [[1], [1], [1], [0]])", "poses[0] has a number that is not finite (4 of 4"),
        ("Result(poses=1.5 * straight)", "poses[0] is no rigid motion"),
        ("Result(poses=straight * [1, 1, -1, 1])", "poses[0] is no rigid motion"),
        ("Result(poses=straight.transpose(0, 2, 1))", "poses[1] is no rigid motion"),
        ("Result(poses=straight, points=[[1, 2]])", "points have the shape [1, 2]; it is [m, 3]"),
        ("Result(poses=straight, points=[[0, 0, 0]], colors=[[0, 0, 256]])", "colors go from 0 to 256"),
        ("Result(poses=straight, points=[[0, 0, 0]], colors=[[0, 0, 1]] * 2)", "1 points and 2 colors"),
        ("Result(poses=straight, facts={'a': np.eye(2)})", "facts cannot be written as JSON"),
        ("Result(poses=straight, files={'../x': workspace})", "files has '../x'"),
        ("Result(poses=straight, files={'ate.json': workspace})", "files has 'ate.json'"),
        ("Result(poses=straight, files={'map': workspace / 'no'})", "files['map'] is"),
    ],
)
@pytest.mark.filterwarnings("ignore:(divide by zero|invalid value)")
def test_a_wrong_answer_is_one_line_with_the_file(
    run: Run, tmp_path: Path, returned: str, words: str
) -> None:
    with pytest.raises(InputError) as caught:
        run(LINE + returned)
    assert str(caught.value).startswith(f"{tmp_path}/toy/engine.py: ")
    assert words in str(caught.value)


def test_too_few_poses(run: Run) -> None:
    with pytest.raises(
        ReconstructionError, match=r"engine.py: estimate placed 0 of 4 frames, and at least 3"
    ):
        run(LINE + "Result(poses=[], frames=[])")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("def estimated(sequence, settings, workspace): pass", "there is no function estimate in it"),
        ("def estimate(sequence): pass", "estimate(sequence) is called with three values"),
    ],
)
def test_a_file_without_the_function(run: Run, code: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        run(code)
    assert words in str(caught.value)


def test_its_errors_are_shown_from_its_file_on(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CrashError, match=r"engine.py raised ZeroDivisionError: .*; its traceback is above"):
        run(LINE + "1 / len(settings.options)")
    shown = capsys.readouterr().err.splitlines()
    assert shown[0] == "Traceback (most recent call last):"
    assert "/toy/engine.py" in shown[1]
    assert not any("slam/engine" in line for line in shown)


@pytest.mark.parametrize("code", ["raise SystemExit(0)", "import nothing_of_this_name"])
def test_an_engine_that_ends_while_it_is_imported(run: Run, code: str) -> None:
    with pytest.raises(CrashError, match="its traceback is above"):
        run(code)


def test_our_own_errors_are_told_as_they_are(run: Run) -> None:
    with pytest.raises(ReconstructionError, match=r"^nothing moves$"):
        run(LINE + "exec(\"raise ReconstructionError('nothing moves')\")")


def test_mistakes_on_the_command_line(slam, photos: Path, tmp_path: Path) -> None:
    toy = tmp_path / "toy"
    toy.mkdir()

    def ask(engine: object, *options: object) -> tuple[int, str]:
        done = slam(
            "--task", "infer", "--engine", engine, *options,
            "--data-root", photos.parent, "--dataset", "photos", "--out", tmp_path / "out",
        )  # fmt: skip
        assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())
        return done.returncode, done.stderr

    code, said = ask(tmp_path / "toi")
    assert (code, "there is no such folder" in said) == (4, True)
    code, said = ask(toy)
    assert (code, "it has no engine.py" in said) == (4, True)
    (toy / "engine.py").write_text("def estimate(sequence, settings, workspace)\n    pass\n")
    code, said = ask(toy)
    assert (code, f"{toy}/engine.py:1: it is no Python" in said) == (4, True)
    (toy / "engine.py").write_text("def estimate(sequence, settings, workspace):\n    return 1 / 0\n")
    code, said = ask(toy)
    assert code == 7
    assert said.startswith("Traceback (most recent call last):\n")
    assert said.endswith("raised ZeroDivisionError: division by zero; its traceback is above\n")
    code, said = ask("toy")
    assert (code, "a folder of your own is ./toy;" in said) == (2, True)
    assert ask("colmap", "--engine-option", "a=1")[0] == 2
    code, said = ask(toy, "--engine-option", "a")
    assert (code, "'a' is not KEY=VALUE" in said) == (2, True)
    code, said = ask("colmap", "--depth")
    assert (code, "colmap has no use for --depth; leave it out, or use --engine droid" in said) == (2, True)
