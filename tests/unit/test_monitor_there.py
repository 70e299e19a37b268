"""The monitor's program for a cluster, on a scratch of its own with stand-ins for SLURM's programs."""

import os
import time
from pathlib import Path

import pytest

from slipway.model import read_values
from slipway.monitor import claim as here
from slipway.monitor.rule import Rules
from slipway.monitor.there import claim as claims
from slipway.monitor.there import poll as polling
from slipway.monitor.there.look import Look, counts_line, lines
from slipway.monitor.there.watch import Watch
from slipway.shell import LocalShell
from slipway.site import Queue
from tests.unit.monitor_there import Cluster, cluster, make_site

__all__ = ["cluster"]


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "LOOK_S", 0)


def look(watch: Watch) -> Look:
    seen, trouble = watch.look()
    assert trouble is None
    return seen


def test_each_failure_gets_what_the_rules_say(cluster: Cluster) -> None:
    run = cluster.run("first", range(5), resources={"gpus": "rtx:1"})
    rows = ["7_0|first|COMPLETED|0:0", "7_1|first|OUT_OF_MEMORY|0:125", "7_2|first|FAILED|1:0"]
    cluster.say(queue="7_4|first|RUNNING", accounting="\n".join([*rows, "7_3|first|FAILED|3:0"]))
    cluster.ended("first", 0, "ok", 0)
    cluster.ended("first", 1, "out-of-memory", 137)
    cluster.ended("first", 2, "program-error", 1, "torch.OutOfMemoryError: CUDA out of memory.\n")
    cluster.ended("first", 3, "program-error", 3, "ValueError: it is \x1b[31mwrong\n")
    watch = Watch(cluster.order([run]))
    seen = look(watch)
    assert lines(seen, None) == [
        "element n=1: out of memory with 1G → with 2G of memory, try 2 of 3",
        "element n=2: out of GPU memory on rtx:1 → on a100:1 in big, try 2 of 3",
        "element n=3: the program failed, exit code 3 → stop: the same program would fail again",
        "    | ValueError: it is ?[31mwrong",
        "5 elements: 1 ok, 2 failed, 1 stopped, 1 running",
    ]
    new, said = watch.act(seen)
    assert said == []
    assert [one.job_id for one in new] == ["100", "101"]
    memory, gpu = cluster.submitted()
    assert memory[0] == "--parsable"
    assert {f"--job-name={new[0].run_id}", "--array=1", "--mem=2G", "--gres=gpu:rtx:1"} <= set(memory)
    assert f"--output={cluster.root}/runs/{new[0].run_id}/slurm.log" in memory
    assert memory[-1] == f"{cluster.root}/runs/{new[0].run_id}/job.sh"
    assert {"--array=2", "--mem=1G", "--gres=gpu:a100:1", "--partition=big"} <= set(gpu)
    assert "submitted again" not in "".join(lines(look(watch), seen))


def test_a_new_run_is_one_that_slipway_knows(cluster: Cluster) -> None:
    run = cluster.run(
        "first", [3, 4, 9], name="rates", sweep="s", tries=("zero",), resources={"array": "3-9%2"}
    )
    cluster.say(accounting="7_3|first|TIMEOUT|0:0\n7_4|first|TIMEOUT|0:0\n7_9|first|COMPLETED|0:0")
    cluster.ended("first", 9, "ok", 0)
    order = cluster.order([run])
    watch = Watch(order)
    [new], _ = watch.act(look(watch))
    record = cluster.record(new.run_id)
    assert (record.parent, record.tries, record.sweep, record.name) == (
        "first",
        ("zero", "first"),
        "s",
        "rates",
    )
    assert (record.job_id, record.task_indices, record.elements) == (
        "100",
        (3, 4),
        {3: {"n": "3"}, 4: {"n": "4"}},
    )
    assert record.resources["time"] == "0:20:00"
    assert record.resources["array"] == "3-4"
    assert record.resource_origins["time"] == "--time"
    assert (record.program, record.args, record.code, record.sif) == (
        run.program,
        run.args,
        run.code,
        run.sif,
    )
    folder, old = cluster.root / "runs" / new.run_id, cluster.root / "runs/first"
    for name in ("elements", "elements.index", "environment"):
        assert (folder / name).read_bytes() == (old / name).read_bytes()
    assert folder.stat().st_mode & 0o777 == 0o700
    script = (folder / "job.sh").read_text()
    assert f"tries=({cluster.root}/runs/first {cluster.root}/runs/zero)" in script
    assert f"\nrun_id={new.run_id}\n" in script
    assert f"\nrun_dir={cluster.root}/runs/{new.run_id}\n" in script
    assert "\n#SBATCH --array=3-4\n" in script
    assert "@slipway" not in script + (folder / "run.json").read_text()
    assert LocalShell().run(["bash", "-n", str(folder / "job.sh")]).ok


def test_claims_are_those_of_the_other_monitor(cluster: Cluster) -> None:
    run = cluster.run("first", [0, 1])
    cluster.say(accounting="7_0|first|OUT_OF_MEMORY|0:125\n7_1|first|OUT_OF_MEMORY|0:125")
    shell = LocalShell()
    assert here.make_claims(shell, cluster.scratch, "first", {0: 1}, "theirs-cpu-1") == [0]  # type: ignore[arg-type]
    watch = Watch(cluster.order([run]))
    seen = look(watch)
    assert counts_line(seen) == "2 elements: 1 on its way, 1 failed"
    [new], _ = watch.act(seen)
    assert new.tasks == [1]
    read = here.read_claims(shell, cluster.scratch, ["first"])  # type: ignore[arg-type]
    assert {place: (one.run_id, one.is_submitted) for place, one in read.items()} == {
        ("first", 0): ("theirs-cpu-1", None),
        ("first", 1): (new.run_id, True),
    }
    # What it had seen before somebody else was faster is not submitted either.
    assert here.make_claims(shell, cluster.scratch, "first", {0: 2}, "more-cpu-1") == [0]  # type: ignore[arg-type]
    assert claims.make_claims("first", {0: 2, 1: 1}, "late-cpu-1") == []
    assert claims.make_claims("first", {0: 3}, "free-cpu-1") == [0]


def test_two_at_once_submit_each_try_once(cluster: Cluster) -> None:
    run = cluster.run("first", range(4))
    cluster.say(accounting="\n".join(f"7_{task}|first|OUT_OF_MEMORY|0:125" for task in range(4)))
    one, two = Watch(cluster.order([run])), Watch(cluster.order([run]))
    looks = look(one), look(two)
    [new], _ = one.act(looks[0])
    assert two.act(looks[1]) == ([], [])
    assert len(cluster.submitted()) == 1
    # The other one follows it.
    cluster.say(queue="\n".join(f"100_{task}|{new.run_id}|PENDING" for task in range(4)))
    assert counts_line(look(two)) == "4 elements: 4 pending"
    assert two.tries[0] == [("first", 0), (new.run_id, 0)]


def test_the_table_goes_on_where_another_monitor_has_submitted(cluster: Cluster) -> None:
    run = cluster.run("first")
    cluster.say(accounting="7|first|OUT_OF_MEMORY|0:125")
    order = cluster.order([run])
    first = Watch(order)
    [new], _ = first.act(look(first))
    cluster.say(accounting=f"7|first|OUT_OF_MEMORY|0:125\n100|{new.run_id}|OUT_OF_MEMORY|0:125")
    cluster.ended(new.run_id, None, "out-of-memory", 137)
    # It knows nothing but the order and what is there.
    second = Watch(order)
    seen = look(second)
    assert seen.seen[0].words == "element n=None: out of memory with 2G → with 4G of memory, try 3 of 3"
    [last], _ = second.act(seen)
    assert last.tries == ["first", new.run_id]
    both = f"100|{new.run_id}|OUT_OF_MEMORY|0:125\n101|{last.run_id}|OUT_OF_MEMORY|0:125"
    cluster.say(accounting=f"7|first|OUT_OF_MEMORY|0:125\n{both}")
    seen = look(second)
    assert seen.seen[0].words == "element n=None: out of memory with 4G → stop: try 3 of 3 was the last"
    assert seen.is_over


def test_what_is_refused_is_free_for_another_try(cluster: Cluster) -> None:
    run = cluster.run("first", [0, 1])
    cluster.say(queue="7_1|first|RUNNING", accounting="7_0|first|OUT_OF_MEMORY|0:125")
    (cluster.folder / "refuse").write_text("Job violates accounting/QOS policy")
    watch = Watch(cluster.order([run]))
    assert watch.act(look(watch)) == ([], ["Job violates accounting/QOS policy"])
    assert sorted(path.name for path in (cluster.root / "runs").iterdir()) == ["first", "x"]
    assert counts_line(look(watch)) == "2 elements: 1 on its way, 1 running"
    cluster.say(accounting="7_0|first|OUT_OF_MEMORY|0:125\n7_1|first|COMPLETED|0:0")
    cluster.ended("first", 1, "ok", 0)
    seen = look(watch)
    assert [one.words for one in seen.seen if one.words] == [
        "element n=0: it cannot be submitted again: Job violates accounting/QOS policy → stop"
    ]
    (cluster.folder / "refuse").unlink()
    again = Watch(cluster.order([run]))
    assert len(again.act(look(again))[0]) == 1


def test_one_that_was_killed_loses_and_doubles_nothing(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = cluster.run("first", [0, 1, 2])
    failed = "\n".join(f"7_{task}|first|OUT_OF_MEMORY|0:125" for task in range(3))
    cluster.say(accounting=failed)
    # Claimed and no more; made and no more; submitted, and nothing written down.
    assert claims.make_claims("first", {0: 1}, "dead-cpu-1") == [0]
    made = cluster.run("made-cpu-1", [1], job_id=None, tries=("first",))
    assert claims.make_claims("first", {1: 1}, made.run_id) == [1]
    there = cluster.run("done-cpu-1", [2], job_id=None, tries=("first",))
    assert claims.make_claims("first", {2: 1}, there.run_id) == [2]
    (cluster.root / "runs/done-cpu-1/claim").symlink_to("submitting")
    (cluster.root / "runs/done-cpu-1/answer").write_bytes(b"0\x0088\x00\x00")
    watch = Watch(cluster.order([run]))
    assert counts_line(look(watch)) == "3 elements: 3 on its way"
    monkeypatch.setattr("slipway.monitor.there.submit.FRESH_S", 0)
    cluster.say(queue="88_2|done-cpu-1|RUNNING", accounting=failed)
    seen = look(watch)
    assert counts_line(seen) == "3 elements: 2 failed, 1 running"
    [new], _ = watch.act(seen)
    assert new.tasks == [0, 1]
    assert not (cluster.root / "runs/made-cpu-1").exists()
    assert sorted(os.listdir(cluster.root / "tries/first"))[:2] == ["0-1", "0-2"]  # noqa: PTH208


def test_a_throttle_holds_for_what_is_submitted_again(cluster: Cluster) -> None:
    run = cluster.run("first", range(5))
    failed = "\n".join(f"7_{task}|first|OUT_OF_MEMORY|0:125" for task in (0, 1, 2))
    cluster.say(queue="7_3|first|RUNNING\n7_4|first|PENDING", accounting=failed)
    watch = Watch(cluster.order([run], throttle=3))
    [new], _ = watch.act(look(watch))
    assert new.tasks == [0]


def test_a_queue_that_cannot_be_asked_decides_nothing(cluster: Cluster) -> None:
    run = cluster.run("first", [0])
    (cluster.folder / "down").touch()
    watch = Watch(cluster.order([run]))
    seen, trouble = watch.look()
    assert trouble == "squeue could not be asked: slurm_load_jobs error: no answer"
    assert counts_line(seen) == "1 element: 1 unknown"
    assert watch.act(seen) == ([], [])


def test_bad_nodes_are_left_out(cluster: Cluster) -> None:
    run = cluster.run("first", [0, 1, 2], resources={"sbatch": ["--comment=a", "--exclude=node9"]})
    rows = [f"7_{task}|first|FAILED|1:0" for task in (0, 1)]
    cluster.say(accounting="\n".join(rows), queue="7_2|first|RUNNING")
    for task in (0, 1):
        cluster.ended("first", task, "program-error", 1, "x: Stale file handle\n")
    watch = Watch(cluster.order([run]))
    seen = look(watch)
    assert seen.seen[0].words == (
        "element n=0: the file system failed on node1 → again, not on node1, try 2 of 3"
    )
    [new], _ = watch.act(seen)
    [options] = cluster.submitted()
    assert [one for one in options if one.startswith("--exclude")] == ["--exclude=node9,node1"]
    assert "--comment=a" in options
    assert cluster.record(new.run_id).resources["sbatch"] == ["--comment=a", "--exclude=node9,node1"]
    assert new.exclude == ["node9,node1"]


@pytest.mark.parametrize(
    ("budget", "words"),
    [
        ({"gpu_hours": 0.002}, "--gpu-hours 0.002 is spent: 0.00 GPU-hours"),
        ({"cost": 0.005}, "--cost 0.005 is spent: 0.01"),
    ],
)
def test_a_budget_that_is_spent_ends_it(cluster: Cluster, budget: dict[str, float], words: str) -> None:
    run = cluster.run("first", resources={"gpus": "a100:1", "partition": "gpu"})
    cluster.say(accounting="7|first|FAILED|1:0")
    cluster.ended("first", None, "program-error", 1, "x: Input/output error\n")
    site = make_site(queues={"gpu": Queue(cost=2, per="gpu-hour")})
    watch = Watch(cluster.order([run], site, **budget))
    seen = look(watch)
    assert seen.reached == words
    assert seen.is_over
    assert watch.act(seen) == ([], [])


def test_what_is_gone_is_said(cluster: Cluster) -> None:
    run = cluster.run("first")
    cluster.say(accounting="7|first|OUT_OF_MEMORY|0:125")
    order = cluster.order([run])
    (cluster.root / "images/a-1.sif").unlink()
    watch = Watch(order)
    assert watch.act(look(watch)) == ([], ["its image has been removed from the cluster"])
    (cluster.root / "runs/first/argv").unlink()
    again = Watch(order)
    assert again.act(look(again)) == ([], ["first: the words of its program are not there (any more)"])


def test_what_a_job_has_in_its_environment_is_not_handed_on(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "1")
    monkeypatch.setenv("SLURM_CONF", "/etc/x")
    run = cluster.run("first")
    cluster.say(accounting="7|first|OUT_OF_MEMORY|0:125")
    watch = Watch(cluster.order([run]))
    watch.act(look(watch))
    environment = (cluster.folder / "environment").read_text()
    assert "SLURM_CPUS_PER_TASK" not in environment
    assert "SLURM_CONF=/etc/x" in environment


def test_what_the_order_does_not_foresee_stops(cluster: Cluster) -> None:
    run = cluster.run("first")
    cluster.say(accounting="7|first|OUT_OF_MEMORY|0:125")
    order = cluster.order([run])
    order["plans"]["first"]["states"].clear()
    seen = look(Watch(order))
    assert seen.seen[0].words == (
        "element n=None: out-of-memory → stop: what it asked for is not in this monitor's order; start the "
        "monitor again"
    )
    # Rules that come to very many requests.
    small = read_values(Rules, {"out_of_memory": {"do": "more-memory", "factor": 1.01}})
    many = cluster.order([run], make_site(small), most_tries=1000)
    assert len(many["plans"]["first"]["states"]) <= 301
    assert look(Watch(many)).seen[0].words == (
        "element n=None: out of memory with 1G → with 1035M of memory, try 2 of 1000"
    )


def test_time_is_that_of_the_files(cluster: Cluster) -> None:
    assert claims.make_claims("first", {None: 1}, "new-cpu-1") == [None]
    link = Path("tries/first/run-1")
    os.utime(link, (time.time() - 500,) * 2, follow_symlinks=False)
    assert 499 < claims.read_claims(["first"])["first", None].age_s < 600
