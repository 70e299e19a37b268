"""Terminal sessions, on pseudo-terminals."""

import os
import pty
import subprocess
import sys
from pathlib import Path

from slipway.tty import terminal_session
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parents[2]
ASK = "from slipway.tty import terminal_session; print(terminal_session())"
# A process of its own session with a terminal, and another one that is started in there.
PROGRAM = f"""
import fcntl, subprocess, sys, termios
fcntl.ioctl(int(sys.argv[1]), termios.TIOCSCTTY, 0)
for _ in range(2):
    subprocess.run([sys.executable, "-c", {ASK!r}], stdin=subprocess.DEVNULL, check=True)
"""


def in_a_terminal() -> list[str]:
    ours, theirs = pty.openpty()
    try:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(theirs)],
            cwd=ROOT,
            pass_fds=[theirs],
            start_new_session=True,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=True,
        )
    finally:
        os.close(theirs)
        os.close(ours)
    return done.stdout.splitlines()


def test_all_programs_of_a_terminal_are_one_session() -> None:
    one, same = in_a_terminal()
    assert one == same
    assert one.startswith(f"{os.getuid()}@")
    assert one not in [*in_a_terminal(), terminal_session()]


def test_without_a_terminal_there_is_no_session() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ASK],
        cwd=ROOT,
        start_new_session=True,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
    )
    assert done.stdout == "None\n"
