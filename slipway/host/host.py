"""The connection to a cluster: one authenticated SSH connection on which everything travels."""

from __future__ import annotations

import shlex
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from slipway.errors import ConnectionLostError, LoginError, RemoteError, SshError, TransferOnlyError
from slipway.host.command_line import START_FILES, command_line, quote_text
from slipway.host.files import Files
from slipway.host.open_shell import KeptShell, ShellEndedError, ShellTimeoutError, Step
from slipway.host.program import Ending, Program
from slipway.host.terminal import Size, TerminalProgram
from slipway.shell import Result
from slipway.site import Login
from slipway.ssh.prompt import NoPrompt, Prompt
from slipway.ssh.target import Target, resolve_target
from slipway.ssh.transport import refused_error, ssh_error

if TYPE_CHECKING:
    from slipway.host.carrier import Carrier
    from slipway.host.connection import LogIn
    from slipway.multiplex.openssh import MasterTransport
    from slipway.multiplex.transport import KeptTransport
    from slipway.sftp.channel_pool import ChannelPool
    from slipway.ssh.login import OnHostKey
    from slipway.ssh.transport import Transport

KILLED = 128
# A short program's answer: the line may stall for a minute meanwhile (DEAD_AFTER_S).
ANSWER_S = 120.0
# For how long an answer counts that was asked for beforehand.
_KNOWN_S = 10.0
_Answer = TypeVar("_Answer")
# What sshd prints in the place of any command's own output; it has no exit code of its own.
_EXPIRED = b"Password change required but no TTY available"


class Host(Files):
    """An open connection to a login node. It is a ``Shell``, and it reads and writes files there.

    Attributes:
        target: the host.
        transfer: how the site wants files to go: ``auto``, ``rsync`` or ``sftp``.
        carrier: what moves them, once that was found out.
    """

    def __init__(
        self,
        target: Target,
        transports: Sequence[Transport],
        transfer: str = "auto",
        log_in_again: LogIn | None = None,
    ) -> None:
        super().__init__(target, transports, log_in_again)
        self.transfer = transfer
        self.carrier: Carrier | None = None
        self._runs_commands: bool | None = None
        self._shell = KeptShell(self._begun)
        self._known: dict[tuple[str, ...], tuple[float, Result]] = {}

    def run(self, argv: Sequence[str], *, stdin: str | None = None, timeout_s: float = ANSWER_S) -> Result:
        """Run a program on the login node to its end.

        What the login shell's start files print is no part of its outputs.

        Raises:
            SshError: the connection was lost, or the program did not end within ``timeout_s`` seconds.
            TransferOnlyError: this host runs no commands for this user.
            RemoteError: the login shell ended before it came to the program.
        """
        if self._runs_commands is False:
            raise self._transfer_only("")
        if stdin and self._runs_commands is None:
            # What a start file puts in the place of the command must not read what is meant for the program.
            self.run(["true"])
        ending = self._execute(argv, (stdin or "").encode("utf-8", "surrogateescape"), timeout_s)
        code, stdout, stderr = ending.exit_code, _text(ending.stdout), _text(ending.stderr)
        if ending.has_begun:
            self._runs_commands = True
        elif code >= 0:  # killed before it could say anything: that proves nothing
            self._explain_no_begin(code, ending.stdout, ending.stderr)
        if code < 0:
            # paramiko does not tell by which signal.
            code, stderr = KILLED, f"{stderr}\nit was killed by a signal"
        return Result(argv=tuple(argv), exit_code=code, stdout=stdout, stderr=stderr)

    def _execute(self, argv: Sequence[str], stdin: bytes, timeout_s: float) -> Ending:
        expired = threading.Event()
        with self.start(argv) as program:

            def expire() -> None:
                expired.set()
                program.close()

            timer = threading.Timer(timeout_s, expire)
            # A Ctrl-C may come before it can be cancelled, and would wait for it.
            timer.daemon = True
            try:
                timer.start()
                ending = program.finish(stdin)
            finally:
                timer.cancel()
        if expired.is_set():
            why = "" if ending.has_begun else f", and had not begun: {_explain_greeting(ending.stdout)}"
            raise SshError(f"{self.target}: `{shlex.join(argv)}` did not end within {timeout_s:g} s{why}")
        if ending.exit_code < 0 and self.is_lost:
            raise ConnectionLostError(
                f"{self.target}: the connection was lost during `{shlex.join(argv)}`; try again"
            )
        return ending

    def _explain_no_begin(self, code: int, stdout: bytes, stderr: bytes) -> None:
        """Raise what is wrong where the login shell has ended without the program having begun."""
        if code == 1 and _EXPIRED in stderr:
            from slipway.ssh.auth import explain_expired

            raise LoginError(explain_expired(self.target))
        if self._runs_commands is None:
            self._runs_commands = False
            raise self._transfer_only(stdout + b" " + stderr)
        if code == 0:
            raise self.no_begin(stdout + b" " + stderr)

    def no_begin(self, greeting: bytes) -> RemoteError:
        """The error for a login shell that ends before it comes to a program, on a host that has run some."""
        return RemoteError(f"{self.target}: the command was not run. {_explain_greeting(greeting)}")

    def _transfer_only(self, words: str | bytes) -> TransferOnlyError:
        said = words if isinstance(words, str) else (quote_text(words) if words.strip() else "")
        return TransferOnlyError(
            f"{self.target}: this host runs no commands for this account"
            + (f" (it says: {said})" if said else "")
            + ". It serves `invoke push`, `invoke stage` and `invoke pull`, which only move files. For jobs "
            "set login.host in the site's file to a login node. If it is one, a start file of the login "
            f"shell ends it or starts another program: look for `exit` and `exec` in {START_FILES} there"
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

    def check(self, argv: Sequence[str], *, stdin: str | None = None, timeout_s: float = ANSWER_S) -> Result:
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
        with self.start(argv, merge_outputs=True) as program:
            if program.wait_for_begin():
                program.feed(stdin.encode())
            for line in program.lines():
                on_line(line.decode("utf-8", errors="replace").rstrip("\r"))
            code = program.exit_code()
        if code < 0 and not self.is_open:
            raise ConnectionLostError(f"{self.target}: the connection was lost; try again")
        if code >= 0 and not program.has_begun:
            raise self.no_begin(program.greeting)
        return KILLED if code < 0 else code

    def run_in_login_shell(
        self,
        argv: Sequence[str],
        *,
        stdin: Iterable[bytes] = (),
        stdin_bytes: int = 0,
        timeout_s: float | None = ANSWER_S,
    ) -> Result:
        """Run a program to its end with a login shell's environment, in a shell that stays open.

        One thread at a time may do this.

        Args:
            argv: the program and its arguments.
            stdin: its input.
            stdin_bytes: the size of that.
            timeout_s: how long it may take; ``None`` for as long as it takes.

        Raises:
            ConnectionLostError: the connection was lost.
            SshError: the program did not end within ``timeout_s`` seconds.
            TransferOnlyError: this host runs no commands for this user.
            RemoteError: the login shell ended before it came to the program.
        """
        if self._runs_commands is False:
            raise self._transfer_only("")
        until_s, known = self._known.pop(tuple(argv), (0.0, None))
        if known is not None and time.monotonic() < until_s:
            return known
        self._known.clear()
        try:
            with self.translated():
                code, stdout, stderr = self._run_in_shell(argv, stdin, stdin_bytes, timeout_s)
        except ShellTimeoutError as error:
            raise SshError(
                f"{self.target}: `{shlex.join(argv)}` did not end within {timeout_s:g} s"
            ) from error
        return Result(argv=tuple(argv), exit_code=code, stdout=_text(stdout), stderr=_text(stderr))

    def run_scripts(self, scripts: Sequence[str], timeout_s: float = ANSWER_S) -> list[Result]:
        """Run scripts of sh one after the other, as :meth:`run_in_login_shell`, for one round trip in all.

        They have no input, and must not print much.
        """
        if self._runs_commands is False:
            raise self._transfer_only("")
        self._known.clear()
        try:
            with self.translated():
                ended = self._said(lambda: self._shell.run_all(scripts, timeout_s))
        except ShellTimeoutError as error:
            raise SshError(f"{self.target}: {len(scripts)} scripts took more than {timeout_s:g} s") from error
        return [
            Result(argv=("sh",), exit_code=code, stdout=_text(stdout), stderr=_text(stderr))
            for code, stdout, stderr in ended
        ]

    def run_in_turn(self, steps: Sequence[Step]) -> list[Result]:
        """Run programs as :meth:`run_in_login_shell`, one after the other, up to the first that fails.

        All are sent before the first is answered, for one round trip in all, so they must not print much.
        """
        if self._runs_commands is False:
            raise self._transfer_only("")
        self._known.clear()
        with self.translated():
            ended = self._said(lambda: self._shell.run_in_turn(steps, None))
        return [
            Result(argv=tuple(step.argv), exit_code=code, stdout=_text(stdout), stderr=_text(stderr))
            for step, (code, stdout, stderr) in zip(steps, ended, strict=False)
        ]

    def expect(self, argv: Sequence[str], answer: Result) -> None:
        """Have :meth:`run_in_login_shell` give this answer once, if it is asked that within some seconds.

        What was done there in between may change it: then it is asked.
        """
        self._known[tuple(argv)] = (time.monotonic() + _KNOWN_S, replace(answer, argv=tuple(argv)))

    def _run_in_shell(
        self, argv: Sequence[str], stdin: Iterable[bytes], stdin_bytes: int, timeout_s: float | None
    ) -> tuple[int, bytes, bytes]:
        return self._said(lambda: self._shell.run(argv, stdin, stdin_bytes, timeout_s))

    def _said(self, act: Callable[[], _Answer]) -> _Answer:
        try:
            return act()
        except ShellEndedError as error:
            if self.is_lost or not self.is_open:
                raise
            raise self._explain_ended(error.printed) from error

    def _explain_ended(self, printed: bytes) -> RemoteError:
        said = f"it printed {quote_text(printed)}" if printed.strip() else "it printed nothing"
        return RemoteError(
            f"{self.target}: `bash -l` on the cluster ended before it came to the command ({said}); look "
            "in /etc/profile.d, ~/.bash_profile, ~/.bash_login, ~/.profile and ~/.bashrc there for what ends "
            "it: an `exit`, a `set -e` or an `exec` that is not only for interactive shells"
        )

    def spare_channel(self) -> None:
        """Give up the channels for files and for the open shell; their next use opens others."""
        super().spare_channel()
        self._shell.close()

    @contextmanager
    def pool(self, most: int) -> Iterator[ChannelPool]:
        """See :meth:`slipway.host.files.Files.pool`; the shell leaves its channel to it."""
        self._shell.close()
        with super().pool(most) as pool:
            yield pool

    def close(self) -> None:
        """Log out."""
        self._shell.close()
        super().close()

    @contextmanager
    def _begun(self, argv: Sequence[str]) -> Iterator[Program]:
        """A program that has begun."""
        with self.start(argv) as program:
            if not program.wait_for_begin():
                code, errors = program.exit_code(), program.errors()
                if code >= 0:
                    self._explain_no_begin(code, program.greeting, errors)
                raise self.no_begin(program.greeting + b" " + errors)
            self._runs_commands = True
            yield program

    def say_why_no_files(self) -> None:
        """Raise where no command works either, and that says why: an expired password, say."""
        self.run(["true"])

    @contextmanager
    def start(self, argv: Sequence[str], *, merge_outputs: bool = False) -> Iterator[Program]:
        """Start a program, for those who move bytes themselves.

        Args:
            argv: the program and its arguments.
            merge_outputs: has it write its standard error to its standard output.

        Raises:
            TransferOnlyError: this host runs no commands for this user.
            ConnectionLostError: the connection was lost.
        """
        self._known.clear()
        with self.translated(), self.open_channel() as channel:
            try:
                channel.exec_command(command_line(argv, merge_outputs=merge_outputs))
            except refused_error():
                raise
            except ssh_error() as error:
                if self._runs_commands or self.is_lost:
                    raise
                # The server has refused it, and ended the channel.
                self._runs_commands = False
                raise self._transfer_only("it refuses to start any") from error
            yield Program(channel)

    @contextmanager
    def open_terminal(self, argv: Sequence[str], kind: str, size: Size) -> Iterator[TerminalProgram]:
        """Start a program on a terminal there; its end is the end of all that runs on it.

        Args:
            argv: the program and its arguments.
            kind: what the terminal here understands, as ``TERM`` has it.
            size: how large it is.

        Raises:
            TransferOnlyError: this host runs no commands for this user.
            SshError: it gives no terminals.
            ConnectionLostError: the connection was lost.
        """
        with self.translated(), self.open_channel() as channel:
            try:
                channel.get_pty(kind, size.columns, size.rows)
            except ssh_error() as error:
                if self.is_lost:
                    raise
                raise SshError(
                    f"{self.target}: the server gives this account no terminal (PermitTTY)"
                ) from error
            channel.exec_command(command_line(argv, terminal=True))
            yield TerminalProgram(channel)


def connect(
    login: Login,
    state: Path,
    ask: Prompt | None = None,
    name: str = "",
    on_host_key: OnHostKey | None = None,
) -> Host:
    """Log in to a site, or use the login that another command, or OpenSSH, has left behind.

    Args:
        login: how, as the site's file has it.
        state: Slipway's state folder.
        ask: who answers where the server, or a key, asks for something. Default: nobody.
        name: of the site.
        on_host_key: as for :func:`slipway.ssh.login.log_in`; not asked where the login is kept.

    Raises:
        ConfigError: the ssh_config is missing or broken.
        HostError: somebody else can get at the folder where kept logins are.
        SshError: a host cannot be reached, is not the one that is known, or refuses the login.
    """
    if login.is_this_machine:
        from slipway.here.transport import LocalTransport

        return Host(resolve_target(login, state), [LocalTransport()], login.transfer)

    from slipway.multiplex.folder import is_possible
    from slipway.multiplex.kept import find_kept
    from slipway.multiplex.noted_target import find_noted

    target, prompt = find_noted(login, state) or resolve_target(login, state), ask or NoPrompt()
    kept = find_kept(target, name)
    master = _find_master(target) if kept is None else None
    keeps = kept is not None or (login.share and is_possible())
    if keeps:

        def log_in_kept() -> Sequence[Transport]:
            return [keep_login(target, login, state, prompt, name)]

        there = kept or master
        return Host(target, [there] if there else log_in_kept(), login.transfer, log_in_kept)

    def log_in_alone() -> Sequence[Transport]:
        from slipway.ssh.login import log_in

        return log_in(target, prompt, on_host_key)

    return Host(target, [master] if master else log_in_alone(), login.transfer, log_in_alone)


def _find_master(target: Target) -> MasterTransport | None:
    if not target.control_paths:
        return None
    from slipway.multiplex.openssh import find_master

    return find_master(target)


def keep_login(
    target: Target, login: Login, state: Path, ask: Prompt, name: str, *, meets_hosts: bool = False
) -> KeptTransport:
    """Log in, unless it was done, so that other commands can use it.

    Args:
        target: the host, and how it is reached.
        login: the same, as the site's file has it.
        state: Slipway's state folder.
        ask: who answers.
        name: of the site.
        meets_hosts: whoever answers is shown the keys of hosts that are not known, and may have them kept.

    Raises:
        HostError: somebody else can get at the folder where kept logins are.
        SshError: see :func:`connect`.
    """
    from slipway.multiplex.kept import keep
    from slipway.multiplex.noted_target import note_target

    made = keep(
        target,
        ask,
        login.keep_s,
        name,
        lambda: ask.tell(f"Another command logs in to {target}"),
        meets_hosts=meets_hosts,
    )
    note_target(login, state, target)
    return made


def _explain_greeting(greeting: bytes) -> str:
    """What the login shell has done in the place of a program, and where to look."""
    said = f"printed {quote_text(greeting)}" if greeting.strip() else "printed nothing"
    return (
        f"The login shell there {said} and did not come to it. Look in its start files ({START_FILES}) for "
        "what ends it, waits or starts another program, and do that in interactive shells only: "
        "`[ -t 1 ] || return` as the first line of ~/.bashrc"
    )


def _text(content: bytes) -> str:
    return content.decode("utf-8", errors="surrogateescape")
