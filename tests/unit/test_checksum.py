"""Hashes of files on the cluster, with the programs of this machine in the place of those there."""

import hashlib
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import cast

import pytest

from slipway.errors import ParseError, RemoteError
from slipway.host.host import Host
from slipway.shell import Result
from slipway.transfer.checksum import hash_remote

NAMES = ("plain", "two words", "-r", "*star *.x", "back\\slash", "sub/ümlaut", "$(id)", "empty")
# What there is in the place of an OpenSSL that hashes.
OTHERS = {
    "none": None,
    "broken": "echo broken >&2; exit 1",
    "old": "echo '(stdin)= e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'",
}


class Here:
    """In the place of a connection to a cluster: runs programs on this machine."""

    target = "here"
    runs_commands = True

    def __init__(self, path: str) -> None:
        self.path = path

    def run(self, argv: Sequence[str], *, stdin: str, timeout_s: float) -> Result:
        done = subprocess.run(
            list(argv),
            input=stdin.encode("utf-8", "surrogateescape"),
            capture_output=True,
            env={**os.environ, "PATH": self.path},
            check=False,
        )
        out, err = (text.decode("utf-8", "surrogateescape") for text in (done.stdout, done.stderr))
        return Result(argv=tuple(argv), exit_code=done.returncode, stdout=out, stderr=err)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "a folder"
    (folder / "sub").mkdir(parents=True)
    for name in NAMES:
        (folder / name).write_bytes(b"" if name == "empty" else os.urandom(1000))
    return folder


def programs(folder: Path, openssl: str | None) -> str:
    """A PATH with what the script needs, and an ``openssl`` that does something else."""
    folder.mkdir()
    for name in ("sh", "xargs", "sha256sum"):
        (folder / name).symlink_to(subprocess.check_output(["which", name], text=True).strip())
    if openssl is not None:
        (folder / "openssl").write_text(f"#!/bin/sh\n{openssl}\n")
        (folder / "openssl").chmod(0o755)
    return str(folder)


def hashed(folder: Path, path: str, names: Sequence[str], *, some_closed: bool = False) -> dict[str, str]:
    return hash_remote(cast(Host, Here(path)), PurePosixPath(folder), names, some_closed=some_closed)


def real(folder: Path, names: Sequence[str]) -> dict[str, str]:
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}


def test_each_name(folder: Path) -> None:
    assert hashed(folder, os.environ["PATH"], [*NAMES, "not there"]) == real(folder, NAMES)
    assert hashed(folder, os.environ["PATH"], []) == {}


def test_a_name_with_a_line_end(folder: Path) -> None:
    names = [*NAMES, "two\nlines *.x"]
    (folder / names[-1]).write_text("content")
    assert hashed(folder, os.environ["PATH"], names) == real(folder, names)


@pytest.mark.parametrize("openssl", OTHERS.values(), ids=list(OTHERS))
def test_without_an_openssl_that_hashes(openssl: str | None, folder: Path, tmp_path: Path) -> None:
    path = programs(tmp_path / "bin", openssl)
    assert hashed(folder, path, [*NAMES, "not there"]) == real(folder, NAMES)


@pytest.mark.parametrize("has_openssl", [True, False])
def test_a_file_that_cannot_be_read(has_openssl: bool, folder: Path, tmp_path: Path) -> None:
    # A folder: root may read each file.
    path = os.environ["PATH"] if has_openssl else programs(tmp_path / "bin", None)
    with pytest.raises(RemoteError, match=r"a folder: files cannot be read there: .*sub"):
        hashed(folder, path, ["plain", "sub"])
    assert hashed(folder, path, ["plain", "sub", "empty"], some_closed=True) == real(
        folder, ["plain", "empty"]
    )


def test_another_answer(folder: Path, tmp_path: Path) -> None:
    path = programs(tmp_path / "bin", None)
    (tmp_path / "bin" / "sha256sum").unlink()
    (tmp_path / "bin" / "sha256sum").symlink_to("/bin/echo")
    with pytest.raises(ParseError, match="sha256sum or openssl printed"):
        hashed(folder, path, ["plain"])
