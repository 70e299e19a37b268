"""Who submits a run, under a real shell. A script stands in for sbatch here, and nowhere else."""

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

import pytest

from slipway.code.package import pack_files
from slipway.errors import ParseError
from slipway.job.submission_lock import (
    NO_CODE,
    NO_DATA,
    NO_IMAGE,
    NOT_MADE,
    NOT_WRITTEN,
    TOO_LATE,
    Answer,
    give_up_command,
    locked_submit_command,
    make_run_command,
    parse_answer,
)
from slipway.shell import LocalShell, Result


class Folder:
    """A run's folder, and an sbatch that notes down each call."""

    def __init__(self, path: Path) -> None:
        self.path = path / "run"
        self.path.mkdir()
        self.calls = path / "calls"
        self.sbatch = path / "sbatch"
        self.write(f"echo called >>{self.calls}; echo 7; echo words >&2")

    def write(self, script: str) -> None:
        self.sbatch.write_text(f"#!/bin/sh\n{script}\n")
        self.sbatch.chmod(0o755)

    def claim(self) -> Result:
        argv = locked_submit_command(PurePosixPath(self.path), [str(self.sbatch), "job.sh"], 150)
        return LocalShell().run(argv)

    def give_up(self) -> Result:
        return LocalShell().run(give_up_command(PurePosixPath(self.path)))

    def answer(self) -> Answer:
        return parse_answer((self.path / "answer").read_text())


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_the_answer_is_told_and_kept(folder: Folder) -> None:
    done = folder.claim()
    assert (done.exit_code, done.stdout, done.stderr) == (0, "7\n", "words\n")
    assert folder.answer() == Answer(exit_code=0, stdout="7", stderr="words")
    assert sorted(file.name for file in folder.path.iterdir()) == ["answer", "claim"]


def test_a_refusal_is_told_and_kept(folder: Folder) -> None:
    folder.write("echo 'sbatch: error: invalid account' >&2; exit 1")
    assert folder.claim().exit_code == 1
    assert folder.answer().exit_code == 1
    assert folder.answer().stderr == "sbatch: error: invalid account"


def test_who_is_given_up_is_not_submitted(folder: Folder) -> None:
    assert folder.give_up().exit_code == 0
    assert not folder.path.exists()
    assert folder.claim().exit_code == TOO_LATE
    assert not folder.calls.exists()


def test_who_is_submitted_is_not_given_up(folder: Folder) -> None:
    folder.claim()
    assert folder.give_up().exit_code == TOO_LATE
    assert folder.answer().exit_code == 0


def test_nothing_is_submitted_twice(folder: Folder) -> None:
    assert [folder.claim().exit_code for _ in range(2)] == [0, TOO_LATE]
    assert folder.calls.read_text() == "called\n"


def test_of_both_at_once_one_wins(tmp_path: Path) -> None:
    for number in range(30):
        (tmp_path / str(number)).mkdir()
        folder = Folder(tmp_path / str(number))
        with ThreadPoolExecutor(2) as pool:
            # The claim needs a moment longer to come to it.
            first, second = (folder.claim, folder.give_up) if number % 3 else (folder.give_up, folder.claim)
            done = {act.__name__: pool.submit(act) for act in (first, second)}
        submitted = folder.calls.exists()
        assert done["claim"].result().exit_code == (0 if submitted else TOO_LATE)
        assert done["give_up"].result().exit_code == (TOO_LATE if submitted else 0)
        assert folder.path.exists() is submitted


def test_the_answer_is_kept_where_nobody_listens_any_more(folder: Folder) -> None:
    go = folder.path / "go"
    folder.write(f"read -r _ <{go}; echo 7")
    subprocess.run(["mkfifo", str(go)], check=True)
    argv = locked_submit_command(PurePosixPath(folder.path), [str(folder.sbatch), "job.sh"], 150)
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        process.stderr.close()
        go.write_text("go\n")
    assert folder.answer() == Answer(exit_code=0, stdout="7", stderr="")


def make_run(folder: PurePosixPath, image: Path, archive: bytes, *packed: Path) -> int:
    code = PurePosixPath(image.parent / "code")
    argv = make_run_command(folder, "job.sh", PurePosixPath(image), code, [*map(PurePosixPath, packed)])
    return subprocess.run(argv, input=archive, capture_output=True, check=False).returncode


def test_a_run_is_made_whole_or_not_at_all(tmp_path: Path) -> None:
    image = tmp_path / "image.sif"
    image.touch()
    (tmp_path / "code").mkdir()
    folder = tmp_path / "runs" / "k3f9"
    folder.parent.mkdir()
    run = PurePosixPath(folder)
    archive = pack_files({"argv": b"a\0", "run.json": b"x" * 5000, "job.sh": b"#!/bin/sh\n"})
    # Cut anywhere, also between two files, where tar itself sees no mistake.
    for size_bytes in (0, 512, 1024, 1536, 3000, 1024 + 512 + 5120, 1024 + 512 + 5120 + 512):
        assert make_run(run, image, archive[:size_bytes]) == NOT_WRITTEN
        assert not folder.exists()
    assert make_run(run, tmp_path / "none.sif", archive) == NO_IMAGE
    assert not folder.exists()
    (tmp_path / "code").rmdir()
    assert make_run(run, image, archive) == NO_CODE
    assert not folder.exists()
    (tmp_path / "code").mkdir()
    packed = tmp_path / "room-1.sqsh"
    assert make_run(run, image, archive, packed) == NO_DATA
    assert not folder.exists()
    packed.touch()
    assert make_run(run, image, archive, packed) == 0
    assert (folder / "run.json").read_bytes() == b"x" * 5000
    assert folder.stat().st_mode & 0o777 == 0o700
    assert make_run(run, image, archive) == NOT_MADE


def test_what_was_given_up_is_not_made_later(tmp_path: Path) -> None:
    image = tmp_path / "image.sif"
    image.touch()
    runs = tmp_path / "runs"
    runs.mkdir()
    # A login node's clock may be hours ahead of the one that gives files their times.
    for name, age in ((".older", "25 hours ago"), (".young", "23 hours ago")):
        (runs / f"{name}.given-up").symlink_to("given-up")
        subprocess.run(["touch", "-h", "-d", age, str(runs / f"{name}.given-up")], check=True)
    run = PurePosixPath(runs / "k3f9")
    subprocess.run(give_up_command(run), check=True)
    assert make_run(run, image, pack_files({"job.sh": b""})) == TOO_LATE
    assert {path.name for path in runs.iterdir()} == {".k3f9.given-up", ".young.given-up"}


@pytest.mark.parametrize("broken", ["", "7", "a\0b\0c\0", "0\0b\0"])
def test_a_broken_answer_is_noticed(broken: str) -> None:
    with pytest.raises(ParseError, match="expected sbatch's code and output"):
        parse_answer(broken)
