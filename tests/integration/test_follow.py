"""Following a job: over a line that is cut, through a requeue, and until Ctrl-C."""

import os
import pty
import re
import select
import subprocess
import sys
import threading
import time
from typing import IO

import pytest

from slipway.job.run import Run
from slipway.scheduler.base import State
from tests.integration import daemon
from tests.integration.cuttable_proxy import CuttableProxy
from tests.integration.small_image import UNTIL_LET_GO, SmallImageBox
from tests.integration.task_runner import INVOKE, ROOT
from tests.terminals import read_terminal
from tests.waiting import PATIENCE_S, wait_until

# What rich itself writes: colours, and the line that moves.
OWN = re.compile(r"\x1b\[[0-9;]*m|\x1b\[\?25[lh]|\x1b\[2K|\x1b\[1A")


def submit(small: SmallImageBox, script: str) -> Run:
    with small.connect() as host:
        return small.submit(host, "sh", "-c", script)


def follow(small: SmallImageBox, run: Run) -> subprocess.Popen[str]:
    project = small.session.project
    return subprocess.Popen(
        [*INVOKE, "logs", "--run", run.run_id, "--follow"],
        cwd=ROOT,
        env={**os.environ, "SLIPWAY_STATE": str(project.state), "SLIPWAY_RESULTS": str(project.results)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )


class Reader:
    """Reads what a process prints as it comes, so that one can wait for it."""

    def __init__(self, pipe: IO[str] | None) -> None:
        assert pipe is not None
        self.text = ""
        self._pipe = pipe
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        for line in self._pipe:
            self.text += line

    def wait_for(self, words: str, times: int = 1) -> None:
        wait_until(lambda: self.text.count(words) >= times, lambda: f"{words!r} in {self.text}")

    def rest(self) -> str:
        """All that was printed, once that is over."""
        self._thread.join(PATIENCE_S)
        return self.text


def test_a_line_that_is_cut_five_times(small: SmallImageBox, proxy: CuttableProxy) -> None:
    script = "i=0; until [ -e /out/go ]; do i=$((i + 1)); echo line $i é; sleep 0.15; done; exit 3"
    run = submit(small, script)
    with follow(small, run) as process:
        printed, told = Reader(process.stdout), Reader(process.stderr)
        printed.wait_for("line 1 é")
        for number in range(5):
            # Once it stays away for a while.
            proxy.cut(mend=number != 2)
            if number == 2:
                time.sleep(2)
                proxy.mend()
            told.wait_for("Connected again", number + 1)
            printed.wait_for("\n", printed.text.count("\n") + 1)
        small.let_go(run)
        output, errors = printed.rest(), told.rest()
    assert process.returncode == 3, errors
    lines = output.splitlines()
    written = small.as_root("cat", f"{run.run_dir}/attempt-1/log").splitlines()
    assert lines[:-1] == written == [f"line {number} é" for number in range(1, len(written) + 1)]
    assert lines[-1] == f"run {run.run_id}  FAILED  program-error  exit code 3"
    assert errors.count("The connection was lost") == 5, errors
    assert errors.count("Connected again") == 5, errors
    assert "Traceback" not in errors


@pytest.mark.long
def test_a_requeue_is_followed(small: SmallImageBox) -> None:
    script = "echo of attempt $SLIPWAY_ATTEMPT; [ $SLIPWAY_ATTEMPT -gt 1 ] || exec sleep 600"
    run = submit(small, script)
    with follow(small, run) as process:
        wait_until(lambda: small.has_printed(run, "of attempt 1"), lambda: small.situation(run))
        small.as_root("scontrol", "requeue", str(run.job_id))
        attempt = small.begin_again(run)
        output, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, errors
    assert output.splitlines()[:-1] == ["of attempt 1", f"--- attempt {attempt} ---", f"of attempt {attempt}"]


TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-m", "invoke", *sys.argv[1:]])
"""


def on_terminal(small: SmallImageBox, *words: str) -> tuple[subprocess.Popen[bytes], int]:
    """A task on a pseudo-terminal of its own, and our end of that."""
    ours, theirs = pty.openpty()
    project = small.session.project
    # Through a shell of one line, for which the pseudo-terminal is the terminal that Ctrl-C is typed at.
    process = subprocess.Popen(
        [sys.executable, "-c", TERMINAL, *words],
        cwd=ROOT,
        env={**os.environ, "SLIPWAY_STATE": str(project.state), "SLIPWAY_RESULTS": str(project.results)},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    return process, ours


def shown_by(small: SmallImageBox, *words: str) -> str:
    """All that a task shows on a terminal."""
    process, ours = on_terminal(small, *words)
    try:
        shown = read_until(ours, None)
        assert process.wait(timeout=PATIENCE_S) == 0, shown
    finally:
        process.kill()
        os.close(ours)
    return shown


def test_ctrl_c_leaves_the_job_running(small: SmallImageBox) -> None:
    run = submit(small, "echo running; exec sleep 600")
    process, ours = on_terminal(small, "logs", run.run_id, "--follow")
    try:
        before = read_until(ours, b"running\r\n")
        # That it runs is said before what it prints.
        assert f"{run.run_id} is RUNNING" in before
        os.write(ours, b"\x03")
        shown = read_until(ours, None)
        assert process.wait(timeout=PATIENCE_S) == 130
    finally:
        process.kill()
        os.close(ours)
    told = " ".join(OWN.sub("", shown).split())
    assert f"The job goes on. `invoke logs {run.run_id} --follow` comes back to it" in told
    assert f"`invoke cancel {run.run_id}` ends it" in told
    assert "Traceback" not in told
    assert small.look(run.run_id).status.state is State.RUNNING
    small.on_box(f"scancel {run.job_id}")


@pytest.mark.long
def test_a_watch_outlives_a_line_that_is_cut(small: SmallImageBox, proxy: CuttableProxy) -> None:
    run = submit(small, f"{UNTIL_LET_GO}; exit 3")
    before = proxy.connections
    process, ours = on_terminal(small, "status", "--watch", "--interval", "1", run.run_id)
    try:
        shown = read_until(ours, b"RUNNING")
        time.sleep(3)
        assert proxy.connections == before + 1  # However often it has asked.
        proxy.cut(mend=False)
        shown += read_until(ours, b"asked again in")
        proxy.mend()
        small.let_go(run)
        shown += read_until(ours, None)
        assert process.wait(timeout=PATIENCE_S) == 0, shown
    finally:
        process.kill()
        os.close(ours)
    assert proxy.connections == before + 2
    assert "Traceback" not in shown
    left = OWN.sub("", shown.rpartition("\x1b[?1049l")[2])
    assert re.search(rf"{run.run_id[:4]}.* FAILED +program-error +3 +0:\d\d:\d\d", left), left


HOSTILE = rb"\033]0;X\007\033]52;c;aGFjaw==\007\033[2J\302\2332J\377 \033[32mgreen\033[0m 10%%\r 20%%\n"
FIGURES = r'{"k\\u001b]0;X\\u0007": "\\u001b]52;c;aGFjaw==\\u0007"}'


def test_what_a_program_leaves_does_nothing_to_a_terminal(small: SmallImageBox) -> None:
    """Titles, the clipboard, a cleared screen, C1 bytes: in its log, its figures, a file's name."""
    script = f"printf '{HOSTILE.decode()}'; printf '%b' '{FIGURES}' >/out/fig.json; "
    run = submit(small, script + "touch /out/\"$(printf 'a\\033]0;Y\\007')\"")
    small.wait_for(run, State.COMPLETED)
    log = HOSTILE.decode("unicode_escape").encode("latin-1").replace(b"%%", b"%")
    left = OWN.sub("", shown_by(small, "pull", run.run_id))
    assert r"k\x1b]0;X\x07  \x1b]52;c;aGFjaw==\x07" in left
    assert r"/out/a\x1b]0;Y\x07 0.0 kB" in " ".join(left.split())
    assert not re.search(r"[\x00-\x08\x0b-\x0c\x0e-\x1f\x7f-\x9f]", left)
    shown = shown_by(small, "logs", run.run_id)
    assert "\\x1b]0;X\\x07\\x1b]52;c;aGFjaw==\\x07\\x9b2J\\xff \x1b[32mgreen\x1b[0m 10%\r 20%\r\n" in shown
    project = small.session.project
    own = {"SLIPWAY_STATE": str(project.state), "SLIPWAY_RESULTS": str(project.results)}
    piped = subprocess.run(
        [*INVOKE, "logs", run.run_id], cwd=ROOT, env={**os.environ, **own}, capture_output=True, check=True
    )
    assert piped.stdout == log


def read_until(terminal: int, end: bytes | None) -> str:
    shown = b""
    while end is None or end not in shown:
        assert select.select([terminal], [], [], PATIENCE_S)[0], (end, shown)
        chunk = read_terminal(terminal)
        if not chunk:
            break
        shown += chunk
    return shown.decode(errors="replace")


@pytest.mark.long
def test_the_controller_is_away_in_the_middle(small: SmallImageBox) -> None:
    """slurmctld ends while a job runs, and comes back when the job's script has long ended."""
    run = submit(small, f"echo one; {UNTIL_LET_GO}; echo two > /out/figures; echo two")
    with follow(small, run) as process:
        wait_until(lambda: small.has_printed(run, "one"), lambda: small.situation(run))
        daemon.end(small, "slurmctld")
        try:
            away = small.look(run.run_id)
            assert not away.status.state.is_over, away
            small.let_go(run)
            wait_until(
                lambda: small.is_so(f"test -e {run.run_dir}/attempt-1/result.json"),
                lambda: small.situation(run),
            )
            small.look(run.run_id)
        finally:
            daemon.begin(small, "slurmctld")
        output, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, errors
    assert output.splitlines() == ["one", "two", f"run {run.run_id}  COMPLETED  ok  exit code 0"]
    assert small.wait_for(run, State.COMPLETED).status.reason == "ok"
    # Nobody is asked any more.
    daemon.end(small, "slurmctld")
    try:
        assert small.look(run.run_id).status.state is State.COMPLETED
    finally:
        daemon.begin(small, "slurmctld")
