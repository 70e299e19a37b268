"""This machine in the place of a host."""

import os
import shutil
import socket
import stat
import sys
import threading
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import paramiko
import pytest

from slipway.errors import RemoteError
from slipway.here import file_server
from slipway.host.host import Host, connect
from slipway.host.terminal import Size
from slipway.progress import NullProgress
from slipway.site import Login
from slipway.transfer.choice import choose_carrier

LOGIN = Login(host="this-machine")
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no POSIX shell")


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with connect(LOGIN, tmp_path) as host:
        yield host


@pytest.fixture(params=["paramiko", "openssh"])
def file_host(request: pytest.FixtureRequest, host: Host, monkeypatch: pytest.MonkeyPatch) -> Host:
    if request.param == "paramiko":
        monkeypatch.setattr("slipway.here.channel.find_file_server", lambda: None)
    elif file_server.find_file_server() is None:
        pytest.skip("OpenSSH's sftp-server is not installed here (Debian: openssh-sftp-server)")
    return host


def test_a_program_gets_its_words_and_its_input(host: Host) -> None:
    done = host.run(
        ["sh", "-c", 'cat; printf "<%s>" "$@"; exit 3', "sh", "a  b", "$HOME", "'\n"], stdin="in "
    )
    assert (done.exit_code, done.stdout) == (3, "in <a  b><$HOME><'\n>")


def test_a_program_that_is_killed_has_the_code_of_one(host: Host) -> None:
    assert host.run(["sh", "-c", "kill -9 $$"]).exit_code == 128


def test_a_program_does_not_see_the_environment_of_slipway_itself(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIRTUAL_ENV", "/opt/venv")
    monkeypatch.setenv("PATH", f"/opt/venv/bin:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    printed = host.run(["sh", "-c", 'echo "$PATH ${VIRTUAL_ENV-none} ${PYTHONPATH-none}"']).stdout
    assert "/opt/venv" not in printed
    assert printed.endswith(" none none\n")


def test_keys_that_are_pressed_here_do_not_reach_it(host: Host) -> None:
    session = host.run(["sh", "-c", "ps -o sid= -p $$ || cut -d' ' -f6 /proc/$$/stat"]).stdout
    assert int(session) != os.getsid(0)


def test_a_program_on_a_terminal_knows_its_size_and_a_new_one(host: Host) -> None:
    argv = ["sh", "-c", "tty >/dev/null && stty size; read line; stty size; read line; exit 7"]
    with host.open_terminal(argv, "xterm", Size(columns=90, rows=33)) as program:
        assert program.wait_for_begin()
        seen = b""
        while b"33 90" not in seen:
            seen += program.recv(100)
        program.resize(Size(columns=70, rows=20))
        program.send(b"\n")
        while b"20 70" not in seen:
            seen += program.recv(100)
        program.send(b"\n")
        while program.recv(100):
            pass
        assert program.exit_code() == 7


def test_files_are_written_moved_and_listed(file_host: Host, tmp_path: Path) -> None:
    folder = PurePosixPath(tmp_path / "there")
    file_host.make_folder(folder / "sub")
    file_host.write(folder / "one name", b"\0" * 300_000)
    assert file_host.read(folder / "one name", 299_990) == b"\0" * 10
    assert file_host.size(folder / "one name") == 300_000
    assert file_host.read(folder / "none") is None
    file_host.point(folder / "link", "one name")
    assert file_host.read_links(folder, ["link"]) == ["one name"]
    file_host.move(folder / "one name", folder / "sub" / "ä")
    assert set(file_host.entries(folder)) == {"", "sub", "sub/ä", "link"}
    file_host.remove(folder / "link")
    file_host.remove(folder / "sub" / "ä")
    file_host.remove_folder(folder / "sub")
    assert not file_host.list(folder)


def test_what_may_not_be_written_is_told(file_host: Host, tmp_path: Path) -> None:
    with pytest.raises(RemoteError, match=r"this machine:.*there is no such file"):
        file_host.write(PurePosixPath(tmp_path / "none" / "file"), b"")


@pytest.mark.parametrize("transfer", ["rsync", "sftp"])
def test_folders_are_carried(file_host: Host, tmp_path: Path, transfer: str) -> None:
    if transfer == "rsync" and shutil.which("rsync") is None:
        pytest.skip("rsync is not installed here")
    source, back = tmp_path / "source", tmp_path / "back"
    (source / "sub").mkdir(parents=True)
    (source / "sub" / "program").write_text("#!/bin/sh\n")
    (source / "sub" / "program").chmod(0o755)
    (source / "link").symlink_to("sub/program")
    os.utime(source / "sub" / "program", (1_000_000_000, 1_000_000_000))
    back.mkdir()
    file_host.transfer = transfer
    carrier = choose_carrier(file_host, NullProgress())
    carrier.send_tree(source, PurePosixPath(tmp_path / "there"))
    carrier.fetch_tree(PurePosixPath(tmp_path / "there"), back)
    brought = (back / "sub" / "program").stat()
    assert (stat.S_IMODE(brought.st_mode), brought.st_mtime) == (0o755, 1_000_000_000)
    assert (back / "link").readlink() == Path("sub/program")


def test_a_way_leads_to_a_port(host: Host) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def answer() -> None:
            line, _ = server.accept()
            with line:
                line.sendall(line.recv(10).upper())

        threading.Thread(target=answer, daemon=True).start()
        with host.open_tunnel("127.0.0.1", port) as channel:
            channel.sendall(b"hello")
            channel.shutdown_write()
            assert channel.recv(10) == b"HELLO"
            assert channel.recv(10) == b""
    with pytest.raises(paramiko.ChannelException):
        host.open_tunnel("127.0.0.1", port)
