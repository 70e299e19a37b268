"""When accounting is asked what a run used, and when it is not. A stand-in answers for sacct here."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from slipway.job import usage as asking
from slipway.job.run import Run, Status
from slipway.job.usage import add_usage, wants_usage
from slipway.report.usage import usage_words
from slipway.scheduler.base import State
from slipway.scheduler.usage import GpuUse
from slipway.shell import LocalShell, Result
from tests.unit.test_run import make_run
from tests.unit.test_slurm_usage import ARRAY, MULTI

OVER = Status(state=State.COMPLETED, reason="ok", elapsed_s=9)
CSV = """\
time_s,gpu,utilization_percent,memory_mb,power_w
1,0,10,100,50.5
1,1,0,5,[N/A]
3,0,30,400,100
3,1,[N/A],5,[N/A]
5,0,bad line
"""


class Cluster:
    """Prints what sacct is to say, and runs the rest here."""

    target = "h"

    def __init__(self, says: str | None) -> None:
        self.says = says
        self.asked = 0

    def run_in_login_shell(
        self, argv: Sequence[str], *, stdin: Sequence[bytes] = (), stdin_bytes: int = 0
    ) -> Result:
        if stdin:
            return LocalShell().run(argv, stdin=b"".join(stdin).decode())
        self.asked += argv[2].count("{ sacct ")
        said = f"cat <<'END'\n{self.says}END\n" if self.says is not None else "echo it is off >&2; return 1\n"
        return LocalShell().run(
            ["sh"], stdin=f"answer() {{\n{said}}}\n{argv[2].replace('{ sacct ', '{ answer ')}"
        )


def ask(cluster: Cluster, *runs: Run) -> list[Run]:
    return add_usage(cluster, runs)  # type: ignore[arg-type]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    (tmp_path / "multi").mkdir()
    return replace(make_run("multi"), job_id="3", status=OVER, run_dir=str(tmp_path / "multi"))


def test_a_run_whose_usage_came_is_never_asked_again(run: Run) -> None:
    cluster = Cluster(MULTI)
    (known,) = ask(cluster, run)
    assert known.usage is not None
    assert (known.usage.cpu_s, cluster.asked) == (2.341, 1)
    assert ask(cluster, known) == [known]
    assert cluster.asked == 1


def test_no_question_for_runs_that_go_on_never_began_or_were_never_submitted(run: Run) -> None:
    cluster = Cluster(MULTI)
    others = [
        replace(run, status=Status(state=State.RUNNING)),
        replace(run, status=replace(OVER, elapsed_s=0)),
        replace(run, job_id=None),
    ]
    assert ask(cluster, *others) == others
    assert cluster.asked == 0


@pytest.mark.parametrize("says", ["", None, "words without a row\n"])
def test_late_or_missing_accounting_is_asked_another_time(
    run: Run, says: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_800_000_000.0
    monkeypatch.setattr(asking.time, "time", lambda: now)
    (tried,) = ask(Cluster(says), run)
    assert (tried.usage, tried.usage_tries, tried.usage_asked_s) == (None, 1, 1_800_000_000)
    assert [wants_usage(tried, now + s) for s in (0, 4, 5)] == [False, False, True]
    assert not wants_usage(replace(tried, usage_tries=3), now + 19)
    assert wants_usage(replace(tried, usage_tries=3), now + 20)
    assert not wants_usage(replace(tried, usage_tries=12), now + 1e6)
    now += 5
    (known,) = ask(Cluster(MULTI), tried)
    assert known.usage is not None


def test_a_run_that_goes_on_after_an_end_is_asked_at_its_next_one(run: Run) -> None:
    (known,) = ask(Cluster(MULTI), run)
    running = replace(known, status=Status(state=State.RUNNING), usage_tries=3)
    (again,) = ask(Cluster(MULTI), running)
    assert (again.usage, again.usage_tries, again.usage_asked_s) == (None, 0, None)


def test_an_array_is_known_when_all_of_its_tasks_are(run: Run, tmp_path: Path) -> None:
    array = replace(run, run_id="arr", job_id="2", resources={"array": "0-1"}, task_indices=(0, 1))
    (half,) = ask(Cluster("\n".join(ARRAY.splitlines()[:2]) + "\n"), array)
    assert (half.usage, half.task_usages) == (None, {})
    (known,) = ask(Cluster(ARRAY), replace(array))
    assert known.usage is not None
    assert (known.usage.attempts, known.usage.elapsed_s, [*known.task_usages]) == (2, 18, [0, 1])


def test_gpu_use_is_read_from_the_newest_attempt(run: Run) -> None:
    for attempt, text in ((9, CSV.replace(",30,", ",90,")), (10, CSV)):
        folder = Path(run.run_dir, f"attempt-{attempt}")
        folder.mkdir()
        (folder / "usage.csv").write_text(text)
    (known,) = ask(Cluster(MULTI), run)
    assert known.usage is not None
    assert known.usage.gpu_use == (
        GpuUse(gpu=0, samples=2, mean_utilization_percent=20, peak_memory_mb=400, mean_power_w=75.25),
        GpuUse(gpu=1, samples=1, mean_utilization_percent=0, peak_memory_mb=5),
    )


def test_each_node_has_samples_of_its_own(run: Run) -> None:
    folder = Path(run.run_dir, "attempt-1")
    folder.mkdir()
    for node in (0, 1):
        (folder / f"usage-{node}.csv").write_text(CSV)
    (known,) = ask(Cluster(MULTI), run)
    assert known.usage is not None
    assert [(use.node, use.gpu) for use in known.usage.gpu_use] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert ("GPU 1 of node 1", "0 % used on average, at most 5 MB") in usage_words(known)


def test_of_an_array_each_task_has_its_gpus(run: Run) -> None:
    array = replace(run, run_id="arr", job_id="2", resources={"array": "0-1"}, task_indices=(0, 1))
    folder = Path(array.run_dir, "task-1", "attempt-1")
    folder.mkdir(parents=True)
    (folder / "usage.csv").write_text(CSV)
    (known,) = ask(Cluster(ARRAY.replace("mem=500M", "gres/gpu=1,mem=500M")), array)
    assert known.usage is not None
    assert [len(usage.gpu_use) for usage in known.task_usages.values()] == [0, 2]
    assert len(known.usage.gpu_use) == 2
