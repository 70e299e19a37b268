"""A monitor on the cluster, as a person here sees it: what is said of its beginning, its end and its log."""

from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, cast

import pytest

from slipway.cli import remote_monitor as cli
from slipway.cli.remote_monitor import Remote
from slipway.errors import JobError, RemoteError, RunFailedError, SshError, UsageError
from slipway.host.host import Host
from slipway.host.scratch import Scratch
from slipway.monitor.spending import Budget
from slipway.monitor.there_host import There
from slipway.progress import NullProgress
from slipway.project import Project
from slipway.quantity import minutes
from slipway.scheduler.limits import ResourceRequest
from slipway.scheduler.slurm.resources import SlurmResources
from slipway.steps import monitored
from slipway.steps.kept_hosts import KeptHosts, KeptHostsSession
from slipway.steps.monitor_checks import once
from slipway.steps.monitor_note import followed, forget_monitor, note_monitor
from slipway.steps.monitored import Look, Target, Watched
from slipway.steps.remote_log import LogLines
from slipway.steps.remote_monitor import RemoteMonitor, RemoteRequest, monitor_job
from slipway.sweep.record import Sweep
from tests.unit.monitor_there import make_site
from tests.unit.test_monitor_loop import AGAIN, OK, STOPPED, look
from tests.unit.test_run import make_run

WATCHED = Watched(label="run a", number=None, tries=(("a", None),))
TARGET = Target(site=make_site(), elements=(WATCHED,))
HERE = Remote(in_job=False, stop=False, asked={})
GONE, AGAIN_THERE = "has ended without a word", "invoke monitor --remote --run a"
RUNS = There(state="runs", where="login1, process 7")


class Screen:
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def note(self, text: str) -> None:
        self.said.append(f"note: {text}")


class Made:
    """A monitor on a cluster that stands as it is told to."""

    def __init__(self, found: There, seen: Look, started: There | None = None) -> None:
        self.target, self.found, self.seen, self.started = TARGET, found, seen, started

    def find(self) -> There:
        return self.found

    def close(self) -> Look:
        return self.seen

    def start(self) -> There:
        assert self.started is not None
        return self.started

    def stop(self) -> There:
        return self.found


def begin(made: Made) -> tuple[There | None, list[str]]:
    screen = Screen()
    return cli._begin(cast("Any", screen), cast("Any", made), HERE), screen.said


def test_its_beginning() -> None:
    assert begin(Made(RUNS, look())) == (
        RUNS,
        ["note: A monitor of it is at work at hpc already (login1, process 7); this is its log"],
    )
    started = replace(RUNS, began=True)
    assert begin(Made(There(state="none"), look(AGAIN), started)) == (
        started,
        ["note: The monitor works at hpc (login1, process 7), also without this command"],
    )
    job = There(state="waits", job="12", began=True)
    dead, said = begin(Made(There(state="dead", where="login1, process 5"), look(AGAIN), job))
    assert dead == job
    assert said == [
        f"note: The last monitor there (login1, process 5) {GONE}; this one goes on where it was",
        "note: The monitor works at hpc (job 12), also without this command",
    ]


def test_where_nothing_is_left_none_is_started() -> None:
    assert begin(Made(There(state="ended", why="over"), look(OK))) == (
        None,
        ["1 element: 1 ok", "spent: 0.00 GPU-hours"],
    )
    with pytest.raises(RunFailedError, match="1 element has not ended well"):
        begin(Made(There(state="none"), look(STOPPED)))


@pytest.mark.parametrize(
    ("ended", "words"),
    [
        (
            There(state="dead", where="login1, process 7"),
            (
                rf"hpc: the monitor there \(login1, process 7\) {GONE}: it was killed, or its machine was. "
                f"Nothing is lost: `{AGAIN_THERE}` goes on where it was. Where a site ends such processes, "
                "--in-job may be"
            ),
        ),
        (
            There(state="ended", why="stopped", words="it was stopped; what is on the way goes on"),
            "hpc: it was stopped; what is on the way goes on. `invoke monitor --remote --run a` begins again",
        ),
        (
            There(state="ended", why="error", words="KeyError: 1"),
            "hpc: the monitor there has ended by a mistake: KeyError: 1; its log says more",
        ),
    ],
)
def test_its_end(ended: There, words: str) -> None:
    screen = cast("Any", Screen())
    with pytest.raises(RemoteError, match=words):
        cli._finish(screen, cast("Any", Made(ended, look(AGAIN))), HERE, ended)
    # Whatever became of it, nothing is left to be done.
    cli._finish(screen, cast("Any", Made(ended, look(OK))), HERE, ended)
    over = There(state="ended", why="over")
    with pytest.raises(RunFailedError, match="1 element has not ended well"):
        cli._finish(screen, cast("Any", Made(over, look(STOPPED))), HERE, over)


def test_one_that_does_not_stop() -> None:
    with pytest.raises(
        RemoteError, match=r"hpc: the monitor there \(login1, process 7\) has been told to stop, and"
    ):
        cli._stop(cast("Any", Screen()), cast("Any", Made(RUNS, look())))


def test_how_one_comes_back() -> None:
    assert cli._come_back(cast("Any", Made(RUNS, look())), replace(HERE, in_job=True)) == (
        "The monitor goes on at hpc. `invoke monitor --in-job --run a` follows it again, `invoke monitor "
        "--in-job --run a --stop` stops it."
    )


def test_several_targets_are_refused() -> None:
    with pytest.raises(
        UsageError, match="--remote is for one sweep, or for runs of one site; start one for each"
    ):
        cli.keep_going_there(
            cast("Any", Screen()), cast("Any", None), [TARGET, TARGET], HERE, Budget(most_tries=3), None
        )


def test_a_log_that_comes_in_pieces() -> None:
    lines: list[str] = []
    log = LogLines(lines.append)
    for piece in (b"one\ntw", b"o \xe2\x86", b"\x92 three\nfo", b"ur\xff"):
        log.take(piece)
    assert (lines, log.offset) == (["one", "two → three"], 23)
    log.finish()
    assert lines[2:] == ["four\ufffd"]


def test_a_check_is_made_once() -> None:
    asked: list[str | None] = []

    def check(request: ResourceRequest) -> None:
        asked.append(request.resources.mem)
        if request.resources.mem == "9T":
            raise JobError("no node has it")

    checked = once(check)
    for array in ("1", "2"):
        checked(ResourceRequest(resources=SlurmResources(mem="1G", array=array)))
    for _ in range(2):
        with pytest.raises(JobError, match="no node has it"):
            checked(ResourceRequest(resources=SlurmResources(mem="9T")))
    assert asked == ["1G", "9T"]


def session(tmp_path: Path) -> KeptHostsSession:
    project = Project(root=tmp_path, state=tmp_path / "state", results=tmp_path / "results")
    return KeptHostsSession(project=project, progress=NullProgress())


def make_remote(tmp_path: Path, request: RemoteRequest, target: Target = TARGET) -> RemoteMonitor:
    return RemoteMonitor(session=session(tmp_path), target=target, request=request)


def test_its_job_asks_for_little(tmp_path: Path) -> None:
    wanted = monitor_job(None, "cpu", None)
    site = make_site().model_copy(
        update={"defaults": SlurmResources(account="lab", partition="gpu", gpus="1")}
    )
    remote = make_remote(
        tmp_path, RemoteRequest(budget=Budget(most_tries=3), job=wanted), replace(TARGET, site=site)
    )
    job = remote._job(Scratch(root=PurePosixPath("/s/slipway")), "/usr/bin/python3")
    assert job is not None
    assert job.limit_s == minutes("1:00:00") * 60
    assert {"--cpus-per-task=1", "--mem=500M", "--time=1:00:00", "--partition=cpu", "--account=lab"} <= {
        *job.options
    }
    assert f"--output=/s/slipway/monitors/{remote.name}/slurm.log" in job.options
    assert not [option for option in job.options if "gpu" in option]
    assert "#SBATCH --partition=cpu" in job.script
    with pytest.raises(UsageError, match="--time much: write it as"):
        monitor_job("much", None, None)


def test_it_has_one_name_for_the_same_runs(tmp_path: Path) -> None:
    request = RemoteRequest(budget=Budget(most_tries=3))
    two = [replace(WATCHED, tries=((name, None),)) for name in ("a", "b")]
    names = {
        make_remote(tmp_path, request, replace(TARGET, elements=tuple(some))).name
        for some in (two, two[::-1])
    }
    assert len(names) == 1
    # Where it goes on is no other.
    later = replace(two[0], tries=(("a", None), ("c", None)))
    assert make_remote(tmp_path, request, replace(TARGET, elements=(later, two[1]))).name in names


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"bundles": {0: ((0, 1),)}},
            "a: elements of it share a job, which a monitor there cannot tell apart",
        ),
        (
            {"run_dir": "/old/runs/a"},
            "a is in /old/runs/a, and a monitor there looks in /s/slipway/runs; leave",
        ),
    ],
)
def test_runs_that_it_cannot_look_at_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], words: str
) -> None:
    remote = make_remote(tmp_path, RemoteRequest(budget=Budget(most_tries=3)))
    run = replace(make_run("a"), **{"run_dir": "/s/slipway/runs/a", **changes})
    monkeypatch.setattr("slipway.steps.monitor.Monitor.runs", {"a": run})
    with pytest.raises(UsageError, match=words):
        remote._order(cast("Host", None), Scratch(root=PurePosixPath("/s/slipway")), "python3")


def test_a_line_that_is_lost_is_told_once_and_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = make_remote(tmp_path, RemoteRequest(budget=Budget(most_tries=3)))
    lost = SshError("the connection was lost")
    over = There(state="ended", why="over")
    answers: list[Any] = [lost, lost, RUNS, None, over]

    def step(log: LogLines, *, ask: bool) -> There | None:
        answer = answers.pop(0)
        if isinstance(answer, SshError):
            raise answer
        log.take(b"line\n")
        return cast("There | None", answer)

    monkeypatch.setattr(remote, "_step", step)
    remote.sleep = lambda seconds: None
    lines: list[str] = []
    troubles: list[str] = []
    assert remote.follow(lines.append, troubles.append) == over
    assert lines == ["line"] * 3
    assert troubles == ["the connection was lost\nThe monitor there goes on; its log is asked for again"]


def test_a_sweep_is_followed_as_long_as_a_monitor_is_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes: list[str] = []
    here = session(tmp_path)
    monkeypatch.setattr(NullProgress, "note", lambda self, text: notes.append(text))
    sweep = Sweep(sweep_id="s", name=None, profile="p", site="hpc", submitted="", args=(), elements=())
    asked: list[str] = []

    def find(session: object, word: str, runs: object) -> list[Target]:
        asked.append(word)
        return [replace(TARGET, elements=(), sweep=sweep)]

    monkeypatch.setattr(monitored, "find_targets", find)

    def no_login(self: KeptHosts, site: object, log_in: object) -> None:
        raise SshError("no route")

    monkeypatch.setattr(KeptHosts, "use", no_login)
    assert followed(here, sweep) is sweep
    assert asked == []
    note_monitor(here, "s")
    assert followed(here, sweep) is sweep
    assert asked == ["s"]
    assert notes == ["What the monitor at hpc has submitted meanwhile is not known: no route"]
    forget_monitor(here, "s")
    forget_monitor(here, "s")
    assert followed(here, sweep) is sweep
    assert asked == ["s"]
