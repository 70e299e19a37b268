"""Datasets on the box: what arrives, what is sent again, what is removed, and what a cut leaves."""

import hashlib
import io
import json
import math
import os
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from slipway.dataset.stage import stage
from slipway.dataset.staging import Staged
from slipway.errors import (
    ConnectionLostError,
    DataError,
    IncompleteError,
    RemoteError,
    RemoteSpaceError,
)
from slipway.host.host import Host
from slipway.progress import NullProgress, Transfer
from slipway.project import Project
from slipway.site_file import load_site
from slipway.skipped import Skipped
from slipway.steps.box import box_down, box_up
from slipway.steps.data import stage as stage_step
from slipway.steps.session import Session
from slipway.transfer.rsync import Rsync
from tests.campaign import others_long
from tests.conftest import Tell
from tests.faults import Made
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parents[2]
Content = dict[str, tuple[str, str]]


@dataclass
class Place:
    """A box and a state folder that knows it."""

    session: Session
    config: Path
    top: Path

    def stage(self, source: Path, name: str = "data", **options: Any) -> Staged:
        return stage_step(self.session, load_site([ROOT / "cluster"], "box"), source, name, **options)

    def on_box(self, command: str) -> bytes:
        """Run a command in the data folder with plain ssh."""
        argv = ["ssh", "-F", str(self.config), "box", f"cd $SCRATCH/slipway/data && {command}"]
        return subprocess.run(argv, check=True, capture_output=True, timeout=PATIENCE_S).stdout

    def content(self, name: str = "data") -> Content:
        """What a dataset holds there, as tar tells; nothing where there is none."""
        packed = self.on_box(f"test ! -d {name} || tar -C {name} -cf - .")
        return read_tar(packed) if packed else {}

    def beside(self) -> set[str]:
        return set(self.on_box("ls -A").decode().split())

    def other(self) -> "Place":
        """The same box, as if from another machine."""
        state = self.top / "other"
        shutil.copytree(self.session.project.state / "box", state / "box", dirs_exist_ok=True)
        config = state / "box" / "ssh_config"
        project = Project(root=ROOT, state=state, results=state / "results")
        return Place(session=Session(project=project), config=config, top=self.top)


class Ear(NullProgress):
    """Hears what is told, and may do something meanwhile."""

    def __init__(self, on_step: Callable[[str], None] = lambda text: None) -> None:
        self.told: list[str] = []
        self.on_step = on_step

    def step(self, text: str) -> None:
        self.told.append(text)
        self.on_step(text)

    def note(self, text: str) -> None:
        self.told.append(text)


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    top = tmp_path_factory.mktemp("stage")
    session = Session(project=Project(root=ROOT, state=top / "state", results=top / "results"))
    box_up(session)
    try:
        place = Place(session=session, config=top / "state" / "box" / "ssh_config", top=top)
        with session.open_scratch(load_site([ROOT / "cluster"], "box")):
            yield place
    finally:
        box_down(session, purge=False)


@pytest.fixture
def place(box: Place) -> Iterator[Place]:
    """The box with no datasets on it."""
    box.on_box("chmod -R u+rwx . && find . -mindepth 1 -delete; rm -rf $SCRATCH/outside")
    box.session = replace(box.session, progress=NullProgress())
    yield box
    box.session = replace(box.session, progress=NullProgress())


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    fill(folder, {"a": "one", "sub/b": "two", "sub/deep/c": "three"})
    (folder / "empty").mkdir()
    (folder / "link").symlink_to("sub/b")
    return folder


def fill(folder: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)


def read_tar(content: bytes) -> Content:
    found = {}
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        for member in tar:
            name = member.name.removeprefix("./")
            if member.issym():
                found[name] = ("link", member.linkname)
            elif member.isdir():
                found[name] = ("folder", "")
            else:
                file = tar.extractfile(member)
                assert file is not None
                kind = "program" if member.mode & 0o100 else "file"
                found[name] = (kind, hashlib.sha256(file.read()).hexdigest())
    found.pop(".")
    return found


def content(folder: Path) -> Content:
    return read_tar(
        subprocess.run(["tar", "-C", folder, "-cf", "-", "."], check=True, capture_output=True).stdout
    )


def test_what_arrives_and_that_sha256sum_can_check_it(place: Place, source: Path) -> None:
    odd = [
        "#x",
        ";y",
        "a b",
        "a\nb",
        "b\\s",
        "-c",
        "*",
        " z ",
        "é",
        "\udcff\udcfe",
        "'",
        '"',
        "$HOME",
        "m\rn",
    ]
    fill(source, {name: f"content of {name!a}" for name in odd} | {"# deep/\n/#": "x"})
    (source / "sub" / "b").chmod(0o755)
    (source / "readonly").write_text("x")
    (source / "readonly").chmod(0o400)
    expected = content(source)
    (source / "out").symlink_to("../..")
    (source / "to_out").symlink_to("out/x")
    os.mkfifo(source / "pipe")
    staged = place.stage(source)
    assert staged.left_out == ["pipe"]
    assert [one.name for one in staged.skipped] == ["out", "to_out"]
    assert (staged.files, staged.sent_files) == (len(odd) + 6, len(odd) + 6)
    assert place.content() == expected
    assert place.beside() == {"data", ".data.sha256"}
    checked = place.on_box("cd data && sha256sum --strict -c ../.data.sha256")
    assert checked.count(b": OK\n") == len(odd) + 5
    again = place.stage(source)
    assert (again.sent_files, again.sent_bytes, again.surplus) == (0, 0, [])


def test_a_change_with_the_same_size_and_time(place: Place, source: Path) -> None:
    place.stage(source)
    before = (source / "a").stat()
    (source / "a").write_text("eno")
    os.utime(source / "a", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert place.stage(source).sent_files == 1
    (source / "sub" / "b").chmod(0o755)
    (source / "link").unlink()
    (source / "link").symlink_to("a")
    (source / "new").mkdir()
    assert place.stage(source).sent_files == 2
    assert place.content() == content(source)
    os.utime(source / "a")  # the time alone is no change
    assert place.stage(source).sent_files == 0


def test_what_was_purged_or_cut_there_is_sent_again(place: Place, source: Path) -> None:
    place.stage(source)
    ear = Ear()
    place.session = replace(place.session, progress=ear)
    place.on_box("cd data && rm -r sub/deep empty link && truncate -s 1 a && echo owt >sub/b")
    assert place.stage(source).sent_files == 4
    assert place.content() == content(source)
    # The same size and time: only --verify finds it.
    place.on_box("cd data && touch -r a ../time && printf xxx >a && touch -r ../time a && rm ../time")
    assert place.stage(source).sent_files == 0
    assert not any("Hashing 3 files there" in text for text in ear.told)
    assert place.stage(source, verify=True).sent_files == 1
    assert any("Hashing 3 files there" in text for text in ear.told)
    assert place.content() == content(source)


def test_an_empty_manifest_is_none_of_somebody_else(place: Place, source: Path) -> None:
    """As an attempt leaves it that was cut and had new content for all that the manifest names."""
    place.stage(source)
    place.on_box(": >.data.sha256")
    (source / "a").write_text("another")
    assert place.stage(source).sent_files == 1
    assert place.content() == content(source)
    assert place.on_box("cd data && sha256sum --quiet -c ../.data.sha256") == b""


def test_what_is_gone_here_is_removed_on_request(place: Place, source: Path) -> None:
    place.stage(source)
    before = place.content()
    shutil.rmtree(source / "sub")
    for name in ("empty", "a"):
        (source / name).rename(source / f"new {name}")
    (source / "link").unlink()
    place.on_box(
        "mkdir -p $SCRATCH/outside && touch $SCRATCH/outside/file && ln -s $SCRATCH/outside data/theirs"
    )
    staged = place.stage(source)
    assert staged.surplus == ["a", "empty", "link", "sub/b", "sub/deep/c", "theirs"]
    assert {**before, **content(source)}.items() <= place.content().items()
    # What stays is still in the manifest, and is believed when it comes back.
    fill(source, {"a": "one"})
    assert place.stage(source).sent_files == 0
    assert place.stage(source, delete=True).removed
    assert place.content() == content(source)
    assert place.on_box("ls $SCRATCH/outside") == b"file\n"
    assert place.stage(source, delete=True).surplus == []
    for path in source.iterdir():
        path.rmdir() if path.is_dir() else path.unlink()
    with pytest.raises(DataError, match="there is nothing to stage"):
        place.stage(source, delete=True)
    (source / "out").symlink_to("/")
    with pytest.raises(DataError, match="nothing in it can be sent"):
        place.stage(source, delete=True)
    assert len(place.content()) == 3


@pytest.mark.parametrize("delete", others_long([False, True], True))
def test_nothing_goes_through_a_link_that_is_there(place: Place, source: Path, delete: bool) -> None:
    place.stage(source)
    place.on_box("mkdir $SCRATCH/outside && mv data/sub/* $SCRATCH/outside && rmdir data/sub")
    place.on_box("ln -s $SCRATCH/outside data/sub && cp -r $SCRATCH/outside $SCRATCH/copy")
    (source / "sub" / "b").write_text("changed")
    (source / "sub" / "deep" / "c").unlink()
    ear = Ear()
    place.session = replace(place.session, progress=ear)
    place.stage(source, delete=delete)
    assert "sub was a link there; a folder takes its place" in ear.told
    assert place.content() == content(source)
    place.on_box("diff -r $SCRATCH/outside $SCRATCH/copy && rm -r $SCRATCH/copy")
    place.on_box("mv data $SCRATCH/outside/data && ln -s $SCRATCH/outside/data data")
    with pytest.raises(RemoteError, match="changes nothing through a link"):
        place.stage(source, delete=delete)


@pytest.mark.long
def test_files_become_folders_and_links_and_back(place: Place, source: Path) -> None:
    place.stage(source)
    kinds = [content(source)]
    shutil.rmtree(source / "sub")
    fill(source, {"sub": "a file", "link/x": "in a folder"} if (source / "link").unlink() is None else {})
    (source / "a").unlink()
    (source / "a").symlink_to("sub")
    (source / "empty").rmdir()
    (source / "empty").symlink_to("a")
    before = place.content()
    with pytest.raises(DataError, match="sub is a folder, and here it is none; 2 files in it"):
        place.stage(source)
    assert place.content() == before
    place.stage(source, delete=True)
    assert place.content() == content(source) != kinds[0]
    shutil.rmtree(source)
    fill(source, {"sub/b": "two", "a/x": "x", "empty": "e", "link": "file"})
    with pytest.raises(DataError, match="link is a folder"):
        place.stage(source)
    place.stage(source, delete=True)
    assert place.content() == content(source)


def test_what_is_there_without_a_manifest_is_not_sent(place: Place, source: Path) -> None:
    place.on_box("mkdir data")
    packed = subprocess.run(["tar", "-C", source, "-cf", "-", "."], check=True, capture_output=True).stdout
    argv = ["ssh", "-F", str(place.config), "box", "tar -C $SCRATCH/slipway/data/data -xf -"]
    subprocess.run(argv, input=packed, check=True)
    assert place.stage(source).sent_files == 0
    place.on_box("echo '# Slipway manifest 1' >.data.sha256; echo broken >>.data.sha256; echo eno >data/a")
    ear = Ear()
    place.session = replace(place.session, progress=ear)
    assert place.stage(source).sent_files == 1
    assert any("is hashed again" in text for text in ear.told)
    assert place.stage(source).sent_files == 0
    assert place.content() == content(source)


@pytest.mark.long
def test_a_file_that_changes_while_it_is_sent(
    place: Place, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.stage(source)
    before = place.content()
    send_tree = Rsync.send_tree
    changes: list[Callable[[], object]] = []

    def late(*words: Any, **options: Any) -> Transfer:
        if changes:
            changes.pop(0)()
        return send_tree(*words, **options)

    monkeypatch.setattr(Rsync, "send_tree", late)
    file = source / "a"
    file.write_text("changed")
    changes += [lambda: file.write_text("once"), lambda: file.write_text("twice")]
    (source / "sub" / "b").write_text("new")
    staged = place.stage(source)
    assert staged.skipped == [Skipped(name="a", why="it changed while it was sent, twice")]
    with pytest.raises(IncompleteError, match=r"1 file, link or folder could not be sent to data"):
        staged.check()
    # The others are there, and of this one what was there before.
    assert place.content() == {**content(source), "a": before["a"]}
    changes.append(lambda: file.write_text("thrice"))
    assert place.stage(source).sent_files == 1
    assert place.content() == content(source) != before
    file.write_text("changed")
    changes.append(file.unlink)
    staged = place.stage(source)
    assert staged.skipped == [Skipped(name="a", why="it went away meanwhile")]
    assert place.content().items() >= content(source).items()


# Also root may not read everything then.
WITHOUT_RIGHTS = ["setpriv", "--inh-caps=-all", "--bounding-set=-dac_override,-dac_read_search"]


@dataclass
class Reader:
    """Stages a folder as somebody who may not read all of it."""

    place: Place
    source: Path
    carrier: str

    def close(self, *names: str) -> None:
        for name in names:
            (self.source / name).chmod(0)

    def open(self) -> None:
        subprocess.run(["chmod", "-R", "u+rwX", self.source], check=True, timeout=PATIENCE_S)

    def stage(self, *options: str) -> dict[str, Any]:
        argv = [sys.executable, "-m", "tests.integration.stage_program"]
        argv += [str(self.place.session.project.state), str(self.source), self.carrier, *options]
        argv = [*([] if os.geteuid() else WITHOUT_RIGHTS), *argv]
        done = subprocess.run(argv, cwd=ROOT, capture_output=True, check=True, timeout=PATIENCE_S)
        found: dict[str, Any] = json.loads(done.stdout)
        return found


@pytest.fixture(params=others_long(["rsync", "sftp"], "rsync"))
def reader(place: Place, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Reader]:
    made = Reader(place=place, source=tmp_path / "source", carrier=request.param)
    fill(made.source, {"a": "one", "secret": "two", "closed/x": "x", "closed/deep/y": "y", "sub/only": "z"})
    yield made
    made.open()


def test_what_cannot_be_read_here_is_named_and_the_rest_is_sent(reader: Reader) -> None:
    reader.close("secret", "closed", "sub/only")
    denied = dict.fromkeys(["closed", "secret", "sub/only"], "Permission denied")
    assert reader.stage() == {"skipped": denied, "sent": 1, "surplus": []}
    assert set(reader.place.content()) == {"a", "sub"}
    assert reader.place.on_box("cd data && sha256sum --strict -c ../.data.sha256") == b"a: OK\n"
    assert reader.place.beside() == {"data", ".data.sha256"}
    # What can be read by now is all that is sent then.
    reader.open()
    assert reader.stage() == {"skipped": {}, "sent": 4, "surplus": []}
    assert reader.place.content() == content(reader.source)
    # What cannot be read any more is not taken for what is gone here.
    reader.close("secret", "closed")
    (reader.source / "a").write_text("changed")
    denied.pop("sub/only")
    assert reader.stage("delete") == {"skipped": denied, "sent": 1, "surplus": []}
    reader.open()
    assert reader.place.content() == content(reader.source)
    assert reader.place.on_box("cd data && sha256sum -c ../.data.sha256").count(b"OK") == 5
    assert reader.stage() == {"skipped": {}, "sent": 0, "surplus": []}
    # Where nothing can be read, nothing is changed.
    reader.close("a", "secret", "closed", "sub")
    said = reader.stage("delete")["error"]
    assert "nothing in it can be sent:\n  closed: Permission denied\n  sub: Permission denied" in said
    reader.open()
    assert reader.place.content() == content(reader.source)


@pytest.mark.parametrize("carrier", others_long(["rsync", "sftp"], "sftp"))
def test_files_that_go_away_between_hashing_and_sending(place: Place, source: Path, carrier: str) -> None:
    fill(source, {"large": "x" * 5_000_000, "gone/x": "x"})

    def change(text: str) -> None:
        if text.startswith("Sending 6 files"):
            shutil.rmtree(source / "gone")
            (source / "large").unlink()
            (source / "link").unlink()
            with (source / "a").open("a") as file:
                file.write("more")

    site = load_site([ROOT / "cluster"], "box")
    with place.session.open_scratch(site) as (host, scratch):
        host.transfer = carrier
        memory = place.session.project.state / "memory"
        staged = stage(host, scratch, source, "data", "0123abcd", Ear(change), memory=memory)
    assert {one.name: one.why for one in staged.skipped} == dict.fromkeys(
        ["gone/x", "large", "link"], "it went away meanwhile"
    )
    there = place.content()
    assert there.pop("gone") == ("folder", "")
    assert there == content(source)
    assert place.on_box("cat data/a") == b"onemore"
    assert place.beside() == {"data", ".data.sha256"}


def test_two_at_once(place: Place, source: Path, tmp_path: Path) -> None:
    with place.session.open_scratch(load_site([ROOT / "cluster"], "box")):
        pass
    entered, leave = threading.Event(), threading.Event()

    def wait(text: str) -> None:
        if text.startswith("Sending"):
            entered.set()
            leave.wait(30)

    mine = Place(
        session=Session(project=place.session.project, progress=Ear(wait)), config=place.config, top=place.top
    )
    first = threading.Thread(target=mine.stage, args=(source,))
    first.start()
    assert entered.wait(30)
    ear = Ear(lambda text: leave.set() if text.startswith("Waiting") else None)
    second = Place(
        session=Session(project=place.session.project, progress=ear), config=place.config, top=place.top
    )
    staged = second.stage(source)
    first.join(60)
    assert ear.told[0] == "Waiting for another stage of data to box from this checkout"
    assert staged.sent_files == 0
    assert place.content() == content(source)


@pytest.mark.fault("cluster", "two laptops at once")
@pytest.mark.parametrize("moment", others_long(["Sending", "Moving"], "Moving"))
def test_two_machines_at_once(place: Place, source: Path, tmp_path: Path, moment: str) -> None:
    """Another one stages other content while this one sends, or moves: the manifest never lies."""
    stamp = time.time() - 100

    def write(folder: Path, files: dict[str, str]) -> None:
        fill(folder, files)
        for name in files:
            os.utime(folder / name, (stamp, stamp))  # only the content tells them apart

    write(source, {"a": "one", "sub/b": "two"})
    place.stage(source)
    theirs = tmp_path / "theirs"
    shutil.copytree(source, theirs, symlinks=True)
    write(source, {"a": "ONE"})
    write(theirs, {"a": "eno", "sub/b": "owt", "new": "x"})
    other = place.other()
    staged: list[Staged] = []

    def overtake(text: str) -> None:
        if text.startswith(moment) and not staged:
            staged.append(other.stage(theirs))

    place.session = replace(place.session, progress=Ear(overtake))
    last = place.stage(source)
    assert staged[0].sent_files == 3
    assert last.surplus == ["new"]
    assert place.content() == {**content(theirs), **content(source)}
    place.on_box("cd data && sha256sum --strict --quiet -c ../.data.sha256")
    assert place.beside() == {"data", ".data.sha256"}


@pytest.mark.long
def test_two_machines_with_a_new_dataset(place: Place, source: Path, tmp_path: Path) -> None:
    other = place.other()
    staged: list[Staged] = []
    theirs = tmp_path / "theirs"
    shutil.copytree(source, theirs, symlinks=True)
    fill(theirs, {"a": "eno"})

    def overtake(text: str) -> None:
        if text.startswith("Sending") and not staged:
            staged.append(other.stage(theirs))

    place.session = replace(place.session, progress=Ear(overtake))
    assert place.stage(source).sent_files == 1
    assert place.content() == content(source)


@pytest.mark.fault("cluster", "disk full, or quota, at every write")
def test_no_room(place: Place, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The box's disk is this machine's: it is only said to be full.
    monkeypatch.setattr(Host, "free_bytes", lambda self, folder: 5)
    with pytest.raises(RemoteSpaceError, match=r"/slipway/data has 0.00 GB free") as caught:
        place.stage(source)
    assert caught.value.exit_code == 84
    assert place.beside() == set()


def test_files_alone_do_where_no_command_runs(
    place: Place, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The box runs commands, and rsync and sha256sum need one; what Slipway itself does goes by SFTP here.
    monkeypatch.setattr(Host, "runs_commands", property(lambda self: False))
    place.stage(source)
    shutil.rmtree(source / "sub" / "deep")
    (source / "a").write_text("changed")
    (source / "sub" / "b").chmod(0o755)
    assert place.stage(source).surplus == ["sub/deep/c"]
    assert place.stage(source, delete=True, verify=True).sent_files == 0
    assert place.content() == content(source)
    assert place.beside() == {"data", ".data.sha256"}
    place.on_box("mv data x && ln -s x data")
    with pytest.raises(RemoteError, match="changes nothing through a link"):
        place.stage(source)


class Proxy:
    """Stands between Slipway and sshd, and ends or forgets all connections after so many bytes."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.left_bytes = math.inf
        self.silent = False
        self.cut = threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def address(self) -> int:
        return int(self._server.getsockname()[1])

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._server.accept()
                far = socket.create_connection(("127.0.0.1", self.port))
                # What waits here when the connection is cut is lost, and was counted.
                far.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
                self._open += [near, far]
                threading.Thread(target=self._pump, args=(near, far, True), daemon=True).start()
                threading.Thread(target=self._pump, args=(far, near, False), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, counts: bool) -> None:
        with suppress(OSError):
            while chunk := source.recv(1 << 14):
                if counts and self.left_bytes < math.inf:
                    # A slow line: what sshd holds and rsync has not seen is lost, up to two megabytes.
                    time.sleep(len(chunk) / 10e6)
                    self.left_bytes -= len(chunk)
                    if self.left_bytes < 0:
                        self.cut.set()
                        if not self.silent:
                            self.reset()
                            return
                if not (self.silent and self.cut.is_set()):
                    target.sendall(chunk)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        for one in self._open:
            with suppress(OSError):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self._open = []

    def close(self) -> None:
        self._server.close()
        self.reset()


@pytest.fixture
def proxy(place: Place) -> Iterator[Proxy]:
    text = place.config.read_text()
    port = int(re.findall(r"Port (\d+)", text)[0])
    made = Proxy(port)
    place.config.write_text(text.replace(str(port), str(made.address)))
    try:
        yield made
    finally:
        place.config.write_text(text)
        made.close()


def versions(folder: Path, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    for number in range(80):
        (folder / f"sub{number % 3}").mkdir(parents=True, exist_ok=True)
        (folder / f"sub{number % 3}" / f"file{number}").write_bytes(chance.randbytes(125_000))


@pytest.mark.long
@pytest.mark.fault("line", "stage, by chains of cuts")
def test_cuts_at_any_moment(place: Place, proxy: Proxy, tmp_path: Path, tell: Tell, made: Made) -> None:
    """Connections reset, and silent ones whose command is killed: nothing is lost, and the rest is sent."""
    source = tmp_path / "source"
    chance = random.Random()  # noqa: S311
    for version in range(2):
        before = content(source) if version else {}
        versions(source, version)
        after = content(source)
        cuts = 0
        sent = []
        while cuts < 4:
            budget = proxy.left_bytes = chance.randint(1_000, 3_000_000)
            proxy.silent = cuts % 3 == 2
            proxy.cut.clear()
            if not interrupted(place, proxy, source):
                break
            cuts += 1
            made("silence, and SIGKILL" if proxy.silent else "reset")
            sent.append(budget)
            proxy.left_bytes = math.inf
            proxy.silent = False
            proxy.reset()
            there = place.content()
            assert there.keys() == before.keys()
            assert all(there[name] in (before.get(name), after[name]) for name in there)
        assert cuts >= 3
        proxy.left_bytes = math.inf
        last = place.stage(source)
        assert place.content() == after
        assert place.beside() == {"data", ".data.sha256"}
        total = sum(sent) + last.sent_bytes
        # Besides the data: a login each, lists of files, and what was on its way when it was cut, which is
        # more where the machine is busy. To begin anew would send all that was cut once more.
        assert total < last.size_bytes + 0.6 * sum(sent) + (cuts + 1) * 300_000
        tell(
            f"{cuts} cuts of {last.size_bytes / 1e6:.1f} MB, version {version + 1}: "
            f"{' + '.join(f'{one / 1e6:.1f}' for one in sent)} MB, then {last.sent_bytes / 1e6:.1f} MB"
        )


def interrupted(place: Place, proxy: Proxy, source: Path) -> bool:
    """Stage; true where it did not come to its end."""
    if not proxy.silent:
        try:
            place.stage(source)
        except ConnectionLostError:
            return True
        return False
    environment = {**os.environ, "SLIPWAY_STATE": str(place.session.project.state)}
    argv = [sys.executable, "-m", "invoke", "stage", str(source), "--name", "data", "--site", "box"]
    process = subprocess.Popen(
        argv, cwd=ROOT, env=environment, stderr=subprocess.PIPE, start_new_session=True
    )
    try:
        while process.poll() is None and not proxy.cut.wait(0.05):
            pass
        return process.poll() is None
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.mark.long
def test_a_cut_after_the_moves(place: Place, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place.stage(source)
    (source / "new").write_text("new")

    def cut(remote: Host, folder: PurePosixPath) -> None:
        raise ConnectionLostError("cut")

    from slipway.dataset import staging

    # A cut can hardly be made to come just here.
    with monkeypatch.context() as patch:
        patch.setattr(staging, "remove_all", cut)
        with pytest.raises(ConnectionLostError):
            place.stage(source)
    assert len(place.beside()) == 3
    assert place.stage(source).sent_files == 0
    assert place.content() == content(source)
    assert place.beside() == {"data", ".data.sha256"}


@pytest.mark.long
def test_a_cut_between_the_moves(place: Place, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place.stage(source)
    old = {name: path.read_bytes() for name in ("a", "sub/b") if (path := source / name)}
    status = {name: (source / name).stat() for name in old}

    def change(contents: dict[str, bytes]) -> None:
        for name, text in contents.items():
            (source / name).write_bytes(text)
            os.utime(source / name, ns=(0, status[name].st_mtime_ns))

    def half(remote: Host, part: PurePosixPath, folder: PurePosixPath, names: Any) -> None:
        place_all(remote, part, folder, ["a"])
        raise ConnectionLostError("cut")

    from slipway.dataset import staging

    place_all = staging.place
    change({"a": b"eno", "sub/b": b"owt"})
    # A cut can hardly be made to come just here, so it is the place that stops half way.
    with monkeypatch.context() as patch:
        patch.setattr(staging, "place", half)
        with pytest.raises(ConnectionLostError):
            place.stage(source)
    there = place.content()
    assert there["a"] == content(source)["a"]
    assert there["sub/b"][1] == hashlib.sha256(b"two").hexdigest()
    # Size and time of `a` are as the first manifest has them, and it is not what it was then.
    change(old)
    assert place.stage(source).sent_files == 1
    assert place.content() == content(source)


def test_the_words(place: Place, source: Path) -> None:
    environment = {**os.environ, "SLIPWAY_STATE": str(place.session.project.state)}

    def invoke(*words: str) -> tuple[str, str, int]:
        argv = [sys.executable, "-m", "invoke", "stage", str(source), "--site", "box", *words]
        done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        return done.stdout, done.stderr, done.returncode

    out, _, code = invoke("--name", "room")
    assert (code, re.sub(r"\S+ kB sent", "S sent", out)) == (
        0,
        "room  0.0 kB  4 files, 0 there already, S sent  for jobs: /data/room\n",
    )
    (source / "a").unlink()
    _, told, code = invoke("--name", "room")
    assert (code, told.splitlines()[-1]) == (0, "1 are there that are not here: a; --delete removes them")
    out, _, code = invoke("--name", "room", "--delete")
    assert (code, out) == (
        0,
        "room  0.0 kB  3 files, 3 there already, 0.0 kB sent, 1 removed  for jobs: /data/room\n",
    )
    (source / "out").symlink_to("/nowhere")
    os.mkfifo(source / "pipe")
    out, told, code = invoke("--name", "room")
    assert (code, out) == (91, "room  0.0 kB  3 files, 3 there already, 0.0 kB sent  for jobs: /data/room\n")
    assert "1 not sent, since they are pipes, sockets or devices: pipe\n" in told
    assert "error: 1 file, link or folder could not be sent to room; all others are there:\n" in told
    assert "  out: the link to /nowhere leads out of the folder\n" in told
    (source / "out").unlink()
    place.on_box("mv room x && ln -s x room")
    _, told, code = invoke("--name", "room")
    assert code == 69
    assert "Traceback" not in told
