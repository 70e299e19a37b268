"""Logins that are kept, on real sshds: asked for once, used by other commands, ended in all ways."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

import paramiko
import pytest

from slipway.errors import ConnectionLostError, HostError, LoginError, SshError
from slipway.host.host import Host, connect
from slipway.multiplex.keeper import _PROBE_AGAIN_S
from slipway.multiplex.kept import Kept, end_kept, list_kept
from slipway.site import Login
from slipway.transfer.rsync import Rsync
from slipway.transfer.sftp.sftp import Sftp
from tests.integration.cuttable_proxy import CuttableProxy
from tests.integration.few_channels import FewChannels
from tests.integration.inside import end_inside
from tests.integration.sshd_containers import PASSWORD, ROOT, Person, SshdContainers, code, open_sshds
from tests.waiting import PATIENCE_S, wait_until


@pytest.fixture(scope="module")
def sshds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshdContainers]:
    with open_sshds(tmp_path_factory.mktemp("state")) as sshds:
        yield sshds


@pytest.fixture(autouse=True)
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of each test's own for sockets; what a test leaves in it is ended."""
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with tempfile.TemporaryDirectory(prefix="slipway-", dir="/tmp") as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        yield Path(folder)
        if Path(folder, "slipway").exists():
            Path(folder, "slipway").chmod(0o700)
        for kept in list_kept():
            end_kept(kept.path)


def shared(sshds: SshdContainers, user: str, keep: str = "8h", **options: str) -> Login:
    host = options.pop("host", "gate")
    return sshds.login(user, host, **options).model_copy(update={"share": True, "keep": keep})


def whoami(remote: Host) -> str:
    return remote.check(["id", "-un"], timeout_s=PATIENCE_S).stdout.strip()


def the_one() -> Kept:
    (kept,) = list_kept()
    return kept


def keeper_of(runtime: Path) -> int:
    """The process that keeps the one connection."""
    from slipway.multiplex.transport import ask_keeper

    state = ask_keeper(the_one().path, {"want": "state"})
    assert state is not None
    pid: int = state["pid"]
    return pid


def has_ended(pid: int) -> bool:
    with suppress(ProcessLookupError, FileNotFoundError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return True


def test_a_second_factor_is_asked_for_once(sshds: SshdContainers, runtime: Path, tmp_path: Path) -> None:
    before = sshds.log()
    login = shared(sshds, "both")
    person = Person([("Verification code: ", code), ("Password: ", PASSWORD)])
    with connect(login, sshds.state, person, "lab") as remote:
        assert whoami(remote) == "both"
    assert len(person.asked) == 2
    assert person.told == ["For the members of the test only."]
    (tmp_path / "up").mkdir()
    (tmp_path / "up" / "file").write_bytes(os.urandom(3_000_000))
    there = PurePosixPath("/home/both/sent")
    # Nobody can be asked any more. A site that does not share uses what is there.
    for one in (login, login.model_copy(update={"share": False, "keep": "1h"})):
        with connect(one, sshds.state, name="other") as remote:
            remote.check(["mkdir", "-p", str(there)], timeout_s=PATIENCE_S)
            Rsync(remote).send_tree(tmp_path / "up", there)
            remote.write(there / "note", b"hello")
            assert remote.read(there / "note") == b"hello"
            Rsync(remote).fetch_tree(there, tmp_path / "down")
            done = remote.run_in_login_shell(
                ["sh", "-c", "echo out; echo err >&2; exit 3"], timeout_s=PATIENCE_S
            )
            assert (done.exit_code, done.stdout, done.stderr) == (3, "out\n", "err\n")
            assert the_one().users == 1
    assert (tmp_path / "down" / "file").read_bytes() == (tmp_path / "up" / "file").read_bytes()
    news = sshds.log()[len(before) :]
    assert len(re.findall("Accepted .* for both", news)) == 1
    wait_until(lambda: the_one().users == 0, "the end of the last use")
    kept = the_one()
    assert (kept.target, kept.names) == (f"both@127.0.0.1:{sshds.port}", ("lab", "other"))
    assert kept.until is not None
    assert 8 * 3600 - 60 < kept.until - time.time() <= 8 * 3600
    pid = keeper_of(runtime)
    assert end_kept(kept.path)
    wait_until(lambda: has_ended(pid), "the keeper's end")
    assert list((runtime / "slipway").glob("*.login*")) == []
    with pytest.raises(LoginError, match="there is no terminal to answer on"):
        connect(login, sshds.state)


def test_programs_and_their_bytes(sshds: SshdContainers) -> None:
    with connect(shared(sshds, "key"), sshds.state) as remote:
        content = "0123456789abcdef" * 200_000
        done = remote.run(["cat"], stdin=content, timeout_s=PATIENCE_S)
        assert done.stdout == content
        done = remote.run(["sh", "-c", "cat >&2; exit 7"], stdin="oh", timeout_s=PATIENCE_S)
        assert (done.exit_code, done.stdout, done.stderr) == (7, "", "oh")
        # One that does not read what it is given, many times: no byte goes to a channel that has ended.
        for _ in range(20):
            assert remote.run(["true"], stdin=content, timeout_s=PATIENCE_S).exit_code == 0
        assert remote.run(["sh", "-c", "kill -9 $$"], timeout_s=PATIENCE_S).exit_code == 128
        assert whoami(remote) == "key"


def test_hosts_behind_hosts(sshds: SshdContainers) -> None:
    for _ in range(2):
        with connect(shared(sshds, "key", host="deep"), sshds.state) as remote:
            name = remote.check(["cat", "/etc/ssh/ssh_host_ed25519_key.pub"], timeout_s=PATIENCE_S).stdout
            assert name.startswith(sshds.public_key("deep"))
    assert len(list_kept()) == 1


def test_a_proxy_command(sshds: SshdContainers, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """It lives as long as the connection, and what it says while somebody waits is seen."""
    (tmp_path / "join.py").write_text(
        "import os, socket, sys, threading\n"
        "line = socket.create_connection((sys.argv[1], int(sys.argv[2])))\n"
        "up = lambda: [line.sendall(data) for data in iter(lambda: os.read(0, 65536), b'')]\n"
        "threading.Thread(target=lambda: (up(), line.shutdown(1)), daemon=True).start()\n"
        "for data in iter(lambda: line.recv(65536), b''): os.write(1, data)\n"
    )
    (tmp_path / "join").write_text(
        f'#!/bin/sh\necho "on the way" >&2\nexec {sys.executable} {tmp_path}/join.py "$@"\n'
    )
    (tmp_path / "join").chmod(0o755)
    login = shared(sshds, "key", ProxyCommand=f"{tmp_path}/join %h %p")
    for _ in range(2):
        with connect(login, sshds.state) as remote:
            assert whoami(remote) == "key"
    assert capfd.readouterr().err.count("on the way") == 1
    running = ["pgrep", "-f", f"{tmp_path}/join.py"]
    assert subprocess.run(running, check=False, stdout=subprocess.DEVNULL).returncode == 0
    end_kept(the_one().path)
    wait_until(
        lambda: subprocess.run(running, check=False, stdout=subprocess.DEVNULL).returncode != 0,
        "the proxy's end",
    )


def test_a_terminal_and_a_port(sshds: SshdContainers) -> None:
    with connect(shared(sshds, "key"), sshds.state) as remote:
        with remote.open_channel() as channel:
            channel.get_pty("xterm", 71, 23)
            channel.exec_command("stty size; read line; stty size; exit 5")
            assert channel.recv(100).split() == [b"23", b"71"]
            channel.resize_pty(99, 33)
            channel.sendall(b"\n")
            rest = b"".join(iter(lambda: channel.recv(100), b""))
            assert rest.split() == [b"33", b"99"]
            assert channel.recv_exit_status() == 5
        with remote.open_tunnel("127.0.0.1", 22) as way:
            assert way.recv(100).startswith(b"SSH-2.0-OpenSSH")
            way.sendall(b"nonsense\r\n" * 10)
            while way.recv(1000):
                pass
        with pytest.raises(paramiko.ChannelException) as refused:
            remote.open_tunnel("127.0.0.1", 1)
        assert refused.value.code == 2


def test_a_wrong_answer_leaves_nothing(sshds: SshdContainers, runtime: Path) -> None:
    with pytest.raises(LoginError, match="The answers to its prompts were wrong"):
        connect(shared(sshds, "password"), sshds.state, Person([("password: $", "wrong")] * 3))
    assert list((runtime / "slipway").glob("*.login*")) == []


def children() -> set[int]:
    """The processes that this thread has started."""
    listed = Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text()
    return set(map(int, listed.split()))


def test_ctrl_c_at_a_prompt_leaves_nothing(sshds: SshdContainers, runtime: Path) -> None:
    seen: list[int] = []
    before = children()

    def interrupt() -> str:
        # Other tests have processes, too.
        seen.extend(children() - before)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        connect(shared(sshds, "password"), sshds.state, Person([("password: $", interrupt)]))
    assert seen
    wait_until(lambda: all(map(has_ended, seen)), "the keeper's end")
    assert list((runtime / "slipway").glob("*.login*")) == []


def test_two_at_once_leave_one(sshds: SshdContainers) -> None:
    people = [Person([("password: $", PASSWORD)]) for _ in range(3)]
    login = shared(sshds, "password")
    with ThreadPoolExecutor(3) as pool:
        hosts = list(pool.map(lambda person: connect(login, sshds.state, person), people))
    assert sorted(len(person.asked) for person in people) == [0, 0, 1]
    for host in hosts:
        with host:
            assert whoami(host) == "password"
    the_one()


@pytest.mark.fault("kills", "login, the process that keeps it")
def test_a_keeper_that_is_killed(sshds: SshdContainers, runtime: Path) -> None:
    login = shared(sshds, "password")
    person = Person([("password: $", PASSWORD)] * 2)
    with connect(login, sshds.state, person) as remote, remote.start(["sleep", "1000"]) as program:
        assert program.wait_for_begin()
        os.kill(keeper_of(runtime), signal.SIGKILL)
        assert program.recv(1) == b""
        assert remote.is_lost
        with pytest.raises(ConnectionLostError, match="the connection was lost"):
            remote.run(["true"])
    # Its socket is dead, and replaced.
    assert len(list((runtime / "slipway").glob("*.login"))) == 1
    with connect(login, sshds.state, person) as remote:
        assert whoami(remote) == "password"
    assert len(person.asked) == 2
    the_one()


@pytest.mark.fault("line", "login that is kept")
def test_a_line_that_is_cut(sshds: SshdContainers, runtime: Path) -> None:
    proxy = CuttableProxy(sshds.port)
    login = shared(sshds, "key", HostName="127.0.0.1", Port=str(proxy.port), HostKeyAlias="gate")
    with connect(login, sshds.state) as remote, ThreadPoolExecutor(1) as pool:
        assert whoami(remote) == "key"
        pid = keeper_of(runtime)
        running = pool.submit(remote.run, ["sleep", "1000"], timeout_s=PATIENCE_S)
        wait_until(lambda: end_inside(sshds.containers["gate"], "pgrep", "-f", "^sleep 1000$") == 0, "sleep")
        proxy.cut()
        with pytest.raises(ConnectionLostError, match="the connection was lost during `sleep 1000`"):
            running.result()
        assert not remote.is_open
    wait_until(lambda: has_ended(pid), "the keeper's end")
    assert list_kept() == []
    with connect(login, sshds.state) as remote:
        assert whoami(remote) == "key"
    proxy.close()


@pytest.mark.long
@pytest.mark.fault("line", "login that is kept")
def test_a_line_that_falls_silent(sshds: SshdContainers, runtime: Path) -> None:
    """As after a laptop's sleep: nobody says that it is dead, and the next command does not wait for long."""
    proxy = CuttableProxy(sshds.port)
    login = shared(sshds, "key", HostName="127.0.0.1", Port=str(proxy.port), HostKeyAlias="gate")
    with connect(login, sshds.state) as remote:
        assert whoami(remote) == "key"
    pid = keeper_of(runtime)
    proxy.freeze()
    time.sleep(_PROBE_AGAIN_S)  # it was tried just now
    with connect(login, sshds.state) as remote:
        assert whoami(remote) == "key"
        assert keeper_of(runtime) != pid
    wait_until(lambda: has_ended(pid), "the keeper's end")
    proxy.close()


@pytest.mark.long
def test_a_server_that_takes_one_session(sshds: SshdContainers) -> None:
    login = shared(sshds, "single")
    with connect(login, sshds.state) as first:
        first.write(PurePosixPath("/tmp/single"), b"x")
        assert whoami(first) == "single"  # the channel for files is spared
        assert first.read(PurePosixPath("/tmp/single")) == b"x"
        # Another command has to wait for it, and then is told.
        with connect(login, sshds.state) as second:
            with pytest.raises(SshError, match=r"no more sessions \(MaxSessions\)"):
                second.run(["true"])
            first.spare_channel()
            assert whoami(second) == "single"


def test_one_that_ends_before_it_is_used(sshds: SshdContainers, runtime: Path) -> None:
    """Between the login and the first channel: nothing is lost with it, so the login is made again."""
    login = shared(sshds, "password")
    person = Person([("password: $", PASSWORD)] * 2)
    with connect(login, sshds.state, person) as first:
        assert whoami(first) == "password"
        with connect(login, sshds.state, person) as second:
            os.kill(keeper_of(runtime), signal.SIGTERM)
            wait_until(lambda: list_kept() == [], "the end of what was kept")
            assert whoami(second) == "password"
    assert len(person.asked) == 2


@pytest.mark.long
def test_a_server_that_hangs_up_after_some_channels(tmp_path: Path) -> None:
    key, opened = paramiko.ECDSAKey.generate(), list[paramiko.Transport]()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def serve() -> None:
            with suppress(OSError):
                while True:
                    opened.append(paramiko.Transport(listener.accept()[0]))
                    opened[-1].add_server_key(key)
                    opened[-1].start_server(threading.Event(), FewChannels(opened[-1], 2))

        threading.Thread(target=serve, daemon=True).start()
        (tmp_path / "known").write_text(f"few {key.get_name()} {key.get_base64()}\n")
        (tmp_path / "config").write_text(
            f"Host few\n  HostName 127.0.0.1\n  Port {port}\n  HostKeyAlias few\n"
            f"  UserKnownHostsFile {tmp_path}/known\n"
        )
        login = Login(host="few", user="me", ssh_config="config", share=True)
        # What one command has used up counts for the next.
        for count in (3, 4):
            with connect(login, tmp_path) as remote:
                assert [remote.run(["true"]).exit_code for _ in range(count)] == [0] * count
        assert len(opened) == 4
        listener.shutdown(socket.SHUT_RDWR)
    for one in opened:
        one.close()


def test_a_client_that_is_killed_ends_its_programs(sshds: SshdContainers) -> None:
    login = shared(sshds, "key")
    text = (
        "import pathlib, sys, time\nfrom slipway.host.host import connect\n"
        "from slipway.model import read_json\nfrom slipway.site import Login\n"
        "login = read_json(Login, sys.argv[1])\n"
        "with connect(login, pathlib.Path(sys.argv[2])).start(['cat', '-', '/dev/null']) as program:\n"
        "    program.wait_for_begin()\n    print('begun', flush=True)\n    time.sleep(1000)\n"
    )
    argv = [sys.executable, "-c", text, login.model_dump_json(), str(sshds.state)]
    running = ("pgrep", "-f", "^cat - /dev/null$")
    with connect(login, sshds.state) as remote:
        with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE) as client:
            assert client.stdout is not None
            assert client.stdout.readline() == b"begun\n"
            assert end_inside(sshds.containers["gate"], *running) == 0
            client.kill()
        wait_until(lambda: end_inside(sshds.containers["gate"], *running) != 0, "the program's end")
        assert whoami(remote) == "key"


def test_it_ends_when_nobody_uses_it(sshds: SshdContainers, runtime: Path) -> None:
    with connect(shared(sshds, "key", keep="1s"), sshds.state) as remote:
        pid = keeper_of(runtime)
        time.sleep(1.5)  # as long as somebody uses it, it stays
        assert whoami(remote) == "key"
    wait_until(lambda: has_ended(pid), "the keeper's end")
    assert list((runtime / "slipway").glob("*.login*")) == []


def test_a_folder_that_others_can_get_at(sshds: SshdContainers, runtime: Path) -> None:
    with connect(shared(sshds, "key"), sshds.state) as remote:
        assert whoami(remote) == "key"
    (runtime / "slipway").chmod(0o755)
    for login in (shared(sshds, "key"), sshds.login("key")):
        with pytest.raises(HostError, match="others can get at"):
            connect(login, sshds.state)


@contextmanager
def openssh_master(sshds: SshdContainers, login: Login) -> Iterator[list[str]]:
    """A connection that OpenSSH keeps; gives the beginning of ssh's command line for it."""
    ssh = [
        "ssh",
        "-F",
        str(sshds.state / str(login.ssh_config)),
        "-l",
        str(login.user),
        "-o",
        "BatchMode=yes",
    ]
    argv = [*ssh, "-M", "-N", "-f", "-i", str(sshds.state / "id"), "gate"]
    subprocess.run(argv, check=True, timeout=PATIENCE_S, stdin=subprocess.DEVNULL)
    try:
        yield ssh
    finally:
        subprocess.run([*ssh, "-O", "exit", "gate"], timeout=PATIENCE_S, check=False, capture_output=True)


def test_a_connection_that_openssh_keeps(sshds: SshdContainers, runtime: Path, tmp_path: Path) -> None:
    options = {"ControlPath": f"{runtime}/%C", "IdentityFile": "none"}
    login = sshds.login("key", **options)
    with pytest.raises(LoginError):
        connect(login, sshds.state)
    before = sshds.log()
    (tmp_path / "up").mkdir()
    (tmp_path / "up" / "file").write_bytes(os.urandom(3_000_000))
    there = PurePosixPath("/home/key/by-openssh")
    with openssh_master(sshds, login) as ssh:
        for one in (login, login.model_copy(update={"share": True})):
            with connect(one, sshds.state) as remote:
                remote.check(["mkdir", "-p", str(there)], timeout_s=PATIENCE_S)
                for carrier, name in ((Rsync(remote), "rsync"), (Sftp(remote, 3), "sftp")):
                    carrier.send_tree(tmp_path / "up", there / name)
                    carrier.fetch_tree(there / name, tmp_path / name)
                    assert (tmp_path / name / "file").read_bytes() == (tmp_path / "up" / "file").read_bytes()
                done = remote.run_in_login_shell(["sh", "-c", "echo err >&2; exit 3"], timeout_s=PATIENCE_S)
                assert (done.exit_code, done.stderr) == (3, "err\n")
                with remote.open_channel() as channel:
                    channel.get_pty("xterm", 71, 23)
                    channel.exec_command("stty size; read line; stty size; exit 5")
                    assert channel.recv(100).split() == [b"23", b"71"]
                    channel.resize_pty(99, 33)
                    channel.sendall(b"\n")
                    assert b"".join(iter(lambda: channel.recv(100), b"")).split() == [b"33", b"99"]
                    assert channel.recv_exit_status() == 5
                with remote.open_tunnel("127.0.0.1", 22) as way:
                    assert way.recv(100).startswith(b"SSH-2.0-OpenSSH")
                with pytest.raises(paramiko.ChannelException):
                    remote.open_tunnel("127.0.0.1", 1)
        assert list_kept() == []
        assert len(re.findall("Accepted .* for key", sshds.log()[len(before) :])) == 1
        with connect(login, sshds.state) as remote, remote.start(["sleep", "1000"]) as program:
            assert program.wait_for_begin()
            subprocess.run([*ssh, "-O", "exit", "gate"], check=True, timeout=PATIENCE_S, capture_output=True)
            assert program.recv(1) == b""
            assert remote.is_lost
            with pytest.raises(ConnectionLostError):
                remote.run(["true"])


@pytest.mark.long
def test_openssh_keeps_one_with_one_session(sshds: SshdContainers, runtime: Path) -> None:
    login = sshds.login("single", ControlPath=f"{runtime}/%r@%h:%p", IdentityFile="none")
    with openssh_master(sshds, login), connect(login, sshds.state) as first:
        first.write(PurePosixPath("/tmp/single"), b"x")
        assert whoami(first) == "single"
        assert first.read(PurePosixPath("/tmp/single")) == b"x"
        with connect(login, sshds.state) as second, pytest.raises(SshError, match="MaxSessions"):
            second.run(["true"])
        assert whoami(first) == "single"


def test_the_tasks(sshds: SshdContainers, tmp_path: Path) -> None:
    shutil.copy(ROOT / "tasks.py", tmp_path)
    for name in ("cluster", "env"):
        (tmp_path / name).mkdir()
    (tmp_path / "env" / ".env.base").touch()
    config = f"{sshds.state}/{sshds.login('key').ssh_config}"
    (tmp_path / "cluster" / "lab.yaml").write_text(
        f"login: {{host: gate, user: key, ssh_config: {config}}}\npaths: {{scratch: /s}}\n"
    )

    def invoke(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "invoke", *words],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            start_new_session=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    who = f"key@127.0.0.1:{sshds.port}"
    assert f"logged in as {who}\n" in (said := invoke("login", "lab"))
    assert "`invoke logout lab` ends it" in said
    assert "for 8 h" in said
    assert f"logged in already, since {time.strftime('%H:')}" in invoke("login", "--site", "lab")
    table = invoke("login").splitlines()
    assert [line.split()[:2] for line in table] == [["SITE", "LOGIN"], ["lab", who]]
    assert f"logged in to lab ({who}), idle, ends at " in invoke("status")
    assert f"logged out of lab ({who})" in invoke("logout", "lab")
    assert "No login is kept; `invoke login SITE` makes one." in invoke("login")
