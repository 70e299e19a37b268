"""Logs: their end, what matches, one attempt, SLURM's own; one of 1 GB costs no memory and no transfer."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from slipway.errors import DataError, UsageError
from slipway.job.run import Run
from slipway.job.tail import LogPart
from slipway.job.wanted import LAST
from slipway.scheduler.base import State
from slipway.steps.logs import LogQuery, print_logs
from tests.integration.proxy import Proxy
from tests.integration.small_image import SmallImageBox
from tests.integration.task_runner import INVOKE, ROOT, TaskRunner
from tests.integration.test_pull_several import left, model
from tests.waiting import PATIENCE_S

__all__ = ["model"]

LARGE_BYTES = 1 << 30
# The most memory that a child of this process had, in kB.
MEASURE = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(code)
"""


@pytest.fixture
def runner(small: SmallImageBox) -> TaskRunner:
    return TaskRunner(state=small.session.project.state, results=small.session.project.results)


@pytest.fixture(scope="module")
def large(small: SmallImageBox, model: Run) -> Iterator[Run]:
    """A run that has printed 1 GB, and two lines that are like no other."""
    script = f"yes 'epoch 7: loss 0.0123, all is well' | head -c {LARGE_BYTES} >attempt-1/log; "
    run = left(small, model, script + "printf '\\nneedle 1 é\\nlast line\\n' >>attempt-1/log")
    yield run
    small.on_box(f"rm -r {run.run_dir}")


@contextmanager
def counted(small: SmallImageBox) -> Iterator[Proxy]:
    """All that goes to the box and comes from there is counted."""
    config = small.session.project.state / "box" / "ssh_config"
    text = config.read_text()
    found = re.search(r"Port (\d+)", text)
    assert found is not None
    proxy = Proxy(int(found[1]))
    config.write_text(text.replace(f"Port {found[1]}", f"Port {proxy.port}"))
    try:
        yield proxy
    finally:
        config.write_text(text)
        proxy.close()


def measured(small: SmallImageBox, *words: str, head: int | None = None) -> tuple[int, str, str, int]:
    """The exit code, both outputs and the memory in MB of a task, of whose output ``head`` bytes are read."""
    own = {"SLIPWAY_STATE": str(small.session.project.state)}
    with subprocess.Popen(
        [sys.executable, "-c", MEASURE, *INVOKE, "logs", *words],
        cwd=ROOT,
        env={**os.environ, **own},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        if head is None:
            output, errors = process.communicate(timeout=PATIENCE_S)
        else:
            output = process.stdout.read(head)
            process.stdout.close()
            assert process.stderr is not None
            errors = process.stderr.read()
        code = process.wait(timeout=PATIENCE_S)
    *lines, memory = errors.splitlines()
    return code, output, "\n".join(lines), int(memory) // 1000


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        pytest.param(["--tail", "2"], "needle 1 é\nlast line\n", marks=pytest.mark.long),
        pytest.param(["--grep", "^needle [0-9]+ (é|x)$"], "needle 1 é\n", marks=pytest.mark.long),
        (["--grep", "loss|needle", "--tail", "1"], "needle 1 é\n"),
    ],
)
def test_the_end_of_a_gigabyte(small: SmallImageBox, large: Run, words: list[str], shown: str) -> None:
    with counted(small) as proxy:
        code, output, errors, memory_mb = measured(small, large.run_id, *words)
    assert (code, output) == (0, shown), errors
    assert proxy.down_bytes < 300_000
    assert memory_mb < 150


def test_a_reader_that_has_enough_ends_it(small: SmallImageBox, large: Run) -> None:
    with counted(small) as proxy:
        code, output, errors, memory_mb = measured(small, large.run_id, head=100)
    assert code in (141, -13)
    assert output.startswith("epoch 7: loss")
    assert "Traceback" not in errors
    assert proxy.down_bytes < 30_000_000
    assert memory_mb < 200


@pytest.mark.long
def test_a_large_log_is_never_held(small: SmallImageBox, model: Run) -> None:
    size = 150_000_000
    run = left(small, model, f"yes 'epoch 7: loss 0.0123' | head -c {size} >attempt-1/log")
    code, output, errors, memory_mb = measured(small, run.run_id, "--follow")
    assert (code, len(output.encode())) == (0, size + len(output.splitlines()[-1]) + 2), errors
    assert memory_mb < 200
    _, output, errors, memory_mb = measured(small, run.run_id)
    assert len(output) == size
    assert memory_mb < 200
    assert re.search(r"has 14\d\.\d MB more; --tail 100 shows its end", errors)
    small.on_box(f"rm -r {run.run_dir}")


def shown(small: SmallImageBox, *runs: Run, **query: object) -> str:
    pieces: list[str] = []
    found = [(run, small.choice.site) for run in runs]
    error = print_logs(small.session, found, LogQuery(**query), pieces.append)  # type: ignore[arg-type]
    if error:
        raise error
    return "".join(pieces)


@pytest.fixture(scope="module")
def several(small: SmallImageBox, model: Run) -> Run:
    """A run of two tasks, of which the second was tried twice."""
    script = "rm -r attempt-1; mkdir -p task-1/attempt-1 task-2/attempt-1 task-2/attempt-2; "
    script += "printf 'one a\\none b' >task-1/attempt-1/log; printf 'two a\\n' >task-2/attempt-1/log; "
    script += "printf 'two again\\ntwo b\\n\\377\\n' >task-2/attempt-2/log; echo slurmstepd: a >slurm.log"
    run = left(small, model, script)
    return replace(run, task_indices=(1, 2), resources={**run.resources, "array": "1-2"})


def test_tasks_and_attempts(small: SmallImageBox, several: Run) -> None:
    task_2 = frozenset({2})
    assert shown(small, several, part=LogPart(tasks=task_2)) == (
        "--- task 2 ---\ntwo a\n--- task 2, attempt 2 ---\ntwo again\ntwo b\n\udcff\n"
    )
    assert shown(small, several, part=LogPart(last_lines=1)) == (
        "--- task 1 ---\none b\n--- task 2, attempt 2 ---\n\udcff\n"
    )
    assert shown(small, several, part=LogPart(attempt=LAST, tasks=task_2), pattern="again|a$") == (
        "--- task 2, attempt 2 ---\ntwo again\n"
    )
    assert shown(small, several, pattern="a$") == "--- task 1 ---\none a\n--- task 2 ---\ntwo a\n"
    assert shown(small, several, pattern="o", part=LogPart(last_lines=1)) == (
        "--- task 1 ---\none b\n--- task 2, attempt 2 ---\ntwo b\n"
    )
    assert shown(small, several, slurm=True) == "slurmstepd: a\n"
    assert shown(small, several, slurm=True, pattern="step") == "slurmstepd: a\n"
    assert shown(small, several, pattern="-nothing'\"$(x)") == ""
    with pytest.raises(UsageError, match="has no attempt 3; its newest is 2"):
        shown(small, several, part=LogPart(tasks=task_2, attempt=3))
    with pytest.raises(UsageError, match="has no task 3"):
        shown(small, several, part=LogPart(tasks=frozenset({3})))
    with pytest.raises(
        UsageError, match=r"--grep 'a\(' is no extended regular expression \(grep -E\): grep:"
    ):
        shown(small, several, pattern="a(")


def test_where_no_command_can_be_run(
    small: SmallImageBox, several: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The box runs commands; here it is only said not to."""
    monkeypatch.setattr("slipway.host.host.Host.runs_commands", property(lambda self: False))
    task_2 = frozenset({2})
    assert shown(small, several, pattern="again|b$", part=LogPart(tasks=task_2)) == "two again\ntwo b\n"
    assert shown(small, several, pattern="two", part=LogPart(tasks=task_2, last_lines=1)) == "two b\n"
    assert shown(small, several, part=LogPart(tasks=task_2, last_lines=2)).endswith("two b\n\udcff\n")
    with pytest.raises(UsageError, match="is no regular expression"):
        shown(small, several, pattern="a(")


@pytest.mark.long
def test_what_a_person_sees(small: SmallImageBox, model: Run, runner: TaskRunner, tmp_path: Path) -> None:
    one, other = (left(small, model, f"printf 'of {n}' >attempt-1/log") for n in (1, 2))
    silent = left(small, model, ":", state=State.FAILED)
    done = runner.invoke("logs", one.run_id, other.run_id, silent.run_id)
    assert done.stdout == (
        f"=== {one.run_id} ===\nof 1\n=== {other.run_id} ===\nof 2\n=== {silent.run_id} ===\n"
    )
    assert f"{silent.run_id} has printed nothing" in done.stderr
    done = runner.invoke("logs", one.run_id, "--grep", "nan")
    assert f"no line of {one.run_id} matches 'nan'" in done.stderr
    for words, why in (
        (("--follow", "--grep", "x"), "pipe it"),
        (("--follow", "--slurm"), "leave one of them out"),
        (("--follow", "--attempt", "1"), "--attempt last"),
        (("--follow", other.run_id), "--follow shows one run"),
        (("--slurm", "--task", "1"), "--slurm is one log for all tasks and attempts"),
        (("--tail", "x"), "write how many lines as a number"),
    ):
        assert why in runner.invoke("logs", one.run_id, *words, code=64).stderr


def test_a_run_whose_folder_is_gone_has_not_printed_nothing(
    small: SmallImageBox, model: Run, runner: TaskRunner
) -> None:
    run = left(small, model, "echo words >attempt-1/log")
    small.on_box(f"rm -r {run.run_dir}")
    other = left(small, model, "printf words >attempt-1/log")
    done = runner.invoke("logs", run.run_id, other.run_id, code=DataError.exit_code)
    assert done.stdout.endswith(f"=== {other.run_id} ===\nwords")
    said = done.stderr
    assert f"{run.run_dir} is not there any more; what was brought home is in" in said
    assert "printed nothing" not in said


def test_a_job_is_waited_for_and_its_results_brought(small: SmallImageBox, tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "file").write_text("x")
    runner = TaskRunner(state=small.session.project.state, results=tmp_path / "results")
    options = ["--profile", "cpu", "--site", "box", "--set", "IMAGE=slipway-small", "--set", "PROGRAM=sh"]
    options += ["--set", f"CODE_DIR={tmp_path}/code", "--no-push", "--mem", "200M", "--wait", "--pull"]
    script = "echo hello; echo '{\"loss\": 0.5}' >/out/fig.json; exit 3"
    done = runner.invoke("job", *options, "--", "-c", script, code=3)
    assert "hello" in done.stdout
    assert "loss" in done.stdout
    assert "which is complete: " in done.stderr
    (home,) = (tmp_path / "results").iterdir()
    assert (home / "out" / "fig.json").read_text() == '{"loss": 0.5}\n'
    refused = runner.invoke(
        "job", *[word for word in options if word != "--wait"], "--", "-c", "true", code=64
    )
    assert "add --wait" in refused.stderr
