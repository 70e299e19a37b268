"""A kept login's parts that need no server: frames, the folder of the sockets, what two processes say."""

import json
import os
import re
import signal
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import asdict, replace
from pathlib import Path

import paramiko
import pytest
from paramiko.message import Message

from slipway.errors import HostError, HostKeyError, LoginError, SshError
from slipway.lock import only_one
from slipway.model import read_values
from slipway.multiplex import folder, kept, openssh_wire
from slipway.multiplex.channel import TURN_S, KeptChannel
from slipway.multiplex.folder import (
    connect_socket,
    find_folder,
    make_folder,
    peer_user,
    socket_folder,
    socket_path,
)
from slipway.multiplex.frame import Decoder, Kind, MalformedFrameError, frame, message, values_of
from slipway.multiplex.kept import Kept, find_kept, list_kept
from slipway.multiplex.noted_target import find_noted, note_target
from slipway.multiplex.openssh import find_master
from slipway.multiplex.relay import error_values, parse_error, parse_target, target_values
from slipway.report.login_table import keep_words, login_notes, login_rows
from slipway.site import Login
from slipway.ssh.prompt import NoPrompt
from slipway.ssh.target import Target, resolve_target
from slipway.ssh.userauth import Transport
from tests.waiting import PATIENCE_S, wait_until

TARGET = Target(host="login", port=22, user="me", key_name="login", identity_files=("~/.ssh/id",))


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    short = Path("/tmp") / f"slipway-test-{os.getpid()}"
    short.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short))
    yield short
    for path in sorted(short.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    short.rmdir()


def dead_socket(path: Path) -> Path:
    """A socket that nobody serves any more."""
    with closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(str(path))
    return path


@pytest.mark.parametrize("use", [list_kept, lambda: try_to_keep()])
def test_what_was_left_between_bind_and_rename_is_removed(use: Callable[[], object]) -> None:
    """Of a process that was killed then; not what one that lives is about to rename, nor another file."""
    folder = make_folder()
    gone = subprocess.Popen(["true"])
    gone.wait(PATIENCE_S)
    left = dead_socket(folder / f"0123456789abcdef.{gone.pid}")
    alive = dead_socket(folder / f"0123456789abcdef.{os.getpid()}")
    other = folder / f"fedcba9876543210.{gone.pid}"
    other.touch()
    use()
    assert not left.exists()
    assert alive.exists()
    assert other.exists()


def try_to_keep() -> None:
    target = replace(TARGET, host="127.0.0.1", port=1, connect_timeout_s=1)
    with pytest.raises(SshError):
        kept.keep(target, NoPrompt(), 60, "hpc", lambda: None)


# --- Frames


def test_frames_come_in_any_pieces() -> None:
    frames = [(Kind.INPUT, b"abc"), (Kind.INPUT_END, b""), (Kind.OUTPUT, bytes(range(256)) * 300)]
    content = b"".join(frame(*one) for one in frames)
    for size in (1, 2, 7, 1000, len(content)):
        decoder = Decoder()
        pieces = (content[start : start + size] for start in range(0, len(content), size))
        assert [one for piece in pieces for one in decoder.feed(piece)] == frames


def test_what_follows_a_frame_is_kept_for_the_next_reader() -> None:
    """Whoever reads the first frame only leaves the rest to somebody else."""
    decoder = Decoder()
    assert next(decoder.feed(frame(Kind.DONE, b"{}") + frame(Kind.OUTPUT, b"x"))) == (Kind.DONE, b"{}")
    assert list(decoder.feed(b"")) == [(Kind.OUTPUT, b"x")]


@pytest.mark.parametrize("content", [b"\xff\0\0\0\0", b"\x03\xff\xff\xff\xff", b"GET / HTTP/1.1\r\n"])
def test_what_is_no_frame_is_refused(content: bytes) -> None:
    with pytest.raises(MalformedFrameError):
        list(Decoder().feed(content))


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff"])
def test_what_holds_no_values_is_refused(content: bytes) -> None:
    with pytest.raises(MalformedFrameError):
        values_of(content)


# --- The folder


def test_the_folder_is_made_for_this_user_alone(runtime: Path) -> None:
    assert find_folder() is None
    made = make_folder()
    assert made == runtime / "slipway"
    assert made.stat().st_mode & 0o777 == 0o700
    assert find_folder() == made


def test_a_folder_that_others_can_look_into_is_refused() -> None:
    make_folder().chmod(0o750)
    for use in (make_folder, find_folder, list_kept, lambda: find_kept(TARGET)):
        with pytest.raises(HostError, match=r"others can get at .*mode 750.*chmod 700"):
            use()


def test_a_link_in_the_place_of_the_folder_is_refused(runtime: Path, tmp_path: Path) -> None:
    (runtime / "slipway").symlink_to(tmp_path)
    with pytest.raises(HostError, match="is to be the folder of kept logins, and is none"):
        make_folder()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make a folder of another user's")
def test_another_users_folder_is_refused(runtime: Path) -> None:
    (runtime / "slipway").mkdir(mode=0o700)
    os.chown(runtime / "slipway", 12345, 12345)
    with pytest.raises(HostError, match=r"belongs to another user \(id 12345\)"):
        find_folder()


def test_where_the_folder_is_without_a_usable_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    long = tmp_path / ("x" * 80)
    long.mkdir()
    for name in (str(long), "/nowhere"):
        monkeypatch.setenv("XDG_RUNTIME_DIR", name)
        assert socket_folder() == Path(f"/tmp/slipway-{os.getuid()}")


def test_a_socket_is_named_by_who_and_where(runtime: Path) -> None:
    first = socket_path(runtime, TARGET)
    assert first == socket_path(runtime, parse_target(json.loads(json.dumps(target_values(TARGET)))))
    assert first == socket_path(runtime, replace(TARGET, vpn="a VPN's name"))
    others = [
        replace(TARGET, user="you"),
        replace(TARGET, port=2222),
        replace(TARGET, jumps=(replace(TARGET, host="gate"),)),
        replace(TARGET, proxy_command="nc %h %p"),
        replace(TARGET, known_hosts=("~/other",)),
    ]
    assert len({first, *(socket_path(runtime, other) for other in others)}) == 6
    assert len(os.fsencode(f"{first}.1234567")) < 104


def test_who_is_at_the_other_end(runtime: Path) -> None:
    with closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(str(runtime / "one"))
        listener.listen()
        with closing(connect_socket(runtime / "one", 1) or socket.socket()) as client:
            assert peer_user(client) == os.getuid()
    assert connect_socket(runtime / "one", 1) is None
    assert connect_socket(runtime / "none", 1) is None


def test_another_users_server_is_refused(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user's own id is made another one, since a server of somebody else's cannot be had here."""
    with closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(str(runtime / "one"))
        listener.listen()
        monkeypatch.setattr(folder, "peer_user", lambda _: os.getuid() + 1)
        with pytest.raises(HostError, match="is served by another user"):
            connect_socket(runtime / "one", 1)


def test_a_dead_socket_is_no_login_and_is_tidied_away() -> None:
    path = socket_path(make_folder(), TARGET)
    with closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(str(path))
    assert find_kept(TARGET) is None
    assert list_kept() == []
    assert not path.exists()


def test_a_login_that_does_not_answer_in_time_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its process may be stopped, or the machine busy: with its socket it would lose the login."""
    monkeypatch.setattr(kept, "ask_keeper", lambda *_: None)
    path = socket_path(make_folder(), TARGET)
    with closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(str(path))
        listener.listen()
        assert list_kept() == []
        assert path.exists()
    # Another command is logging in there, and is about to put its own in this place.
    with only_one(path.with_suffix(".lock"), lambda: None):
        assert list_kept() == []
        assert path.exists()


def test_windows_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "AF_UNIX")
    assert find_kept(TARGET) is None
    assert list_kept() == []
    with pytest.raises(HostError, match="cannot be kept on Windows"):
        folder.require_possible()


# --- What the command and the keeper tell each other


def test_a_target_travels_as_json() -> None:
    jump = replace(TARGET, host="gate", identity_files=None)
    target = replace(TARGET, jumps=(jump, replace(jump, port=2222)), certificate_files=("~/a", "~/b"))
    assert parse_target(json.loads(json.dumps(target_values(target)))) == target


def test_an_error_keeps_its_kind() -> None:
    again = parse_error(error_values(LoginError("no")))
    assert (type(again), str(again)) == (LoginError, "no")
    for name in ("os", "SlipwayErrors", "annotations"):
        assert type(parse_error({"error": name, "text": "no"})) is SshError


def test_how_a_host_is_reached_is_noted(tmp_path: Path) -> None:
    config, login = tmp_path / "config", Login(host="hpc", ssh_config="config")
    config.write_text("Host hpc\n  HostName login\n  User me\n")
    assert find_noted(login, tmp_path) is None
    make_folder()
    note_target(login, tmp_path, resolve_target(login, tmp_path))
    assert find_noted(login, tmp_path) == resolve_target(login, tmp_path)
    other = login.model_copy(update={"vpn": "a VPN's name", "share": True})
    assert find_noted(other, tmp_path) == resolve_target(other, tmp_path)
    # Whatever it comes of is another one.
    assert find_noted(Login(host="other", ssh_config="config"), tmp_path) is None
    assert find_noted(Login(host="hpc", user="you", ssh_config="config"), tmp_path) is None
    config.write_text("Host hpc\n  HostName login\n  User you\n")
    assert find_noted(login, tmp_path) is None
    # Not the text alone decides here.
    config.write_text("Match exec true\n  User me\n")
    note_target(login, tmp_path, TARGET)
    assert find_noted(login, tmp_path) is None
    config.unlink()
    assert find_noted(login, tmp_path) is None


def test_no_byte_follows_the_close_of_a_channel() -> None:
    """What one thread sends while another closes; sshd ends the whole connection for it."""
    here, there = socket.socketpair()
    with closing(here), closing(there):
        transport = Transport(here)
        sent: list[tuple[int, int]] = []
        transport.packetizer.send_message = lambda data: sent.append(struct.unpack(">BI", data.asbytes()[:5]))  # type: ignore[method-assign]
        window_adjust, data, eof, close, request, opened = 93, 94, 96, 97, 98, 91
        for kind, number in (
            (data, 1),
            (close, 1),
            (data, 1),
            (eof, 1),
            (request, 1),
            (window_adjust, 1),
            (data, 2),
        ):
            transport._send_message(channel_message(kind, number))
        assert sent == [(data, 1), (close, 1), (data, 2)]
        # The server may give the number to another channel.
        confirmation = channel_message(opened, 7)
        for value in (1, 1000, 1000):
            confirmation.add_int(value)
        # Whoever reads it has taken its kind off.
        transport._parse_channel_open_success(Message(confirmation.asbytes()[1:]))
        transport._send_message(channel_message(data, 1))
        assert sent[-1] == (data, 1)


def channel_message(kind: int, number: int) -> Message:
    message = Message()
    message.add_byte(bytes([kind]))
    message.add_int(number)
    return message


# --- The process that keeps it


ANSWER = "a b c"


class Anybody(paramiko.ServerInterface):
    """A server that lets in who knows the password."""

    def get_allowed_auths(self, username: str) -> str:
        return "password"

    def check_auth_password(self, username: str, password: str) -> int:
        return paramiko.AUTH_SUCCESSFUL if password == ANSWER else paramiko.AUTH_FAILED


class Answering(NoPrompt):
    """Somebody who says yes, and knows the password."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def ask(self, prompt: str, *, echo: bool) -> str | None:
        self.seen.append(prompt)
        return "yes" if echo else ANSWER

    def tell(self, text: str) -> None:
        self.seen.append(text)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Target]:
    """A server on this machine, which nobody knows yet."""
    transports = []
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    transports.append(paramiko.Transport(connection))
                    transports[-1].add_server_key(paramiko.ECDSAKey.generate())
                    transports[-1].start_server(event=threading.Event(), server=Anybody())

        threading.Thread(target=serve, daemon=True).start()
        yield replace(
            TARGET,
            host="127.0.0.1",
            port=listener.getsockname()[1],
            identity_files=(),
            identity_agent="none",
            known_hosts=(str(tmp_path / "known"),),
            global_known_hosts=(),
        )
        listener.shutdown(socket.SHUT_RDWR)
        for transport in transports:
            transport.close()


def test_a_host_that_is_not_known_is_met_by_the_login_that_is_kept(server: Target, tmp_path: Path) -> None:
    """Where that is wanted: whoever logs in confirms its key, and is asked once."""
    person = Answering()
    with pytest.raises(HostKeyError):
        kept.keep(server, person, 60, "hpc", lambda: None)
    assert person.seen == []
    made = kept.keep(server, person, 60, "hpc", lambda: None, meets_hosts=True)
    try:
        shown, question, password, told = person.seen
        assert re.fullmatch(r"127\.0\.0\.1:\d+ shows ECDSA P-256 SHA256:\S+", shown)
        assert question == "Is this what the site publishes? (yes, or the fingerprint) "
        assert password.endswith("password: ")
        assert told == f"{shown.replace(' shows', ' ')}  kept in {tmp_path}/known"
        made.close()
        found = find_kept(server, "hpc")
        assert found is not None
        found.close()
        (one,) = list_kept()
        assert one.names == ("hpc",)
    finally:
        kept.end_kept(made.path)
    wait_until(lambda: list_kept() == [], "the end of what was kept")


# --- OpenSSH's own


def control_paths(tmp_path: Path, text: str) -> tuple[str, ...]:
    (tmp_path / "config").write_text(f"Host hpc\n  HostName login\n  User me\n  Port 2222\n{text}\n")
    return resolve_target(Login(host="hpc", ssh_config="config"), tmp_path).control_paths


def test_where_openssh_would_keep_a_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "laptop.local")
    monkeypatch.setenv("WHERE", "/run/me")
    assert control_paths(tmp_path, "") == ()
    assert control_paths(tmp_path, "  ControlPath none") == ()
    assert control_paths(tmp_path, "  ControlPath ~/.ssh/%r@%h:%p-%n") == (
        str(Path("~/.ssh/me@login:2222-hpc").expanduser()),
    )
    assert control_paths(tmp_path, "  controlpath=${WHERE}/%l-%L-%%") == ("/run/me/laptop.local-laptop-%",)
    # What `printf laptop.locallogin2222me | sha1sum` prints.
    digest = "b0c84d9d0beba1b8f70dae989f9b09972fc17a01"
    assert control_paths(tmp_path, "  ControlPath /tmp/%C") == (f"/tmp/{digest}",)
    both = control_paths(tmp_path, "  ProxyJump you@gate:22\n  ControlPath /tmp/%C")
    assert len(both) == 2
    assert both[1] == f"/tmp/{digest}"
    assert control_paths(tmp_path, "Host other\n  ControlPath /tmp/x") == ()


def test_what_openssh_is_told() -> None:
    assert openssh_wire.hello() == bytes.fromhex("00000008 00000001 00000004")
    session = openssh_wire.new_session("ls", term="vt100")
    assert session == (
        bytes.fromhex("0000002f 10000002 00000001 00000000 00000001 00000000 00000000 00000000 ffffffff")
        + b"\0\0\0\5vt100\0\0\0\2ls"
    )
    assert openssh_wire.new_session("sftp", subsystem=True)[4:] == (
        bytes.fromhex("10000002 00000001 00000000 00000000 00000000 00000000 00000001 ffffffff 00000000")
        + b"\0\0\0\4sftp"
    )
    assert openssh_wire.new_stdio_forward("node", 6006)[4:] == (
        bytes.fromhex("10000008 00000001 00000000") + b"\0\0\0\4node" + bytes.fromhex("00001776")
    )
    refusal = bytes.fromhex("80000003 00000001 00000002") + b"no"
    kind, number, rest = openssh_wire.parse_packet(refusal)
    assert (kind, number, openssh_wire.parse_text(rest)) == (openssh_wire.Kind.FAILURE, 1, "no")


def test_what_is_no_master_is_passed_over(runtime: Path) -> None:
    """A file, a dead socket, and one that speaks something else."""
    assert find_master(TARGET) is None
    assert find_master(replace(TARGET, control_paths=(str(runtime / "none"),))) is None
    (runtime / "file").touch()
    assert find_master(replace(TARGET, control_paths=(str(runtime / "file"),))) is None
    with closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(str(runtime / "dead"))
        assert find_master(replace(TARGET, control_paths=(str(runtime / "dead"),))) is None
        listener.listen()

        def answer() -> None:
            line, _ = listener.accept()
            with line:
                line.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        server = threading.Thread(target=answer)
        server.start()
        assert find_master(replace(TARGET, control_paths=(str(runtime / "dead"),))) is None
        server.join(PATIENCE_S)


# --- A client's channel


@pytest.fixture
def pair() -> Iterator[tuple[KeptChannel, socket.socket]]:
    """A channel, and the keeper's end of its socket."""
    here, there = socket.socketpair()
    here.settimeout(TURN_S)
    there.settimeout(PATIENCE_S)
    channel = KeptChannel(here, Decoder())
    with closing(there), closing(channel):
        yield channel, there


def heard(there: socket.socket, count: int) -> list[tuple[Kind, bytes]]:
    decoder, found = Decoder(), list[tuple[Kind, bytes]]()
    while len(found) < count:
        found += decoder.feed(there.recv(1 << 16))
    return found


def test_a_channel_brings_both_outputs_and_the_exit_code(pair: tuple[KeptChannel, socket.socket]) -> None:
    channel, there = pair
    there.sendall(frame(Kind.ERRORS, b"oh") + frame(Kind.OUTPUT, b"abc") + frame(Kind.OUTPUT, b"de"))
    assert channel.recv_stderr(10) == b"oh"
    assert channel.recv(2) == b"ab"
    assert not channel.exit_status_ready()
    there.sendall(frame(Kind.OUTPUT_END) + message(Kind.STATUS, {"code": 3}))
    assert b"".join(iter(lambda: channel.recv(2), b"")) == b"cde"
    assert channel.recv_stderr(10) == b""
    assert channel.recv_exit_status() == 3


def test_a_channel_whose_keeper_dies_has_no_exit_code(pair: tuple[KeptChannel, socket.socket]) -> None:
    channel, there = pair
    there.close()
    assert channel.recv(1) == b""
    assert channel.recv_exit_status() == -1
    with pytest.raises(OSError, match="Socket is closed") as caught:
        channel.sendall(b"x")
    assert caught.value.errno is None  # which would be an error of this machine
    with pytest.raises((OSError, EOFError)):
        channel.exec_command("true")


def test_what_a_channel_sends(pair: tuple[KeptChannel, socket.socket]) -> None:
    channel, there = pair
    with ThreadPoolExecutor(1) as pool:
        listening = pool.submit(heard, there, 4)
        channel.sendall(b"")
        channel.sendall(b"x" * 200_000)
        channel.shutdown_write()
        channel.resize_pty(100, 30)
        *parts, end, size = listening.result()
    assert b"".join(content for kind, content in parts if kind is Kind.INPUT) == b"x" * 200_000
    assert end == (Kind.INPUT_END, b"")
    assert values_of(size[1]) == {"want": "size", "width": 100, "height": 30}


def test_requests_and_their_refusal(pair: tuple[KeptChannel, socket.socket]) -> None:
    import paramiko

    channel, there = pair
    there.sendall(message(Kind.DONE) + message(Kind.FAILED, {"text": "Channel closed."}))
    channel.exec_command("true")
    with pytest.raises(paramiko.SSHException, match="Channel closed"):
        channel.invoke_subsystem("sftp")
    assert [values_of(content)["want"] for _, content in heard(there, 2)] == ["exec", "subsystem"]


def test_a_channel_waits_no_longer_than_it_is_told(pair: tuple[KeptChannel, socket.socket]) -> None:
    channel, _ = pair
    channel.settimeout(0.05)
    with pytest.raises(TimeoutError):
        channel.recv(1)
    with pytest.raises(TimeoutError):
        channel.sendall(b"x" * 10_000_000)
    assert channel.closed  # half a frame has gone


def test_what_nobody_reads_is_not_taken_without_end(pair: tuple[KeptChannel, socket.socket]) -> None:
    channel, there = pair
    there.settimeout(0.5)
    with pytest.raises(TimeoutError):
        there.sendall(frame(Kind.OUTPUT, bytes(1 << 16)) * 128)
    assert channel.recv_ready()


def test_closing_ends_whoever_waits(pair: tuple[KeptChannel, socket.socket]) -> None:
    channel, _ = pair
    seen: list[bytes] = []
    reader = threading.Thread(target=lambda: seen.append(channel.recv(1)))
    reader.start()
    channel.close()
    reader.join(PATIENCE_S)
    assert seen == [b""]
    wait_until(lambda: channel.closed, "the end")


# --- What people see


def test_how_long_is_said_in_a_site_file() -> None:
    assert Login(host="x").keep_s == 8 * 3600
    assert Login(host="x", keep="90s").keep_s == 90
    for wrong in ("8", "8 h", "h", "-1h", "1w"):
        with pytest.raises(ValueError, match="write it as a number with s, m, h or d behind it, such as 8h"):
            read_values(Login, {"host": "x", "keep": wrong})


def test_the_words_of_a_login() -> None:
    from datetime import datetime, timezone

    now = datetime(2026, 12, 1, 10, tzinfo=timezone.utc)
    kept = Kept(
        path=Path("x"),
        target="me@login:22",
        names=("hpc", "mine"),
        since=now.timestamp() - 3600,
        until=now.timestamp() + 7200,
        idle_s=72,
        keep_s=8 * 3600,
        users=0,
    )
    row = ("hpc, mine", "me@login:22", "09:00", "idle for 1:12, ends at 12:00")
    assert login_rows([kept], now) == [row]
    used = replace(kept, until=None, users=1)
    assert login_notes([used]) == ["logged in to hpc, mine (me@login:22), used by 1 command"]
    assert [keep_words(replace(kept, keep_s=value)) for value in (28800, 5400, 90)] == [
        "8 h",
        "90 min",
        "90 s",
    ]
    assert asdict(kept)["users"] == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("wait_s", [0.0, 0.02, 0.2])
def test_ctrl_c_while_the_keepers_process_starts_is_not_for_it(
    number: int, wait_s: float, tmp_path: Path
) -> None:
    here, there = socket.socketpair()
    with (tmp_path / "said").open("w+b") as said:
        process = kept.start_process(there.fileno(), said.fileno())
        there.close()
        time.sleep(wait_s)  # the moment of a signal, as a person would choose it
        os.kill(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.5)
        # It ends because nobody wants a login, and by nothing else.
        assert process.poll() is None
        here.close()
        assert process.wait(PATIENCE_S) == 1
        said.seek(0)
        assert said.read() == b""
