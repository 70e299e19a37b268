"""One file by way of a remote of rclone, with a stand-in for rclone; both sides are this machine."""

import os
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import cast

import pytest

from slipway.errors import ConfigError, HostError, RemoteError, UsageError
from slipway.host.host import Host
from slipway.progress import Amount, NullProgress
from slipway.transfer.rclone import Remote, Via, parse_remote

# It knows the remote `bucket`, a folder; each of its lines of progress is as rclone 1.60 prints them.
RCLONE = r"""#!/bin/bash
echo "$SIDE $*" >>"$LOG"
words=()
for word; do case $word in --*) ;; *) words+=("${word/#bucket:/$BUCKET/}") ;; esac; done
case ${words[*]} in
*nowhere:*) echo '2026/01/01 Failed to create file system: didn'"'"'t find section in config file'; exit 1 ;;
*closed:*) echo '{"level":"error","msg":"403 at https://me:secret@s3.example.org/x"}'; exit 1 ;;
esac
set -- "${words[@]}"
case $1 in
lsf) [ -e "$2" ] || { echo '{"level":"error","msg":"directory not found"}'; exit 3; } ;;
copyto)
    [ "$SIDE" != "$FAILS" ] || { echo '{"level":"error","msg":"quota is reached"}'; exit 5; }
    mkdir -p "$(dirname "$3")" && cp "$2" "$3"
    echo '{"level":"warning","msg":"\nTransferred","stats":{"bytes":5}}' ;;
deletefile) rm "$2" ;;
esac
"""


class Ear(NullProgress):
    def __init__(self) -> None:
        self.told: list[str] = []

    def step(self, text: str) -> None:
        self.told.append(text)


class Cluster:
    """This machine in the place of the cluster."""

    target = SimpleNamespace(host="hpc")

    def require_commands(self) -> None:
        pass

    def stream(self, argv: Sequence[str], on_line: Callable[[str], None], *, stdin: str = "") -> int:
        # A login shell has a PATH of its own.
        argv = ["bash", "-c", *argv[2:]]
        done = subprocess.run(
            argv, capture_output=True, text=True, env={**os.environ, "SIDE": "there"}, check=False
        )
        for line in done.stdout.splitlines():
            on_line(line)
        return done.returncode


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "rclone").write_text(RCLONE)
    (programs / "rclone").chmod(0o755)
    settings = {"SIDE": "here", "LOG": f"{tmp_path}/log", "BUCKET": f"{tmp_path}/bucket", "FAILS": ""}
    for name, value in {**settings, "PATH": f"{programs}:/usr/bin:/bin"}.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "file").write_bytes(b"12345")
    (tmp_path / "there").mkdir()
    return tmp_path


def via(word: str = "bucket:data/sets") -> Via:
    return Via(host=cast(Host, Cluster()), remote=parse_remote(word), progress=Ear())


def test_a_file_goes_by_way_of_the_remote(place: Path) -> None:
    one = via()
    one.check()
    heard: list[Amount] = []
    sent = one.send_file(place / "file", PurePosixPath(place / "there"), on_progress=heard.append)
    assert (place / "there" / "file").read_bytes() == b"12345"
    assert (sent.sent_bytes, sent.total_bytes, [amount.done_bytes for amount in heard]) == (5, 5, [5])
    assert cast(Ear, one.progress).told == ["Fetching file on hpc from bucket"]
    calls = [line.split()[:2] for line in (place / "log").read_text().splitlines()]
    assert calls == [[side, what] for what in ("lsf", "copyto") for side in ("here", "there")] + [
        ["here", "deletefile"]
    ]
    assert not (place / "bucket" / "data" / "sets" / "file").exists()


@pytest.mark.parametrize(
    ("word", "remote"),
    [
        ("b2:x/y", Remote(name="b2", path="x/y")),
        ("my bucket:", Remote(name="my bucket", path="")),
        ("a.b-c:/abs", Remote(name="a.b-c", path="/abs")),
    ],
)
def test_remotes(word: str, remote: Remote) -> None:
    assert parse_remote(word) == remote
    assert Remote(name="b", path="x/").place("f") == "b:x/f"
    assert Remote(name="b", path="").place("f") == "b:f"


@pytest.mark.parametrize(
    "word", ["", "bucket", ":s3,access_key_id=KEY,secret_access_key=SECRET:b/x", "a,pass=SECRET:x", "-o:x"]
)
def test_what_is_no_remote_of_a_configuration(word: str) -> None:
    with pytest.raises(UsageError, match="write REMOTE:PATH, with the name of a remote") as caught:
        parse_remote(word)
    assert "SECRET" not in str(caught.value)
    assert "KEY" not in str(caught.value)


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("nowhere:x", "rclone on this machine knows no remote 'nowhere'; `rclone config` makes one"),
        ("closed:x", r"ended with exit code 1 at closed:x:\n  403 at https://s3.example.org/x"),
    ],
)
def test_a_remote_that_does_not_serve(place: Path, word: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        via(word).check()
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("side", "said"),
    [
        ("here", r"rclone on this machine ended with exit code 5 at bucket:data/sets:\n  quota is reached"),
        (
            "there",
            r"(?s)quota is reached\n  bucket:data/sets/file is uploaded: the same command only fetches it",
        ),
    ],
)
def test_what_fails_is_named_with_its_side(
    place: Path, side: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAILS", side)
    with pytest.raises(RemoteError, match=said):
        via().send_file(place / "file", PurePosixPath(place / "there"))
    assert (place / "bucket" / "data" / "sets" / "file").exists() is (side == "there")


def programs_but_rclone(folder: Path) -> Path:
    folder.mkdir()
    for program in [*Path("/usr/bin").iterdir(), *Path("/bin").iterdir()]:
        if program.name != "rclone":
            with suppress(FileExistsError):
                (folder / program.name).symlink_to(program)
    return folder


def test_rclone_is_missing(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = via()
    with monkeypatch.context() as patch:
        patch.setattr(Via, "_here", lambda *words: (0, []))
        patch.setenv("PATH", str(programs_but_rclone(place / "others")))
        with pytest.raises(RemoteError, match="--via needs rclone there, too, and a login shell finds none"):
            one.check()
    monkeypatch.setenv("PATH", str(place / "others"))
    with pytest.raises(HostError, match="--via needs rclone on this machine, and it is not installed"):
        one.check()
