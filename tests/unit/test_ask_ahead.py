"""Scratch, and what is asked of it in one round trip. The shell is this machine's, in place of a host's."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import pytest

from slipway.dataset.packed import current_command, current_versions
from slipway.errors import ConfigError, ScratchError
from slipway.host.host import Host, connect
from slipway.host.open_shell import KeptShell
from slipway.host.scratch import Scratch, open_scratch
from slipway.push.upload import find_command, find_pushed
from slipway.scheduler.slurm.site import SlurmSite
from slipway.site import Login, Paths

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no POSIX shell")
LOGIN = Login(host="this-machine")


def make_site(scratch: str) -> SlurmSite:
    return SlurmSite(name="hpc", login=LOGIN, scheduler="slurm", paths=Paths(scratch=scratch))


def find_mine(scratch: Scratch) -> Sequence[str]:
    return find_command(scratch, "mine")


AHEAD = (find_mine, current_command)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder whose start files set the variables that a cluster has."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "lab").mkdir()
    lines = f"export SCRATCH={tmp_path}/lab EMPTY= ODD='{tmp_path}/a b' DOLLAR='{tmp_path}/$(touch x)'\n"
    (tmp_path / ".bash_profile").write_text(lines)
    images = tmp_path / "lab" / "slipway" / "images"
    images.mkdir(parents=True)
    (images / "mine-1.sif").touch()
    (images / "mine-1.json").write_text('{"image_id": "i", "sha256": "s", "size_bytes": 0}')
    (images / "mine.sif").symlink_to("mine-1.sif")
    return tmp_path


@pytest.fixture
def host(home: Path) -> Iterator[Host]:
    with connect(LOGIN, home / "state") as host:
        yield host


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """One for each time that an answer is waited for."""
    found: list[None] = []
    real = KeptShell._use

    def use(shell, act, timeout_s):  # type: ignore[no-untyped-def]
        found.append(None)
        return real(shell, act, timeout_s)

    monkeypatch.setattr(KeptShell, "_use", use)
    return found


@pytest.mark.parametrize("written", ["$SCRATCH", "${SCRATCH}/", "{home}/lab", "$SCRATCH/../lab/."])
def test_scratch_and_all_that_is_asked_of_it_cost_one_round_trip(
    host: Host, home: Path, turns: list[None], written: str
) -> None:
    scratch = open_scratch(host, make_site(written.replace("{home}", str(home))), ahead=AHEAD)
    found = find_pushed(host, scratch, "mine")
    assert found is not None
    assert found.image_id == "i"
    assert Path(found.path).samefile(home / "lab" / "slipway" / "images" / "mine-1.sif")
    assert current_versions(host, scratch) == {}
    assert len(turns) == 1
    assert (home / "lab" / "slipway" / "runs").is_dir()


def test_an_answer_counts_once_and_only_until_something_else_is_done(
    host: Host, home: Path, turns: list[None]
) -> None:
    scratch = open_scratch(host, make_site("$SCRATCH"), ahead=AHEAD)
    images = scratch.images
    assert find_pushed(host, scratch, "mine") is not None
    host.run(["rm", f"{images}/mine.sif"])
    assert find_pushed(host, scratch, "mine") is None
    assert len(turns) == 2
    scratch = open_scratch(host, make_site("$SCRATCH"), ahead=AHEAD)
    host.run(["ln", "-s", "mine-1.sif", f"{images}/mine.sif"])
    assert find_pushed(host, scratch, "mine") is not None


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("$GONE/x", "GONE"),
        ("$EMPTY/x", "EMPTY"),
        ("$ODD", "a b"),
        ("$DOLLAR/x", "touch"),
        ("$HOME$(touch${IFS}hacked)", "paths.scratch is"),
    ],
)
def test_a_path_that_is_none_makes_no_folder(host: Host, home: Path, written: str, message: str) -> None:
    before = sorted(home.iterdir())
    with pytest.raises(ConfigError, match=message):
        open_scratch(host, make_site(written), ahead=AHEAD)
    assert sorted(home.iterdir()) == before
    assert not Path("/x/slipway").exists()


def test_what_is_no_plain_path_is_not_run(host: Host, home: Path, turns: list[None]) -> None:
    scratch = open_scratch(host, make_site("$HOME/`id`"), ahead=AHEAD)
    assert scratch.root == PurePosixPath(home) / "`id`" / "slipway"
    assert (home / "`id`" / "slipway" / "runs").is_dir()
    assert len(turns) == 2


def test_where_no_folder_can_be_made_it_is_said(host: Host, home: Path) -> None:
    (home / "file").touch()
    with pytest.raises(ScratchError, match="Slipway's folder cannot be made there: mkdir"):
        open_scratch(host, make_site(f"{PurePosixPath(home)}/file"), ahead=AHEAD)
