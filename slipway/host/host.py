"""The connection to a cluster: one authenticated SSH connection on which everything travels."""

from __future__ import annotations

import shlex
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slipway.errors import ConnectionLostError, LoginError, RemoteError, SshError, TransferOnlyError
from slipway.host.files import Files
from slipway.shell import Result
from slipway.site import Login
from slipway.ssh.prompt import NoPrompt, Prompt
from slipway.ssh.target import Target, resolve_target

if TYPE_CHECKING:
    import paramiko

    from slipway.host.carrier import Carrier

KILLED = 128
# Printed before the first command's own output: it shows that commands are run at all.
_MARK = "slipway-runs-commands"
# What sshd prints in the place of any command's own output; it has no exit code of its own.
_EXPIRED = "Password change required but no TTY available"


class Host(Files):
    """An open connection to a login node. It is a ``Shell``, and it reads and writes files there.

    Attributes:
        target: the host.
        transfer: how the site wants files to go: ``auto``, ``rsync`` or ``sftp``.
        carrier: what moves them, once that was found out.
    """

    def __init__(
        self, target: Target, transports: Sequence[paramiko.Transport], transfer: str = "auto"
    ) -> None:
        super().__init__(target, transports)
        self.transfer = transfer
        self.carrier: Carrier | None = None
        self._runs_commands: bool | None = None

    def run(self, argv: Sequence[str], *, stdin: str | None = None, timeout_s: float = 60) -> Result:
        """Run a program on the login node to its end.

        Raises:
            LinkError: the connection was lost, or the program did not end within ``timeout_s`` seconds.
            TransferOnlyError: this host runs no commands for this user.
        """
        if self._runs_commands is False:
            raise self._transfer_only("")
        command = shlex.join(argv)
        is_first = self._runs_commands is None
        # sshd may start something else in the place of any command, and that may end with exit code 0.
        marked = f"echo {_MARK}; {command}" if is_first else command
        code, stdout, stderr = self._execute(marked, stdin, timeout_s)
        if code == 1 and _EXPIRED in stderr:
            from slipway.ssh.auth import explain_expired

            raise LoginError(explain_expired(self.target))
        if is_first:
            stdout = self._unmarked(code, stdout, stderr)
        if code < 0:
            # paramiko does not tell by which signal.
            code, stderr = KILLED, f"{stderr}\nit was killed by a signal"
        return Result(argv=tuple(argv), exit_code=code, stdout=stdout, stderr=stderr)

    def _execute(self, command: str, stdin: str | None, timeout_s: float) -> tuple[int, str, str]:
        expired = threading.Event()
        with self.command_channel(command) as channel:

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
            shown = command.removeprefix(f"echo {_MARK}; ")
            raise SshError(f"{self.target}: `{shown}` did not end within {timeout_s:g} s")
        if code < 0 and self.is_lost:
            shown = command.removeprefix(f"echo {_MARK}; ")
            raise ConnectionLostError(f"{self.target}: the connection was lost during `{shown}`; try again")
        return code, stdout, stderr

    def _unmarked(self, code: int, stdout: str, stderr: str) -> str:
        before, mark, after = f"\n{stdout}".partition(f"\n{_MARK}\n")
        if not mark and code < 0:
            return stdout  # killed before it could say anything: that proves nothing
        self._runs_commands = bool(mark)
        if not mark:
            raise self._transfer_only(f"{stdout} {stderr}")
        return f"{before[1:]}\n{after}" if before else after

    def _transfer_only(self, words: str) -> TransferOnlyError:
        said = " ".join(words.split())[:300]
        return TransferOnlyError(
            f"{self.target}: this host runs no commands for this account"
            + (f" (it says: {said})" if said else "")
            + ". It serves `invoke push`, `invoke stage` and `invoke pull`, which only move files. For jobs "
            "set login.host in the site's file to a login node"
        )

    @property
    def runs_commands(self) -> bool:
        """False where the account has file transfer only, as on some hosts that are there for data.

        The first command tells; where none was run yet, one is run.
        """
        if self._runs_commands is None:
            with suppress(TransferOnlyError):
                self.run(["true"])
        return self._runs_commands is not False

    def require_commands(self) -> None:
        """Go on only where commands can be run.

        Raises:
            TransferOnlyError: they cannot.
        """
        if not self.runs_commands:
            raise self._transfer_only("")

    def check(self, argv: Sequence[str], *, stdin: str | None = None, timeout_s: float = 60) -> Result:
        """Like :meth:`run`, for a program that has to succeed.

        Raises:
            RemoteError: the exit code is not 0.
        """
        result = self.run(argv, stdin=stdin, timeout_s=timeout_s)
        if not result.ok:
            raise RemoteError(f"{self.target}: {result.explain()}")
        return result

    def stream(self, argv: Sequence[str], on_line: Callable[[str], None], *, stdin: str = "") -> int:
        """Run a program, however long it takes, and hand on each line of its two outputs as it comes.

        Returns:
            The exit code.

        Raises:
            ConnectionLostError: the connection was lost.
            TransferOnlyError: this host runs no commands for this user.
        """
        self.require_commands()
        with self.channel(argv) as channel:
            channel.set_combine_stderr(True)
            threading.Thread(target=_speak, args=(channel, stdin.encode()), daemon=True).start()
            with channel.makefile("rb") as output:
                for line in output:
                    on_line(line.decode("utf-8", errors="replace").rstrip("\r\n"))
            code = channel.recv_exit_status()
        if code < 0 and not self.is_open:
            raise ConnectionLostError(f"{self.target}: the connection was lost; try again")
        return KILLED if code < 0 else code

    def feed(self, argv: Sequence[str], chunks: Iterable[bytes]) -> tuple[int, str]:
        """Run a program, however long it takes, and give it bytes as they come.

        Returns:
            The exit code, and what it printed on its two outputs.

        Raises:
            ConnectionLostError: the connection was lost.
            TransferOnlyError: this host runs no commands for this user.
        """
        self.require_commands()
        with self.channel(argv) as channel:
            channel.set_combine_stderr(True)
            # A program that has ended takes no more, and says why; so does a connection that is lost, below.
            with suppress(OSError, EOFError):
                for chunk in chunks:
                    channel.sendall(chunk)
                channel.shutdown_write()
            said = b"".join(_chunks(channel.recv))
            code = channel.recv_exit_status()
        if code < 0 and self.is_lost:
            raise ConnectionLostError(f"{self.target}: the connection was lost; try again")
        return KILLED if code < 0 else code, _text(said)

    def say_why_no_files(self) -> None:
        """Raise where no command works either, and that says why: an expired password, say."""
        self.run(["true"])

    @contextmanager
    def channel(self, argv: Sequence[str]) -> Iterator[paramiko.Channel]:
        """A channel with a program running on it, for those who move bytes themselves."""
        with self.command_channel(shlex.join(argv)) as channel:
            yield channel

    @contextmanager
    def command_channel(self, command: str) -> Iterator[paramiko.Channel]:
        """Like :meth:`channel`, for a command line that is already quoted for the remote shell."""
        import paramiko

        with self.translated(), self.open_channel() as channel:
            try:
                channel.exec_command(command.encode("utf-8", "surrogateescape"))
            except paramiko.SSHException as error:
                if self._runs_commands or self.is_lost:
                    raise
                # The server has refused it, and ended the channel.
                self._runs_commands = False
                raise self._transfer_only("it refuses to start any") from error
            yield channel


def connect(login: Login, state: Path, ask: Prompt | None = None) -> Host:
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
    return Host(target, log_in(target, ask or NoPrompt()), login.transfer)


def _communicate(channel: paramiko.Channel, stdin: str | None) -> tuple[int, str, str]:
    errors: list[bytes] = []
    listener = threading.Thread(target=lambda: errors.extend(_chunks(channel.recv_stderr)), daemon=True)
    speaker = threading.Thread(
        target=_speak, args=(channel, (stdin or "").encode("utf-8", "surrogateescape")), daemon=True
    )
    listener.start()
    speaker.start()
    output = b"".join(_chunks(channel.recv))
    listener.join()
    return channel.recv_exit_status(), _text(output), _text(b"".join(errors))


def _speak(channel: paramiko.Channel, content: bytes) -> None:
    # A program may end before it has read everything; that is not this side's error. A connection that is
    # lost is told by the thread that waits for the answer.
    with suppress(OSError, EOFError):
        channel.sendall(content)
        channel.shutdown_write()


def _chunks(receive: Any) -> Iterator[bytes]:
    while chunk := receive(1 << 16):
        yield chunk


def _text(content: bytes) -> str:
    return content.decode("utf-8", errors="surrogateescape")
