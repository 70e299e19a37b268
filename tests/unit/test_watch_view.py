"""What somebody who watches sees, on a real pseudo-terminal whose screen is read; and what a pipe gets.

How runs stand is given by the test; sites are asked in the integration tests.
"""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator

import pyte
import pytest

from tests.unit.test_terminal import ROOT
from tests.waiting import PATIENCE_S

# The program takes the pseudo-terminal for its own, and shows what `STATES` says, a state a second.
PROGRAM = """
import fcntl, os, sys, termios, time
if os.isatty(0):
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from dataclasses import replace
from slipway.job.run import Status
from slipway.scheduler.base import State
from slipway.steps.watch import Picture
from slipway.terminal.terminal import terminal
from slipway.terminal.view import show_runs
from slipway.terminal.watch_view import ViewPrompt, watch_runs
from tests.unit.test_run import make_run

states, to_end = sys.argv[1].split(","), sys.argv[2] == "to-end"
asked = 0

def ask():
    global asked
    state = states[min(asked, len(states) - 1)]
    asked += 1
    trouble = None
    if state == "lost":
        state, trouble = "RUNNING", "hpc: the connection was lost\\nhpc is asked again in 2 s"
    if state == "password":
        state, trouble = "RUNNING", f"typed: {prompt.ask('Password: ', echo=False)}"
    note = None
    if state == "engine-down":
        state, note = "RUNNING", f"its container cannot be removed: the engine is down ({asked})"
    reason = "ok" if state == "COMPLETED" else None
    status = Status(state=State(state), reason=reason, elapsed_s=5, limit_s=60, note=note)
    runs = [replace(make_run(f"k{n}f9-cpu-20260131-142530"), name="short", args=("true",), status=status)
            for n in range(int(sys.argv[3]))]
    return Picture(runs=runs, trouble=trouble, asked_at=time.monotonic(), next_s=1)

with terminal() as screen:
    prompt = ViewPrompt(screen)
    seen = watch_runs(screen, prompt, ask, to_end=to_end)
    print("left the view")
    show_runs(screen, seen.runs)
"""


class Watcher:
    """The program on a terminal of 80 columns and 12 lines."""

    def __init__(self, states: str, how: str = "", runs: int = 1) -> None:
        self.ours, theirs = pty.openpty()
        self.screen = pyte.Screen(80, 12)
        self._stream = pyte.ByteStream(self.screen)
        self.all = b""
        self.resize(80, 12)
        # Whoever runs the tests may have a size of their own in there.
        environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, states, how, str(runs)],
            cwd=ROOT,
            env={**environment, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color", "PYTHONUTF8": "1"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)

    def resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self.ours, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.screen.resize(lines, columns)

    def read(self, seconds: float) -> None:
        """Show what comes within that time."""
        while select.select([self.ours], [], [], seconds)[0]:
            try:
                chunk = os.read(self.ours, 1 << 16)
            except OSError:  # it has ended
                return
            self.all += chunk
            self._stream.feed(chunk)

    def until(self, seen: Callable[[str], object]) -> str:
        """The screen's text, once it is as wanted."""
        deadline = time.monotonic() + PATIENCE_S
        while not seen(text := "\n".join(line.rstrip() for line in self.screen.display)):
            assert time.monotonic() < deadline, text
            self.read(0.05)
        return text

    def end(self) -> tuple[int, str]:
        """The exit code, and all that stands on the normal screen behind the view."""
        deadline = time.monotonic() + PATIENCE_S
        while self.process.poll() is None:
            assert time.monotonic() < deadline, self.all[-500:]
            self.read(0.05)
        self.read(0.2)
        behind = self.all.rpartition(b"\x1b[?1049l")[2].decode()
        return self.process.returncode, re.sub(r"\x1b\[[0-9;?]*[a-z]", "", behind)

    def is_sane(self) -> bool:
        """True where what is typed is shown, and comes by lines."""
        flags: int = termios.tcgetattr(self.ours)[3]
        return flags & (termios.ECHO | termios.ICANON) == termios.ECHO | termios.ICANON


@pytest.fixture
def start() -> Iterator[Callable[..., Watcher]]:
    started: list[Watcher] = []

    def begin(*words: str, runs: int = 1) -> Watcher:
        started.append(Watcher(*words, runs=runs))
        return started[-1]

    yield begin
    for one in started:
        one.process.kill()
        one.process.wait()
        os.close(one.ours)


def test_it_is_drawn_in_place_and_q_quits(start: Callable[..., Watcher]) -> None:
    watcher = start("PENDING,RUNNING,lost,COMPLETED")
    watcher.until(lambda text: "PENDING" in text)
    text = watcher.until(lambda text: "RUNNING" in text and "connection was lost" not in text)
    assert "PENDING" not in text  # It was drawn over.
    assert text.splitlines()[0].endswith("q quits")
    assert "k0f9-cpu  short" in text
    text = watcher.until(lambda text: "the connection was lost" in text)
    assert "hpc is asked again in 2 s" in text
    assert "RUNNING" in text
    watcher.until(lambda text: "COMPLETED" in text and "connection was lost" not in text)
    # All is over, and somebody still looks.
    os.write(watcher.ours, b"q")
    code, behind = watcher.end()
    assert code == 0
    assert "left the view" in behind
    assert "COMPLETED" in behind
    assert watcher.is_sane()


@pytest.mark.parametrize("by", ["Ctrl-C", "SIGTERM"])
def test_however_it_ends_the_terminal_is_as_before(start: Callable[..., Watcher], by: str) -> None:
    watcher = start("RUNNING")
    watcher.until(lambda text: "RUNNING" in text)
    assert not watcher.is_sane()
    if by == "Ctrl-C":
        os.write(watcher.ours, b"\x03")
    else:
        watcher.process.send_signal(signal.SIGTERM)
    code, behind = watcher.end()
    assert code == (0 if by == "Ctrl-C" else 128 + signal.SIGTERM)
    assert ("left the view" in behind) == (by == "Ctrl-C")
    assert "Traceback" not in behind
    assert b"\x1b[?1049l" in watcher.all
    assert watcher.is_sane()


def test_with_a_run_named_it_ends_with_it(start: Callable[..., Watcher]) -> None:
    code, behind = start("RUNNING,RUNNING,COMPLETED", "to-end").end()
    assert code == 0
    assert "COMPLETED" in behind


def test_it_fits_a_terminal_that_changes_its_size(start: Callable[..., Watcher]) -> None:
    watcher = start("RUNNING", runs=20)
    text = watcher.until(lambda text: "more lines" in text)
    assert text.splitlines()[-1] == "… 12 more lines; a higher window shows them"
    assert re.search(r"0:00:0\d/0:01:00", text)
    watcher.resize(120, 30)
    text = watcher.until(lambda text: "k19f9" in text)
    assert "more lines" not in text
    watcher.resize(50, 8)
    text = watcher.until(lambda text: "more lines" in text)
    assert len(text.splitlines()) == 8


def test_a_login_that_asks_is_answered_beside_the_view(start: Callable[..., Watcher]) -> None:
    watcher = start("RUNNING,password,RUNNING")
    watcher.until(lambda text: "RUNNING" in text)
    watcher.until(lambda text: "Password:" in text)
    os.write(watcher.ours, b"secret q\n")
    watcher.until(lambda text: "typed: secret q" in text)
    # It does not quit for a q in an answer.
    watcher.until(lambda text: "RUNNING" in text and "typed" not in text)
    os.write(watcher.ours, b"q")
    assert watcher.end()[0] == 0


def piped(states: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, states, "", "1"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
        start_new_session=True,
    )


def test_a_pipe_gets_a_line_for_each_change() -> None:
    done = piped("PENDING,PENDING,RUNNING,lost,lost,RUNNING,COMPLETED")
    told = done.stdout.partition("left the view")[0].splitlines()
    assert [re.sub(r"^[\d-]{10} [\d:]{8}  ", "", line) for line in told] == [
        "k0f9-cpu-20260131-142530 (short)  PENDING",
        "k0f9-cpu-20260131-142530 (short)  RUNNING",
        "k0f9-cpu-20260131-142530 (short)  COMPLETED  ok",
    ]
    assert done.stderr.splitlines() == ["hpc: the connection was lost", "All sites answer again"]


def test_a_pipe_is_told_once_why_a_run_does_not_come_to_its_end() -> None:
    done = piped("engine-down,engine-down,engine-down,COMPLETED")
    assert done.stderr.splitlines() == [
        "k0f9-cpu-20260131-142530 (short): its container cannot be removed: the engine is down (1)"
    ]
