"""A job that is there for shells, and what joins it: the scripts under real bash.

The container is a stand-in, which has no namespaces; the real ones are in tests/integration/test_shell.py.
"""

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

import pytest

from slipway.job.run import Shell
from tests.unit.node import Node
from tests.waiting import PATIENCE_S, wait_until

ROOT = Path(__file__).parents[2]
# In the place of `apptainer exec …`: it drops the mounts and the image.
SECOND = 'while [ "$1" != /bin/sh ]; do shift; done; exec env -i "PATH=$PATH" "$@"'


class ShellNode(Node):
    """A node on which a job is there for shells."""

    def __init__(self, folder: Path, shell: Shell = Shell.ENDS) -> None:
        # What is found by it are processes of this machine.
        self.run_id = f"{secrets.token_hex(4)}-cpu-20260131-142530"
        super().__init__(folder, shell=shell, run_id=self.run_id)
        text = (ROOT / "cluster" / "join.sh").read_text()
        self.script = text.replace("cd /code", f"cd {folder}")

    def join(
        self,
        *words: str,
        mark: str = "",
        job_id: str = "7",
        second: str = f"sh\n-c\n{SECOND}\nstand-in",
        stdin: int | IO[str] = subprocess.DEVNULL,
    ) -> subprocess.Popen[str]:
        argv = ["bash", "-c", self.script, "slipway-join", self.run_id, str(self.run_dir), mark, "", second]
        return subprocess.Popen(
            [*argv, *words],
            env={"PATH": os.environ["PATH"], "HOME": str(self.folder), "SLURM_JOB_ID": job_id},
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @property
    def joined(self) -> list[str]:
        return [file.name for file in (self.run_dir / "joined").glob("*[0-9]")]


@pytest.fixture
def node(tmp_path: Path) -> ShellNode:
    return ShellNode(tmp_path)


@pytest.fixture
def running(node: ShellNode) -> Iterator["subprocess.Popen[bytes]"]:
    process = node.start("shell", environment=("MINE=a $b 'c'",))
    yield process
    if process.poll() is None:
        process.terminate()
    process.wait(PATIENCE_S)


def end(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    output, errors = process.communicate(timeout=PATIENCE_S)
    return process.returncode, output, errors


def test_what_joins_has_the_programs_environment_and_ends_the_job(
    node: ShellNode, running: "subprocess.Popen[bytes]"
) -> None:
    script = 'echo "$MINE|$SLIPWAY_RUN|$SLIPWAY_OUT|$1"; pwd; echo no >&2; exit 5'
    code, output, errors = end(node.join("sh", "-c", script, "x", "a 'b' $c", mark="MARK\n"))
    assert code == 5
    assert output == f"MARK\na $b 'c'|{node.run_id}|/out|a 'b' $c\n{node.folder}\n"
    assert errors.endswith("MARK\nno\n")
    assert running.wait(PATIENCE_S) == 5
    assert node.result()["exit_code"] == 5
    assert node.result()["reason"] == "program-error"


def test_a_second_container_is_as_the_jobs_own_script_has_it(
    node: ShellNode, running: "subprocess.Popen[bytes]"
) -> None:
    # The one in its place notes its arguments, and the environment that the site's lines make.
    noting = f'printf "%s\\n" "${{@:1:$#}}" >"{node.folder}/noted"\n'
    later = 'while [ "$1" != /bin/sh ]; do shift; done; exec env -i "PATH=$PATH" "$@"\n'
    wait_until(lambda: (node.run_dir / "attempt-1" / "binds").exists(), "the job has not begun")
    (node.folder / "apptainer").write_text(f"#!/bin/bash\n{noting}{later}")
    code, output, errors = end(node.join("sh", "-c", 'echo "$MINE"', second=""))
    assert (code, output) == (0, "a $b 'c'\n"), errors
    noted = (node.folder / "noted").read_text()
    assert "exec\n--cleanenv\n--no-home\n--pwd\n/code\n--bind\n/s/slipway/code/c0de:/code:ro\n" in noted
    assert f"--bind\n{node.run_dir}/attempt-1/out:/out\n" in noted
    # Other users of a node see arguments.
    assert "a $b" not in noted


def test_the_last_one_ends_it(node: ShellNode, running: "subprocess.Popen[bytes]") -> None:
    go = node.folder / "go"
    first = node.join("sh", "-c", f"until [ -e {go} ]; do sleep 0.1; done")
    wait_until(lambda: node.joined, "the first has not joined")
    assert end(node.join("true"))[0] == 0
    wait_until(lambda: len(node.joined) == 2, "the second has not joined")
    assert running.poll() is None
    go.touch()
    assert end(first)[0] == 0
    assert running.wait(PATIENCE_S) == 0
    assert node.result()["reason"] == "ok"


def test_a_line_that_is_cut_ends_it(node: ShellNode, running: "subprocess.Popen[bytes]") -> None:
    process = node.join("sh", "-c", "echo begun; exec sleep 600")
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    # As SLURM ends the processes of a step.
    end_step(node)
    process.communicate(timeout=PATIENCE_S)
    assert running.wait(PATIENCE_S) == 129
    assert node.result()["reason"] == "cancelled"
    assert node.result()["note"] == "the connection to the shell was cut"


def end_step(node: ShellNode) -> None:
    """Kill what has joined, and what that has started."""
    for name in node.joined:
        os.kill(int(name), signal.SIGKILL)
    mark = f"SLIPWAY_JOINED={node.run_id}".encode()
    for file in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if mark in file.read_bytes().split(b"\0"):
                os.kill(int(file.parent.name), signal.SIGKILL)


@pytest.mark.parametrize(
    ("typed", "code", "ended", "reason"),
    [
        ("false\n", 1, 0, "ok"),
        ("exit 5\n", 5, 0, "ok"),
        ("sh -c 'kill -INT $$'; exit\n", 130, 0, "ok"),
        ("kill -HUP $$\n", 129, 129, "cancelled"),
        ("kill -KILL $$\n", 137, 137, "program-error"),
    ],
)
def test_who_leaves_a_shell_has_done_what_they_wanted(
    node: ShellNode,
    running: "subprocess.Popen[bytes]",
    tmp_path: Path,
    typed: str,
    code: int,
    ended: int,
    reason: str,
) -> None:
    """Whatever its last command has come to; who joined it is told the exit code."""
    keys = tmp_path / "keys"
    keys.write_text(typed)
    with keys.open() as stdin:
        assert end(node.join(stdin=stdin))[0] == code
    assert running.wait(PATIENCE_S) == ended
    assert (node.result()["exit_code"], node.result()["reason"]) == (ended, reason)


def test_a_shell_that_does_not_start_was_not_left(
    node: ShellNode, running: "subprocess.Popen[bytes]"
) -> None:
    assert end(node.join(second="sh\n-c\nexit 4\nstand-in"))[0] == 4
    assert running.wait(PATIENCE_S) == 4
    assert node.result()["reason"] == "program-error"


def test_one_that_stays(tmp_path: Path) -> None:
    node = ShellNode(tmp_path, Shell.STAYS)
    with node.start("shell") as running:
        try:
            assert end(node.join("sh", "-c", "exit 3"))[0] == 3
            assert end(node.join("true"))[0] == 0
            with pytest.raises(subprocess.TimeoutExpired):
                running.wait(3)
        finally:
            running.send_signal(signal.SIGTERM)
    assert node.result()["reason"] == "cancelled"
    wait_until(lambda: not job_processes(node), "the end of what waited for shells")


def job_processes(node: ShellNode) -> list[str]:
    """The processes of the job's script."""
    script, found = f"{node.run_dir}/job.sh".encode(), list[str]()
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if script in file.read_bytes().split(b"\0"):
                found.append(file.parent.name)
    return found


def test_a_program_that_the_image_does_not_have(node: ShellNode, running: "subprocess.Popen[bytes]") -> None:
    code, _, errors = end(node.join("no-such-program"))
    assert code == 127
    assert "no-such-program: there is no such program in the image" in errors
    assert running.wait(PATIENCE_S) == 127


def test_the_script_is_clean_shell() -> None:
    checker = Path(sys.executable).with_name("shellcheck")
    subprocess.run([str(checker), str(ROOT / "cluster" / "join.sh")], check=True)
