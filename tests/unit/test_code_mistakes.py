"""Mistakes in the code folder, each made for real, and what docs/jobs.md says of them."""

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from slipway.code import snapshot
from slipway.code.size_limit import parse_limit
from slipway.code.snapshot import take_snapshot
from slipway.errors import SlipwayError
from tests.mistakes import Mistake, Table

TABLE = Table("jobs.md", "code")
NOBODY = 65534


@dataclass(frozen=True, kw_only=True)
class Case:
    """A mistake: what to do to a good checkout with a ``main.py``, and what the document says."""

    words: str
    remedy: str
    spoil: Callable[[Path, pytest.MonkeyPatch], object]


def git(folder: Path, *words: str) -> None:
    subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True)


def fill(folder: Path, count: int, size_bytes: int) -> None:
    (folder / "data").mkdir()
    for number in range(count):
        (folder / "data" / f"{number}.bin").write_bytes(b"x" * size_bytes)


def fill_plain(folder: Path, _: pytest.MonkeyPatch) -> None:
    shutil.rmtree(folder / ".git")
    fill(folder, 2, 150_000)


def close(path: Path) -> None:
    # Root may read everything, so somebody else reads.
    if os.geteuid() == 0:
        for one in (path.parent, *path.parent.rglob("*")):
            os.chown(one, NOBODY, NOBODY, follow_symlinks=False)
    path.chmod(0)


def close_file(folder: Path, _: pytest.MonkeyPatch) -> None:
    (folder / "key.pem").write_text("")
    close(folder / "key.pem")


def close_folder(folder: Path, _: pytest.MonkeyPatch) -> None:
    (folder / "private").mkdir()
    close(folder / "private")


def keep_writing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log that grows whenever it is read; only the moment is arranged."""
    (folder / "train.log").write_text("x")
    read = snapshot._read

    def read_and_write(reader, source):  # type: ignore[no-untyped-def]
        if Path(source).name == "train.log":
            with Path(source).open("a") as log:
                log.write("x")
        return read(reader, source)

    monkeypatch.setattr(snapshot, "_read", read_and_write)


def ignore_all(folder: Path, _: pytest.MonkeyPatch) -> None:
    git(folder, "rm", "-q", "--cached", "main.py")
    (folder / ".git" / "info" / "exclude").write_text("*\n")


CASES = (
    Case(
        words="`CODE_DIR` is not there",
        remedy="Correct it in `env/.env.PROFILE`.",
        spoil=lambda folder, _: shutil.rmtree(folder),
    ),
    Case(
        words="nothing to send",
        remedy="Correct `CODE_DIR`, or what `.gitignore` has.",
        spoil=ignore_all,
    ),
    Case(
        words="too large",
        remedy="Leave out data and what was built; `CODE_LIMIT=` takes the limit away.",
        spoil=lambda folder, _: fill(folder, 2, 150_000),
    ),
    Case(
        words="too many files",
        remedy="As above.",
        spoil=lambda folder, _: fill(folder, 30, 1),
    ),
    Case(
        words="too large, and in no checkout",
        remedy="As above; without git no `.gitignore` is read.",
        spoil=fill_plain,
    ),
    Case(
        words="a file that you may not read",
        remedy="`chmod u+r` it, or leave it out.",
        spoil=close_file,
    ),
    Case(
        words="a folder that you may not read",
        remedy="`chmod u+rx` it, or leave it out.",
        spoil=close_folder,
    ),
    Case(
        words="a file that something writes to all the time",
        remedy="Wait, or leave it out.",
        spoil=keep_writing,
    ),
    Case(
        words="a line of `.dockerignore` is no pattern",
        remedy="Correct the line; `\\[` is the character itself.",
        spoil=lambda folder, _: (folder / ".dockerignore").write_text("data\nrun[0-9\n"),
    ),
    Case(
        words="git is not installed",
        remedy="Install it.",
        spoil=lambda _, monkeypatch: monkeypatch.setenv("PATH", "/nonexistent"),
    ),
    Case(
        words="the checkout is broken",
        remedy="Repair it with git, or make it a plain folder.",
        spoil=lambda folder, _: (folder / ".git" / "HEAD").unlink(),
    ),
    Case(
        words="the checkout is another user's",
        remedy="Where you trust them, run the command that it shows; or clone it.",
        spoil=lambda folder, _: os.chown(folder / ".git", NOBODY, NOBODY),
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.words)
def test_a_mistake(open_folder: Path, monkeypatch: pytest.MonkeyPatch, case: Case) -> None:
    is_closed = case.spoil in (close_file, close_folder)
    if case.words == "the checkout is another user's" and os.geteuid() != 0:
        pytest.skip("only root can give a folder to somebody else")
    for name, value in (
        ("GIT_CONFIG_GLOBAL", os.devnull),
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("LC_ALL", "C.UTF-8"),
    ):
        monkeypatch.setenv(name, value)
    code, workspace = open_folder / "code", open_folder / "state"
    code.mkdir()
    workspace.mkdir()
    workspace.chmod(0o777)
    (code / "main.py").write_text("print(1)\n")
    git(code, "init")
    git(code, "add", ".")
    case.spoil(code, monkeypatch)
    was = os.geteuid()
    if is_closed and was == 0:
        os.seteuid(NOBODY)
    try:
        with pytest.raises(SlipwayError) as caught, take_snapshot(code, workspace, limit=parse_limit("200K")):
            pass
    finally:
        os.seteuid(was)
    assert list(workspace.glob("tmp/*")) == []
    message = str(caught.value).replace(str(code), "CODE")
    assert str(open_folder) not in message
    TABLE.check(Mistake(words=case.words, code=caught.value.exit_code, message=message, remedy=case.remedy))


def test_the_document_has_these_and_no_others() -> None:
    TABLE.check_order([case.words for case in CASES])
