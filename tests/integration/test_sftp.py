"""Files by SFTP, to real sshds: users without rsync, and users who may run no command at all."""

import hashlib
import os
import random
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import paramiko
import pytest

from slipway.dataset.stage import stage
from slipway.errors import (
    ConfigError,
    ConnectionLostError,
    RemoteError,
    RemoteSpaceError,
    ScratchError,
    SpaceError,
    TransferOnlyError,
)
from slipway.host.host import Host
from slipway.host.scratch import open_scratch
from slipway.progress import Amount, NullProgress
from slipway.push.upload import push_sif
from slipway.scheduler.slurm.site import SlurmSite
from slipway.sif.kept import Sif
from slipway.site import Paths
from slipway.ssh.target import resolve_target
from slipway.transfer.checksum import hash_remote
from slipway.transfer.choice import choose_carrier
from slipway.transfer.rsync import Rsync
from slipway.transfer.sftp.journal import PIECE_BYTES
from slipway.transfer.sftp.sftp import Sftp
from tests.conftest import Tell
from tests.integration.files_host import ROOT, SMALL_DISK_BYTES, FilesHost, Proxy, start_host
from tests.waiting import PATIENCE_S

EVEN_S = 1_600_000_000
LARGE_BYTES = 20 * PIECE_BYTES + 12_345


@dataclass
class Watcher(NullProgress):
    """Remembers what it is told."""

    notes: list[str] = field(default_factory=list)
    amounts: list[Amount] = field(default_factory=list)

    def note(self, text: str) -> None:
        self.notes.append(text)

    def transfer(self, amount: Amount) -> None:
        self.amounts.append(amount)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FilesHost]:
    with start_host(tmp_path_factory.mktemp("state")) as made:
        yield made


def site(host: FilesHost, user: str, scratch: str, port: int | None = None) -> SlurmSite:
    return SlurmSite(name="data", login=host.login(user, port), paths=Paths(scratch=scratch))


def make_sif(folder: Path, content: bytes) -> Sif:
    digest = hashlib.sha256(content).hexdigest()
    path = folder / f"{digest[:12]}.sif"
    path.write_bytes(content)
    return Sif(name="image", path=path, image_id="sha256:0", sha256=digest, size_bytes=len(content))


def make_tree(folder: Path) -> Path:
    """Files, folders and links whose names no shell and no protocol likes."""
    for name in ("plain", "a b", "new\nline", os.fsdecode(b"latin-\xe9"), "-rf *", "émoji ☃"):
        (folder / name / "deep").mkdir(parents=True)
        (folder / name / "deep" / name).write_bytes(os.urandom(1000))
        (folder / name / "link").symlink_to(f"deep/{name}")
    (folder / "empty folder").mkdir()
    (folder / "empty").touch()
    (folder / "program").write_text("#!/bin/sh\n")
    (folder / "program").chmod(0o755)
    (folder / "gone").symlink_to("//nowhere/./at all")
    (folder / "large").write_bytes(os.urandom(PIECE_BYTES + 1))
    for path in [*folder.rglob("*")]:
        if not path.is_symlink():
            os.utime(path, ns=(time.time_ns(), EVEN_S * 10**9 + 999_999_999))
    return folder


def describe(folder: Path) -> dict[str, object]:
    """All that is to be the same: kinds, content, links, execution, times in seconds."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        at = path.lstat()
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = os.readlink(path)  # noqa: PTH115
        elif path.is_dir():
            found[name] = ("folder", at.st_mtime_ns // 10**9)
        else:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            found[name] = (digest, bool(at.st_mode & stat.S_IXUSR), at.st_mtime_ns // 10**9)
    return found


@pytest.mark.parametrize("user", ["files", "narrow", "without"])
def test_a_tree_there_and_back(host: FilesHost, tmp_path: Path, user: str) -> None:
    source, there = make_tree(tmp_path / "source"), host.folder(user) / "tree"
    with host.connect(user, transfer="sftp") as remote:
        carrier = choose_carrier(remote, NullProgress())
        sent = carrier.send_tree(source, there)
        assert sent.files == len(
            [path for path in source.rglob("*") if path.is_file() and not path.is_symlink()]
        )
        assert carrier.fetch_tree(there, tmp_path / "back").total_bytes == sent.total_bytes
        assert describe(tmp_path / "back") == describe(source)
        again = carrier.send_tree(source, there)
        assert (again.files, again.sent_bytes < 20_000) == (0, True)
        assert carrier.fetch_tree(there, tmp_path / "back").files == 0
        # What has changed its kind, its content or only its mode.
        (source / "program").chmod(0o644)
        (source / "empty").unlink()
        (source / "empty").symlink_to("program")
        (source / "gone").unlink()
        (source / "gone").write_bytes(b"back")
        shutil.rmtree(source / "empty folder")
        (source / "empty folder").write_bytes(b"a file now")
        assert carrier.send_tree(source, there).files == 2
        carrier.fetch_tree(there, tmp_path / "back")
        assert describe(tmp_path / "back") == describe(source)
        names = ["plain/deep/plain", "new\nline", "a b/link"]
        carrier.send_tree(source, there.with_name("some"), names=names)
        carrier.fetch_tree(there.with_name("some"), tmp_path / "some", without=["new*"])
    assert sorted(describe(tmp_path / "some")) == [
        "a b",
        "a b/link",
        "plain",
        "plain/deep",
        "plain/deep/plain",
    ]


def test_it_looks_as_rsync_would_have_it(host: FilesHost, tmp_path: Path) -> None:
    source, there = make_tree(tmp_path / "source"), host.folder("key")
    with host.connect("key") as remote:
        Rsync(remote).send_tree(source, there / "by-rsync")
        assert Sftp(remote).send_tree(source, there / "by-rsync").files == 0
        Sftp(remote).send_tree(source, there / "by-sftp")
        assert Rsync(remote).send_tree(source, there / "by-sftp").files == 0
        listed = [
            host.sh('cd "$1" && find . -mindepth 1 -printf "%p %y %m %s %Ts %l\\n" | sort', str(there / name))
            for name in ("by-rsync", "by-sftp")
        ]
        # The server sets links' own times; SFTP has no way to.
        assert [line for line in listed[0].splitlines() if " l 777 " not in line] == [
            line for line in listed[1].splitlines() if " l 777 " not in line
        ]
        # What is the same in an older folder is copied there, and not sent.
        sent = Sftp(remote).send_tree(source, there / "third", old=there / "by-rsync")
        assert sent.sent_bytes < 50_000
        assert (
            host.sh(
                'diff -r --no-dereference "$1" "$2" && echo same',
                str(there / "by-rsync"),
                str(there / "third"),
            )
            == "same\n"
        )


def test_which_way_files_go(host: FilesHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reasons = {"files": "runs no commands for this account", "without": "rsync is not installed on 127.0.0.1"}
    reasons |= {"aged": "the rsync on 127.0.0.1 is too old: 2.6, and 3.0 or newer is needed"}
    for user, reason in reasons.items():
        watcher = Watcher()
        with host.connect(user) as remote:
            assert isinstance(choose_carrier(remote, watcher), Sftp)
            assert choose_carrier(remote, watcher) is choose_carrier(remote, watcher)
        (note,) = watcher.notes
        assert reason in note
        assert "That is slower" in note
        with (
            host.connect(user, transfer="rsync") as remote,
            pytest.raises(ConfigError, match=r"login.transfer is rsync"),
        ):
            choose_carrier(remote, watcher)
    with host.connect("key") as remote:
        assert isinstance(choose_carrier(remote, watcher), Rsync)
    monkeypatch.setenv("PATH", str(tmp_path))
    with host.connect("key") as remote:
        assert isinstance(choose_carrier(remote, watcher), Sftp)
    assert "not installed on this machine" in watcher.notes[-1]


def test_an_account_without_commands(host: FilesHost, tmp_path: Path) -> None:
    scratch = host.folder("files", "/srv/plain-" + os.urandom(3).hex())
    host.sh('chown files "$1"', str(scratch.parent))
    with host.connect("files") as remote:
        # internal-sftp is started in the place of any command, and may end with exit code 0.
        with pytest.raises(TransferOnlyError, match=r"this host runs no commands.*login.host"):
            remote.run(["true"])
        with pytest.raises(TransferOnlyError):
            remote.require_commands()
        with pytest.raises(ConfigError, match=r"SCRATCH cannot be looked up there.*runs no commands"):
            open_scratch(remote, site(host, "files", "$SCRATCH"))
        with pytest.raises(ScratchError, match=r"scratch is /proc.*check paths.scratch"):
            open_scratch(remote, site(host, "files", "/proc/nothing"))
        scratch = open_scratch(remote, site(host, "files", str(scratch.parent)))
        assert {"images", "code", "data", "runs"} <= set(remote.list(scratch.root))
        free = remote.free_bytes(scratch.root)
        assert free is not None
        assert free > 1e6
        assert not remote.runs_commands
    with host.connect("without") as remote:
        assert remote.runs_commands
        assert remote.run(["sh", "-c", "exit 3"]).exit_code == 3
        assert remote.run(["sh", "-c", "printf x"]).stdout == "x"


def test_an_image_and_data_without_commands(host: FilesHost, tmp_path: Path) -> None:
    scratch = PurePosixPath(f"/srv/scratch-{os.urandom(4).hex()}")
    host.sh('mkdir "$1" && chown files "$1"', str(scratch))
    content = bytearray(os.urandom(LARGE_BYTES))
    watcher = Watcher()
    with host.connect("files") as remote:
        scratch = open_scratch(remote, site(host, "files", str(scratch)))
        pushed, transfer = push_sif(remote, scratch, make_sif(tmp_path, bytes(content)), "0123abcd", watcher)
        assert transfer is not None
        assert len(content) < transfer.sent_bytes < 1.02 * len(content)
        assert host.sh('sha256sum <"$1"', str(scratch.images / "image.sif")).split()[0] == pushed.sha256
        last = watcher.amounts[-1]
        assert last.done_bytes == last.total_bytes == len(content)
        _, transfer = push_sif(remote, scratch, make_sif(tmp_path, bytes(content)), "0123abcd", watcher)
        assert transfer is None
        content[100:200] = bytes(100)
        newer, _ = push_sif(remote, scratch, make_sif(tmp_path, bytes(content)), "0123abcd", watcher)
        assert host.sh('readlink "$1"', str(scratch.images / "image.sif")).strip() == newer.path.name
        assert not [name for name in remote.list(scratch.images) if ".slipway-partial" in name]
        source = make_tree(tmp_path / "data")
        (source / "gone").unlink()  # it leads out, and would be left out
        memory = tmp_path / "memory"
        staged = stage(remote, scratch, source, "set", "0123abcd", watcher, memory=memory)
        Sftp(remote).fetch_tree(staged.path, tmp_path / "back")
        # Folders keep no time of their own.
        back, sent = (
            {name: what[:1] if what[0] == "folder" else what for name, what in describe(tree).items()}
            for tree in (tmp_path / "back", source)
        )
        assert back.items() >= {name: what for name, what in sent.items() if name[0] != "."}.items()
        assert stage(remote, scratch, source, "set", "0123abcd", watcher, memory=memory).sent_files == 0
        (source / "more").mkdir()
        (source / "more" / "late").write_text("more")
        assert stage(remote, scratch, source, "set", "0123abcd", watcher, memory=memory).sent_files == 1
        shutil.rmtree(source / "more")
        staged = stage(remote, scratch, source, "set", "0123abcd", watcher, memory=memory, delete=True)
        assert list(staged.surplus) == ["more/late"]
        assert "more" not in remote.list(staged.path)


def cut_often(host: FilesHost, scratch: PurePosixPath, sif: Sif, cuts: list[int]) -> list[str]:
    lines = []
    for cut in cuts:
        proxy = Proxy(host.port, cut_after_bytes=cut)
        with pytest.raises(ConnectionLostError), host.connect("files", proxy.port) as remote:
            push_sif(
                remote,
                open_scratch(remote, site(host, "files", str(scratch))),
                sif,
                "0123abcd",
                NullProgress(),
            )
        proxy.close()
        lines.append(f"cut after {cut / 1e6:.1f} MB")
    return lines


@pytest.mark.long
def test_a_push_that_is_cut_goes_on(host: FilesHost, tmp_path: Path, tell: Tell) -> None:
    top = PurePosixPath(f"/srv/cut-{os.urandom(4).hex()}")
    host.sh('mkdir "$1" && chown files "$1"', str(top))
    old = make_sif(tmp_path, os.urandom(1 << 20))
    new = make_sif(tmp_path, os.urandom(64 * PIECE_BYTES))
    with host.connect("files") as remote:
        scratch = open_scratch(remote, site(host, "files", str(top)))
        push_sif(remote, scratch, old, "0123abcd", NullProgress())
    chance = random.Random(3)  # noqa: S311
    lines = cut_often(host, top, new, [chance.randrange(1 << 20, 30 * PIECE_BYTES) for _ in range(3)])
    assert host.sh('sha256sum <"$1"', str(scratch.images / "image.sif")).split()[0] == old.sha256
    with host.connect("files") as remote:
        pushed, transfer = push_sif(remote, scratch, new, "0123abcd", NullProgress())
        assert transfer is not None
        (digest,) = hash_remote(remote, pushed.path.parent, [pushed.path.name]).values()
    assert digest == new.sha256
    # Pieces that were on their way at the cuts are sent again, one a channel at most; the others are not.
    assert transfer.sent_bytes < 0.85 * new.size_bytes
    size = f"{new.size_bytes / 1e6:.0f} MB"
    tell(f"SFTP, {size}: {', '.join(lines)}; then {transfer.sent_bytes / 1e6:.1f} MB sent")


@pytest.mark.long
def test_another_version_after_a_cut_is_no_mixture(host: FilesHost, tmp_path: Path) -> None:
    there, file = host.folder("files"), tmp_path / "source" / "file"
    file.parent.mkdir()
    for mtime_s in (EVEN_S, EVEN_S + 1, EVEN_S + 1):  # a newer version, and one that only its content tells
        file.write_bytes(os.urandom(LARGE_BYTES))
        os.utime(file, (mtime_s, mtime_s))
        proxy = Proxy(host.port, cut_after_bytes=10 * PIECE_BYTES)
        with pytest.raises(ConnectionLostError), host.connect("files", proxy.port) as remote:
            Sftp(remote).send_tree(file.parent, there)
        proxy.close()
    with host.connect("files") as remote:
        assert remote.size(there / "file") is None
        Sftp(remote).send_tree(file.parent, there)
        assert hash_remote(remote, there, ["file"])["file"] == hashlib.sha256(file.read_bytes()).hexdigest()
        # And the other way.
        proxy = Proxy(host.port, cut_after_bytes=15 * PIECE_BYTES)
        with pytest.raises(ConnectionLostError), host.connect("files", proxy.port) as cut:
            Sftp(cut).fetch_tree(there, tmp_path / "back")
        proxy.close()
        assert not (tmp_path / "back" / "file").exists()
        fetched = Sftp(remote).fetch_tree(there, tmp_path / "back")
    assert (tmp_path / "back" / "file").read_bytes() == file.read_bytes()
    assert sorted(path.name for path in (tmp_path / "back").iterdir()) == ["file"]
    assert fetched.received_bytes < LARGE_BYTES - 2 * PIECE_BYTES


def test_a_full_disk(host: FilesHost, tmp_path: Path) -> None:
    there = host.folder("files", "/small")
    (tmp_path / "many").mkdir()
    for number in range(30):
        (tmp_path / "many" / str(number)).write_bytes(os.urandom(1 << 20))
    (tmp_path / "file").write_bytes(os.urandom(2 * SMALL_DISK_BYTES))
    with host.connect("files") as remote:
        with pytest.raises(RemoteSpaceError, match=r"small.*the disk is full.*make room"):
            Sftp(remote).send_tree(tmp_path / "many", there / "many")
        # What is there has arrived as a whole, and nothing else is there.
        names = remote.list(there / "many")
        assert all(remote.size(there / "many" / name) == 1 << 20 for name in names)
        with pytest.raises(RemoteSpaceError, match="the disk is full"):
            Sftp(remote).send_file(tmp_path / "file", there / "one")
        with pytest.raises(RemoteSpaceError, match="the disk is full"):
            remote.write(there / "note", bytes(1 << 20))
    host.sh('rm -rf "$1"', str(there))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
@pytest.mark.parametrize("carrier", [Rsync, Sftp])
def test_a_full_disk_here(host: FilesHost, tmp_path: Path, carrier: type[Rsync | Sftp]) -> None:
    there = host.folder("key")
    host.sh('head -c 30000000 /dev/urandom >"$1/file"', str(there))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(tmp_path)], check=True)
    try:
        with host.connect("key") as remote:
            with pytest.raises(SpaceError, match="there is no room for it"):
                carrier(remote).fetch_tree(there, tmp_path / "back")
            assert remote.is_open
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_what_the_server_will_not_do(host: FilesHost, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "file").write_bytes(b"x")
    there = host.folder("files")
    with host.connect("files") as remote:
        with pytest.raises(RemoteError, match="/etc: permission denied; files may not"):
            Sftp(remote).send_file(tmp_path / "source" / "file", PurePosixPath("/etc"))
        with pytest.raises(RemoteError, match="/nowhere: there is no such file or folder"):
            Sftp(remote).fetch_tree(PurePosixPath("/nowhere"), tmp_path / "back")
        with pytest.raises(RemoteError, match="shadow: permission denied"):
            hash_remote(remote, PurePosixPath("/etc"), ["shadow"])
        host.sh('mkdir -p "$1/file/full"', str(there))
        with pytest.raises(RemoteError, match="file"):
            Sftp(remote).send_tree(tmp_path / "source", there)
        with pytest.raises(RemoteError, match="file"):
            remote.point(there / "file", "full")
        assert remote.list(there) == ["file"]
        # It goes on after each of them.
        assert remote.list(PurePosixPath("/opt"))
    with host.connect("silent") as remote:
        assert remote.runs_commands
        with pytest.raises(RemoteError, match=r"no file transfer.*Subsystem sftp"):
            remote.list(there)


class Refuser(paramiko.ServerInterface):
    """A server that lets everybody in and starts nothing. sshd cannot be made to say no to a command."""

    def check_auth_none(self, username: str) -> int:
        return paramiko.common.AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.common.OPEN_SUCCEEDED


def test_a_server_that_refuses_commands(host: FilesHost) -> None:
    ours, theirs = socket.socketpair()
    server, client = paramiko.Transport(theirs), paramiko.Transport(ours)
    server.add_server_key(paramiko.ECDSAKey.generate())
    server.start_server(threading.Event(), Refuser())
    client.start_client(timeout=PATIENCE_S)
    client.auth_none("somebody")
    with Host(resolve_target(host.login("files"), host.state), [client]) as remote:
        with pytest.raises(TransferOnlyError, match="it refuses to start any"):
            remote.run(["true"])
        assert not remote.runs_commands
        with pytest.raises(RemoteError, match=r"runs no commands|has no file transfer"):
            remote.list(PurePosixPath("/"))
    for one in (server, client, ours, theirs):
        one.close()


@pytest.mark.long
def test_one_channel_at_a_time(host: FilesHost, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "file").write_bytes(os.urandom(16 * PIECE_BYTES))
    there = host.folder("narrow")
    with host.connect("narrow") as remote:
        assert not remote.runs_commands
        Sftp(remote, channels=8).send_tree(tmp_path / "source", there)
        assert hash_remote(remote, there, ["file", "none"]).keys() == {"file"}
        assert Sftp(remote, channels=8).fetch_tree(there, tmp_path / "back").files == 1
    # A command and files in turn, where both do not fit.
    with host.connect("single") as remote:
        for number in range(3):
            assert remote.run(["printf", str(number)]).stdout == str(number)
            assert remote.size(PurePosixPath("/etc/hostname"))


def test_ctrl_c(host: FilesHost, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "file").write_bytes(os.urandom(16 * PIECE_BYTES))
    there = host.folder("files")

    def interrupt(amount: Amount) -> None:
        if amount.done_bytes:
            os.kill(os.getpid(), signal.SIGINT)

    proxy = Proxy(host.port, delay_s=0.05)
    with host.connect("files", proxy.port) as remote:
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            Sftp(remote).send_tree(tmp_path / "source", there, on_progress=interrupt)
        assert time.monotonic() - began < PATIENCE_S
        assert remote.size(there / "file") is None
    proxy.close()


@pytest.mark.long
def test_the_tasks(host: FilesHost, tmp_path: Path) -> None:
    scratch = f"/srv/tasks-{os.urandom(4).hex()}"
    host.sh('mkdir "$1" && chown files "$1"', scratch)
    for name in ("cluster", "env", "docker"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "tasks.py", tmp_path)
    login = host.login("files")
    (tmp_path / "cluster" / "data.yaml").write_text(
        f"login: {{host: files, user: files, ssh_config: {host.state}/{login.ssh_config}}}\n"
        f"paths: {{scratch: {scratch}}}\n"
    )
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "file").write_bytes(b"x" * 1000)
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "main.py").write_text("print()")

    def invoke(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "invoke", *words],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "400"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    done = invoke("stage", "data", "--site", "data")
    assert done.returncode == 0, done.stderr
    assert "runs no commands for this account" in done.stderr + done.stdout
    assert host.sh('cat "$1"', f"{scratch}/slipway/data/data/file") == "x" * 1000
    done = invoke(
        "job", "--profile", "cpu", "--site", "data", "--set", "CODE_DIR=code", "--", "--task", "infer"
    )
    assert done.returncode == 85, done.stderr
    assert "this host runs no commands for this account" in done.stderr
    assert "Traceback" not in done.stderr
