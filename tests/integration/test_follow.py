"""Following a job: over a line that is cut, through a requeue, and until Ctrl-C."""

import os
import pty
import re
import subprocess
import sys
import time

from slipway.job.run import Run
from slipway.scheduler.base import State
from tests.integration.cuttable_proxy import CuttableProxy
from tests.integration.small_image import SmallImageBox
from tests.integration.task_runner import INVOKE, ROOT

LINES = 120
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


def wait_for_state(small: SmallImageBox, run: Run, state: State) -> Run:
    deadline = time.monotonic() + 60
    while (new := small.look(run.run_id)).status.state is not state:
        assert time.monotonic() < deadline, new
        time.sleep(0.2)
    return new


def test_a_line_that_is_cut_five_times(small: SmallImageBox, proxy: CuttableProxy) -> None:
    run = submit(small, f"for i in $(seq {LINES}); do echo line $i é; sleep 0.15; done; exit 3")
    before = proxy.connections
    with follow(small, run) as process:
        while proxy.connections == before:  # On a busy machine it takes its time to begin.
            assert process.poll() is None
            time.sleep(0.1)
        for number in range(5):
            time.sleep(2.2)
            # Once it stays away for a while.
            proxy.cut(mend=number != 2)
            if number == 2:
                time.sleep(2)
                proxy.mend()
        output, errors = process.communicate(timeout=90)
    assert process.returncode == 3, errors
    lines = output.splitlines()
    assert lines[:-1] == [f"line {number} é" for number in range(1, LINES + 1)]
    assert lines[-1] == f"run {run.run_id}  FAILED  program-error  exit code 3"
    assert errors.count("The connection was lost") == 5, errors
    assert errors.count("Connected again") == 5, errors
    assert "Traceback" not in errors


def test_a_requeue_is_followed(small: SmallImageBox) -> None:
    script = "echo of attempt $SLIPWAY_ATTEMPT; [ $SLIPWAY_ATTEMPT -gt 1 ] || exec sleep 60"
    run = submit(small, script)
    with follow(small, run) as process:
        wait_for_state(small, run, State.RUNNING)
        time.sleep(1)
        small.as_root("scontrol", "requeue", str(run.job_id))
        attempt = small.begin_again(run)
        output, errors = process.communicate(timeout=90)
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
        assert process.wait(timeout=20) == 0, shown
    finally:
        process.kill()
        os.close(ours)
    return shown


def test_ctrl_c_leaves_the_job_running(small: SmallImageBox) -> None:
    run = submit(small, "echo running; exec sleep 60")
    process, ours = on_terminal(small, "logs", run.run_id, "--follow")
    try:
        before = read_until(ours, b"running\r\n")
        # That it runs is said before what it prints.
        assert f"{run.run_id} is RUNNING" in before
        os.write(ours, b"\x03")
        shown = read_until(ours, None)
        assert process.wait(timeout=20) == 130
    finally:
        process.kill()
        os.close(ours)
    told = " ".join(OWN.sub("", shown).split())
    assert f"The job goes on. `invoke logs {run.run_id} --follow` comes back to it" in told
    assert f"`invoke cancel {run.run_id}` ends it" in told
    assert "Traceback" not in told
    assert small.look(run.run_id).status.state is State.RUNNING
    small.on_box(f"scancel {run.job_id}")


def test_a_watch_outlives_a_line_that_is_cut(small: SmallImageBox, proxy: CuttableProxy) -> None:
    run = submit(small, "sleep 9; exit 3")
    before = proxy.connections
    process, ours = on_terminal(small, "status", "--watch", "--interval", "1", run.run_id)
    try:
        shown = read_until(ours, b"RUNNING")
        time.sleep(3)
        assert proxy.connections == before + 1  # However often it has asked.
        proxy.cut(mend=False)
        shown += read_until(ours, b"asked again in")
        proxy.mend()
        shown += read_until(ours, None)
        assert process.wait(timeout=20) == 0, shown
    finally:
        process.kill()
        os.close(ours)
    assert proxy.connections == before + 2
    assert "Traceback" not in shown
    left = OWN.sub("", shown.rpartition("\x1b[?1049l")[2])
    assert re.search(rf"{run.run_id[:4]}.* FAILED +program-error +3 +0:00:\d\d", left), left


HOSTILE = rb"\033]0;X\007\033]52;c;aGFjaw==\007\033[2J\302\2332J\377 \033[32mgreen\033[0m 10%%\r 20%%\n"
FIGURES = r'{"k\\u001b]0;X\\u0007": "\\u001b]52;c;aGFjaw==\\u0007"}'


def test_what_a_program_leaves_does_nothing_to_a_terminal(small: SmallImageBox) -> None:
    """Titles, the clipboard, a cleared screen, C1 bytes: in its log, its figures, a file's name."""
    script = f"printf '{HOSTILE.decode()}'; printf '%b' '{FIGURES}' >/out/fig.json; "
    run = submit(small, script + "touch /out/\"$(printf 'a\\033]0;Y\\007')\"")
    wait_for_state(small, run, State.COMPLETED)
    log = HOSTILE.decode("unicode_escape").encode("latin-1").replace(b"%%", b"%")
    left = OWN.sub("", shown_by(small, "pull", run.run_id))
    assert r"k\x1b]0;X\x07  \x1b]52;c;aGFjaw==\x07" in left
    assert r"/out/a\x1b]0;Y\x07  0.0 kB" in left
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
        try:
            chunk = os.read(terminal, 1 << 16)
        except OSError:  # it is closed on the other side
            break
        if not chunk:
            break
        shown += chunk
    return shown.decode(errors="replace")


def end_controller(small: SmallImageBox) -> None:
    """End slurmctld; before it has written its state, another one would not begin."""
    small.as_root("pkill", "-x", "slurmctld")
    small.as_root("timeout", "30", "sh", "-c", "while pgrep -x slurmctld; do sleep 0.1; done")


def test_the_controller_is_away_in_the_middle(small: SmallImageBox) -> None:
    """slurmctld ends while a job runs, and comes back when the job's script has long ended."""
    run = submit(small, "echo one; sleep 8; echo two > /out/figures; echo two")
    with follow(small, run) as process:
        try:
            wait_for_state(small, run, State.RUNNING)
            end_controller(small)
            away = small.look(run.run_id)
            assert not away.status.state.is_over, away
            time.sleep(9)
            small.look(run.run_id)
        finally:
            small.as_root("slurmctld")
        output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert output.splitlines() == ["one", "two", f"run {run.run_id}  COMPLETED  ok  exit code 0"]
    assert wait_for_state(small, run, State.COMPLETED).status.reason == "ok"
    # Nobody is asked any more.
    end_controller(small)
    try:
        assert small.look(run.run_id).status.state is State.COMPLETED
    finally:
        small.as_root("slurmctld")
