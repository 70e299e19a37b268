import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image


def check_refused(done: "subprocess.CompletedProcess[str]", exit_code: int, *words: str) -> None:
    assert done.returncode == exit_code, done.stderr
    assert done.stderr.startswith("slam: ")
    assert done.stderr.count("\n") == 1, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    for word in words:
        assert word in done.stderr


def test_help_needs_none_of_the_heavy_packages(job_environment: dict[str, str]) -> None:
    code = (
        "import sys; sys.argv = ['slam', '--help']\n"
        "from slam.command import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "assert not {'numpy', 'pycolmap', 'evo', 'matplotlib', 'PIL'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=job_environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "--max-image-size" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["there is no task", "--task"]),
        (["--task", "tune"], ["'tune' is not one of infer, evaluate, train, check, lengths;", "--help"]),
        (["--task", "evalute"], ["(did you mean evaluate?)"]),
        (["--task", "infer", "--datset", "x"], ["there is no option '--datset' (did you mean --dataset?)"]),
        (["--task", "infer", "--matchr=auto"], ["'--matchr=auto' (did you mean --matcher?)"]),
        (["infer"], ["there is no option 'infer'"]),
        (["--task", "infer", "--stride", "0"], ["--stride", "'0' is not a whole number from 1 to"]),
        (["--task", "infer", "--t0", "-1"], ["--t0", "'-1' is not a whole number from 0 to"]),
        (["--task", "evaluate", "--rpe-delta", "0"], ["--rpe-delta", "'0' is not a number above 0"]),
        (["--task", "evaluate", "--rpe-unit", "feet"], ["--rpe-unit", "'feet' is not one of frames, meters"]),
        (["--task", "evaluate", "--align", "sim2"], ["--align", "(did you mean sim3?)"]),
        (["--task", "evaluate", "--benchmark", "tumm"], ["--benchmark", "(did you mean tum?)"]),
        (
            ["--task", "infer", "--out", "o", "--benchmark", "tum", "--align", "se3"],
            ["after sim3", "--align"],
        ),
        (
            ["--task", "infer", "--out", "o", "--dataset", "x", "--runs", "r"],
            ["--runs are for --task evaluate"],
        ),
        (["--task", "infer", "--seed", "-1"], ["--seed"]),
        (["--task", "infer", "--seed", "9" * 5000], ["--seed", "is not a whole number from 0 to 2147483647"]),
        (["--task", "infer", "--max-image-size", "2147483648"], ["--max-image-size", "to 2147483647"]),
        (["--task", "infer", "--dataset", ""], ["--dataset", "'' is no name of a folder"]),
        (["--task", "infer", "--dataset", ".."], ["--dataset", "'..' is no name of a folder"]),
        (["--task", "infer", "--dataset", "x", "--out", ""], ["--out", "it is empty"]),
        (
            ["--task", "infer", "--max-difference", "-1"],
            ["--max-difference", "'-1' is not a number of seconds"],
        ),
        (["--task", "infer", "--engine", "orb"], ["--engine", "'orb'"]),
        *(
            (["--task", "infer", "--out", "o", "--dataset", "x", *options], words)
            for options, words in [
                (["--beta", "0.2"], ["--beta is an option of droid; the engine is colmap", "--engine droid"]),
                (
                    ["--engine", "droid", "--no-loops"],
                    ["--no-loops is an option of colmap; the engine is droid"],
                ),
                (["--engine", "open3d", "--depth", "--quality", "low"], ["--quality is an option of colmap"]),
                (["--random-weights", "--engine", "./own"], ["--random-weights is an option of droid"]),
            ]
        ),
        (
            [
                "--task",
                "evaluate",
                "--out",
                "o",
                "--estimate",
                "e",
                "--groundtruth",
                "g",
                "--mapper",
                "global",
            ],
            ["--mapper is an option of colmap for --task infer"],
        ),
        (
            ["--task", "infer", "--out", "o", "--dataset", "x", "--start", "1:00", "--end", "30"],
            ["--end 30 s is not after --start 60 s"],
        ),
        (["--task", "infer", "--dataset", "x"], ["--out"]),
        (["--task", "infer", "--out", "o"], ["--dataset"]),
        (["--task", "infer", "--out", "o", "--dataset", "x", "--estimate", "e"], ["--task evaluate"]),
        (["--task", "evaluate", "--out", "o", "--dataset", "x"], ["--estimate"]),
        (["--task", "evaluate", "--out", "o", "--estimate", "x"], ["--groundtruth or --dataset"]),
    ],
)
def test_a_wrong_command_line_is_told_in_a_line(slam, tmp_path, monkeypatch, arguments, words) -> None:
    monkeypatch.chdir(tmp_path)
    check_refused(slam(*arguments), 2, *words)
    assert list(tmp_path.iterdir()) == []


def test_a_dataset_that_is_not_there(slam, photos: Path, tmp_path: Path) -> None:
    done = slam(
        "--task", "infer", "--data-root", photos.parent, "--dataset", "photo", "--out", tmp_path / "o"
    )
    check_refused(done, 4, "dataset 'photo' is not in", "did you mean 'photos'?")


def test_a_sequence_that_is_not_there(slam, photos: Path, tmp_path: Path) -> None:
    (photos / "seq1").mkdir()
    arguments = ["--task", "infer", "--data-root", photos.parent, "--dataset", "photos", "--sequence", "seq2"]
    check_refused(slam(*arguments, SLIPWAY_OUT=str(tmp_path / "o")), 4, "sequence 'seq2'", "'seq1'")


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("calib.txt", b"50 51 20\n", "calib.txt:1: 3 numbers"),
        ("groundtruth.txt", b"0 0 0 0 0 0 0 1\n1 1 1\n", "groundtruth.txt:2: 3 numbers"),
        ("groundtruth.txt", b"70 0 0 0 0 0 0 1\n71 1 1 0 0 0 0 1\n", "0 of 4 timestamps"),
        ("b.png", b"\x89PNG", "b.png: not a readable image"),
        ("rgb.txt", b"0 b.png\nzero a.jpg\n", "rgb.txt:2: 'zero a.jpg'; expected `timestamp filename`"),
    ],
)
def test_a_broken_dataset(slam, photos: Path, tmp_path: Path, name: str, content: bytes, word: str) -> None:
    (photos / name).write_bytes(content)
    out = tmp_path / "o"
    done = slam(
        "--task", "infer", "--data-root", photos.parent, "--dataset", "photos", "--require-groundtruth",
        SLIPWAY_OUT=str(out),
    )  # fmt: skip
    check_refused(done, 4, word)
    assert list(out.iterdir()) == []


def test_images_of_nothing_fail_with_their_own_code(slam, tmp_path: Path) -> None:
    for place in range(4):
        Image.new("RGB", (80, 60), (place, 90, 90)).save(tmp_path / f"{place}.png")
    (tmp_path / "calib.txt").write_text("80 80 40 30\n")
    out = tmp_path / "out"
    out.mkdir()
    for name in ("summary.json", "rpe.json"):
        (out / name).write_text("of an earlier run")
    done = slam("--task", "infer", "--data-root", tmp_path.parent, "--dataset", tmp_path.name, "--out", out)
    check_refused(done, 3, "there is not one feature in 4 images, which are 8-bit colour with values from 0")
    assert list(out.iterdir()) == []


def test_an_output_folder_that_cannot_be_written(slam, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "o").write_text("")
    done = slam(
        "--task", "infer", "--data-root", photos.parent, "--dataset", "photos", "--out", tmp_path / "o"
    )
    check_refused(done, 5, "cannot be written to", "--out")


def test_evaluates_a_file_against_a_dataset(slam, photos: Path, tmp_path: Path) -> None:
    estimate, out = tmp_path / "estimate.tum", tmp_path / "out"
    estimate.write_text("".join(f"{i} {2 * i} {2 * i * i + 1} 5 0 0 0 1\n" for i in range(4)))
    arguments = [
        "--task",
        "evaluate",
        "--data-root",
        photos.parent,
        "--dataset",
        "photos",
        "--estimate",
        estimate,
    ]
    done = slam(*arguments, SLIPWAY_OUT=str(out), MPLCONFIGDIR=str(tmp_path / "not" / "there"))
    assert (done.returncode, done.stderr) == (0, "")
    assert "4 of 4 have a ground truth" in done.stdout
    assert sorted(path.name for path in out.iterdir()) == [
        "ate.json",
        "errors.csv",
        "rpe.json",
        "trajectory.png",
    ]
    with Image.open(out / "trajectory.png") as figure:
        assert figure.width == 2148


def test_evaluate_names_the_file_that_is_missing(slam, photos: Path, tmp_path: Path) -> None:
    truth = photos / "groundtruth.txt"
    done = slam("--task", "evaluate", "--estimate", "no.tum", "--groundtruth", truth, "--out", tmp_path / "o")
    check_refused(done, 4, "no.tum: there is no such trajectory file")
