"""Shells on the box: a job that is there for one, and in jobs that run; terminals are pseudo-terminals."""

import os
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager

import pexpect
import pytest

from slipway.job.run import Run
from slipway.scheduler.base import State
from slipway.scheduler.slurm.resources import SlurmResources
from tests.integration.small_image import IMAGE, UNTIL_LET_GO, SmallImageBox
from tests.integration.task_runner import INVOKE, ROOT
from tests.waiting import PATIENCE_S, wait_until

PROMPT = "Apptainer> "
# What is typed is echoed, and must not be taken for an answer.
ASK = "stty size; echo $((6*7)) $SLIPWAY_RUN $MINE; cat /code/file; pwd"


def environment(small: SmallImageBox) -> dict[str, str]:
    project = small.session.project
    states = {"SLIPWAY_STATE": str(project.state), "SLIPWAY_RESULTS": str(project.results)}
    return {**os.environ, **states, "TERM": "xterm", "COLUMNS": "200"}


def options(small: SmallImageBox) -> list[str]:
    code = small.choice.profile.code_dir
    sets = [f"IMAGE={IMAGE}", f"CODE_DIR={code}", "ENV_MINE=mine"]
    words = [word for one in sets for word in ("--set", one)]
    flags = ["--profile", "cpu", "--site", "box", "--no-push", "--mem", "200M", "--cpus", "1"]
    return [*words, *flags, "--time", "10"]


@contextmanager
def terminal(small: SmallImageBox, *words: str) -> Iterator["pexpect.spawn[str]"]:
    """A task at a terminal of 33 rows and 111 columns."""
    child = pexpect.spawn(
        sys.executable,
        [*INVOKE[1:], *words],
        cwd=str(ROOT),
        env=environment(small),
        timeout=PATIENCE_S,
        encoding="utf-8",
        dimensions=(33, 111),
    )
    try:
        yield child
    finally:
        child.close(force=True)


def run(
    small: SmallImageBox, *words: str, content: bytes = b"", code: int = 0
) -> "subprocess.CompletedProcess[bytes]":
    done = subprocess.run(
        [*INVOKE, *words],
        cwd=ROOT,
        env=environment(small),
        input=content,
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return done


def newest(small: SmallImageBox) -> Run:
    return small.session.store.find(None)


@pytest.mark.long
def test_a_shell_in_a_job_of_its_own(small: SmallImageBox) -> None:
    with terminal(small, "shell", *options(small)) as child:
        before = termios.tcgetattr(child.child_fd)[:4]
        child.expect(PROMPT)
        run_id = newest(small).run_id
        child.sendline(ASK)
        child.expect(f"33 111\r\n42 {run_id} mine\r\ncode\r\n/code\r\n")
        child.setwinsize(44, 99)
        child.sendline("sleep 600")
        child.expect("sleep 600\r\n")
        wait_until(lambda: small.is_so("pgrep -x sleep -a | grep -qx '[0-9]* sleep 600'"), "no sleep")
        child.send("\x03")
        child.expect(PROMPT)
        child.sendline("stty size; echo written >/out/file; exit 5")
        child.expect("44 99\r\n")
        child.expect(f"{run_id} COMPLETED")
        child.expect(pexpect.EOF)
        assert termios.tcgetattr(child.child_fd)[:4] == before
        child.close()
        assert child.exitstatus == 5
    ended = small.look(run_id)
    assert (ended.state, ended.status.exit_code, ended.args) == (State.COMPLETED, 0, ("shell",))
    assert small.on_box(f"cat {ended.run_dir}/attempt-1/out/file") == "written\n"
    # There is nothing to repeat.
    assert b"was a shell" in run(small, "job", "--replay", run_id, code=64).stderr


def test_a_line_that_is_cut_ends_the_job(small: SmallImageBox) -> None:
    with terminal(small, "shell", *options(small)) as child:
        child.expect(PROMPT)
        shell = newest(small)
        child.kill(signal.SIGKILL)
    ended = small.wait_for(shell)
    assert ended.status.reason == "cancelled"
    assert ended.status.note == "the connection to the shell was cut"


@pytest.mark.long
def test_one_that_stays_is_come_back_to(small: SmallImageBox) -> None:
    with terminal(small, "shell", "--keep", *options(small)) as child:
        child.expect(PROMPT)
        shell = newest(small)
        child.sendline("echo left >/out/file")
        child.expect(PROMPT)
        child.kill(signal.SIGTERM)
        child.expect(pexpect.EOF)
        child.close()
        assert child.exitstatus == 143
    done = run(small, "shell", "--run", shell.run_id, "--", "cat", "/out/file")
    assert done.stdout == b"left\n"
    assert small.look(shell.run_id).state is State.RUNNING
    run(small, "cancel", shell.run_id)
    assert small.wait_for(shell).state is State.CANCELLED


def test_in_the_container_of_a_job_that_runs(small: SmallImageBox) -> None:
    with small.connect() as host:
        job = small.submit(host, "sh", "-c", f"echo $$ >/out/pid; trap '' USR1; {UNTIL_LET_GO}")
    # It waits until the job has begun. Words, input and both outputs pass as they are.
    script = 'printf "%s|" "$@"; cat; echo no >&2; exit 3'
    words = ["a 'b'", "$c *", "", os.fsdecode(b"\xff\n")]
    content = bytes(range(256)) * 300
    done = run(
        small, "shell", "--run", job.run_id, "--", "sh", "-c", script, "x", *words, content=content, code=3
    )
    assert done.stdout == b"a 'b'|$c *||\xff\n|" + content
    assert done.stderr.endswith(b"no\n")
    # It sees the program: its processes, what it writes, and the same namespaces.
    look = (
        "pid=$(cat /out/pid); cat /proc/$pid/comm; kill -0 $pid; readlink /proc/$pid/ns/mnt /proc/$$/ns/mnt"
    )
    shown = run(small, "shell", "--run", job.run_id, "--", "sh", "-c", look).stdout.decode().split()
    assert shown[0] == "sh"
    assert shown[1] == shown[2]
    refused = run(small, "shell", "--run", job.run_id, code=64).stderr
    assert b"a shell needs a terminal" in refused
    assert (
        b"leave out what a new job" in run(small, "shell", "--run", job.run_id, "--mem", "1G", code=64).stderr
    )
    small.let_go(job)
    assert small.wait_for(job).state is State.COMPLETED
    over = run(small, "shell", "--run", job.run_id, "--", "true", code=71).stderr
    assert b"is over (COMPLETED); only a job that runs can be joined" in over


@pytest.mark.long
def test_a_task_of_an_array(small: SmallImageBox) -> None:
    with small.connect() as host:
        job = small.submit(host, "sh", "-c", UNTIL_LET_GO, wanted=SlurmResources(array="0-1"))
    try:
        small.wait_for(job, State.RUNNING)
        assert (
            b"say which task with --task N"
            in run(small, "shell", "--run", job.run_id, "--", "true", code=71).stderr
        )
        show = 'echo "$SLURM_ARRAY_TASK_ID"'
        done = run(small, "shell", "--run", job.run_id, "--task", "1", "--", "sh", "-c", show)
        assert done.stdout == b"1\n"
    finally:
        run(small, "cancel", job.run_id)
