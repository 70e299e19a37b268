"""What a person sees: progress and errors on standard error, answers on standard output."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from invoke.exceptions import Exit

from slipway.errors import HostError, LinkError, SlipwayError
from slipway.job.run import Run
from slipway.remote.link import Link
from slipway.transfer.protocol import Amount, Transfer

INTERRUPTED = 130
_TELL_EVERY_S = 10
_COLOURS = {
    "COMPLETED": "green",
    "RUNNING": "cyan",
    "COMPLETING": "cyan",
    "PENDING": "yellow",
    "SUBMITTING": "yellow",
    "UNKNOWN": "magenta",
}
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Terminal:
    """Shows the steps of a task as they happen, one line each, and what goes on below the last of them."""

    def __init__(self) -> None:
        from rich.console import Console

        for stream in (sys.stdout, sys.stderr):
            # Names of files and arguments need not be valid in any encoding.
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        self.out = Console(highlight=False, soft_wrap=True)
        if not self.out.is_terminal:
            self.out.width = 200
        self.err = Console(stderr=True, highlight=False)
        self._status: Any = None
        self._step = ""
        self._since = 0.0
        self._told = 0.0
        self._line_is_open = False

    def step(self, text: str) -> None:
        """Begin a step: the one before it is ticked off with the seconds that it took."""
        self.done()
        self._step, self._since = _one_line(text, 100), time.monotonic()
        self._told = self._since
        if self.err.is_terminal:
            self._status = self.err.status(_escape(self._step))
            self._status.start()
        else:
            self.err.print(_escape(self._step), soft_wrap=True)

    def line(self, text: str) -> None:
        """Show a line of a program below the step; where there is no terminal, print it."""
        if self._status is not None:
            self._status.update(f"{_escape(self._step)}\n  [dim]{_escape(_one_line(text, 100))}[/dim]")
        else:
            self.err.print("  " + _escape(text.rstrip()), soft_wrap=True)

    def transfer(self, amount: Amount) -> None:
        """Show how far a copy is; without a terminal, now and then."""
        if self._status is not None:
            self._status.update(f"{_escape(self._step)}  [cyan]{how_far(amount)}[/cyan]")
        elif time.monotonic() - self._told >= _TELL_EVERY_S:
            self._told = time.monotonic()
            self.err.print(f"  {how_far(amount)}", soft_wrap=True)

    def done(self) -> None:
        """End the last step."""
        if self._status is not None:
            self._status.stop()
            self._status = None
            took = time.monotonic() - self._since
            self.err.print(f"[green]✓[/green] {_escape(self._step)} [dim]{took:.1f} s[/dim]")

    def fail(self) -> None:
        """End the last step without a tick."""
        if self._status is not None:
            self._status.stop()
            self._status = None

    def error(self, text: str) -> None:
        """Say what went wrong; on a terminal with commands marked, and none of them cut by its edge."""
        from rich.text import Text

        self._close_line()
        lines = _printable(f"error: {text}").splitlines()
        if self.err.is_terminal:
            lines = [_wrapped(line, self.err.width) for line in lines]
        shown = Text("\n".join(lines))
        shown.stylize("bold red", 0, len("error:"))
        shown.highlight_regex(r"`[^`]+`", "bold")
        self.err.print(shown, soft_wrap=True)

    def ask(self, prompt: str, *, echo: bool) -> str | None:
        """Ask the person at the terminal, whatever standard input is; ``None`` where there is no terminal.

        Raises:
            KeyboardInterrupt: they do not want to answer.
        """
        text = _printable(prompt)
        try:
            with self._paused(), _tty() as tty:
                return _read_answer(tty, text, echo=echo)
        except OSError:
            return None
        except EOFError as error:
            raise KeyboardInterrupt from error

    def tell(self, text: str) -> None:
        """Something to read before the next question."""
        with self._paused():
            self.err.print(_escape(_printable(text)), soft_wrap=True)

    @contextmanager
    def _paused(self) -> Iterator[None]:
        """Without the line that moves, which would write over a question."""
        status = self._status
        if status is not None:
            status.stop()
        try:
            yield
        finally:
            if status is not None:
                status.start()

    def say(self, text: str) -> None:
        """An answer, on standard output."""
        self.done()
        self._close_line()
        self.out.print(_escape(text))

    def note(self, text: str) -> None:
        """A remark that is not the answer, on standard error."""
        self.done()
        self._close_line()
        self.err.print(f"[dim]{_escape(text)}[/dim]", soft_wrap=True)

    def heading(self, text: str) -> None:
        """The title of a part of a longer story."""
        self.done()
        self.err.print()
        self.err.print(f"[bold]{_escape(text)}[/bold]")

    def raw(self, text: str) -> None:
        """What a program printed, as it is, on standard output."""
        self.done()
        sys.stdout.write(text)
        sys.stdout.flush()
        self._line_is_open = not text.endswith("\n") if text else self._line_is_open

    def _close_line(self) -> None:
        # A program need not end its last line; what follows begins a new one.
        if self._line_is_open:
            self.raw("\n")

    def follow(
        self,
        link: Link,
        run: Run,
        look: Callable[[Link, Run], Run],
        reconnect: Callable[[], Link] | None = None,
    ) -> Run:
        """Show what a run prints until it is over.

        Args:
            link: the connection to its site.
            run: the run.
            look: asks how the run stands, and writes it down.
            reconnect: makes a new connection where one was lost.

        Returns:
            The run as it ended.
        """
        from slipway.job.watch import follow

        def changed(new: Run) -> None:
            self.note(f"{new.run_id} is {new.status.state.value}")

        come_back = (
            f"The job goes on. `invoke logs --run {run.run_id} --follow` comes back to it, "
            f"`invoke cancel --run {run.run_id}` ends it."
        )
        try:
            return follow(link, run, self.raw, changed, look=look, reconnect=reconnect, on_trouble=self.note)
        except KeyboardInterrupt:
            self.note(f"\n{come_back}")
            raise
        except LinkError as error:
            raise type(error)(f"{error}\n{come_back}") from error

    def files(self, folder: Path) -> None:
        """The files below a folder, with their sizes."""
        for file in sorted(folder.glob("**/*")):
            if file.is_file():
                self.say(f"{_one_line(short(file), 400)}  {megabytes(file.stat().st_size)}")

    def runs(self, runs: Sequence[Run]) -> None:
        """A table of runs."""
        from rich.table import Table
        from rich.text import Text

        self.done()
        rows = [("RUN", "JOB", "SITE", "STATE", "REASON", "EXIT", "ELAPSED", "ARGUMENTS")]
        for run in runs:
            status = run.status
            code = "" if status.exit_code is None else str(status.exit_code)
            arguments = _one_line(shlex.join(run.args), 200)
            state, reason = status.state.value, status.reason or ""
            job = run.job_id or ""
            rows.append((run.run_id, job, run.site, state, reason, code, clock(status.elapsed_s), arguments))
        table = Table.grid(padding=(0, 2, 0, 0))
        for cells in zip(*rows, strict=True):
            # The last column gives way; all others are wanted whole.
            widest = max(map(len, cells))
            table.add_column(no_wrap=True, min_width=None if cells[0] == "ARGUMENTS" else widest)
        for row in rows:
            style = "bold" if row is rows[0] else ""
            coloured = [Text(cell, style=style) for cell in row]
            if row is not rows[0]:
                coloured[3].stylize(_COLOURS.get(row[3], "red"))
            table.add_row(*coloured)
        self.out.print(table, soft_wrap=False, crop=True)
        for run in runs:
            if run.status.note:
                self.out.print(f"[dim]{run.run_id}: {_escape(_one_line(run.status.note, 400))}[/dim]")

    def figures(self, figures: Mapping[str, Mapping[str, Any]]) -> None:
        """Tables of a program's own figures: each JSON file's numbers and short words."""
        from rich.table import Table

        self.done()
        for name, content in figures.items():
            table = Table(box=None, pad_edge=False, show_header=False, title=name, title_justify="left")
            for key, value in content.items():
                if isinstance(value, (int, float, str, bool)) and len(str(value)) < 60:
                    table.add_row(
                        f"  {_escape(key)}",
                        _escape(f"{value:.6g}" if isinstance(value, float) else str(value)),
                    )
            self.out.print(table)


@contextmanager
def terminal() -> Iterator[Terminal]:
    """A terminal for one task, which turns Slipway's errors into a message and an exit code.

    Raises:
        Exit: with the error's exit code.
    """
    screen = Terminal()
    try:
        yield screen
        screen.done()
    except SlipwayError as error:
        screen.fail()
        screen.error(str(error))
        raise Exit(code=error.exit_code) from error
    except BrokenPipeError as error:
        # Whoever read our output has had enough, such as `head`.
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115 - Python flushes it once more at its end
        raise Exit(code=INTERRUPTED) from error
    except OSError as error:
        screen.fail()
        where = f"{error.filename}: " if error.filename else ""
        screen.error(f"{where}{error.strerror or error}")
        raise Exit(code=HostError.exit_code) from error
    except KeyboardInterrupt as error:
        screen.fail()
        screen.err.print("stopped")
        raise Exit(code=INTERRUPTED) from error
    finally:
        screen.fail()


@contextmanager
def _tty() -> Iterator[TextIO]:
    # Not standard input, which may be a file or a pipe: ssh asks here, too.
    descriptor = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
    raw = io.FileIO(descriptor, "w+")
    with io.TextIOWrapper(raw, encoding="utf-8", errors="replace", write_through=True) as tty:
        yield tty


def _read_answer(tty: TextIO, prompt: str, *, echo: bool) -> str:
    import termios

    tty.write(prompt)
    before = termios.tcgetattr(tty)
    if not echo:
        # As getpass does it, which cannot be told to leave standard input alone.
        silent = [*before]
        silent[3] &= ~termios.ECHO
        termios.tcsetattr(tty, termios.TCSAFLUSH, silent)
    try:
        answer = tty.readline()
    finally:
        termios.tcsetattr(tty, termios.TCSAFLUSH, before)
        if not echo:
            tty.write("\n")
    if not answer:
        raise EOFError
    return answer.removesuffix("\n")


def _printable(text: str) -> str:
    # A server's words may hold what moves the cursor or sets the window's title. Surrogates are names' bytes.
    return "".join(
        character
        for character in text
        if character in "\n\t" or character.isprintable() or "\udc80" <= character <= "\udcff"
    )


def _wrapped(line: str, width: int) -> str:
    """A line in pieces that fit, each but the first set in; what stands in backticks is never cut."""
    import textwrap

    indent = line[: len(line) - len(line.lstrip())]
    # `textwrap` takes no-break spaces for letters.
    kept = re.sub(r"`[^`]+`", lambda match: match[0].replace(" ", "\xa0"), line.lstrip())
    pieces = textwrap.wrap(
        kept,
        width,
        initial_indent=indent,
        subsequent_indent=f"{indent}  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(pieces).replace("\xa0", " ")


def print_json(value: Any) -> None:
    """A value as JSON on standard output, and nothing else."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def clock(seconds: int | None) -> str:
    """Seconds as ``H:MM:SS``."""
    if seconds is None:
        return ""
    return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def megabytes(size_bytes: int) -> str:
    """A size in MB, or in kB where it is small."""
    return f"{size_bytes / 1e6:,.1f} MB" if size_bytes >= 100_000 else f"{size_bytes / 1e3:,.1f} kB"


def sent(transfer: Transfer | None, size_bytes: int) -> str:
    """What sending a file of this size has cost, for the end of a line."""
    if transfer is None:
        return "there already, nothing sent"
    part = 100 * transfer.sent_bytes / size_bytes if size_bytes else 100.0
    took = "" if transfer.elapsed_s is None else f", {duration(transfer.elapsed_s)}"
    return f"{megabytes(transfer.sent_bytes)} sent ({part:.{1 if part < 10 else 0}f} %){took}"


def duration(seconds: float) -> str:
    """Seconds as a person says them: ``4.2 s``, ``1:12``, ``1:02:03``."""
    return f"{seconds:.1f} s" if seconds < 60 else clock(round(seconds)).removeprefix("0:").removeprefix("0")


def how_far(amount: Amount) -> str:
    """A transfer in one line: what is there, the rate and the time left, and what did not have to be sent."""
    percent = 100 * amount.done_bytes // amount.total_bytes if amount.total_bytes else 100
    words = [f"{amount.done_bytes / 1e6:,.1f} MB  {percent} %  {amount.rate_bytes_s / 1e6:,.1f} MB/s"]
    if amount.left_s is not None:
        words.append(f"{clock(round(amount.left_s))} left")
    if amount.saved_bytes > 100_000:
        words.append(f"{megabytes(amount.saved_bytes)} saved")
    return "  ".join(words)


def short(path: Path) -> str:
    """A path as one would type it here: relative where it is below the working directory."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def _one_line(text: str, width: int) -> str:
    line = _CONTROL.sub(" ", text).strip()
    return line if len(line) <= width else line[: width - 1] + "…"
