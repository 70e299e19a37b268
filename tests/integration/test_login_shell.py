"""Login shells of all kinds, and start files that print, wait, or end them: real ones under a real sshd."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import paramiko
import pytest

from slipway.errors import (
    ConnectionLostError,
    RemoteError,
    SshError,
    TransferOnlyError,
    UnreachableError,
)
from slipway.host import files as host_files
from slipway.host.host import Host, connect
from slipway.host.inventory import place, take_inventory
from slipway.host.scratch import open_scratch
from slipway.progress import NullProgress
from slipway.scheduler.slurm.site import SlurmSite
from slipway.site import Login, Paths
from slipway.ssh import login
from slipway.ssh.target import resolve_target
from slipway.ssh.userauth import Transport
from slipway.transfer.choice import choose_carrier
from slipway.transfer.rsync import Rsync
from slipway.transfer.sftp.sftp import Sftp
from tests.integration.few_channels import FewChannels
from tests.integration.files_host import FilesHost, start_host
from tests.integration.inside import end_inside
from tests.waiting import PATIENCE_S, wait_until

NASTY = [
    "a'b",
    "x!y !! !$",
    "new\nline\n",
    "back\\slash \\n \\0101",
    "$HOME `id`",
    '"q"',
    "",
    "\udce9 é",
    "*~{a,b}",
]
POSIX, ZSH, CSH, FISH = ".bashrc .profile", ".zshenv .profile", ".cshrc .profile", ".config/fish/config.fish"
WELCOME = "echo Welcome, hello; echo 'quota: 5 %' >&2\n"
UNENDED = "printf Welcome; printf quota >&2\n"
ODD = """set -eu
trap 'echo bye' EXIT
shopt -s expand_aliases
alias ls='ls --color=always' cp='cp -i' rsync='echo no rsync' rm='rm -i' sh='echo no sh'
export LC_ALL=xx_YY.UTF-8 LANG=xx_YY.UTF-8 CDPATH=/ BASH_ENV=~/.bashrc
test -n "${TMOUT-}" || readonly TMOUT=1
export TMOUT
echo Welcome
"""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FilesHost]:
    with start_host(tmp_path_factory.mktemp("state")) as made:
        yield made


def remote_home(user: str) -> PurePosixPath:
    return PurePosixPath("/home") / user


@contextmanager
def start_files(host: FilesHost, user: str, names: str, text: str) -> Iterator[None]:
    """A user's start files with a text at their beginning; as they were afterwards."""
    script = (
        'cd "/home/$1" && tar cf /tmp/home.tar . && for name in $2; do mkdir -p "$(dirname "$name")"; '
        'touch "$name"; { printf %s "$3"; cat "$name"; } >/tmp/new; cat /tmp/new >"$name"; '
        'done; printf "export SCRATCH=%s\\n" "/srv/$1" >>.profile; chown -R "$1" .; '
        'rm -rf "/srv/$1"; mkdir "/srv/$1"; chown "$1" "/srv/$1"'
    )
    host.sh(script, user, names, text)
    try:
        yield
    finally:
        host.sh('cd "/home/$1" && rm -rf .[!.]* && tar xf /tmp/home.tar', user)


def use_everything(host: FilesHost, user: str, folder: Path) -> None:
    """Commands, login shells, rsync and SFTP; each says what it should, and nothing else."""
    (folder / "tree").mkdir()
    (folder / "tree" / "a 'file'").write_bytes(os.urandom(100_000))
    with host.connect(user) as remote:
        first = remote.run(["sh", "-c", "cat; echo wrong >&2; exit 3"], stdin="all of it")
        assert (first.exit_code, first.stdout, first.stderr) == (3, "all of it", "wrong\n")
        assert remote.run(["printf", "%s\\0", *NASTY]).stdout == "".join(f"{word}\0" for word in NASTY)
        lines: list[str] = []
        assert remote.stream(["sh", "-c", "cat; echo two >&2"], lines.append, stdin="one\n") == 0
        assert lines == ["one", "two"]
        for text in ("three", "four"):
            argv = ["sh", "-c", 'cat; printf %s "$SCRATCH" >&2; exit 5']
            fed = remote.run_in_login_shell(argv, stdin=[text.encode()], stdin_bytes=len(text))
            assert (fed.exit_code, fed.stdout, fed.stderr) == (5, text, f"/srv/{user}")
        there = remote.run_in_login_shell(["sh", "-c", 'printf %s "$SCRATCH"; echo wrong >&2'])
        assert (there.stdout, there.stderr) == (f"/srv/{user}", "wrong\n")
        scratch = open_scratch(
            remote, SlurmSite(name="x", login=host.login(user), paths=Paths(scratch="$SCRATCH"))
        )
        assert str(scratch.root) == f"/srv/{user}/slipway"
        remote.write(scratch.data / "small", b"by SFTP")
        assert remote.read(scratch.data / "small") == b"by SFTP"
        rsync = choose_carrier(remote, NullProgress())
        assert isinstance(rsync, Rsync)
        for carrier, name in ((rsync, "by-rsync"), (Sftp(remote), "by-sftp")):
            carrier.send_tree(folder / "tree", scratch.data / name)
            carrier.fetch_tree(scratch.data / name, folder / name)
            assert (folder / name / "a 'file'").read_bytes() == (folder / "tree" / "a 'file'").read_bytes()
        place(remote, scratch.data / "by-rsync", scratch.data / "by-sftp", ["a 'file'"])
        assert set(take_inventory(remote, scratch.data / "by-sftp") or ()) == {"a 'file'"}


@pytest.mark.parametrize(
    ("shell", "names", "text"),
    [
        ("bash", POSIX, WELCOME),
        pytest.param("bash", POSIX, UNENDED, marks=pytest.mark.long),
        pytest.param("bash", POSIX, ODD, marks=pytest.mark.long),
        pytest.param("bash", POSIX, "set -vx\n", marks=pytest.mark.long),
        (
            "bash",
            ".bashrc",
            'echo Welcome; test -n "$AGAIN" || AGAIN=1 exec zsh -c "$BASH_EXECUTION_STRING"\n',
        ),
        ("dash", POSIX, WELCOME),
        ("tcsh", CSH, "echo Welcome\nset echo verbose\nalias ls 'ls -F'\nset noclobber\n"),
        pytest.param("bsd-csh", CSH, "echo Welcome\nalias cp 'cp -i'\n", marks=pytest.mark.long),
        ("zsh", ZSH, f"{UNENDED}alias sh='echo no'\nsetopt no_unset err_exit\n"),
        ("fish", FISH, "echo Welcome; echo quota >&2; alias rsync 'echo no'; set -gx LANG xx_YY\n"),
    ],
    ids=["bash", "unended", "odd", "traced", "execs", "dash", "tcsh", "csh", "zsh", "fish"],
)
def test_start_files_that_print(host: FilesHost, tmp_path: Path, shell: str, names: str, text: str) -> None:
    names = names if shell in ("bash", "dash", "fish") else names.removesuffix(" .profile")
    with start_files(host, f"with-{shell}", names, text):
        use_everything(host, f"with-{shell}", tmp_path)


@pytest.mark.long
def test_a_slow_login_shell(host: FilesHost) -> None:
    with (
        start_files(
            host, "with-bash", ".bashrc", "test -e /tmp/quick && sleep 3 || sleep 10; echo Welcome\n"
        ),
        host.connect("with-bash") as remote,
    ):
        began = time.monotonic()
        assert remote.run(["echo", "there"]).stdout == "there\n"
        assert time.monotonic() - began > 10
        host.sh("touch /tmp/quick")
        with pytest.raises(SshError, match=r"`true` did not end within 1 s.*had not begun.*~/.bashrc"):
            remote.run(["true"], timeout_s=1)
        assert set(remote.list(remote_home("with-bash"))) >= {".bashrc", ".profile"}


def test_a_start_file_that_ends_the_shell(host: FilesHost) -> None:
    with (
        start_files(host, "with-bash", ".bashrc", "echo hello to all; exit\n"),
        host.connect("with-bash") as remote,
    ):
        with pytest.raises(
            TransferOnlyError, match=r"'hello to all'.*look for `exit` and `exec` in ~/.bashrc"
        ):
            remote.run(["true"])
        with pytest.raises(RemoteError, match=r"SFTP.*came the text 'hello to all'.*~/.bashrc.*-t 1"):
            remote.list(remote_home("with-bash"))


def test_a_start_file_that_begins_to_end_the_shell(host: FilesHost, tmp_path: Path) -> None:
    text = 'test ! -e /tmp/shut || { echo "closed, sorry"; exit; }\n'
    with start_files(host, "with-bash", ".bashrc", text), host.connect("with-bash") as remote:
        carrier = choose_carrier(remote, NullProgress())
        host.sh("touch /tmp/shut")
        try:
            for call in (lambda: remote.run(["true"]), lambda: remote.stream(["true"], print)):
                with pytest.raises(RemoteError, match=r"was not run.*printed 'closed, sorry'.*~/.bashrc"):
                    call()
            with pytest.raises(RemoteError, match=r"was not run.*printed 'closed, sorry'.*~/.bashrc"):
                carrier.fetch_tree(remote_home("with-bash"), tmp_path / "x")
        finally:
            host.sh("rm /tmp/shut")


@pytest.mark.long
def test_a_start_file_that_waits(host: FilesHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_files, "FILES_TIMEOUT_S", 6)
    text = 'echo "Your name?"; sleep 30\n'
    with start_files(host, "with-bash", ".bashrc", text), host.connect("with-bash") as remote:
        monkeypatch.setattr(remote, "say_why_no_files", lambda: None)
        with pytest.raises(RemoteError, match=r"came the text 'Your name\?'"):
            remote.list(remote_home("with-bash"))


def test_input_is_for_the_program_alone(host: FilesHost) -> None:
    """A shell in the place of the command would take it for commands."""
    text = "exec zsh\n"
    with start_files(host, "with-bash", ".bashrc", text), host.connect("with-bash") as remote:
        with pytest.raises(TransferOnlyError):
            remote.run(["cat"], stdin="touch /tmp/was-run\n")
        assert host.sh("ls /tmp").count("was-run") == 0


def few_channels(opened: list[Any]) -> Transport:
    """A connection to a server that hangs up after two channels."""
    ours, theirs = socket.socketpair()
    server, client = paramiko.Transport(theirs), Transport(ours)
    server.add_server_key(paramiko.ECDSAKey.generate())
    server.start_server(threading.Event(), FewChannels(server, 2))
    client.start_client(timeout=PATIENCE_S)
    client.auth_none("somebody")
    opened += [server, client, ours, theirs]
    return client


def test_a_server_that_hangs_up_after_some_channels(host: FilesHost) -> None:
    opened: list[Any] = []
    target = resolve_target(host.login("files"), host.state)
    with Host(target, [few_channels(opened)], log_in_again=lambda: [few_channels(opened)]) as remote:
        assert [remote.run(["true"]).exit_code for _ in range(5)] == [0] * 5
        assert len(opened) == 4 * 3
    with Host(target, [few_channels(opened)]) as remote:
        assert [remote.run(["true"]).exit_code for _ in range(2)] == [0, 0]
        with pytest.raises(ConnectionLostError, match=r"lost \(no more channels on this connection\)"):
            remote.run(["true"])
    for one in opened:
        one.close()


def test_a_server_with_many_logins_under_way(host: FilesHost, monkeypatch: pytest.MonkeyPatch) -> None:
    host.sh("/usr/sbin/sshd -p 2231 -o MaxStartups=1:100:1 -o PidFile=/run/busy.pid")
    wait_until(lambda: end_inside(host.container, "test", "-e", "/run/busy.pid") == 0, "sshd")
    place = host.sh("hostname -i").strip()
    config = host.state / "config-busy"
    text = (host.state / host.login("with-bash").ssh_config).read_text()
    config.write_text(text.replace("127.0.0.1", place).replace(f"Port {host.port}", "Port 2231"))
    way = Login(host="files", user="with-bash", ssh_config=config.name)
    with socket.create_connection((place, 2231)) as other:
        assert other.recv(4) == b"SSH-"
        threading.Timer(1, other.close).start()
        with connect(way, host.state) as remote:
            assert remote.run(["true"]).ok
    monkeypatch.setattr(login, "AGAIN_S", ())
    with socket.create_connection((place, 2231)) as other:
        assert other.recv(4) == b"SSH-"
        with pytest.raises(UnreachableError, match=r"hung up before the login\. It may be overloaded"):
            connect(way, host.state)


def test_a_login_shell_that_ends_early(host: FilesHost) -> None:
    with (
        start_files(host, "with-bash", ".profile", "echo no more; exit 0\n"),
        host.connect("with-bash") as remote,
        pytest.raises(RemoteError, match=r"'no more'.*~/.profile"),
    ):
        remote.run_in_login_shell(["true"])
