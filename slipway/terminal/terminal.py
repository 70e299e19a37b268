"""What a person sees: progress and errors on standard error, answers on standard output."""

from __future__ import annotations

import io
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from invoke.exceptions import Exit
from rich.console import Console
from rich.text import Text

from slipway.errors import HostError, SlipwayError
from slipway.jsontext import format_json
from slipway.progress import Amount
from slipway.report.run_table import GAP
from slipway.signals import asked_to_end
from slipway.terminal.output_log import OutputLog
from slipway.terminal.styled import Moving, fitted, row_text, safe_text
from slipway.terminal.uncaught import READER_GONE
from slipway.text.command_name import as_typed
from slipway.text.escapes import RESET, LogFilter, neutral
from slipway.text.wording import how_far, one_line, short, wrapped
from slipway.tty import open_tty, read_answer

INTERRUPTED = 130
_TELL_EVERY_S = 10
_LINE = 100
# A cell of fewer columns is not worth having lines of its own.
_LEAST_CELL = 20
# What stands around a step: its tick before it, and how long it took behind it.
_STEP_EXTRAS = len("✓  12:34:56 ")


class _Console(Console):
    def on_broken_pipe(self) -> None:
        raise  # rich calls it where it has caught the error, and would end with 1


def _columns(console: Console) -> int:
    """How many columns its terminal has; rich takes 80 for each that has no colours."""
    if console.is_dumb_terminal:
        with suppress(OSError):
            return os.get_terminal_size(console.file.fileno()).columns or console.width
    return console.width


class Terminal:
    """Shows the steps of a task as they happen, one line each, and what goes on below the last of them.

    Whatever is shown goes through :func:`slipway.text.escapes.neutral`, logs through its like for pieces
    of text.
    """

    def __init__(self) -> None:
        for stream in (sys.stdout, sys.stderr):
            # Names of files and arguments need not be valid in any encoding.
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        self.out, self.err = _Console(highlight=False), _Console(highlight=False, stderr=True)
        self._status: Any = None
        self._step = ""
        self._since = 0.0
        self._told = 0.0
        self._log = LogFilter()
        self._kept: OutputLog | None = None
        self._step_is_open = False
        self._line_is_open = False

    def keep_lines(self, folder: Path) -> None:
        """Keep all lines of programs in a file of this folder, which is named when something fails."""
        self._kept = OutputLog(folder)

    @property
    def kept(self) -> Path | None:
        """The file with what was printed below the last step; ``None`` where nothing was."""
        return self._kept.file if self._kept and self._kept.has_step else None

    def step(self, text: str) -> None:
        """Begin a step: the one before it is ticked off with the seconds that it took."""
        self.done()
        self._step, self._since = one_line(as_typed(text), self._room(_STEP_EXTRAS)), time.monotonic()
        self._told = self._since
        if self.err.is_terminal:
            self._status = self.err.status(self._moving())
            self._status.start()
        else:
            # Its seconds come behind it when it is done.
            self.err.print(safe_text(self._step), soft_wrap=True, end="")
            self._step_is_open = True
        if self._kept is not None:
            self._kept.step(text)

    def _room(self, taken: int) -> int:
        """How many columns a line may have, beside what else stands on it."""
        return min(_LINE, max(_columns(self.err) - taken, 1)) if self.err.is_terminal else _LINE

    def line(self, text: str) -> None:
        """Show a line of a program below the step; without a terminal it is only kept."""
        if self._kept is not None:
            self._kept.line(neutral(text.rstrip()))
        if self._status is not None:
            self._status.update(self._moving(one_line(text, self._room(len("  "))), "dim"))

    def transfer(self, amount: Amount) -> None:
        """Show how far a copy is; without a terminal, now and then."""
        if self._status is not None:
            self._status.update(self._moving(one_line(how_far(amount), self._room(len("  "))), "cyan"))
        elif time.monotonic() - self._told >= _TELL_EVERY_S:
            self._told = time.monotonic()
            self._end_step()
            self._print(f"  {how_far(amount)}")

    def done(self) -> None:
        """End the last step."""
        if self._status is not None:
            self._status.stop()
            self._status = None
            took = time.monotonic() - self._since
            self._print(safe_text("✓", "green").append(f" {self._step} ").append(f"{took:.1f} s", "dim"))
        elif self._step_is_open:
            self._end_step(f"  {time.monotonic() - self._since:.1f} s")

    def fail(self) -> None:
        """End the last step without a tick."""
        if self._status is not None:
            self._status.stop()
            self._status = None
        self._end_step()

    def _end_step(self, text: str = "") -> None:
        if self._step_is_open:
            self._step_is_open = False
            self._print(text)

    def error(self, text: str) -> None:
        """Say what went wrong; on a terminal with commands marked."""
        self._end_log()
        shown = safe_text(f"error: {text}")
        shown.stylize("bold red", 0, len("error:"))
        shown.highlight_regex(r"`[^`]+`", "bold")
        self._print(shown)

    def ask(self, prompt: str, *, echo: bool) -> str | None:
        """Ask the person at the terminal, whatever standard input is; ``None`` where there is no terminal.

        Raises:
            KeyboardInterrupt: they do not want to answer.
        """
        try:
            with self._paused(), open_tty() as tty:
                return read_answer(tty, self._fit_prompt(prompt), echo=echo)
        except OSError:
            return None
        except EOFError as error:
            raise KeyboardInterrupt from error

    def tell(self, text: str) -> None:
        """Something to read before the next question."""
        with self._paused():
            self._print(text)

    @contextmanager
    def _paused(self) -> Iterator[None]:
        """Without the line that moves, which would write over a question; and its clock stands still."""
        status, began = self._status, time.monotonic()
        self._end_step()
        if status is not None:
            status.stop()
        try:
            yield
        finally:
            self._since += time.monotonic() - began
            if status is not None:
                status.start()

    def say(self, text: str, style: str = "", *, whole: bool = False) -> None:
        """An answer, on standard output; ``whole``: it is to be copied, so that no line of it is cut."""
        self.done()
        self._end_log(answer=True)
        self._put(self.out, safe_text(text, style), whole=whole)

    def note(self, text: str) -> None:
        """A remark that is not the answer, on standard error."""
        self.done()
        self._end_log()
        self._print(safe_text(text, "dim"))

    def heading(self, text: str) -> None:
        """The title of a part of a longer story."""
        self.done()
        self._print("")
        self._print(safe_text(text, "bold"))

    def log(self, text: str) -> None:
        """What a program printed, on standard output: harmless on a terminal, else exactly as it is."""
        if sys.stdout.isatty():
            self._write(self._log.add(text))
        else:
            self.raw(text)

    def raw(self, text: str) -> None:
        """What a program printed, byte by byte; lone surrogates stand for bytes that are no UTF-8."""
        self.done()
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))
        self._wrote(text)

    def close(self) -> None:
        """Leave the terminal as it was found."""
        self.fail()
        if self._kept is not None:
            self._kept.close()
        if sys.stdout.isatty():
            self._write(self._log.end())

    def _write(self, text: str) -> None:
        self.done()
        sys.stdout.write(text)
        self._wrote(text)

    def _wrote(self, text: str) -> None:
        sys.stdout.flush()
        shown = text.removesuffix(RESET)
        self._line_is_open = not shown.endswith("\n") if shown else self._line_is_open

    def _end_log(self, *, answer: bool = False) -> None:
        # A program need not end its last line, or its last colour; what follows begins a new one. A pipe gets
        # nothing of ours but answers.
        if sys.stdout.isatty():
            self._write(self._log.end())
        elif not answer:
            return
        if self._line_is_open:
            self._write("\n")

    def _fit_prompt(self, prompt: str) -> str:
        """A question in lines that fit, with the space before its answer."""
        shown = neutral(prompt)
        text = shown.rstrip(" ")
        return self._in_lines(text) + shown[len(text) :]

    def fit_error(self, text: str) -> str:
        """An error that somebody else prints on standard error: as it is printed here, without colours."""
        shown = neutral(as_typed(f"error: {text}"))
        return self._in_lines(shown) if self.err.file.isatty() else shown

    def _in_lines(self, text: str) -> str:
        return "\n".join(wrapped(line, _columns(self.err)) for line in text.split("\n"))

    def _print(self, shown: str | Text) -> None:
        self._put(self.err, safe_text(shown) if isinstance(shown, str) else shown)

    @staticmethod
    def _put(console: Console, shown: Text, *, whole: bool = False, hang: int | None = None) -> None:
        """Print lines: on a terminal in pieces that fit, if they may be cut; into a pipe as they are."""
        if console.file.isatty() and not whole:
            shown = fitted(shown, _columns(console), hang)
        console.print(shown, soft_wrap=True)

    def _moving(self, below: str = "", style: str = "") -> Moving:
        return Moving(step=self._step, began=lambda: self._since, below=safe_text(below, style))

    def row(self, cells: Sequence[tuple[str, str]], widths: Sequence[int], *, whole: bool = False) -> None:
        """A row of a table, on standard output; where it does not fit, its last cell goes on below itself.

        Args:
            cells: texts with their styles.
            widths: how many columns each has.
            whole: it is to be copied, so it is not cut.
        """
        hang = sum(widths[:-1]) + GAP * (len(widths) - 1)
        fits = hang + _LEAST_CELL <= _columns(self.out)
        self.show(row_text(cells, widths), whole=whole, hang=hang if fits else None)

    def show(self, line: Text, *, whole: bool = False, hang: int | None = None) -> None:
        """A line of an answer, in colours, on standard output; see :func:`slipway.terminal.styled.fitted`."""
        self.done()
        self._put(self.out, line, whole=whole, hang=hang)

    @property
    def width(self) -> int | None:
        """How many columns there are for answers; ``None`` where they go to no terminal."""
        return _columns(self.out) if sys.stdout.isatty() else None


@contextmanager
def terminal() -> Iterator[Terminal]:
    """A terminal for one task, which turns Slipway's errors into a message and an exit code.

    SIGTERM and SIGHUP do what Ctrl-C does: the task puts in order what it has begun, and says what is left.

    Raises:
        Exit: with the error's exit code.
    """
    screen = Terminal()
    heard: list[int] = []

    def stop(number: int, _: object) -> None:
        heard.append(number)
        raise KeyboardInterrupt

    try:
        with asked_to_end(stop):
            yield screen
        screen.done()
    except SlipwayError as error:
        screen.fail()
        if screen.kept:
            screen.note(f"The whole output of this step is in {short(screen.kept)}")
        screen.error(str(error))
        raise Exit(code=error.exit_code) from error
    except BrokenPipeError as error:
        # Whoever read our output has had enough, such as `head`.
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115 - Python flushes it once more at its end
        raise Exit(code=READER_GONE) from error
    except OSError as error:
        screen.fail()
        where = f"{error.filename}: " if error.filename else ""
        screen.error(f"{where}{error.strerror or error}")
        raise Exit(code=HostError.exit_code) from error
    except KeyboardInterrupt as error:
        screen.fail()
        by = f" by {signal.Signals(heard[0]).name}" if heard else ""
        screen.note(f"stopped{by}{': ' if error.args else ''}{' '.join(map(str, error.args))}")
        raise Exit(code=128 + heard[0] if heard else INTERRUPTED) from error
    finally:
        screen.close()


def print_json(value: Any) -> None:
    """A value as JSON on standard output, and nothing else."""
    sys.stdout.write(format_json(value) + "\n")
