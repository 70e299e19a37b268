"""Terminals handed to a program elsewhere, on pseudo-terminals; the program has a real one of its own."""

import os
import signal
import subprocess
import sys
import termios
from pathlib import Path

import pexpect
import pytest

from slipway.interactive.escape import Escape
from slipway.scheduler.slurm.scheduler import Slurm
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parents[2]
# Hands its terminal to a program on another one, which takes the place of a login node's.
PROGRAM = """
import fcntl, os, pty, struct, subprocess, sys, termios
from slipway.interactive.terminal import LeftError, open_terminal

class Program:
    def __init__(self, argv):
        self.pid, self.fd = pty.fork()
        if not self.pid:
            os.execvp(argv[0], argv)
    def recv(self, size_bytes):
        try:
            return os.read(self.fd, size_bytes)
        except OSError:
            return b""
    def send(self, content):
        os.write(self.fd, content)
    def resize(self, size):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", size.rows, size.columns, 0, 0))
    def close(self):
        os.kill(self.pid, 1)

with open_terminal() as terminal:
    program = Program(sys.argv[1:])
    program.resize(terminal.size)
    try:
        terminal.attach(program)
    except LeftError:
        print("left")
    except KeyboardInterrupt:
        print("interrupted")
print("done")
"""


def start(*argv: str) -> "pexpect.spawn[str]":
    env = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm"}
    return pexpect.spawn(
        sys.executable,
        ["-c", PROGRAM, *argv],
        env=env,
        timeout=PATIENCE_S,
        encoding="utf-8",
        dimensions=(33, 111),
    )


def flags(child: "pexpect.spawn[str]") -> list[int]:
    # Without the last, which has the characters.
    return termios.tcgetattr(child.child_fd)[:4]


SHELL = ("sh", "-c", 'stty size; echo ready; read -r word; echo "got $word"; stty size')


def test_a_program_has_the_terminal_and_gives_it_back() -> None:
    child = start(*SHELL)
    before = flags(child)
    child.expect("33 111\r\nready")
    assert flags(child) != before
    child.setwinsize(44, 99)
    child.send("word\n")
    child.expect("got word\r\n44 99")
    child.expect("done")
    child.expect(pexpect.EOF)
    assert flags(child) == before


def test_keys_are_the_programs() -> None:
    script = "import signal, sys; print('ready'); signal.pause()"
    child = start(sys.executable, "-u", "-c", script)
    child.expect("ready")
    child.send("\x03")
    child.expect("KeyboardInterrupt")
    child.expect("done")


@pytest.mark.parametrize(
    ("number", "said", "code"),
    [(signal.SIGTERM, "", 143), (signal.SIGHUP, "", 129), (signal.SIGINT, "interrupted", 0)],
)
def test_whatever_ends_it_the_terminal_is_as_it_was(number: int, said: str, code: int) -> None:
    child = start(*SHELL)
    before = flags(child)
    child.expect("ready")
    child.kill(number)
    child.expect(said or pexpect.EOF)
    if said:
        child.expect(pexpect.EOF)
    assert flags(child) == before
    child.close()
    assert child.exitstatus == code


def test_a_program_that_does_not_answer_is_left() -> None:
    child = start("sh", "-c", "trap '' HUP INT; echo ready; read -r word; exec sleep 600")
    before = flags(child)
    child.expect("ready")
    child.send("word\r~.")
    child.expect("left")
    assert flags(child) == before


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ([b"ls\r"], b"ls\r"),
        ([b"a~.b"], b"a~.b"),
        ([b"~", b"~."], b"~."),
        ([b"~a"], b"~a"),
        ([b"\r", b"~", b"x~."], b"\r~x~."),
        ([b"~."], None),
        ([b"ls\r", b"~", b"."], None),
    ],
)
def test_escape(typed: list[bytes], sent: bytes | None) -> None:
    escape = Escape()
    parts = [escape.feed(one) for one in typed]
    assert (None if None in parts else b"".join(part or b"" for part in parts)) == sent


def test_joining_a_job() -> None:
    command = Slurm().join("7", ["nvidia-smi", "a b"])
    assert command[:2] == ["bash", "-lc"]
    assert command[3:] == [
        *("slipway", "--jobid=7", "--overlap", "--nodes=1", "--ntasks=1", "--mpi=none", "--chdir=/"),
        *("nvidia-smi", "a b"),
    ]


def test_what_joins_a_job_has_its_own_outputs_and_exit_code(tmp_path: Path) -> None:
    """The program in srun's place says what srun says."""
    said = (
        'echo "srun: error: n1: task 0: Exited with exit code 7" >&2; echo other >&2; echo out; cat; exit 7'
    )
    (tmp_path / "srun").write_text(f"#!/bin/sh\n{said}\n")
    (tmp_path / "srun").chmod(0o755)
    command = Slurm().join("7", ["true"])
    # A login shell sets its own PATH.
    command[1:3] = ["-c", command[2]]
    done = subprocess.run(
        command,
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        input=b"in",
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (7, b"out\nin", b"other\n")


def test_joining_a_task_on_a_node_at_a_terminal() -> None:
    command = Slurm().join("7", ["bash"], task=3, node="n2", terminal=True)
    assert command[:2] == ["bash", "-lc"]
    assert command[3:] == [
        *("slipway", "7_3", "--overlap", "--nodes=1", "--ntasks=1", "--mpi=none", "--chdir=/"),
        *("--nodelist=n2", "--pty", "bash"),
    ]
