"""Pushes as far as they can be shown on this machine; tests/integration/test_push.py has the real thing."""

import hashlib
import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import cast

import pytest

from slipway.errors import ImageError, ParseError, RemoteError, RemoteSpaceError
from slipway.host.host import Host
from slipway.host.scratch import Scratch
from slipway.progress import NullProgress, Progress
from slipway.push import upload
from slipway.push.upload import ChangedImageError, PushedSif, find_pushed, push_sif
from slipway.shell import LocalShell, Result
from slipway.sif.kept import Sif
from slipway.transfer.large_file import ABANDONED, LargeFile, _check


class HereLink(LocalShell):
    """This machine in the place of the cluster."""

    target = "here"
    runs_commands = True

    def is_newer(self, path: PurePosixPath, other: PurePosixPath) -> bool:
        return int(Path(path).stat().st_mtime) > int(Path(other).stat().st_mtime)

    def run_in_login_shell(self, argv: Sequence[str]) -> Result:
        return self.run(argv)

    def read(self, path: PurePosixPath) -> bytes | None:
        return Path(path).read_bytes() if Path(path).exists() else None

    def remove(self, path: PurePosixPath) -> None:
        Path(path).unlink()

    def size(self, path: PurePosixPath) -> int | None:
        return Path(path).stat().st_size if Path(path).exists() else None


class OneQuestion(LocalShell):
    """A cluster that runs commands, and of which no file is asked for by itself."""

    target = "here"

    def run_in_login_shell(self, argv: Sequence[str]) -> Result:
        return self.run(argv)


class FullLink(HereLink):
    """A cluster on whose disk not even a folder can be made."""

    def make_folder(self, path: PurePosixPath) -> None:
        raise RemoteSpaceError(f"{path}: the disk is full")


class ClosedLink(HereLink):
    """A cluster on which nothing can be made, and there is room."""

    def make_folder(self, path: PurePosixPath) -> None:
        raise RemoteError(f"{path}: permission denied")


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    (tmp_path / "images").mkdir()
    return Scratch(root=PurePosixPath(tmp_path))


def sif(path: Path) -> Sif:
    return Sif(path=path, name="cpu", image_id="sha256:1", sha256="2" * 64, size_bytes=3)


def record(scratch: Scratch, text: str) -> None:
    images = Path(scratch.images)
    (images / "cpu-1.sif").write_bytes(b"123")
    (images / "cpu-1.json").write_text(text)
    (images / "cpu.sif").symlink_to("cpu-1.sif")


def test_a_record_of_another_version_is_read(scratch: Scratch) -> None:
    record(scratch, '{"path": "/x", "image_id": "a", "sha256": "b", "size_bytes": 3, "compression": "zstd"}')
    found = find_pushed(cast(Host, HereLink()), scratch, "cpu")
    assert found == PushedSif(path=scratch.images / "cpu-1.sif", image_id="a", sha256="b", size_bytes=3)
    assert find_pushed(cast(Host, HereLink()), scratch, "none") is None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"image_id": "a", "sha256": "b", "size_bytes": "x"}'])
def test_a_wrecked_record_is_an_error_of_its_own(scratch: Scratch, text: str) -> None:
    record(scratch, text)
    with pytest.raises(ParseError, match=r"cpu-1\.json on the cluster is no record of an image.*push again"):
        find_pushed(cast(Host, HereLink()), scratch, "cpu")


def written(scratch: Scratch, *, content: bytes, later_s: float) -> Path:
    """An image of three bytes with its record, which was written so long before the image."""
    digest = hashlib.sha256(b"123").hexdigest()
    record(scratch, f'{{"image_id": "a", "sha256": "{digest}", "size_bytes": 3}}')
    image = Path(scratch.images) / "cpu-1.sif"
    image.write_bytes(content)
    os.utime(image, (1000 + later_s, 1000 + later_s))
    os.utime(image.with_suffix(".json"), (1000, 1000))
    return image


def test_an_image_that_has_been_written_to_since_is_not_used(scratch: Scratch) -> None:
    image = written(scratch, content=b"1?3", later_s=5)
    with pytest.raises(ChangedImageError, match=r"cpu-1\.sif is not what was pushed: .*`invoke push` sends"):
        find_pushed(cast(Host, HereLink()), scratch, "cpu")
    assert image.with_suffix(".json").stat().st_mtime == 1000


def test_an_image_that_has_a_new_time_and_is_the_same_is_hashed_once(scratch: Scratch) -> None:
    image = written(scratch, content=b"123", later_s=5)
    found = find_pushed(cast(Host, HereLink()), scratch, "cpu")
    assert found is not None
    assert found.path == image
    # It is as new as the image now, so its hash is not asked for again.
    image.write_bytes(b"1?3")
    os.utime(image, (1005, 1005))
    assert find_pushed(cast(Host, HereLink()), scratch, "cpu") == found


def test_an_image_that_is_as_old_as_its_record_is_not_hashed(scratch: Scratch) -> None:
    written(scratch, content=b"1?3", later_s=0)
    assert find_pushed(cast(Host, HereLink()), scratch, "cpu") is not None


def test_what_has_changed_here_without_a_sign_is_told_and_removed(
    scratch: Scratch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "cpu.sif"
    file.write_bytes(b"1?3")

    def send(host: Host, large: LargeFile, progress: Progress) -> None:
        Path(large.upload_dir).mkdir()
        (Path(large.upload_dir) / file.name).write_bytes(file.read_bytes())
        _check(host, large)

    monkeypatch.setattr(upload, "send_large_file", send)
    link = HereLink()
    with pytest.raises(ImageError, match=r"no longer what it was when it was made: .*which makes it anew"):
        push_sif(cast(Host, link), scratch, sif(file), "0123abcd", NullProgress())
    assert not file.exists()
    assert not list(Path(scratch.images).glob(".*/*"))


def test_a_sif_that_is_gone_here(scratch: Scratch, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"gone\.sif is gone: its image was converted anew.*push again"):
        push_sif(cast(Host, HereLink()), scratch, sif(tmp_path / "gone.sif"), "0123abcd", NullProgress())


@pytest.mark.parametrize(("remote", "code"), [(FullLink(), 84), (ClosedLink(), 83)])
def test_a_workshop_that_cannot_be_made(
    scratch: Scratch, tmp_path: Path, remote: HereLink, code: int
) -> None:
    (tmp_path / "cpu.sif").write_bytes(b"123")
    with pytest.raises(RemoteError) as caught:
        push_sif(cast(Host, remote), scratch, sif(tmp_path / "cpu.sif"), "0123abcd", NullProgress())
    assert caught.value.exit_code == code


@pytest.mark.parametrize(
    ("find", "left"), [("exec /usr/bin/find", {"mine", "young"}), ("exit 1", {"mine", "old", "young"})]
)
def test_only_what_is_surely_old_is_abandoned(tmp_path: Path, find: str, left: set[str]) -> None:
    for name in ("mine", "old", "young"):
        (tmp_path / f".{name}.part").mkdir()
    subprocess.run(
        ["touch", "-d", "8 days ago", str(tmp_path / ".old.part"), str(tmp_path / ".mine.part")], check=True
    )
    programs = tmp_path / "bin"
    programs.mkdir()
    # Some have no -newermt, and fail.
    (programs / "find").write_text(f'#!/bin/sh\n{find} "$@"\n')
    (programs / "find").chmod(0o755)
    mine = str(tmp_path / ".mine.part")
    LocalShell(env={"PATH": f"{programs}:/usr/bin:/bin"}).run(
        ["sh", "-c", ABANDONED, "slipway", str(tmp_path), mine]
    )
    assert {path.name[1:-5] for path in tmp_path.glob(".*.part")} == left


def leave_pushed(scratch: Scratch) -> tuple[Sif, PushedSif]:
    """What a push leaves behind."""
    (mine := Path(scratch.images) / "cpu-2222222222222222.sif").write_bytes(b"123")
    one = sif(Path("/gone.sif"))
    pushed = PushedSif(path=PurePosixPath(mine), image_id=one.image_id, sha256=one.sha256, size_bytes=3)
    record = {**asdict(pushed), "path": str(mine)}
    mine.with_suffix(".json").write_text(json.dumps(record))
    (mine.parent / "cpu.sif").symlink_to(mine.name)
    return one, pushed


def test_what_is_there_is_found_by_one_question(scratch: Scratch) -> None:
    """The link has no other way to ask, and none to write."""
    one, pushed = leave_pushed(scratch)
    host = cast(Host, OneQuestion())
    assert push_sif(host, scratch, one, "me", NullProgress()) == (pushed, None)


@pytest.mark.parametrize(
    "damage",
    [
        "printf 1234 >cpu-2222222222222222.sif",
        "rm cpu-2222222222222222.sif",
        "mv cpu-2222222222222222.sif x; ln -s x cpu-2222222222222222.sif",
        "echo >>cpu-2222222222222222.json; echo {} >>cpu-2222222222222222.json",
        "rm cpu-2222222222222222.json",
        "ln -sf other.sif cpu.sif",
        "rm cpu.sif",
        "mkdir .cpu.me.part",
    ],
)
def test_what_is_there_in_part_is_looked_at_and_put_right(scratch: Scratch, damage: str) -> None:
    one, _ = leave_pushed(scratch)
    subprocess.run(["sh", "-c", damage], cwd=scratch.images, check=True)
    with pytest.raises(AttributeError):
        push_sif(cast(Host, OneQuestion()), scratch, one, "me", NullProgress())
