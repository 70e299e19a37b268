"""The connection to a cluster: one authenticated SSH connection on which everything travels."""

from __future__ import annotations

import secrets
import shlex
import stat
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from slipway.errors import ConnectionLostError, LinkError, RemoteError
from slipway.shell import Result
from slipway.site import Login
from slipway.ssh.ask import Ask, Nobody
from slipway.ssh.target import Target, resolve_target

if TYPE_CHECKING:
    import paramiko

CONNECT_TIMEOUT_S = 20
FILES_TIMEOUT_S = 120
KILLED = 128
# What sshd prints in the place of any command's own output; it has no exit code of its own.
_EXPIRED = "Password change required but no TTY available"


class Link:
    """An open connection to a login node. It is a ``Shell``, and it reads and writes files there."""

    def __init__(self, target: Target, transports: Sequence[paramiko.Transport]) -> None:
        self.target = target
        self._transports = transports
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
            # A Ctrl-C may come before it can be cancelled, and would wait for it.
            timer.daemon = True
            try:
                timer.start()
                code, stdout, stderr = _communicate(channel, stdin)
            finally:
                timer.cancel()
        if expired.is_set():
            raise LinkError(f"{self.target}: `{shlex.join(argv)}` did not end within {timeout_s:g} s")
        if code < 0 and not self.is_open:
            raise ConnectionLostError(
                f"{self.target}: the connection was lost during `{shlex.join(argv)}`; try again"
            )
        if code == 1 and _EXPIRED in stderr:
            from slipway.ssh.auth import explain_expired

            raise LinkError(explain_expired(self.target))
        if code < 0:
            # paramiko does not tell by which signal.
            code, stderr = KILLED, f"{stderr}\nit was killed by a signal"
        return Result(argv=tuple(argv), exit_code=code, stdout=stdout, stderr=stderr)

    @property
    def is_open(self) -> bool:
        """True as long as the connection has not been lost."""
        return self._transports[-1].is_active()

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
        transport = self._transports[-1]
        with self._translated(), transport.open_session(timeout=CONNECT_TIMEOUT_S) as channel:
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

    def size(self, path: PurePosixPath) -> int | None:
        """The size in bytes of a file, or of what a link leads to; ``None`` where there is none."""
        try:
            with self._files(path) as sftp:
                return sftp.stat(str(path)).st_size
        except _NoSuchFileError:
            return None

    @property
    def runs_commands(self) -> bool:
        """False where the account has file transfer only, as on some hosts that are there for data."""
        return True

    def free_bytes(self, folder: PurePosixPath) -> int | None:
        """The room on the disk of a folder, without regard to quotas; ``None`` where it cannot be asked."""
        words = self.run(["df", "-Pk", "--", str(folder)]).stdout.split("\n")[-2:-1]
        numbers = [word for word in " ".join(words).split() if word.isdigit()]
        return int(numbers[2]) * 1024 if len(numbers) > 2 else None

    def make_folder(self, path: PurePosixPath) -> None:
        """Make a folder, and those that it lies in; it may be there already.

        Raises:
            RemoteError: it cannot be made.
        """
        if self.is_folder(path):
            return
        if path.parent != path:
            self.make_folder(path.parent)
        with self._files(path) as sftp:
            try:
                sftp.mkdir(str(path))
            except OSError:
                if not self.is_folder(path):  # made by somebody else in the meantime
                    raise

    def is_folder(self, path: PurePosixPath) -> bool:
        """True where there is a folder of this name, or a link that leads to one."""
        try:
            with self._files(path) as sftp:
                return stat.S_ISDIR(sftp.stat(str(path)).st_mode or 0)
        except _NoSuchFileError:
            return False

    def move(self, old: PurePosixPath, new: PurePosixPath) -> None:
        """Rename in one step; a file or link that has the new name is replaced, a folder only if it is empty.

        Raises:
            RemoteError: that is not possible.
        """
        with self._files(old) as sftp:
            sftp.posix_rename(str(old), str(new))

    def remove(self, path: PurePosixPath) -> None:
        """Remove a file or link, if it is there."""
        with suppress(_NoSuchFileError), self._files(path) as sftp:
            sftp.unlink(str(path))

    def point(self, name: PurePosixPath, target: str) -> None:
        """Make ``name`` a link to ``target``, or switch it there, in one step."""
        # Two who do this at once have a name each.
        fresh = name.with_name(f".{name.name}.{secrets.token_hex(4)}")
        with self._files(name) as sftp:
            sftp.symlink(target, str(fresh))
        self.move(fresh, name)

    def close(self) -> None:
        """Log out."""
        for transport in reversed(self._transports):
            transport.close()

    def __enter__(self) -> Link:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _files(self, path: PurePosixPath) -> Iterator[paramiko.SFTPClient]:
        with self._translated():
            if self._sftp is None:
                self._sftp = self._open_files()
            try:
                yield self._sftp
            except FileNotFoundError as error:
                raise _NoSuchFileError(f"{self.target}:{path}: there is no such file or folder") from error
            except OSError as error:
                raise RemoteError(f"{self.target}:{path}: {error}") from error

    def _open_files(self) -> paramiko.SFTPClient:
        import paramiko

        try:
            sftp = paramiko.SFTPClient.from_transport(self._transports[-1])
        except (paramiko.SSHException, EOFError):
            self.run(["true"])  # where no command works, this says why
            raise
        channel = sftp.get_channel() if sftp else None
        if sftp is None or channel is None:
            raise EOFError("no file transfer")
        channel.settimeout(FILES_TIMEOUT_S)
        return sftp

    @contextmanager
    def _translated(self) -> Iterator[None]:
        import paramiko

        try:
            yield
        except (paramiko.SSHException, EOFError, TimeoutError, ConnectionError) as error:
            what = str(error) or type(error).__name__
            raise ConnectionLostError(
                f"{self.target}: the connection was lost ({what}); try again"
            ) from error


class _NoSuchFileError(RemoteError):
    pass


def connect(login: Login, state: Path, ask: Ask | None = None) -> Link:
    """Log in to a site.

    Args:
        login: how, as the site's file has it.
        state: Slipway's state folder.
        ask: who answers where the server, or a key, asks for something. Default: nobody.

    Raises:
        ConfigError: the ssh_config is missing or broken.
        LinkError: a host cannot be reached, is not the one that is known, or refuses the login.
    """
    from slipway.ssh.login import log_in

    target = resolve_target(login, state)
    return Link(target, log_in(target, ask or Nobody()))


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
