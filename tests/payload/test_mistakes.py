"""Mistakes in the program's input, each made for real, and what docs/jobs.md says of them."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.campaign import others_long
from tests.forked import Forked, forking
from tests.mistakes import Mistake, Table

TABLE = Table("jobs.md", "payload")
INFER = ("--task", "infer", "--dataset", "photos")
REQUIRED = (*INFER, "--require-groundtruth")


@dataclass(frozen=True, kw_only=True)
class Case:
    """A mistake: what to do to a good dataset of four images, the arguments, and what the document says."""

    words: str
    code: int
    remedy: str
    arguments: tuple[str, ...] = INFER
    spoil: Callable[[Path], object] = lambda _: None


def write(name: str, content: str | bytes) -> Callable[[Path], object]:
    data = content if isinstance(content, bytes) else content.encode()
    return lambda folder: (folder / name).write_bytes(data)


def cut(folder: Path) -> None:
    data = (folder / "a.jpg").read_bytes()
    (folder / "a.jpg").write_bytes(data[: len(data) // 2])


def rename_format(folder: Path) -> None:
    with Image.open(folder / "b.png") as image:
        image.save(folder / "b.png", "GIF")


def empty(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


def move_away(folder: Path) -> None:
    folder.rename(folder.with_name("door"))


def make_video(folder: Path) -> None:
    (folder / "rgb.txt").write_text("0.1 a.jpg\n0.2 b.png\n0.3 c.JPG\n0.4 e.png\n")


def flatten(folder: Path) -> None:
    for path in folder.glob("*.[pjJ]*"):
        Image.new("RGB", (40, 30), (9, 90, 90)).save(path)


def unlike(folder: Path) -> None:
    """Images with features, and nothing in common."""
    for place, path in enumerate(sorted(folder.glob("*.[pjJ]*"))):
        pixels = np.random.default_rng(place).integers(0, 255, (48, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((256, 192), Image.Resampling.BICUBIC).save(path)
    (folder / "calib.txt").unlink()


def only(name: str) -> Callable[[Path], object]:
    return lambda folder: (empty(folder), write(name, "x")(folder))


def unknown_camera(folder: Path) -> None:
    (folder / "calib.txt").unlink()
    (folder / "rgb.txt").write_text("0.1 a.jpg\n0.2 b.png\n0.3 c.JPG\n")


POSES = "".join(f"{stamp} 0 0 0 0 0 0 1\n" for stamp in range(4))
CASES = (
    Case(
        words="no task",
        code=2,
        arguments=("--dataset", "photos"),
        remedy="Name one.",
    ),
    Case(
        words="a task that there is not",
        code=2,
        arguments=("--task", "inferr", "--dataset", "photos"),
        remedy="Use the name it gives.",
    ),
    Case(
        words="an option that there is not",
        code=2,
        arguments=("--task", "infer", "--datset", "photos"),
        remedy="Use the option it gives.",
    ),
    Case(
        words="a value of the wrong kind",
        code=2,
        arguments=(*INFER, "--stride", "0"),
        remedy="Write it as it says.",
    ),
    Case(
        words="`infer` without a dataset",
        code=2,
        arguments=("--task", "infer"),
        remedy="Name one.",
    ),
    Case(
        words="a dataset that was not staged",
        code=4,
        arguments=("--task", "infer", "--dataset", "foto"),
        remedy="Use the name of one that is there, or stage it.",
    ),
    Case(
        words="nothing was staged at all",
        code=4,
        spoil=lambda folder: shutil.rmtree(folder),
        remedy="Stage it.",
    ),
    Case(
        words="a sequence that the dataset does not have",
        code=4,
        arguments=(*INFER, "--sequence", "one"),
        remedy="Look at what was staged; leave `--sequence` out where the images lie in the dataset itself.",
    ),
    Case(
        words="the dataset is empty",
        code=4,
        spoil=empty,
        remedy="Stage a folder with images in it.",
    ),
    Case(
        words="no images in the folder",
        code=4,
        spoil=lambda folder: (empty(folder), write("frame.raw", "x")(folder)),
        remedy="Convert them to one of these formats, and stage again.",
    ),
    Case(
        words="a video that is none",
        code=4,
        spoil=only("walk.mp4"),
        remedy="Copy it again, or convert it.",
    ),
    Case(
        words="photos of a format that is not read",
        code=4,
        spoil=only("IMG_0001.CR3"),
        remedy="Convert them, and stage those.",
    ),
    Case(
        words="the folders of the folder have no images, either",
        code=4,
        spoil=lambda folder: (empty(folder), [(folder / name).mkdir() for name in ("left", "right")]),
        remedy="Stage the folder that has them.",
    ),
    Case(
        words="an image that is cut short",
        code=4,
        spoil=cut,
        remedy="Replace the file or remove it, and stage again.",
    ),
    Case(
        words="an image that is none",
        code=4,
        spoil=write("b.png", "not found"),
        remedy="Replace the file or remove it, and stage again.",
    ),
    Case(
        words="an image of another format than its name says",
        code=4,
        spoil=rename_format,
        remedy="Convert it.",
    ),
    Case(
        words="images of two sizes",
        code=4,
        spoil=lambda folder: Image.new("RGB", (30, 40)).save(folder / "c.JPG"),
        remedy="Take out those of another camera, or scale them.",
    ),
    Case(
        words="too few images",
        code=4,
        arguments=(*INFER, "--stride", "2"),
        remedy="Take more of them.",
    ),
    Case(
        words="`calib.txt` has too few numbers",
        code=4,
        spoil=write("calib.txt", "# pixels\n50 51 20\n"),
        remedy="Write the line as it says.",
    ),
    Case(
        words="`calib.txt` has something else in it",
        code=4,
        spoil=write("calib.txt", "fx: 50, fy: 51\n"),
        remedy="Write the line as it says.",
    ),
    Case(
        words="`calib.txt` has several lines",
        code=4,
        spoil=write("calib.txt", "50 51\n20 15\n"),
        remedy="Write one line as it says, or the three of a matrix.",
    ),
    Case(
        words="`calib.txt` is UTF-16",
        code=4,
        spoil=write("calib.txt", "50 51 20 15\n".encode("utf-16-le")),
        remedy="Save it as UTF-8, as Windows' editors can.",
    ),
    Case(
        words="`calib.txt` is of images of another size",
        code=4,
        spoil=write("calib.txt", "500 500 320 240\n"),
        remedy="Scale all four numbers by the same factor as the images.",
    ),
    Case(
        words="a video without a camera, for DROID-SLAM",
        code=4,
        arguments=(*INFER, "--engine", "droid"),
        spoil=unknown_camera,
        remedy="Write a `calib.txt`, or put a calibration there. COLMAP does without.",
    ),
    Case(
        words="`rgb.txt` names an image that is not there",
        code=4,
        spoil=make_video,
        remedy="Stage all of it, or correct the list.",
    ),
    Case(
        words="`rgb.txt` names an image outside of the sequence",
        code=4,
        spoil=write("rgb.txt", "0.1 a.jpg\n0.2 ../other/b.png\n"),
        remedy="Put the images into the sequence's folder.",
    ),
    Case(
        words="a line of `rgb.txt` is broken",
        code=4,
        spoil=write("rgb.txt", "# list\n0.1 a.jpg\nb.png 0.2\n"),
        remedy="Write the line as it says.",
    ),
    Case(
        words="`rgb.txt` is not in order, with `--strict`",
        code=4,
        arguments=(*INFER, "--strict"),
        spoil=write("rgb.txt", "0.1 a.jpg\n0.3 b.png\n0.2 c.JPG\n"),
        remedy="Sort it (`sort -n`), or leave `--strict` out.",
    ),
    Case(
        words="a line of `groundtruth.txt` is broken, with `--require-groundtruth`",
        code=4,
        arguments=REQUIRED,
        spoil=write("groundtruth.txt", POSES + "4 0 0 0\n"),
        remedy="Write the line as it says.",
    ),
    Case(
        words="`groundtruth.txt` has no rotation in a line, with `--require-groundtruth`",
        code=4,
        arguments=REQUIRED,
        spoil=write("groundtruth.txt", POSES + "4 0 0 0 0 0 0 0\n"),
        remedy="Write the quaternion in this order, with length 1.",
    ),
    Case(
        words="`groundtruth.txt` has a timestamp twice, with `--require-groundtruth --strict`",
        code=4,
        arguments=(*REQUIRED, "--strict"),
        spoil=write("groundtruth.txt", POSES + "3 0 0 0 0 0 0 1\n"),
        remedy="Remove what is double (`sort -n -u -k1,1`), or leave `--strict` out.",
    ),
    Case(
        words="`groundtruth.txt` is of other times, with `--require-groundtruth`",
        code=4,
        arguments=REQUIRED,
        spoil=write("groundtruth.txt", POSES.replace(" 0 0 0 0 0 0 1", "07 0 0 0 0 0 0 1")),
        remedy="Give the ground truth of this sequence, or raise `--max-difference`.",
    ),
    Case(
        words="an estimate that is not there",
        code=4,
        arguments=("--task", "evaluate", "--estimate", "/data/no.tum", "--dataset", "photos"),
        remedy="Correct the path; jobs see what was staged in `/data`.",
    ),
    Case(
        words="no feature in any image",
        code=3,
        spoil=flatten,
        remedy="Look at the images: they may be too dark, blurred, of a blank wall, or badly exported.",
    ),
    Case(
        words="nothing to reconstruct from",
        code=3,
        spoil=unlike,
        remedy="Do what it says; docs/colmap.md has the other causes.",
    ),
    Case(
        words="the output folder cannot be written to",
        code=5,
        arguments=(*INFER, "--out", "/data/photos/calib.txt"),
        remedy="Leave `--out` out: a job has one.",
    ),
)  # fmt: skip
SPECIAL = ("the disk is full", "memory runs out", "the engine crashes")


@pytest.fixture(scope="module")
def program(job_environment: dict[str, str]) -> Iterator[Forked]:
    """``python3 -m slam``, many times."""
    imports = ("slam.command", "slam.evaluate.absolute", "slam.dataset.sequence", "slam.task.infer")
    # A process that has threads is not to be forked.
    with forking("slam", imports, {**job_environment, "OPENBLAS_NUM_THREADS": "1"}) as program:
        yield program


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def check(
    case_words: str, code: int, remedy: str, done: "subprocess.CompletedProcess[str]", tmp_path: Path
) -> None:
    assert done.returncode == code, done.stderr
    *before, line = done.stderr.splitlines()
    assert "Traceback" not in done.stderr
    assert not before or case_words == "the engine crashes", done.stderr
    message = line.replace(str(tmp_path / "root"), "/data").replace(str(tmp_path / "out"), "/out")
    message = re.sub(r"\d+ bytes", "N bytes", message)  # differs between versions of Pillow
    assert str(tmp_path) not in message
    TABLE.check(Mistake(words=case_words, code=code, message=message, remedy=remedy))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.words)
def test_a_mistake(
    program: Forked,
    job_environment: dict[str, str],
    photos: Path,
    out: Path,
    tmp_path: Path,
    case: Case,
) -> None:
    case.spoil(photos)
    arguments = [word.replace("/data", str(photos.parent)) for word in case.arguments]
    environment = {**job_environment, "SLIPWAY_OUT": str(out)}
    done = program.run(["--data-root", str(photos.parent), *arguments], cwd=tmp_path, env=environment)
    check(case.words, case.code, case.remedy, done, tmp_path)
    assert list(out.iterdir()) == []


def worker_of(process: "subprocess.Popen[str]") -> int:
    """The process that the program's engine runs in."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    (child,) = children.read_text().split()
    return int(child)


def start(scene: Path, out: Path, environment: dict[str, str]) -> "subprocess.Popen[str]":
    """Run the program until its engine works."""
    arguments = ["--task", "infer", "--data-root", scene.parent, "--dataset", scene.name]
    process = subprocess.Popen(
        [sys.executable, "-m", "slam", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**environment, "SLIPWAY_OUT": str(out)},
    )  # fmt: skip
    assert process.stdout is not None
    while not process.stdout.readline().startswith("matching"):
        assert process.poll() is None
    return process


@pytest.mark.skipif(sys.platform != "linux", reason="the processes are found in /proc")
@pytest.mark.parametrize(
    ("words", "number", "code", "remedy"),
    [
        (SPECIAL[1], signal.SIGKILL, 6, "Ask for more memory, or for less work. SLURM says OUT_OF_MEMORY."),
        pytest.param(
            *(SPECIAL[2], signal.SIGABRT, 7, "Read what it said; it is in the log."), marks=pytest.mark.long
        ),
    ],
)
def test_the_engine_comes_down(
    scene: Path,
    out: Path,
    tmp_path: Path,
    job_environment: dict[str, str],
    words: str,
    number: int,
    code: int,
    remedy: str,
) -> None:
    process = start(scene, out, job_environment)
    os.kill(worker_of(process), number)
    _, said = process.communicate(timeout=30)
    done = subprocess.CompletedProcess(process.args, process.returncode, "", said)
    check(words, code, remedy, done, tmp_path)
    assert list(out.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="the processes are found in /proc")
def test_the_worker_ends_with_its_parent(scene: Path, out: Path, job_environment: dict[str, str]) -> None:
    process = start(scene, out, job_environment)
    worker = worker_of(process)
    process.kill()
    process.communicate(timeout=30)
    deadline = time.monotonic() + 30
    while Path(f"/proc/{worker}/cwd").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{worker}/cwd").exists()


@pytest.mark.parametrize("size", others_long(["200k", "1m", "3m"], "1m"))
def test_the_disk_is_full(scene: Path, tmp_path: Path, job_environment: dict[str, str], size: str) -> None:
    """On a small disk of its own: COLMAP's database is refused in several ways, and once brings it down."""
    space = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    if shutil.which("unshare") is None or subprocess.run([*space, "exit 0"], check=False).returncode:
        pytest.skip("this machine lets nobody mount a disk of their own")
    out = tmp_path / "out"
    out.mkdir()
    script = (
        'mount -t tmpfs -o size="$2" none "$1" && { "$0" -m slam --task infer --data-root "$3" '
        '--dataset room --out "$1" >/dev/null; code=$?; ls -A "$1"; exit "$code"; }'
    )
    argv = [*space, script, sys.executable, out, size, scene.parent]
    done = subprocess.run(argv, env=job_environment, capture_output=True, text=True, check=False)
    check(SPECIAL[0], 5, "Make room, or set `TMPDIR` to another disk.", done, tmp_path)
    assert done.stdout == ""


@pytest.mark.long
def test_results_are_all_there_or_none(scene: Path, tmp_path: Path, slam) -> None:
    """The figure cannot be written, after four files that can."""
    code = (
        "import resource, sys\n"
        "from slam.task import write as task\n"
        "draw = task.draw\n"
        "def draw_on_a_full_disk(*given):\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))\n"
        "    draw(*given)\n"
        "task.draw = draw_on_a_full_disk\n"
        "from slam.command import main\n"
        "sys.exit(main())"
    )
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    payload = Path(__file__).parents[2] / "docker" / "payload"
    done = subprocess.run(
        [sys.executable, "-c", code, "--task", "infer", "--data-root", scene.parent, "--dataset", scene.name,
         "--out", tmp_path / "out"],
        env={**environment, "PYTHONPATH": str(payload), "PYTHONWARNINGS": "error"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 5, done.stderr
    assert "the results cannot be written to" in done.stderr
    assert "(File too large), so none of them are there" in done.stderr
    assert list((tmp_path / "out").iterdir()) == []


def test_the_document_has_these_and_no_others() -> None:
    TABLE.check_order([*(case.words for case in CASES), *SPECIAL])


@pytest.mark.parametrize("name", others_long(["a$^$b", "new\nline", os.fsdecode(b"\xff")], "new\nline"))
def test_a_folder_may_have_any_name(slam, scene: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(scene, tmp_path / "set" / name)
    words = [
        "--task",
        "infer",
        "--data-root",
        tmp_path,
        "--dataset",
        "set",
        "--max-frames",
        "4",
        "--out",
        tmp_path / "o",
    ]
    done = slam(*words, "--sequence", name, PYTHONIOENCODING="utf-8:strict")
    assert (done.returncode, done.stderr) == (0, "")
    assert np.asarray(Image.open(tmp_path / "o" / "trajectory.png")).std() > 10
