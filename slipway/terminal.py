"""What a person sees: progress and errors on standard error, answers on standard output."""

from __future__ import annotations

import io
import json
import os
import shlex
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from invoke.exceptions import Exit

from slipway.errors import HostError, SlipwayError
from slipway.job.run import Run
from slipway.progress import Amount
from slipway.tty import open_tty, read_answer
from slipway.wording import clock, escaped, how_far, megabytes, one_line, printable, short, wrapped

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
        self._step, self._since = one_line(text, 100), time.monotonic()
        self._told = self._since
        if self.err.is_terminal:
            self._status = self.err.status(escaped(self._step))
            self._status.start()
        else:
            self.err.print(escaped(self._step), soft_wrap=True)

    def line(self, text: str) -> None:
        """Show a line of a program below the step; where there is no terminal, print it."""
        if self._status is not None:
            self._status.update(f"{escaped(self._step)}\n  [dim]{escaped(one_line(text, 100))}[/dim]")
        else:
            self.err.print("  " + escaped(text.rstrip()), soft_wrap=True)

    def transfer(self, amount: Amount) -> None:
        """Show how far a copy is; without a terminal, now and then."""
        if self._status is not None:
            self._status.update(f"{escaped(self._step)}  [cyan]{how_far(amount)}[/cyan]")
        elif time.monotonic() - self._told >= _TELL_EVERY_S:
            self._told = time.monotonic()
            self.err.print(f"  {how_far(amount)}", soft_wrap=True)

    def done(self) -> None:
        """End the last step."""
        if self._status is not None:
            self._status.stop()
            self._status = None
            took = time.monotonic() - self._since
            self.err.print(f"[green]✓[/green] {escaped(self._step)} [dim]{took:.1f} s[/dim]")

    def fail(self) -> None:
        """End the last step without a tick."""
        if self._status is not None:
            self._status.stop()
            self._status = None

    def error(self, text: str) -> None:
        """Say what went wrong; on a terminal with commands marked, and none of them cut by its edge."""
        from rich.text import Text

        self._close_line()
        lines = printable(f"error: {text}").splitlines()
        if self.err.is_terminal:
            lines = [wrapped(line, self.err.width) for line in lines]
        shown = Text("\n".join(lines))
        shown.stylize("bold red", 0, len("error:"))
        shown.highlight_regex(r"`[^`]+`", "bold")
        self.err.print(shown, soft_wrap=True)

    def ask(self, prompt: str, *, echo: bool) -> str | None:
        """Ask the person at the terminal, whatever standard input is; ``None`` where there is no terminal.

        Raises:
            KeyboardInterrupt: they do not want to answer.
        """
        text = printable(prompt)
        try:
            with self._paused(), open_tty() as tty:
                return read_answer(tty, text, echo=echo)
        except OSError:
            return None
        except EOFError as error:
            raise KeyboardInterrupt from error

    def tell(self, text: str) -> None:
        """Something to read before the next question."""
        with self._paused():
            self.err.print(escaped(printable(text)), soft_wrap=True)

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
        self.out.print(escaped(text))

    def note(self, text: str) -> None:
        """A remark that is not the answer, on standard error."""
        self.done()
        self._close_line()
        self.err.print(f"[dim]{escaped(text)}[/dim]", soft_wrap=True)

    def heading(self, text: str) -> None:
        """The title of a part of a longer story."""
        self.done()
        self.err.print()
        self.err.print(f"[bold]{escaped(text)}[/bold]")

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

    def files(self, folder: Path) -> None:
        """The files below a folder, with their sizes."""
        for file in sorted(folder.glob("**/*")):
            if file.is_file():
                self.say(f"{one_line(short(file), 400)}  {megabytes(file.stat().st_size)}")

    def runs(self, runs: Sequence[Run]) -> None:
        """A table of runs."""
        from rich.table import Table
        from rich.text import Text

        self.done()
        rows = [("RUN", "JOB", "SITE", "STATE", "REASON", "EXIT", "ELAPSED", "ARGUMENTS")]
        for run in runs:
            status = run.status
            code = "" if status.exit_code is None else str(status.exit_code)
            arguments = one_line(shlex.join(run.args), 200)
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
                self.out.print(f"[dim]{run.run_id}: {escaped(one_line(run.status.note, 400))}[/dim]")

    def figures(self, figures: Mapping[str, Mapping[str, Any]]) -> None:
        """Tables of a program's own figures: each JSON file's numbers and short words."""
        from rich.table import Table

        self.done()
        for name, content in figures.items():
            table = Table(box=None, pad_edge=False, show_header=False, title=name, title_justify="left")
            for key, value in content.items():
                if isinstance(value, (int, float, str, bool)) and len(str(value)) < 100:
                    table.add_row(
                        f"  {escaped(key)}",
                        escaped(f"{value:.6g}" if isinstance(value, float) else str(value)),
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


def print_json(value: Any) -> None:
    """A value as JSON on standard output, and nothing else."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")
