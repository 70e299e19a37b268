"""What starts a program on a host, run by the shells of this machine; tests/integration has more of them."""

import os
import subprocess

from hypothesis import given, settings
from hypothesis import strategies as some

from slipway.host.command_line import MARK, command_line, quote_text
from tests.waiting import PATIENCE_S

WORDS = some.lists(
    some.binary(max_size=40).map(lambda word: os.fsdecode(word.replace(b"\0", b"\\"))), max_size=4
)


@given(WORDS)
@settings(max_examples=40, deadline=None)
def test_any_words_arrive_as_they_are(words: list[str]) -> None:
    line = command_line(["printf", "%s\\0", "'\n!\\", *words])
    assert line.isascii()
    assert line.isprintable()
    done = subprocess.run(["sh", "-c", line], capture_output=True, timeout=PATIENCE_S, check=True)
    assert done.stdout == MARK + b"".join(os.fsencode(word) + b"\0" for word in ("'\n!\\", *words))
    assert done.stderr == MARK


def test_nothing_in_it_looks_like_the_mark() -> None:
    # A shell that traces what it runs prints it.
    assert MARK.decode().strip() not in command_line(["true"])
    done = subprocess.run(
        ["bash", "-vxc", command_line(["true"])], capture_output=True, timeout=PATIENCE_S, check=True
    )
    assert done.stderr.endswith(MARK)
    assert done.stderr.count(MARK.strip()) == 1


def test_outputs_as_one() -> None:
    line = command_line(["sh", "-c", "echo one; echo two >&2; exit 3"], merge_outputs=True)
    done = subprocess.run(["sh", "-c", line], capture_output=True, timeout=PATIENCE_S, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (3, MARK + b"one\ntwo\n", MARK)


def test_what_is_shown_of_a_text() -> None:
    assert quote_text(b"a \x1b[2J\n b\xff" + b"x" * 500) == repr(
        "a ?[2J b\N{REPLACEMENT CHARACTER}" + "x" * 191
    )


def test_on_a_terminal_the_mark_stands_once() -> None:
    line = command_line(["echo", "one"], terminal=True)
    done = subprocess.run(["sh", "-c", line], capture_output=True, timeout=PATIENCE_S, check=True)
    assert (done.stdout, done.stderr) == (MARK + b"one\n", b"")
