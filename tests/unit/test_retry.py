"""Retries: what is picked of a sweep or of runs, what is asked for otherwise, who is told, and what is said.

Claims are made for real, in a folder here; what would be submitted is written down in the place of a job.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import cast

import pytest

from slipway.errors import JobError, UsageError
from slipway.host.host import Host
from slipway.host.scratch import Scratch
from slipway.job.record import format_run
from slipway.job.run import LOCAL, Run, Status
from slipway.monitor.claim import make_claims, write_down
from slipway.notify.pending import Pending, PendingStore
from slipway.notify.target import parse_targets
from slipway.project import Project
from slipway.report.retry_lines import left_lines, nothing_line, retry_lines, taken_line
from slipway.resources import Resources
from slipway.scheduler.base import State
from slipway.scheduler.choose import parse_resources
from slipway.shell import LocalShell
from slipway.site import Site
from slipway.steps.monitored import Watched, find_targets
from slipway.steps.older_elements import with_older
from slipway.steps.retry import Candidate, Kind, Picked, Retried, Retry, kind_of
from slipway.steps.session import Session
from slipway.steps.try_again import Again, _of_profile, check_again
from slipway.sweep.record import Place, Sweep, SweepElement, SweepStore
from tests.unit.test_run import make_run

RUN, SWEEP = "k3f9-cpu-20260131-142530", "zzzz-sweep-20260131-142530"
OK = Status(state=State.COMPLETED, reason="ok")
FAILED = Status(state=State.FAILED, reason="program-error", exit_code=3)
MEMORY = Status(state=State.OUT_OF_MEMORY, reason="out-of-memory")
CANCELLED = Status(state=State.CANCELLED, reason="cancelled")
FORGOTTEN = Status(state=State.FAILED, reason="unknown")
PENDING = Status(state=State.PENDING)
WEBHOOK = parse_targets(["https://chat.example.org/s3cret"])


class Here(LocalShell):
    """This machine in the place of a login node; nobody asks SLURM."""

    target = "here"

    def require_commands(self) -> None:
        """It runs commands."""

    def read(self, path: PurePosixPath) -> bytes | None:
        """A file."""
        return Path(path).read_bytes() if Path(path).is_file() else None


@dataclass(frozen=True, kw_only=True)
class At(Session):
    """A session whose sites are this machine."""

    def connect(self, site: Site) -> AbstractContextManager[Host]:
        """This machine."""
        return nullcontext(cast("Host", Here()))


@dataclass
class Cluster:
    """A scratch here, and what would be submitted there."""

    session: Session
    scratch: Scratch
    submitted: list[Again] = field(default_factory=list)
    refused: str | None = None

    def try_again(
        self, session: Session, again: Again, site: Site, host: Host, scratch: Scratch
    ) -> Run | None:
        """In the place of the real one: the claims are real, the job is not."""
        if self.refused:
            raise JobError(self.refused)
        new_id = f"n{len(self.submitted):03}-cpu-20260131-150000"
        host = cast("Host", Here())
        tasks = make_claims(host, self.scratch, again.run.run_id, again.claims, new_id)
        if not tasks:
            return None
        write_down(host, self.scratch, again.run.run_id, [new_id], is_submitted=True)
        self.submitted.append(replace(again, claims={task: again.claims[task] for task in tasks}))
        new = replace(
            again.run,
            run_id=new_id,
            run_dir=f"/s/runs/{new_id}",
            status=PENDING,
            task_statuses={},
            task_indices=tuple(task for task in tasks if task is not None),
            tries=(*again.run.tries, again.run.run_id),
        )
        session.store.save(new)
        return new

    def retry(self, sweep: str | None = None, runs: Sequence[str] = (), **options: object) -> list[Retry]:
        return [
            Retry(session=self.session, target=one, **options)  # type: ignore[arg-type]
            for one in find_targets(self.session, sweep, runs)
        ]

    def claim(self, run_id: str, task: int | None, new_id: str, *, is_submitted: bool) -> None:
        host = cast("Host", Here())
        assert make_claims(host, self.scratch, run_id, {task: 1}, new_id) == [task]
        write_down(host, self.scratch, run_id, [new_id], is_submitted=is_submitted)


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    (tmp_path / "cluster").mkdir()
    (tmp_path / "cluster" / "box.yaml").write_text(
        "login: {host: hpc.invalid}\npaths: {scratch: /s}\n"
        "queues: {small: {max_mem: 4G}, big: {max_mem: 64G}}\n"
    )
    (tmp_path / "scratch").mkdir()
    session = At(project=Project(root=tmp_path, state=tmp_path / "state", results=tmp_path / "results"))
    made = Cluster(session, Scratch(root=PurePosixPath(tmp_path / "scratch")))
    monkeypatch.setattr("slipway.steps.retry.open_scratch", lambda host, site, make: made.scratch)
    monkeypatch.setattr("slipway.steps.retry.try_again", made.try_again)
    monkeypatch.setattr("slipway.steps.newest_tries.refresh", lambda session, host, runs: runs)
    monkeypatch.setattr("slipway.steps.newest_tries.poll", lambda host, runs: runs)
    return made


def keep_array(cluster: Cluster, *statuses: Status, run_id: str = RUN, sweep: str | None = SWEEP) -> Run:
    """The record of an array, and that of the sweep whose elements are its tasks."""
    tasks = range(len(statuses))
    run = replace(
        make_run(run_id),
        job_id="7",
        sweep=sweep,
        status=Status(state=State.FAILED, reason="program-error"),
        task_indices=tuple(tasks),
        task_statuses=dict(enumerate(statuses)),
        elements={task: {"n": str(task)} for task in tasks} if sweep else {},
        resources={"array": f"0-{len(statuses) - 1}%2", "mem": "2G", "partition": "small"},
    )
    cluster.session.store.save(run)
    if sweep:
        SweepStore(cluster.session.project.state / "sweeps").save(
            Sweep(
                sweep_id=sweep,
                name="rates",
                profile="cpu",
                site="box",
                submitted="2026-01-31T14:25:30+00:00",
                args=("{n}",),
                elements=tuple(
                    SweepElement(
                        values={"n": str(task)}, identity=str(task), place=Place(run_id=run_id, task=task)
                    )
                    for task in tasks
                ),
            )
        )
    return run


def kept(cluster: Cluster) -> Sweep:
    return SweepStore(cluster.session.project.state / "sweeps").find(SWEEP)


def do(retry: Retry) -> tuple[Picked, Retried]:
    picked = retry.look()
    return picked, retry.submit(picked, lambda run: None)


@pytest.mark.parametrize(
    ("status", "is_claimed", "kind"),
    [
        (OK, False, Kind.OK),
        (FAILED, False, Kind.FAILED),
        (MEMORY, False, Kind.FAILED),
        (CANCELLED, False, Kind.CANCELLED),
        (PENDING, False, Kind.GOING),
        (Status(state=State.UNKNOWN), False, Kind.GOING),
        (FAILED, True, Kind.GOING),
        (CANCELLED, True, Kind.GOING),
        # It may have ended well.
        (FORGOTTEN, False, Kind.UNKNOWN),
        (None, False, Kind.UNKNOWN),
        (Status(state=State.FAILED, reason="a word of a newer Slipway"), False, Kind.UNKNOWN),
    ],
)
def test_how_an_element_stands(status: Status | None, is_claimed: bool, kind: Kind) -> None:
    assert kind_of(status, is_claimed=is_claimed) is kind


def test_what_has_not_ended_well_is_one_new_run_and_the_sweep_follows(cluster: Cluster) -> None:
    keep_array(cluster, OK, FAILED, PENDING, MEMORY, CANCELLED, FORGOTTEN)
    asked = parse_resources({"mem": "3G"})
    [retry] = cluster.retry("rates", asked=asked)
    picked, done = do(retry)
    assert [one.watched.number for one in picked.again] == [1, 3, 4]
    [again] = cluster.submitted
    assert dict(again.claims) == {1: 1, 3: 1, 4: 1}
    request = check_again(again, retry.target.site)
    assert (request.resources.mem, request.resources.partition) == ("3G", "small")
    assert request.origins["mem"] == "--mem"
    assert request.resources.array == "1,3-4%2"
    [new] = done.runs
    places = [one.place and (one.place.run_id, one.place.task) for one in kept(cluster).elements]
    assert places == [(RUN, 0), (new.run_id, 1), (RUN, 2), (new.run_id, 3), (new.run_id, 4), (RUN, 5)]
    assert kept(cluster).elements[1].tries == (Place(run_id=RUN, task=1),)
    # They are on their way now.
    [second] = cluster.retry("rates")
    picked, _ = do(second)
    assert picked.again == []
    assert nothing_line(picked) == (
        "Nothing is to be submitted again: 1 ok, 4 on its way, 1 nobody knows how it ended"
    )
    assert len(cluster.submitted) == 1


def test_only_what_failed(cluster: Cluster) -> None:
    keep_array(cluster, FAILED, CANCELLED)
    [retry] = cluster.retry("rates", only_failed=True)
    picked, _ = do(retry)
    assert [one.watched.number for one in picked.again] == [0]
    assert picked.counts == {Kind.CANCELLED: 1}


def test_what_a_monitor_has_claimed_is_left_to_it(cluster: Cluster) -> None:
    run = keep_array(cluster, FAILED, FAILED, FAILED)
    other = replace(
        run,
        run_id="m000-cpu-20260131-150000",
        run_dir="/s/runs/m000-cpu-20260131-150000",
        status=PENDING,
        task_statuses={},
    )
    cluster.session.store.save(other)
    cluster.claim(RUN, 0, other.run_id, is_submitted=True)
    # This one was given up.
    cluster.claim(RUN, 1, "gone-cpu-20260131-150000", is_submitted=False)
    [retry] = cluster.retry("rates")
    picked = retry.look()
    assert [one.watched.number for one in picked.again] == [1, 2]
    assert kept(cluster).elements[0].place == Place(run_id=other.run_id, task=0)
    # Here it is quicker than we are.
    cluster.claim(RUN, 2, other.run_id, is_submitted=True)
    done = retry.submit(picked, lambda run: None)
    assert (done.taken, done.error) == (1, None)
    assert dict(cluster.submitted[0].claims) == {1: 2}
    assert taken_line(1) == "1 element was taken meanwhile, by a monitor or another retry"


def test_a_dry_run_writes_nothing(cluster: Cluster) -> None:
    keep_array(cluster, FAILED)
    [retry] = cluster.retry("rates", only_look=True)
    assert len(retry.look().again) == 1
    assert list(Path(cluster.scratch.root).iterdir()) == []


def test_a_run_of_a_sweep_is_its_elements_wherever_they_are(cluster: Cluster) -> None:
    keep_array(cluster, OK, FAILED)
    [retry] = cluster.retry(runs=[RUN])
    _, done = do(retry)
    assert kept(cluster).elements[1].place == Place(run_id=done.runs[0].run_id, task=1)
    # By the run that it was in at first, too, and each once.
    [target] = find_targets(cluster.session, None, [RUN, done.runs[0].run_id])
    assert [one.tries for one in target.elements] == [((RUN, 0),), ((RUN, 1), (done.runs[0].run_id, 1))]


def test_runs_without_a_sweep(cluster: Cluster) -> None:
    keep_array(cluster, OK, FAILED, sweep=None)
    alone = replace(make_run("b4d2-cpu-20260131-142530"), job_id="8", status=MEMORY)
    cluster.session.store.save(alone)
    [retry] = cluster.retry(runs=[RUN, "b4d2"])
    picked, done = do(retry)
    assert [dict(one.claims) for one in cluster.submitted] == [{1: 1}, {None: 1}]
    assert [one.run.run_id for one in cluster.submitted] == [RUN, alone.run_id]
    assert retry_lines(picked, parse_resources({"mem": "8G", "exclusive": "true"})) == [
        f"run {RUN} task 1: FAILED program-error, exit code 3 → again with mem 8G, exclusive",
        f"run {alone.run_id}: OUT_OF_MEMORY out-of-memory → again with mem 8G, exclusive",
    ]
    assert len(done.runs) == 2


def test_what_never_would_start_is_refused_before_anything_is_claimed(cluster: Cluster) -> None:
    keep_array(cluster, FAILED)
    [retry] = cluster.retry("rates", asked=parse_resources({"mem": "8G"}))
    with pytest.raises(JobError, match=r"mem 8G \(--mem\) is more than the 4G on a node"):
        retry.look()
    [retry] = cluster.retry("rates", asked=parse_resources({"mem": "8G", "partition": "big"}))
    assert len(retry.look().again) == 1


def test_one_that_is_refused_stops_no_other_and_is_told(cluster: Cluster) -> None:
    for run_id in (RUN, "b4d2-cpu-20260131-142530"):
        cluster.session.store.save(replace(make_run(run_id), job_id="8", status=FAILED))
    [retry] = cluster.retry(runs=[RUN, "b4d2"])
    picked = retry.look()
    cluster.refused = "its code is gone"
    done = retry.submit(picked, lambda run: None)
    assert done.runs == []
    assert str(done.error).splitlines()[0] == "2 of 2 runs could not be submitted again:"


def test_who_was_to_be_told_of_the_first_is_told_of_the_next(cluster: Cluster) -> None:
    keep_array(cluster, FAILED)
    pending = PendingStore(cluster.session.project.state)
    pending.keep(RUN, Pending(targets=WEBHOOK))
    more = parse_targets(["desktop"])
    [retry] = cluster.retry("rates", notify=more)
    picked = retry.look()
    # Somebody is told meanwhile, and that is then forgotten.
    pending.forget(RUN)
    retry.submit(picked, lambda run: None)
    assert cluster.submitted[0].notify == (*WEBHOOK, *more)
    # Where that is not known, it is the profile's affair.
    cluster.submitted.clear()
    keep_array(cluster, FAILED, run_id="b4d2-cpu-20260131-142530", sweep=None)
    [retry] = cluster.retry(runs=["b4d2"])
    do(retry)
    assert cluster.submitted[0].notify is None


def test_the_profile_says_who_is_told_where_the_run_does_not_any_more(cluster: Cluster) -> None:
    root = cluster.session.project.root
    (root / "env").mkdir()
    (root / "env" / ".env.base").write_text("NOTIFY='mail desktop'\n")
    (root / "env" / ".env.cpu").write_text("IMAGE=a\nPROGRAM=python3\nDOCKERFILE=Dockerfile\n")
    # A mail is an option of the job.
    assert [target.word for target in _of_profile(cluster.session, make_run(RUN))] == ["desktop"]
    gone = replace(make_run(RUN), profile="gone")
    assert _of_profile(cluster.session, gone) == []


def test_what_slurm_may_begin_again_is_looked_at_twice(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = replace(make_run(RUN), job_id="7", status=PENDING)
    cluster.session.store.save(run)
    preempted = replace(run, status=Status(state=State.PREEMPTED, reason="preempted"))
    looks = [[preempted], [replace(run, status=Status(state=State.RUNNING))]]
    monkeypatch.setattr("slipway.steps.newest_tries.refresh", lambda *_: looks[0])
    monkeypatch.setattr("slipway.steps.newest_tries.poll", lambda *_: looks[1])
    pauses: list[float] = []
    [retry] = cluster.retry(runs=[RUN], pause=pauses.append)
    assert retry.look().again == []
    assert pauses == [10.0]
    # What was over when we came is only asked for once more.
    cluster.session.store.save(preempted)
    looks[1] = looks[0]
    [retry] = cluster.retry(runs=[RUN], pause=pauses.append)
    assert len(retry.look().again) == 1
    assert pauses == [10.0]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"site": LOCAL}, "is a run on this machine; `invoke job --profile cpu --local -- …` runs it again"),
        (
            {"shell": "ends"},
            "is there for a shell, which nobody can type again; `invoke shell ",
        ),
        ({"site": "away"}, f"{RUN} is a run at away, but there is no site 'away'"),
    ],
)
def test_runs_that_nobody_can_repeat(cluster: Cluster, changes: dict[str, str], said: str) -> None:
    cluster.session.store.save(replace(make_run(RUN), status=FAILED, **changes))  # type: ignore[arg-type]
    with pytest.raises(UsageError) as caught:
        cluster.retry(runs=[RUN])
    assert said in str(caught.value)


def test_what_is_left_is_said() -> None:
    def one(kind: Kind, status: Status | None) -> Candidate:
        watched = Watched(label=f"element n={kind.name}", number=1, tries=((RUN, 4),))
        return Candidate(watched=watched, kind=kind, status=status)

    picked = Picked(again=[], left=[one(Kind.UNKNOWN, FORGOTTEN)], not_submitted=2)
    assert left_lines(picked) == [
        "1 is left as before, since nobody knows how it ended, and it may have ended well:",
        f"  element n=UNKNOWN ({RUN} task 4): FAILED unknown",
        "2 elements were not submitted yet; `invoke sweep` with the same file submits them",
    ]
    many = Picked(again=[one(Kind.FAILED, FAILED)] * 25, left=[])
    lines = retry_lines(many, Resources())
    assert lines[0] == f"element n=FAILED ({RUN} task 4): FAILED program-error, exit code 3 → again"
    assert lines[-1] == "and 5 more"


def again_as_sweep(cluster: Cluster, run: Run) -> Sweep:
    """The same elements, as the same file would make them, with those of earlier sweeps."""
    store = SweepStore(cluster.session.project.state / "sweeps")
    old = store.find(SWEEP)
    new = replace(
        old,
        sweep_id="yyyy-sweep-20260131-152530",
        elements=tuple(replace(one, place=None, tries=()) for one in old.elements),
    )
    site = cluster.session.site("box")
    return with_older(cluster.session, cast("Host", Here()), cluster.scratch, site, new)


def test_the_same_sweep_beside_a_monitor_submits_nothing_that_is_claimed(cluster: Cluster) -> None:
    run = keep_array(cluster, OK, FAILED, PENDING, FAILED, FAILED, FAILED)
    # Tried again from another machine: there the next try has ended well, and another has failed again.
    other_id = "m000-cpu-20260131-150000"
    statuses = {1: OK, 3: FAILED}
    other = replace(run, run_id=other_id, run_dir=f"/s/runs/{other_id}", task_statuses=statuses)
    other = replace(other, task_indices=(1, 3))
    record = Path(cluster.scratch.runs / other_id / "run.json")
    record.parent.mkdir(parents=True)
    record.write_text(format_run(other))
    for task in (1, 3):
        cluster.claim(RUN, task, other_id, is_submitted=True)
    # A monitor is just submitting this one, and has given up that one.
    assert make_claims(cast("Host", Here()), cluster.scratch, RUN, {4: 1}, "m001-cpu-20260131-150000") == [4]
    cluster.claim(RUN, 5, "gone-cpu-20260131-150000", is_submitted=False)
    sweep = again_as_sweep(cluster, run)
    assert [one.place and (one.place.run_id, one.place.task) for one in sweep.elements] == [
        (RUN, 0),
        (other_id, 1),
        (RUN, 2),
        None,
        (RUN, 4),
        None,
    ]
    assert [one.is_older for one in sweep.elements] == [True, True, True, False, True, False]
    assert sweep.elements[1].tries == (Place(run_id=RUN, task=1),)
    assert cluster.session.store.find(other_id).task_indices == (1, 3)


def test_without_claims_what_failed_is_submitted_again(cluster: Cluster) -> None:
    sweep = again_as_sweep(cluster, keep_array(cluster, OK, FAILED, CANCELLED, FORGOTTEN))
    assert [one.is_older for one in sweep.elements] == [True, False, False, False]
