"""Runs that are watched: drawn in place on a terminal, or a line for each change."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime
from typing import NoReturn

from rich.live import Live
from rich.text import Text

from slipway.background import Background
from slipway.job.run import Run
from slipway.scheduler.base import State
from slipway.signals import asked_to_end
from slipway.ssh.prompt import Prompt
from slipway.steps.watch import Picture
from slipway.terminal.styled import fitted, safe_text
from slipway.terminal.terminal import Terminal
from slipway.terminal.view import run_lines
from slipway.text.wording import one_line
from slipway.tty import Keys, open_keys

# How soon a key, a new size and an answer are seen.
_LOOK_S = 0.1
_QUIT = frozenset("qQ\x03\x04")
Ask = Callable[[], Picture]


def watch_runs(screen: Terminal, prompt: ViewPrompt, ask: Ask, *, to_end: bool) -> Picture:
    """Show runs until somebody presses q or Ctrl-C; where there is no terminal, until all are over.

    Args:
        screen: the terminal.
        prompt: whom ``ask`` has to ask.
        ask: asks how runs stand.
        to_end: end by itself when all runs are over, also on a terminal.

    Returns:
        How they stood last.
    """
    picture = ask()
    with ExitStack() as stack:
        try:
            keys = stack.enter_context(open_keys()) if screen.width is not None else None
        except OSError:
            keys = None  # Nobody sits there, so nobody could end it.
        if keys is None:
            return _tell_changes(screen, ask, picture)
        return _View(screen, keys, prompt, ask, picture).show(to_end=to_end)


class ViewPrompt:
    """Somebody who is asked while a view is on the terminal, which steps aside for it.

    Args:
        prompt: whom to ask.
    """

    def __init__(self, prompt: Prompt) -> None:
        self._prompt = prompt
        self._questions: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._has_view = False

    def ask(self, prompt: str, *, echo: bool) -> str | None:
        """See :meth:`slipway.ssh.prompt.Prompt.ask`."""
        return self._aside(lambda: self._prompt.ask(prompt, echo=echo))

    def tell(self, text: str) -> None:
        """See :meth:`slipway.ssh.prompt.Prompt.tell`."""
        self._aside(lambda: self._prompt.tell(text))

    def _aside(self, act: Callable[[], str | None]) -> str | None:
        if not self._has_view:
            return act()
        answers: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._questions.put(lambda: answers.put(act()))
        return answers.get()

    @contextmanager
    def with_view(self) -> Iterator[None]:
        """While there is a view: its thread asks."""
        self._has_view = True
        try:
            yield
        finally:
            self._has_view = False

    def next_question(self) -> Callable[[], None] | None:
        """What is to be done without the view; ``None`` where nobody is to be asked anything."""
        try:
            return self._questions.get_nowait()
        except queue.Empty:
            return None


class _View:
    """A view on a screen of its own, as full-screen programs have it; the lines before it stay there."""

    def __init__(self, screen: Terminal, keys: Keys, prompt: ViewPrompt, ask: Ask, picture: Picture) -> None:
        self._screen, self._keys, self._prompt, self._ask = screen, keys, prompt, ask
        self._picture = picture
        self._asking: Background[Picture] | None = None
        self._drawn: object = None

    def show(self, *, to_end: bool) -> Picture:
        """Show it until it ends."""
        with self._prompt.with_view(), asked_to_end(_end):
            try:
                while question := self._show_until_question(to_end=to_end):
                    question()
            except KeyboardInterrupt:
                pass  # The other way to quit.
        return self._picture

    def _show_until_question(self, *, to_end: bool) -> Callable[[], None] | None:
        """Show it until somebody is to be asked something, or until its end."""
        self._drawn = None
        live = Live(
            console=self._screen.out,
            screen=True,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        with self._keys.at_once(), live:
            while not (to_end and self._picture.is_over):
                self._draw(live)
                if _QUIT & set(self._keys.read(_LOOK_S)):
                    break
                self._take_answer()
                if question := self._prompt.next_question():
                    return question
        return None

    def _take_answer(self) -> None:
        """Ask when it is time, beside the view, and take the answer once it is there."""
        if self._asking is None:
            if time.monotonic() >= self._picture.asked_at + self._picture.next_s:
                self._asking = Background(self._ask)
            return
        try:
            self._picture = self._asking.result(0)
        except TimeoutError:
            return
        self._asking = None

    def _draw(self, live: Live) -> None:
        age_s = int(time.monotonic() - self._picture.asked_at)
        size = self._screen.out.size
        now = (id(self._picture), age_s, size, self._asking is None)
        if now != self._drawn:
            self._drawn = now
            lines = self._lines(age_s, size.width, size.height)
            live.update(Text("\n", no_wrap=True, overflow="ellipsis").join(lines), refresh=True)

    def _lines(self, age_s: int, width: int, height: int) -> list[Text]:
        next_s = max(round(self._picture.next_s) - age_s, 0)
        when = f"asked again in {next_s} s" if self._asking is None else "asking …"
        above = [safe_text(f"{datetime.now().astimezone():%H:%M:%S}  {when}  q quits", "dim"), safe_text("")]
        runs = [_older(run, age_s) for run in self._picture.runs]
        table = run_lines(runs, width) if runs else [safe_text("No run is like that.")]
        trouble = self._picture.trouble
        below = [*fitted(safe_text(trouble, "yellow"), width).split("\n")] if trouble else []
        room = max(height - len(above) - len(below), 1)
        if len(table) > room:
            left = len(table) - (room - 1)
            table = [*table[: room - 1], safe_text(f"… {left} more lines; a higher window shows them", "dim")]
        return [*above, *table, *below]


def _older(run: Run, age_s: int) -> Run:
    """A run with the time that it has run by now, which nobody has to be asked for."""
    elapsed_s = run.status.elapsed_s
    if elapsed_s is None or run.status.state is not State.RUNNING or run.task_statuses:
        return run
    return replace(run, status=replace(run.status, elapsed_s=elapsed_s + age_s))


def _end(number: int, _: object) -> NoReturn:
    """End the view in an orderly way, which leaves the terminal as it was."""
    raise SystemExit(128 + number)


def _tell_changes(screen: Terminal, ask: Ask, picture: Picture) -> Picture:
    """A line for each run, and for each change of one, until all are over; a note once for each state."""
    told: dict[str, Sequence[object]] = {}
    noted: dict[str, State] = {}
    trouble: str | None = None
    while True:
        for run in reversed(picture.runs):
            line = _change(run)
            if told.get(run.run_id) != line:
                told[run.run_id] = line
                screen.say("  ".join([f"{datetime.now().astimezone():%Y-%m-%d %H:%M:%S}", *line]))
            if run.status.note and noted.get(run.run_id) is not run.status.state:
                noted[run.run_id] = run.status.state
                screen.note(f"{run.shown}: {one_line(run.status.note, 400)}")
        first = picture.trouble and picture.trouble.splitlines()[0]
        if first != trouble:
            screen.note(first or "All sites answer again")
            trouble = first
        if picture.is_over:
            return picture
        time.sleep(picture.next_s)
        picture = ask()


def _change(run: Run) -> list[str]:
    status = run.status
    over = [status.reason or "", "" if status.exit_code is None else f"exit code {status.exit_code}"]
    words = over if status.state.is_over else [status.node or ""]
    return [run.shown, status.state.value, *filter(None, words)]
