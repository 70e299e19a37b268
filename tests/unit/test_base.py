import subprocess
from pathlib import Path
from typing import Any

import docker.errors
import pytest

from slipway.errors import HostError, ImageError
from slipway.image import base
from slipway.image.base import bootstrap_command, ensure_base, make_base, parse_suite, source_lines
from slipway.progress import NullProgress
from tests.waiting import PATIENCE_S


@pytest.mark.parametrize(
    ("ref", "suite"),
    [
        ("debian:trixie-slim", "trixie"),
        ("debian:bookworm", "bookworm"),
        ("debian:sid-slim", "sid"),
        ("debian:latest", None),
        ("debian:13-slim", None),
        ("debian", None),
        ("ubuntu:noble", None),
        ("registry.example.org/debian:trixie-slim", None),
        ("debian:trixie-slim\n", None),
    ],
)
def test_only_debian_releases_can_be_made(ref: str, suite: str | None) -> None:
    assert parse_suite(ref) == suite


def test_a_mirror_that_was_chosen_is_the_only_source() -> None:
    assert source_lines("trixie", "http://mirror.example.org/debian") == [
        "deb http://mirror.example.org/debian trixie main",
        "deb http://mirror.example.org/debian trixie-updates main",
    ]
    assert source_lines("sid", "http://m") == ["deb http://m sid main"]


def test_the_bootstrap_is_one_program_without_a_shell_of_ours(tmp_path: Path) -> None:
    argv = bootstrap_command("trixie", "arm64", tmp_path / "root.tar", None)
    assert argv[-2:] == ["trixie", str(tmp_path / "root.tar")]
    argv = bootstrap_command("trixie", "arm64", tmp_path / "root.tar", "http://m")
    assert argv[:4] == ["mmdebstrap", "--variant=minbase", "--format=tar", "--architectures=arm64"]
    assert argv[-3:] == [
        str(tmp_path / "root.tar"),
        "deb http://m trixie main",
        "deb http://m trixie-updates main",
    ]
    assert "--dpkgopt=path-exclude=/usr/share/man/*" in argv
    assert '--aptopt=Acquire::Languages "none"' in argv


def test_the_hooks_write_what_they_are_given(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    hook = base._write("/etc/file", 'it\'s\n"$HOME" %s\\n\n').removeprefix("--customize-hook=")
    subprocess.run(["sh", "-c", hook, "hook", str(tmp_path)], check=True, timeout=PATIENCE_S)
    assert (tmp_path / "etc" / "file").read_text() == 'it\'s\n"$HOME" %s\\n\n'


class Engine:
    """An engine that has the images named, and can pull nothing."""

    def __init__(self, *refs: str) -> None:
        self.refs = refs
        self.images = self

    def get(self, ref: str) -> str:
        if ref not in self.refs:
            raise docker.errors.ImageNotFound("no such image")
        return ref

    def pull(self, name: str, tag: str) -> None:
        raise docker.errors.APIError("500", explanation=f"no such host for {name}:{tag}")


def test_an_image_that_is_there_is_left_alone() -> None:
    engine: Any = Engine("debian:trixie-slim")
    assert ensure_base(engine, "debian:trixie-slim", None, NullProgress()) is False


def test_another_image_that_cannot_be_pulled_is_named_with_the_engine_s_reason() -> None:
    engine: Any = Engine()
    with pytest.raises(ImageError, match=r"(?s)ubuntu:noble cannot be pulled: no such host.*docker load"):
        ensure_base(engine, "ubuntu:noble", None, NullProgress())


def test_a_missing_mmdebstrap_is_named_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    engine: Any = Engine()
    with pytest.raises(
        HostError, match=r"mmdebstrap.*apt install mmdebstrap.*docker pull debian:trixie-slim"
    ):
        ensure_base(engine, "debian:trixie-slim", None, NullProgress())


def test_users_without_namespaces_are_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tool = tmp_path / "mmdebstrap"
    tool.write_text("#!/bin/sh\nexit 1\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(base, "KEYRING", str(tool))
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    engine: Any = Engine()
    with pytest.raises(HostError, match=r"cannot be made as this user: .*as root"):
        make_base(engine, "debian:trixie-slim", None, NullProgress())


def test_a_failed_bootstrap_shows_what_it_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tool = tmp_path / "mmdebstrap"
    tool.write_text("#!/bin/sh\necho 'E: no such mirror' >&2\nexit 25\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(base, "KEYRING", str(tool))
    monkeypatch.setattr("os.geteuid", lambda: 0)
    engine: Any = Engine()
    engine.version = lambda: {"Arch": "amd64"}
    with pytest.raises(ImageError, match=r"(?s)mirror\.example.*exit code 25.*E: no such mirror"):
        make_base(engine, "debian:trixie-slim", "http://mirror.example/debian", NullProgress())
