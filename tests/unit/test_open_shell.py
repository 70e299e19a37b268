"""A shell that stays open, on this machine in the place of a channel: the real sh and bash."""

import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

import pytest

from slipway.errors import ConnectionLostError
from slipway.host.open_shell import KeptShell, OpenShell, ShellTimeoutError, Step, open_shell_command
from slipway.host.program import Program

PROFILE = "echo Welcome; echo to stderr >&2; printf '\\0b\\0e 7\\0'; cat; read line; cd /; export MINE=yes\n"


class Local:
    """A program of this machine, as :class:`Program` has one of a host."""

    def __init__(self, argv: list[str], home: Path) -> None:
        environment = {**os.environ, "HOME": str(home), "TMOUT": "1"}
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, env=environment)

    def send(self, content: bytes) -> None:
        stdin = cast(IO[bytes], self.process.stdin)
        stdin.write(content)
        stdin.flush()

    def recv(self, size_bytes: int) -> bytes:
        return os.read(cast(IO[bytes], self.process.stdout).fileno(), size_bytes)

    def recv_errors(self, size_bytes: int) -> bytes:
        return os.read(cast(IO[bytes], self.process.stderr).fileno(), size_bytes)


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[OpenShell]:
    (tmp_path / ".bash_profile").write_text(PROFILE)
    local = Local(open_shell_command(), tmp_path)
    try:
        yield OpenShell(cast(Program, local))
    finally:
        local.process.kill()
        local.process.communicate()


RunShell = Callable[..., tuple[int, bytes, bytes]]


@pytest.fixture
def run(shell: OpenShell) -> RunShell:
    def run(*argv: str, stdin: bytes = b"") -> tuple[int, bytes, bytes]:
        return shell.run(argv, [stdin] if stdin else [], len(stdin))

    return run


def test_each_program_has_its_own_outputs_and_exit_code(run: RunShell) -> None:
    assert run("printf", "%s\n", "one") == (0, b"one\n", b"")
    assert run("sh", "-c", "echo out; echo err >&2; exit 3") == (3, b"out\n", b"err\n")
    assert run("sh", "-c", 'echo "$MINE"; pwd') == (0, b"yes\n/\n", b"")
    assert run("no-such-program")[0] == 127
    assert run("sh", "-c", "kill -9 $$")[0] == 137
    assert run("sh", "-c", "cd /tmp; exit 0") == (0, b"", b"")
    assert run("pwd") == (0, b"/\n", b"")


def test_anything_is_printed_and_read_as_it_is(run: RunShell) -> None:
    content = bytes(range(256)) * 100 + b"\n\n\0e\0"
    assert run("cat", stdin=content) == (0, content, b"")
    words = ("a b", "'\"\\", "\n\n", "\udcff", "$(exit)", "*", "", "-n", "ü")
    printed = b"".join(word.encode("utf-8", "surrogateescape") + b"\0" for word in words)
    assert run("printf", "%s\\0", *words) == (0, printed, b"")
    assert run("cat") == (0, b"", b"")


def test_input_that_is_not_read_is_not_taken_for_the_next_program(run: RunShell) -> None:
    assert run("true", stdin=b"x" * 300_000) == (0, b"", b"")
    assert run("sh", "-c", "head -c 3; exit 9", stdin=b"abcdef" * 50_000) == (9, b"abc", b"")
    assert run("echo", "next") == (0, b"next\n", b"")


def test_a_shell_that_ends_is_told(shell: OpenShell) -> None:
    with pytest.raises(EOFError):
        shell.run(["sh", "-c", "kill -9 $PPID; sleep 1"], [], 0)


def test_a_shell_that_has_ended_or_hangs_is_started_again(tmp_path: Path) -> None:
    begun = []

    @contextmanager
    def start(argv: Sequence[str]) -> Iterator[Program]:
        local = Local(list(argv), tmp_path)
        begun.append(local)
        try:
            yield cast(Program, local)
        finally:
            local.process.kill()
            local.process.communicate()

    shell = KeptShell(start)
    assert [shell.run(["pwd"], [], 0, 60)[0] for _ in range(2)] == [0, 0]
    assert len(begun) == 1
    with pytest.raises(ShellTimeoutError):
        shell.run(["sleep", "3"], [], 0, 0.5)
    assert shell.run(["cat"], [b"x"], 1, None) == (0, b"x", b"")
    with pytest.raises(EOFError):
        shell.run(["sh", "-c", "kill -9 $PPID; sleep 1"], [], 0, 60)
    assert shell.run(["true"], [], 0, 60)[0] == 0
    assert len(begun) == 3
    shell.close()


def test_to_close_a_shell_whose_connection_is_lost_is_no_error(tmp_path: Path) -> None:
    @contextmanager
    def start(argv: Sequence[str]) -> Iterator[Program]:
        local = Local(list(argv), tmp_path)
        try:
            yield cast(Program, local)
        finally:
            local.process.kill()
            local.process.communicate()
            raise ConnectionLostError("the connection was lost")  # as the channel's own end says it

    shell = KeptShell(start)
    assert shell.run(["true"], [], 0, 60)[0] == 0
    shell.close()


def test_programs_in_turn_are_all_sent_at_once_and_end_with_the_first_that_fails(shell: OpenShell) -> None:
    steps = [
        Step(argv=["sh", "-c", "cat; echo err >&2"], stdin=[b"a", b"b"], stdin_bytes=2),
        Step(argv=["sh", "-c", "cat; exit 3"], stdin=[b"c"], stdin_bytes=1),
        Step(argv=["touch", "made"], stdin=[b"left"], stdin_bytes=4),
    ]
    assert shell.run_in_turn(steps) == [(0, b"ab", b"err\n"), (3, b"c", b"")]
    # Those behind it were not run, and their input is not taken for a program.
    assert shell.run(["sh", "-c", "ls made; echo $MINE"], [], 0)[:2] == (0, b"yes\n")
    assert shell.run_in_turn([Step(argv=["true"]), Step(argv=["echo", "two"])]) == [
        (0, b"", b""),
        (0, b"two\n", b""),
    ]


def test_scripts_are_run_whatever_came_of_the_one_before(shell: OpenShell) -> None:
    scripts = ["exit 90", 'root="$MINE"\nexec printf %s "$root"', "echo e >&2"]
    assert shell.run_all(scripts) == [(90, b"", b""), (0, b"yes", b""), (0, b"", b"e\n")]
