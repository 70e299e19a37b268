"""What reaches a person's terminal, on a real pseudo-terminal; and what a pipe gets."""

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from tests.unit.test_terminal import ROOT, read_until
from tests.waiting import PATIENCE_S

# What rich itself writes: colours, and the line that moves.
OWN = re.compile(r"\x1b\[[0-9;]*m|\x1b\[\?25[lh]|\x1b\[2K|\x1b\[1A")
HOSTILE = "\x1b]0;X\x07\x1b]52;c;aGFjaw==\x07\x1b[2J\x1b[10;10H\x9b2J\u202e\x0e"
START = """
import json, sys
from slipway.terminal.terminal import terminal
from slipway.terminal.uncaught import set_hooks
set_hooks()
with terminal() as screen:
"""


def run(program: str, *words: str, **streams: int) -> subprocess.Popen[bytes]:
    own = {"PYTHONPATH": str(ROOT), "TERM": "xterm-256color", "PYTHONUTF8": "1"}
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    indented = "".join(f"    {line}\n" for line in program.strip().splitlines())
    return subprocess.Popen(
        [sys.executable, "-c", START + indented, *words],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        env={**environment, **own},
        **streams,
    )


def shown(program: str, *words: str, width: int = 80) -> str:
    """All that a terminal gets, of both outputs."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    process = run(program, *words, stdout=theirs, stderr=theirs)
    os.close(theirs)
    try:
        text = read_until(ours, None)
        process.wait(timeout=PATIENCE_S)
    finally:
        process.kill()
        os.close(ours)
    return text.replace("\r\n", "\n")


def piped(program: str, *words: str) -> bytes:
    process = run(program, *words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return process.communicate(timeout=PATIENCE_S)[0]


EVERYTHING = """
from pathlib import Path
from slipway.job.output import read_output
from slipway.terminal.view import show_output, show_runs
from dataclasses import replace
from tests.unit.test_run import make_run
from slipway.job.run import Status
from slipway.scheduler.base import State
bad = json.loads(sys.argv[1])
screen.step(bad)
screen.line(bad)
screen.say(bad)
screen.note(bad)
screen.tell(bad)
screen.heading(bad)
screen.log(bad + "\\n")
show_output(screen, read_output(Path(sys.argv[2])))
status = Status(state=State.FAILED, reason=bad, note=bad)
show_runs(screen, [replace(make_run("k3f9"), args=(bad,), site=bad, job_id=bad, status=status)])
from slipway.errors import JobError
raise JobError(bad)
"""


def test_nothing_that_is_shown_does_anything_to_a_terminal(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    figures = {"k\x1b]0;X\x07": "\x1b]52;c;aGFjaw==\x07", "\ud800": "\udcff"}
    (out / "fig.json").write_text(json.dumps(figures))
    (out / "[red]\x1b]0;Y\x07\u202e.json").write_text('{"[bold]a[/bold]": ":smile:"}')
    text = OWN.sub("", shown(EVERYTHING, json.dumps(HOSTILE), str(out), width=200))
    left = [character for character in text if not character.isprintable() and character not in "\n\r"]
    assert left == []
    assert "  k\\x1b]0;X\\x07  \\x1b]52;c;aGFjaw==\\x07\n" in text
    assert "\n[red]\\x1b]0;Y\\x07\\u202e\n  [bold]a[/bold]  :smile:\n" in text
    assert "\\ud800" in text
    assert "error: \\x1b]0;X" in text


TABLE = """
from dataclasses import replace
from slipway.job.run import Status
from slipway.scheduler.base import State
from slipway.terminal.view import show_runs
from tests.unit.test_run import make_run
note = "the site cannot be asked; `invoke doctor hpc` says why"
status = Status(state=State.UNKNOWN, node="node1", note=note)
run = replace(make_run("k3f9-lab-20260131-142530"), job_id="123456", args=("--lr", "0.1" * 10), status=status)
show_runs(screen, [run], {run.run_id}, wide=sys.argv[1] == "wide")
"""


def test_wide_has_all_columns_and_notes_fit_all_the_same() -> None:
    narrow, wide = (OWN.sub("", shown(TABLE, how, width=60)).splitlines() for how in ("narrow", "wide"))
    assert narrow[0].split() == ["RUN", "JOB", "SITE", "STATE", "REASON", "EXIT", "ELAPSED"]
    assert wide[0].split() == OWN.sub("", piped(TABLE, "narrow").decode()).splitlines()[0].split()
    assert {"NODE", "RESULTS", "ARGUMENTS"} < {*wide[0].split()}
    for lines in (narrow, wide):
        assert lines[2:] == [
            "k3f9-lab-20260131-142530: the site cannot be asked;",
            "  `invoke doctor hpc` says why",
        ]


LOG = "print = screen.log\nfor piece in json.loads(sys.argv[1]):\n    print(piece)\n"


def test_a_sequence_that_is_split_does_not_slip_through() -> None:
    log = f"\x1b[32mok\x1b[0m 10%\r 20%\r{HOSTILE}end\n"
    text = shown(LOG, json.dumps(list(log)))
    assert text == (
        "\x1b[32mok\x1b[0m 10%\r 20%\r\\x1b]0;X\\x07\\x1b]52;c;aGFjaw==\\x07\\x9b2J\\u202e\\x0eend\n"
    )


def test_a_colour_that_is_left_on_ends_with_the_log() -> None:
    assert shown(f"{LOG}screen.say('said')", json.dumps(["\x1b[31mred"])) == "\x1b[31mred\x1b[0m\nsaid\n"
    assert shown(LOG, json.dumps(["\x1b[31mred\n"])) == "\x1b[31mred\n\x1b[0m"


def test_a_pipe_and_raw_get_the_bytes() -> None:
    log = b"\x1b[2J\xff\xc3\xa9\r\n\x1b]0;X\x07 no newline"
    pieces = json.dumps([log.decode("utf-8", "surrogateescape")])
    assert piped(f"{LOG}screen.note('beside it')", pieces) == log
    assert piped(f"{LOG}screen.say('an answer')", pieces) == log + b"\nan answer\n"
    raw = shown(LOG.replace("screen.log", "screen.raw"), json.dumps([HOSTILE]))
    assert raw == HOSTILE


def test_a_persons_time_is_not_the_steps() -> None:
    program = """
import time
screen.step("Asking")
with screen._paused():
    time.sleep(1.2)
"""
    seconds = re.search(r"Asking ([\d.]+) s", OWN.sub("", shown(program)))
    assert seconds is not None
    assert float(seconds[1]) < 1


@pytest.mark.parametrize(("words", "said"), [("'what is left'", "stopped: what is left"), ("", "stopped")])
def test_what_is_left_is_said(words: str, said: str) -> None:
    assert OWN.sub("", shown(f"raise KeyboardInterrupt({words})")).startswith(f"{said}\n")
