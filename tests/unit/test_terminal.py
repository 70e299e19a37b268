"""Questions and errors, on a real terminal."""

import fcntl
import itertools
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from invoke.exceptions import Exit

from slipway.errors import ImageError
from slipway.progress import Amount, Transfer, explain_stop
from slipway.terminal.output_log import OutputLog
from slipway.terminal.styled import Moving, safe_text
from slipway.terminal.terminal import Terminal, terminal
from slipway.text.wording import duration, sent, wrapped
from tests.terminals import read_terminal
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parents[2]
# A process of its own, for which the pseudo-terminal is the terminal, and standard input is not.
PROGRAM = """
import fcntl, os, sys, termios
fcntl.ioctl(int(sys.argv[1]), termios.TIOCSCTTY, 0)
from slipway.terminal.terminal import Terminal
screen = Terminal()
screen.step("Logging in")
screen.tell("Read \\x1b[2Jthis [bold]first :smile:")
answers = [screen.ask("Code: ", echo=True), screen.ask("Password: ", echo=False)]
screen.fail()  # ends the line that moves, below which nothing else may print
print(answers)
"""


def test_answers_are_read_from_the_terminal_and_secrets_not_shown() -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(theirs)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=theirs,
        pass_fds=[theirs],
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm"},
    )
    os.close(theirs)
    try:
        shown = read_until(ours, b"Code: ")
        assert "Read this [bold]first :smile:" in shown
        os.write(ours, "123 é\n".encode())
        assert "123 é" in read_until(ours, b"Password: ")
        time.sleep(0.2)  # until it is silent, as a person would be
        os.write(ours, b" a secret \n")
        output, _ = process.communicate(timeout=PATIENCE_S)
        assert output.decode().splitlines() == ["['123 é', ' a secret ']"]
        assert "secret" not in read_until(ours, None)
    finally:
        process.kill()
        os.close(ours)


def read_until(terminal: int, end: bytes | None) -> str:
    shown = b""
    while end is None or end not in shown:
        chunk = read_terminal(terminal)
        if not chunk:
            break
        shown += chunk
    return shown.decode()


ERRORS = """
import sys
from invoke.exceptions import Exit
from slipway.errors import LoginError
from slipway.terminal.terminal import terminal
try:
    with terminal() as screen:
        screen.step("Logging in")
        raise LoginError(sys.argv[1])
except Exit as exit:
    sys.exit(exit.code)
"""
TEXT = (
    "me@there:22: \x1b[2Jthe host's key is [bold]not the one that is known, and this goes on a little\n"
    "  known: ED25519 SHA256:0123456789012345678901234567890123456789012 (/a/path/that/is/long:2)\n"
    "  If it is the one shown, `invoke ssh.trust SITE --replace` puts it in the place of the known one"
)


@pytest.mark.parametrize("width", [40, 80, 120])
def test_errors_are_wrapped_and_commands_stay_whole(width: int) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    own = {"PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": str(width)}
    process = subprocess.Popen(
        [sys.executable, "-c", ERRORS, TEXT], cwd=ROOT, stderr=theirs, env={**os.environ, **own}
    )
    os.close(theirs)
    try:
        shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", read_until(ours, None))
        process.wait(timeout=PATIENCE_S)
    finally:
        process.kill()
        os.close(ours)
    text = shown[shown.index("error: ") :].replace("\r\n", "\n")
    lines = text.splitlines()
    # A word that is longer than the terminal is left to it.
    assert all(len(line) <= width or len(line.split()) == 1 or "`" in line for line in lines), lines
    assert "`invoke ssh.trust SITE --replace`" in text
    assert all(line.startswith("  ") for line in lines[1:])
    assert " ".join(text.split()) == "error: " + " ".join(TEXT.replace("\x1b[2J", "").split())


ON_ALL_WIDTHS = """
from slipway.terminal.terminal import Terminal
screen = Terminal()
text = "/a/b: `invoke a` `invoke b` or `invoke c` it is, " * 9
for width in range(40, 52):
    screen.out.width = screen.err.width = width
    for how in (screen.error, screen.note, screen.say, screen.tell, screen.heading):
        screen.out.print(f"= {width}")
        how(text)
"""
NARROW = """
import fcntl, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from slipway.terminal.terminal import Terminal
screen = Terminal()
"""


@pytest.mark.parametrize("command", ["invoke", "slipway", "my-slipway"])
def test_all_that_is_printed_fits_with_commands_as_they_are_typed(command: str) -> None:
    shown = on_terminal(ON_ALL_WIDTHS, width=80, command=command)
    pieces = re.findall(r"= (\d+)\n([^=]+)", shown)
    assert len(pieces) == 60
    for width, text in pieces:
        assert max(map(len, text.splitlines())) <= int(width), text
        assert text.count(f"`{command} a`") == 9
        # No word is set on a further line that would have had room on the one before it.
        for line, after in itertools.pairwise(text.strip("\n").splitlines()):
            (word,) = re.findall(r"^ *(`[^`]+`|\S+)", after)
            assert len(line) + 1 + len(word) > int(width), text


def test_a_question_fits_and_has_its_answer_behind_it() -> None:
    program = NARROW + "screen.ask(sys.argv[1], echo=True)"
    question = "Cancel k3f9-lab-20260131-142530, the newest run, which is RUNNING? Type yes: "
    shown = on_terminal(program, question, width=40, end=b"yes: ")
    assert shown.splitlines() == [
        "Cancel k3f9-lab-20260131-142530, the",
        "  newest run, which is RUNNING? Type",
        "  yes: ",
    ]


def test_a_terminal_without_colours_has_its_own_width() -> None:
    text = "a " * 49 + "b"
    assert on_terminal(f"{NARROW}screen.say({text!r})", width=100, term="dumb") == f"{text}\n"


def test_a_word_that_is_none_is_refused_in_lines_that_fit() -> None:
    program = "import sys; sys.argv = ['slipway', 'jbo']; from slipway.cli.program import main; main()"
    shown = on_terminal(program, width=40, command="slipway")
    assert shown.splitlines() == [
        "error: No idea what 'jbo' is! Did you",
        "  mean job? `slipway --list` shows the",
        "  tasks",
    ]


def test_what_is_to_be_copied_is_left_to_the_terminal() -> None:
    program = NARROW + 'screen.say("a " * 40 + "b", whole=True)'
    assert on_terminal(program, width=40) == "a " * 40 + "b\n"


def test_a_cell_goes_on_below_itself_and_a_digest_is_cut() -> None:
    cells = [("image", "bold"), ("sha256 " + "0123456789abcdef" * 4, "")]
    assert on_terminal(f"{NARROW}screen.row({cells}, [11, 0])", width=60).splitlines() == [
        "image        sha256 0123456789abcdef0123456789abcdef01234567",
        "             89abcdef0123456789abcdef",
    ]


def test_wide_letters_take_two_columns() -> None:
    assert wrapped("ランの名前 ランの名前 ランの名前", 22) == "ランの名前 ランの名前\n  ランの名前"


def on_terminal(
    program: str,
    *words: str,
    width: int,
    command: str = "invoke",
    end: bytes | None = None,
    term: str = "xterm",
) -> str:
    """What a program shows on a terminal of so many columns, to its end or to these bytes."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    own = {"PYTHONPATH": str(ROOT), "TERM": term, "COLUMNS": str(width), "SLIPWAY_COMMAND": command}
    process = subprocess.Popen(
        [sys.executable, "-c", program, *words],
        cwd=ROOT,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        env={**os.environ, **own},
    )
    os.close(theirs)
    try:
        shown = read_until(ours, end)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown).replace("\r\n", "\n")


def test_a_long_step_has_its_time_while_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    shown = [
        str(Moving(step="Building", began=lambda began=began: began, below=safe_text(below)).__rich__())
        for began, below in ((99.0, ""), (58.0, "RUN make"), (28.0, ""))
    ]
    assert shown == ["Building", "Building  42 s\nRUN make", "Building  1:12"]


@pytest.mark.parametrize(("columns", "width"), [(40, 40), (80, 80), (200, 112)])
def test_a_step_takes_one_line_of_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], columns: int, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("FORCE_COLOR", "1")
    screen = Terminal()
    screen.step("RUN apt-get update " + "x" * 200)
    screen.done()
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", capsys.readouterr().err).strip().splitlines()[-1]
    assert re.fullmatch(r"✓ RUN apt-get update x+… \d\.\d s", shown)
    assert width - 15 <= len(shown) <= width


def test_errors_are_not_wrapped_for_a_program() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ERRORS, TEXT],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "40"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    shown = TEXT.replace("\x1b[2J", "")
    assert (done.returncode, done.stdout) == (81, "")
    assert done.stderr == f"Logging in\nerror: {shown}\n"


def test_without_a_terminal_there_is_no_answer() -> None:
    program = "from slipway.terminal.terminal import Terminal; print(Terminal().ask('Code: ', echo=True))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        start_new_session=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "None\n", "")


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_signal_that_asks_to_end_does_what_ctrl_c_does(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    number = signal.Signals[name]
    before = signal.getsignal(number)

    def send() -> None:
        with terminal() as screen, explain_stop("the same command goes on"):
            screen.step("Sending")
            os.kill(os.getpid(), number)
            pytest.fail("it went on")

    with pytest.raises(Exit) as caught:
        send()
    assert caught.value.code == 128 + number
    assert f"stopped by {name}: the same command goes on" in capsys.readouterr().err
    assert signal.getsignal(number) is before


def test_what_sending_has_cost() -> None:
    transfer = Transfer(
        sent_bytes=12_300_000, received_bytes=0, total_bytes=8_012_300_000, files=1, elapsed_s=72
    )
    assert sent(transfer, 8_012_300_000) == "12.3 MB sent (0.2 %), 1:12"
    assert sent(replace(transfer, elapsed_s=None), 12_300_000) == "12.3 MB sent (100 %)"
    assert sent(None, 1) == "there already, nothing sent"
    assert [duration(seconds) for seconds in (4.24, 60, 3723.4)] == ["4.2 s", "1:00", "1:02:03"]


def test_how_far_a_log_is_told(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    screen = Terminal()
    screen.step("Sending")
    for now in (101.0, 111.0, 112.0, 122.0):
        done = int(now - 100) * 1_000_000
        screen.transfer(
            Amount(done_bytes=done, total_bytes=50_000_000, moved_bytes=done, elapsed_s=now - 100)
        )
    assert capsys.readouterr().err == (
        "Sending\n  11.0 MB  22 %  1.0 MB/s  0:00:39 left\n  22.0 MB  44 %  1.0 MB/s  0:00:28 left\n"
    )


def fail(folder: Path, steps: Sequence[tuple[str, ...]]) -> None:
    """A task with these steps, each with its lines, that fails in the last one."""
    with terminal() as screen:
        screen.keep_lines(folder)
        for step, *lines in steps:
            screen.step(step)
            for line in lines:
                screen.line(line)
        raise ImageError("it failed")


def test_without_a_terminal_steps_have_their_seconds_and_lines_are_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = [("Installing", "debconf: unable to initialize frontend"), ("Compiling", "cc main.c  ")]
    with pytest.raises(Exit):
        fail(tmp_path, steps)
    (log,) = tmp_path.iterdir()
    assert log.read_text() == (
        "==> Installing\ndebconf: unable to initialize frontend\n==> Compiling\ncc main.c\n"
    )
    assert re.fullmatch(
        rf"Installing  0\.0 s\nCompiling\nThe whole output of this step is in {log}\nerror: it failed\n",
        capsys.readouterr().err,
    )


def test_without_lines_no_file_is_made_or_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Exit):
        fail(tmp_path, [("Logging in",)])
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().err == "Logging in\nerror: it failed\n"


def test_the_newest_logs_are_kept(tmp_path: Path) -> None:
    for number in range(15):
        (tmp_path / f"20260101-0000{number:02}-1.log").touch()
    (tmp_path / "setup.log").touch()
    log = OutputLog(tmp_path)
    log.line("a")
    log.close()
    kept = sorted(file.name for file in tmp_path.iterdir())
    assert len(kept) == 11
    assert kept[0] == "20260101-000006-1.log"
    assert log.file.name in kept
    assert "setup.log" in kept
