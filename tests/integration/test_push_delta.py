"""An image that is made on the cluster, of the one that is there and what is new."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from slipway.errors import ImageError, SpaceError, SshError
from slipway.image.engine import Image
from slipway.progress import NullProgress
from slipway.project import Project
from slipway.push.upload import push_sif
from slipway.sif.holes import Piece
from slipway.sif.kept import Sif, keep_made
from slipway.sif.layers import KeptLayer, LayerStore
from slipway.sif.pieces import PieceStore
from tests.integration.push_box import PushBox, sif_name, start_push_box

LOST = 82
OLD_BYTES, NEW_BYTES = 60_000_000, 3_000_000


@pytest.fixture(scope="module")
def pushes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PushBox]:
    with start_push_box(tmp_path_factory.mktemp("yard")) as pushes:
        yield pushes


class Versions:
    """An image that is there, and a new version with the same layer; what both are made of is known."""

    def __init__(self, pushes: PushBox, name: str, *, state: str = "state", shift: int = 0) -> None:
        layer = os.urandom(OLD_BYTES)
        self.pushes, self.name, self.state = pushes, name, state
        self.old = pushes.file(f"{name}-1", b"old front" + layer + b"old tables")
        half = OLD_BYTES // 2
        front = os.urandom(500)
        # In the middle there is something new, too.
        content = front + layer[:half] + os.urandom(NEW_BYTES) + layer[half:] + b"other tables"
        self.new = pushes.file(f"{name}-2", content)
        whole = Piece(layer="layer", start=shift, size_bytes=OLD_BYTES, offset=len(b"old front"))
        first = Piece(layer="layer", start=0, size_bytes=half, offset=len(front))
        second = Piece(layer="layer", start=half, size_bytes=half, offset=len(front) + half + NEW_BYTES)
        store = PieceStore(folder=pushes.folder / state / "pieces")
        store.keep(digest_of(self.old), [whole])
        store.keep(digest_of(self.new), [first, second])
        pushes.push(self.old, name, state=state)

    def check(self) -> None:
        """The newest image there is the new one, and nothing else is left of it."""
        image = sif_name(self.name, digest_of(self.new))
        said = self.pushes.there('sha256sum -- "$1"', f"{self.pushes.images}/{self.name}.sif")
        assert said.split()[0] == digest_of(self.new)
        found = {one for one in self.pushes.listing() if one.startswith((f"{self.name}-", f".{self.name}"))}
        old = sif_name(self.name, digest_of(self.old))
        assert found == {
            *(f"{one.removesuffix('.sif')}{end}" for one in (image, old) for end in (".sif", ".json"))
        }
        assert not [*(self.pushes.folder / self.state / "tmp").glob("sif-*")]


class Layered:
    """Images of one large layer that is not in their files here, for pushes in this process."""

    def __init__(self, pushes: PushBox, name: str) -> None:
        self.pushes, self.name = pushes, name
        folder = pushes.folder / f"{name}-layered"
        self.project = Project(root=pushes.folder, state=folder, results=folder / "results")
        self.layer, self.digest = os.urandom(20_000_000), "sha256:" + os.urandom(32).hex()
        self.store = LayerStore.of(self.project, "zstd")
        made = folder / "made" / self.store.name(self.digest)
        made.parent.mkdir(parents=True)
        made.write_bytes(self.layer)
        self.store.keep([KeptLayer(path=made, crc32=1, is_overlay=True)])

    def image(self, front: bytes) -> Sif:
        layer = f"{self.store.name(self.digest)} 00000001"
        hole = Piece(layer=layer, start=0, size_bytes=len(self.layer), offset=len(front))
        content = front + self.layer + b"tables"
        digest = hashlib.sha256(content).hexdigest()
        made = self.project.state / "made" / "image.sif"
        with made.open("wb") as file:
            file.write(front)
            file.seek(len(self.layer), os.SEEK_CUR)
            file.write(b"tables")
        image = Image(ref=f"{self.name}:latest", id=f"sha256:{digest}", labels={}, size_bytes=len(content))
        PieceStore.of(self.project).keep(digest, [hole])
        return keep_made(made, self.project, image, "zstd", known_sha256=digest, holes=[hole])

    def push(self, sif: Sif) -> tuple[int, list[str]]:
        """How many bytes were sent, and what was said."""
        heard = Heard()
        with self.pushes.open() as (host, scratch):
            _, transfer = push_sif(host, scratch, sif, "0123abcd", heard, project=self.project)
        assert transfer is not None
        said = self.pushes.there('sha256sum -- "$1"', f"{self.pushes.images}/{self.name}.sif")
        assert said.split()[0] == sif.sha256
        return transfer.sent_bytes, heard.said


class Heard(NullProgress):
    """Remembers steps and notes."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def step(self, text: str) -> None:
        self.said.append(text)

    def note(self, text: str) -> None:
        self.said.append(text)


def digest_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_only_what_is_new_is_sent(pushes: PushBox) -> None:
    versions = Versions(pushes, "new")
    done = pushes.push(versions.new, "new")
    assert NEW_BYTES < done.up_bytes < NEW_BYTES + 100_000
    # rsync says what it has of a file to compare with, in 2 to 3 % of its size.
    assert done.down_bytes < 50_000
    assert done.transfer["total_bytes"] == versions.new.stat().st_size
    said = [line.rpartition("  ")[0] for line in done.stderr.splitlines()]
    assert f"Sending what is new in {versions.new.name} (3.0 MB)" in said
    assert "Making the rest of it there of the earlier one" in said
    versions.check()


def test_an_image_whose_layers_are_not_in_its_file_is_sent_without_writing_it(pushes: PushBox) -> None:
    layered = Layered(pushes, "holes")
    first = layered.image(b"first front")
    sent, said = layered.push(first)
    assert len(layered.layer) < sent < 1.02 * len(layered.layer)
    assert said[-2:] == [f"Sending {first.path.name} (20 MB)", "Checking what arrived"]
    # After a change only that is sent, as of any other image.
    second = layered.image(b"another front")
    sent, said = layered.push(second)
    assert sent < 100_000
    assert "Making the rest of it there of the earlier one" in said
    assert not list((layered.project.state / "sif").glob("*.sif"))


@pytest.mark.long
def test_what_was_cut_of_another_version_is_made_use_of(pushes: PushBox) -> None:
    layered = Layered(pushes, "versions")
    first = layered.image(b"first front")
    with pushes.proxy.slow(4_000_000):
        pushes.proxy.when(len(layered.layer) * 2 // 3, pushes.proxy.reset)
        with pytest.raises(SshError):
            layered.push(first)
    # The same version goes on; another one goes by rsync, which compares with what has come.
    second = layered.image(b"another front")
    sent, _ = layered.push(second)
    assert sent < len(layered.layer) // 2
    assert digest_of(second.path) == second.sha256


def test_where_there_is_no_room_to_write_it_all_of_it_goes_by_sftp(
    pushes: PushBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    layered = Layered(pushes, "room")
    old = pushes.file("room-1", b"of another machine" + layered.layer + b"its tables")
    pushes.push(old, "room")
    sif = layered.image(b"front")

    def full(*_: object) -> None:
        raise SpaceError("there is no room")

    monkeypatch.setattr("slipway.workspace.check_space", full)
    sent, said = layered.push(sif)
    assert sent > len(layered.layer)
    assert "there is no room. All of it goes by SFTP, for which it need not be written" in said
    assert not sif.path.exists()


def test_where_rsync_has_to_compare_the_file_is_written(pushes: PushBox) -> None:
    layered = Layered(pushes, "compared")
    old = pushes.file("compared-1", b"of another machine" + layered.layer + b"its tables")
    pushes.push(old, "compared")
    sif = layered.image(b"front")
    sent, said = layered.push(sif)
    assert sent < 1_000_000
    assert said.index(f"Writing {sif.path.name}") < said.index("Comparing with the image there")
    assert digest_of(sif.path) == sif.sha256


def test_a_layer_that_is_damaged_does_not_get_there(pushes: PushBox) -> None:
    layered = Layered(pushes, "damaged")
    sif = layered.image(b"front")
    (kept,) = layered.store.folder.glob("*.squashfs")
    kept.write_bytes(layered.layer[:-1] + bytes([layered.layer[-1] ^ 1]))
    with pytest.raises(ImageError, match=r"no longer what it was when it was made: .*which makes it anew"):
        layered.push(sif)
    assert not sif.file.exists()
    assert not {one for one in pushes.listing() if "damaged" in one and not one.endswith(".part")}


@pytest.mark.long
def test_what_was_cut_goes_on(pushes: PushBox) -> None:
    versions = Versions(pushes, "cut")
    pushes.proxy.count()
    with pushes.proxy.slow(2_000_000):
        pushes.proxy.when(NEW_BYTES * 2 // 3, pushes.proxy.reset)
        first = pushes.finish(pushes.start(versions.new, "cut"))
        assert first.code == LOST, first
        assert "What has arrived is kept there" in first.stderr
        again = pushes.push(versions.new, "cut")
    assert again.up_bytes < NEW_BYTES * 2 // 3
    versions.check()


def test_where_it_is_not_as_it_was_known_rsync_compares(pushes: PushBox) -> None:
    """What is said of the old one is wrong, so that something else is made of it."""
    versions = Versions(pushes, "wrong", shift=1)
    done = pushes.push(versions.new, "wrong")
    assert "could not be made there of the earlier one; all of it is compared" in done.stderr
    assert done.up_bytes < 2 * NEW_BYTES + 500_000
    versions.check()


@pytest.mark.long
def test_where_the_old_one_was_changed_rsync_compares(pushes: PushBox) -> None:
    versions = Versions(pushes, "changed")
    image = f"{pushes.images}/{sif_name('changed', digest_of(versions.old))}"
    pushes.there('printf x | dd of="$1" bs=1 seek=1000 conv=notrunc status=none', image)
    done = pushes.push(versions.new, "changed")
    assert "Comparing with the image there" in done.stderr
    versions.check()


@pytest.mark.long
def test_by_sftp(pushes: PushBox) -> None:
    versions = Versions(pushes, "by-sftp")
    pushes.there("mv /usr/bin/rsync /usr/bin/no-rsync")
    try:
        done = pushes.push(versions.new, "by-sftp")
    finally:
        pushes.there("mv /usr/bin/no-rsync /usr/bin/rsync")
    assert NEW_BYTES < done.up_bytes < NEW_BYTES + 200_000
    versions.check()


@pytest.mark.long
def test_what_others_have_pushed_is_not_known(pushes: PushBox) -> None:
    versions = Versions(pushes, "theirs", state="theirs")
    done = pushes.push(versions.new, "theirs", state="mine")
    assert "Comparing with the image there" in done.stderr
    assert done.down_bytes > 50_000
    versions.check()
