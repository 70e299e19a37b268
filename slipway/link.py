"""The connection to a cluster: one authenticated SSH connection on which everything travels."""

from __future__ import annotations

import getpass
import logging
import shlex
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from slipway.errors import ConfigError, LinkError, RemoteError
from slipway.shell import Result
from slipway.site import Login

if TYPE_CHECKING:
    import paramiko

CONNECT_TIMEOUT_S = 20
KEEP_ALIVE_S = 30
FILE_TIMEOUT_S = 60
KILLED = 128
_KNOWN_HOSTS = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2", "/etc/ssh/ssh_known_hosts")


@dataclass(frozen=True, kw_only=True)
class Target:
    """One host to log in to, with everything that ``ssh_config`` says of it."""

    host: str
    port: int
    user: str
    key_name: str
    identity_files: tuple[str, ...] = ()
    identities_only: bool = False
    known_hosts: tuple[str, ...] = _KNOWN_HOSTS
    proxy_command: str | None = None
    jumps: tuple[Target, ...] = field(default=())

    def __str__(self) -> str:
        """``user@host:port``, for messages."""
        return f"{self.user}@{self.host}:{self.port}"


def resolve_target(login: Login, state: Path) -> Target:
    """Find out how a host is reached, as OpenSSH would.

    Args:
        login: the site's login.
        state: Slipway's state folder, where a relative ``ssh_config`` is looked for.

    Raises:
        ConfigError: the ssh_config that the site names does not exist, or is broken.
    """
    import paramiko

    file = Path("~/.ssh/config").expanduser()
    if login.ssh_config:
        file = state / Path(login.ssh_config).expanduser()
        if not file.is_file():
            hint = "; `invoke box.up` makes it" if login.ssh_config.startswith("box/") else ""
            raise ConfigError(f"the site's login.ssh_config is {file}, which does not exist{hint}")
    try:
        config = paramiko.SSHConfig.from_path(str(file)) if file.is_file() else paramiko.SSHConfig()
        return _target(config, login.host, user=login.user, port=login.port)
    except (paramiko.ConfigParseError, ValueError) as error:
        raise ConfigError(f"{file} cannot be understood: {error}") from error


def _target(
    config: paramiko.SSHConfig, host: str, *, user: str | None = None, port: int | None = None
) -> Target:
    options: dict[str, Any] = dict(config.lookup(host))
    name = options.get("hostname", host)
    port = port or int(options.get("port", 22))
    jumps = options.get("proxyjump", "none")
    return Target(
        host=name,
        port=port,
        user=user or options.get("user") or getpass.getuser(),
        key_name=options.get("hostkeyalias", name if port == 22 else f"[{name}]:{port}"),
        identity_files=tuple(options.get("identityfile", ())),
        identities_only=options.get("identitiesonly", "no") == "yes",
        known_hosts=tuple(shlex.split(options.get("userknownhostsfile", ""))) or _KNOWN_HOSTS,
        proxy_command=options.get("proxycommand"),
        jumps=() if jumps == "none" else tuple(_jump(config, word) for word in jumps.split(",")),
    )


def _jump(config: paramiko.SSHConfig, word: str) -> Target:
    user, _, rest = word.strip().rpartition("@")
    host, _, port = rest.partition(":")
    return _target(config, host, user=user or None, port=int(port) if port else None)


class Link:
    """An open connection to a login node. It is a ``Shell``, and it reads and writes files there."""

    def __init__(self, target: Target, client: paramiko.SSHClient) -> None:
        self.target = target
        self._client = client
        self._sftp: paramiko.SFTPClient | None = None

    def run(self, argv: Sequence[str], *, stdin: str | None = None, timeout_s: float = 60) -> Result:
        """Run a program on the login node to its end.

        Raises:
            LinkError: the connection was lost, or the program did not end within ``timeout_s`` seconds.
        """
        expired = threading.Event()
        with self.channel(argv) as channel:

            def expire() -> None:
                expired.set()
                channel.close()

            timer = threading.Timer(timeout_s, expire)
            timer.start()
            try:
                code, stdout, stderr = _communicate(channel, stdin)
            finally:
                timer.cancel()
        if expired.is_set():
            raise LinkError(f"{self.target}: `{shlex.join(argv)}` did not end within {timeout_s:g} s")
        if code < 0 and not self.is_open:
            raise LinkError(f"{self.target}: the connection was lost during `{shlex.join(argv)}`; try again")
        if code < 0:
            # paramiko does not tell by which signal.
            code, stderr = KILLED, f"{stderr}\nit was killed by a signal"
        return Result(argv=tuple(argv), exit_code=code, stdout=stdout, stderr=stderr)

    @property
    def is_open(self) -> bool:
        """True as long as the connection has not been lost."""
        transport = self._client.get_transport()
        return transport is not None and transport.is_active()

    def check(self, argv: Sequence[str], *, stdin: str | None = None, timeout_s: float = 60) -> Result:
        """Like :meth:`run`, for a program that has to succeed.

        Raises:
            RemoteError: the exit code is not 0.
        """
        result = self.run(argv, stdin=stdin, timeout_s=timeout_s)
        if not result.ok:
            raise RemoteError(f"{self.target}: {result.explain()}")
        return result

    @contextmanager
    def channel(self, argv: Sequence[str]) -> Iterator[paramiko.Channel]:
        """A channel with a program running on it, for those who move bytes themselves."""
        with self.command_channel(shlex.join(argv)) as channel:
            yield channel

    @contextmanager
    def command_channel(self, command: str) -> Iterator[paramiko.Channel]:
        """Like :meth:`channel`, for a command line that is already quoted for the remote shell."""
        with self._translated():
            transport = self._client.get_transport()
            if transport is None:
                raise LinkError(f"{self.target}: the connection is closed")
            with transport.open_session(timeout=CONNECT_TIMEOUT_S) as channel:
                channel.exec_command(command)
                yield channel

    def write(self, path: PurePosixPath, content: bytes) -> None:
        """Write a small file as a whole: under a temporary name, then renamed.

        Raises:
            RemoteError: the file cannot be written.
        """
        part = f"{path}.part"
        with self._files(path) as sftp:
            with sftp.open(part, "wb") as file:
                file.write(content)
            sftp.posix_rename(part, str(path))

    def read(self, path: PurePosixPath, offset: int = 0) -> bytes | None:
        """The bytes of a file from ``offset`` on, or ``None`` where there is no such file."""
        try:
            with self._files(path) as sftp, sftp.open(str(path), "rb") as file:
                file.seek(offset)
                content: bytes = file.read()
                return content
        except _NoSuchFileError:
            return None

    def list(self, folder: PurePosixPath) -> Sequence[str]:
        """The names in a folder, in no order; none where there is no such folder."""
        try:
            with self._files(folder) as sftp:
                return sftp.listdir(str(folder))
        except _NoSuchFileError:
            return []

    def close(self) -> None:
        """Log out."""
        self._client.close()

    def __enter__(self) -> Link:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _files(self, path: PurePosixPath) -> Iterator[paramiko.SFTPClient]:
        with self._translated():
            if self._sftp is None:
                self._sftp = self._client.open_sftp()
                self._sftp.get_channel().settimeout(FILE_TIMEOUT_S)  # type: ignore[union-attr]
            try:
                yield self._sftp
            except FileNotFoundError as error:
                raise _NoSuchFileError(f"{self.target}:{path}: there is no such file or folder") from error
            except OSError as error:
                raise RemoteError(f"{self.target}:{path}: {error}") from error

    @contextmanager
    def _translated(self) -> Iterator[None]:
        import paramiko

        try:
            yield
        except (paramiko.SSHException, EOFError, TimeoutError, ConnectionError) as error:
            what = str(error) or type(error).__name__
            raise LinkError(f"{self.target}: the connection was lost ({what}); try again") from error


class _NoSuchFileError(RemoteError):
    pass


def connect(login: Login, state: Path) -> Link:
    """Log in to a site.

    Args:
        login: how, as the site's file has it.
        state: Slipway's state folder.

    Raises:
        ConfigError: the ssh_config is missing or broken.
        LinkError: the host cannot be reached, is not the one that is known, or refuses the login.
    """
    # Else it writes tracebacks of its own to standard error.
    logging.getLogger("paramiko").addHandler(logging.NullHandler())
    target = resolve_target(login, state)
    through: paramiko.SSHClient | None = None
    for hop in (*target.jumps, target):
        through = _log_in(hop, through)
    assert through is not None  # noqa: S101 - the loop ran for the target at least
    return Link(target, through)


def _log_in(target: Target, through: paramiko.SSHClient | None) -> paramiko.SSHClient:
    import paramiko

    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(paramiko.RejectPolicy())
    for file in target.known_hosts:
        if Path(file).expanduser().is_file():
            client.load_system_host_keys(str(Path(file).expanduser()))
    try:
        client.connect(
            target.key_name,
            username=target.user,
            # A list is documented; the type stubs know only one file.
            key_filename=[file for file in target.identity_files if Path(file).expanduser().is_file()],  # type: ignore[arg-type]
            allow_agent=not target.identities_only,
            look_for_keys=not target.identity_files,
            sock=_socket(target, through),
            timeout=CONNECT_TIMEOUT_S,
            banner_timeout=CONNECT_TIMEOUT_S,
            auth_timeout=CONNECT_TIMEOUT_S,
        )
    except (paramiko.SSHException, OSError, EOFError) as error:
        client.close()
        raise LinkError(_why_not(target, error)) from error
    transport = client.get_transport()
    if transport is not None:
        transport.set_keepalive(KEEP_ALIVE_S)
    return client


def _socket(target: Target, through: paramiko.SSHClient | None) -> Any:
    import paramiko

    if through is not None:
        transport = through.get_transport()
        if transport is None:
            raise paramiko.SSHException("the jump host closed the connection")
        return transport.open_channel(
            "direct-tcpip", (target.host, target.port), ("127.0.0.1", 0), timeout=CONNECT_TIMEOUT_S
        )
    if target.proxy_command:
        return paramiko.ProxyCommand(target.proxy_command)
    connection = socket.create_connection((target.host, target.port), timeout=CONNECT_TIMEOUT_S)
    # Without it each short command waits 40 ms for an acknowledgement.
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _why_not(target: Target, error: Exception) -> str:
    import paramiko

    if isinstance(error, paramiko.BadHostKeyException):
        return (
            f"{target}: the host's key has changed. Known: {error.expected_key.fingerprint}; "
            f"shown now: {error.key.fingerprint}. Somebody may be listening in, or the host was set up anew: "
            f"ask its administrators, and then remove the old key with `ssh-keygen -R '{target.key_name}'`"
        )
    if isinstance(error, paramiko.AuthenticationException):
        return (
            f"{target}: the login was refused ({error}). Check the user's name, and that "
            f"`ssh {target.user}@{target.host}` logs in without asking for a password"
        )
    if isinstance(error, socket.gaierror):
        return f"{target}: no host of this name is known; check login.host in the site's file"
    if isinstance(error, TimeoutError) or "reading SSH protocol banner" in str(error):
        return f"{target}: no answer within {CONNECT_TIMEOUT_S} s; is a VPN needed?"
    if isinstance(error, OSError):
        return f"{target}: cannot be reached: {error.strerror or error}; check login.host and login.port"
    if "not found in known_hosts" in str(error):
        return (
            f"{target}: the host's key is not known yet. Run `ssh {target.user}@{target.host}` once, compare "
            "the fingerprint that it shows with the one that the site publishes, and try again"
        )
    return f"{target}: {error or type(error).__name__}"


def _communicate(channel: paramiko.Channel, stdin: str | None) -> tuple[int, str, str]:
    errors: list[bytes] = []
    listener = threading.Thread(target=lambda: errors.extend(_chunks(channel.recv_stderr)), daemon=True)
    speaker = threading.Thread(target=_speak, args=(channel, (stdin or "").encode()), daemon=True)
    listener.start()
    speaker.start()
    output = b"".join(_chunks(channel.recv))
    listener.join()
    return channel.recv_exit_status(), _text(output), _text(b"".join(errors))


def _speak(channel: paramiko.Channel, content: bytes) -> None:
    # A program may end before it has read everything; that is not this side's error.
    with suppress(OSError):
        channel.sendall(content)
        channel.shutdown_write()


def _chunks(receive: Any) -> Iterator[bytes]:
    while chunk := receive(1 << 16):
        yield chunk


def _text(content: bytes) -> str:
    return content.decode("utf-8", errors="surrogateescape")
