"""A program behind a login shell, on this machine in the place of a channel: the real sh and bash."""

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, cast

import pytest

from slipway.host.host import Host
from slipway.host.marked import MarkedProgram, login_command, marked_command
from slipway.host.program import Program
from tests.waiting import PATIENCE_S

PROFILE = (
    "echo Welcome; echo to stderr >&2; printf '\\nslipway-token '; cat; read line; cd /; export MINE=yes\n"
)
HOSTILE = ["a b", "$HOME", "`id`", "'\"", "*", "", "-n", "new\nline", "\udcff", "é"]


class Local:
    """A program of this machine, as :class:`Program` has one of a host."""

    def __init__(self, argv: list[str], home: Path) -> None:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            argv,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            env={**os.environ, "HOME": str(home)},
            start_new_session=True,  # as sshd starts it
        )
        self.greeting = b""

    def wait_for_begin(self) -> bool:
        return True

    def send(self, content: bytes) -> None:
        stdin = cast(IO[bytes], self.process.stdin)
        stdin.write(content)
        stdin.flush()

    def end_input(self) -> None:
        cast(IO[bytes], self.process.stdin).close()

    def recv(self, size_bytes: int) -> bytes:
        return os.read(cast(IO[bytes], self.process.stdout).fileno(), size_bytes)

    def recv_errors(self, size_bytes: int) -> bytes:
        return os.read(cast(IO[bytes], self.process.stderr).fileno(), size_bytes)

    def exit_code(self) -> int:
        return self.process.wait(PATIENCE_S)


class Here:
    """This machine, in the place of a host."""

    is_lost = False


Start = Callable[..., MarkedProgram]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    processes: list[subprocess.Popen[bytes]] = []

    def start(*argv: str, profile: str = PROFILE) -> MarkedProgram:
        (tmp_path / ".bash_profile").write_text(profile)
        local = Local(login_command(marked_command(argv, "token")), tmp_path)
        processes.append(local.process)
        return MarkedProgram(cast(Host, Here()), cast(Program, local), "token")

    yield start
    for process in processes:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            cast(IO[bytes], stream).close()


def outputs(program: MarkedProgram) -> tuple[bytes, bytes]:
    errors: list[bytes] = []
    reader = threading.Thread(target=lambda: errors.extend(program.errors()))
    reader.start()
    assert program.wait_for_begin()
    output = b"".join(program.output())
    reader.join(PATIENCE_S)
    return output, b"".join(errors)


def test_words_bytes_and_the_exit_code_pass_as_they_are(start: Start) -> None:
    script = 'printf "%s\\0" "$@"; cat; printf "\\0to\\377err" >&2; exit 7'
    program = start("sh", "-c", script, "sh", *HOSTILE)
    content = bytes(range(256)) + b"\nslipway-token\n"
    program.send(content)
    program.end_input()
    words = b"".join(os.fsencode(word) + b"\0" for word in HOSTILE)
    assert outputs(program) == (words + content, b"\0to\xfferr")
    assert program.exit_code() == 7


def test_it_has_the_environment_and_the_folder_of_a_login_shell(start: Start) -> None:
    program = start("sh", "-c", "echo $MINE; pwd")
    program.end_input()
    assert outputs(program) == (b"yes\n/\n", b"")


def test_a_login_shell_that_ends_before_the_program_is_told(start: Start) -> None:
    program = start("true", profile="echo bye; exit 3\n")
    assert not program.wait_for_begin()
    assert [*program.errors()] == [b""]
    assert program.exit_code() == 3
