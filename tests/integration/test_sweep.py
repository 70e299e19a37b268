"""Sweeps on the box with a real SLURM: arguments, arrays, what is done is not run again, a user's limits."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from slipway.errors import JobError, UsageError
from slipway.job.figure import Figure
from slipway.job.run import Run
from slipway.report.sweep_table import ElementState, element_states
from slipway.scheduler.slurm.resources import SlurmResources
from slipway.steps.pull import pull
from slipway.steps.replay import make_replay
from slipway.steps.session import Choice
from slipway.steps.submit import Push
from slipway.steps.sweep import sweep_submitted
from slipway.steps.sweep_arrays import SweepRequest
from slipway.steps.table import bring_numbers, read_sweep
from slipway.sweep.record import Sweep, SweepStore
from slipway.sweep.spec import SweepSpec, load_spec
from tests.integration.small_image import SmallImageBox
from tests.waiting import wait_until

HOSTILE = ("it's", "a b", "", "*", "$(id)", "--", "a\nb", "é", "{x}")
# Its words; with "fails" among them it fails until there is a dataset.
PROGRAM = (
    'printf "%s\\0" "$@" >/out/words; [ ! -d /element ] || cat /element/run.ini >/out/config; '
    "case $1 in fails) [ -e /data/mended ] ;; esac"
)


class Sweeper:
    """Submits sweeps of small programs."""

    def __init__(self, small: SmallImageBox) -> None:
        self.small = small

    def submit(
        self, spec: SweepSpec, *, again: bool = False, program: str = PROGRAM
    ) -> tuple[Sweep, Sequence[Run]]:
        profile = self.small.choice.profile.model_copy(update={"program": ("sh", "-c", program, "sh")})
        # The box has partitions that the site's file does not list.
        site = self.small.choice.site.model_copy(update={"queues": {}})
        request = SweepRequest(
            choice=Choice(profile=profile, site=site),
            spec=spec,
            resources=SlurmResources(cpus=1, mem="100M"),
            again=again,
        )
        with sweep_submitted(self.small.session, request, Push.NEVER) as done:
            return done.sweep, done.runs

    def states(self, sweep: Sweep) -> list[ElementState]:
        """How its elements stand once all of its runs are over."""
        runs = {run_id: self.small.look(run_id) for run_id in sweep.run_ids}
        for run in runs.values():
            if not run.state.is_over:
                runs[run.run_id] = self.small.wait_for(run)
        return element_states(sweep, runs)

    def words(self, state: ElementState) -> list[str]:
        """The words that a program found."""
        assert state.run is not None
        assert state.element.place is not None
        task = state.element.place.task
        printed = self.small.on_box(f"od -An -v -tx1 {state.run.run_dir}/task-{task}/attempt-1/out/words")
        return bytes.fromhex("".join(printed.split())).decode().split("\0")[:-1]


@pytest.fixture(scope="module")
def sweeper(small: SmallImageBox) -> Sweeper:
    return Sweeper(small)


def test_each_element_has_its_own_words_and_resources(sweeper: Sweeper) -> None:
    spec = SweepSpec(
        name="words",
        args=("{word}", "--seed={seed}", "{{word}}", "last one"),
        each={"word": HOSTILE, "seed": ("0", "1")},
        list=({"word": "late", "seed": "2"},),
        throttle=4,
        resources={"time": "1{seed}"},
    )
    sweep, runs = sweeper.submit(spec)
    # An array for each time limit.
    assert [len(run.tasks) for run in runs] == [9, 9, 1]
    assert [run.resources["time"] for run in runs] == ["10", "11", "12"]
    assert [run.resources["array"] for run in runs] == ["0-8%1", "0-8%1", "0-0%1"]
    assert {run.sweep for run in runs} == {sweep.sweep_id}
    states = sweeper.states(sweep)
    assert [state.word for state in states] == ["COMPLETED ok"] * 19
    for state in states:
        values = state.element.values
        assert sweeper.words(state) == [values["word"], f"--seed={values['seed']}", "{word}", "last one"]
    # The record on the cluster says which is which.
    record = json.loads(sweeper.small.on_box(f"cat {runs[1].run_dir}/run.json"))
    assert record["sweep"] == sweep.sweep_id
    assert record["elements"]["3"] == {"word": "*", "seed": "1"}


def test_what_is_done_is_not_run_again_and_what_failed_is(sweeper: Sweeper) -> None:
    spec = SweepSpec(args=("{word}",), each={"word": ("one", "fails", "two")})
    first, runs = sweeper.submit(spec)
    states = sweeper.states(first)
    assert [state.word for state in states] == ["COMPLETED ok", "FAILED program-error", "COMPLETED ok"]
    sweeper.small.on_box("mkdir -p $SCRATCH/slipway/data/mended")
    try:
        second, again = sweeper.submit(spec)
        assert [len(run.tasks) for run in again] == [1]
        assert [one.is_older for one in second.elements] == [True, False, True]
        assert [state.word for state in sweeper.states(second)] == ["COMPLETED ok"] * 3
        third, none = sweeper.submit(spec)
        assert none == []
        assert [one.place for one in third.elements] == [one.place for one in second.elements]
        # Another argument is another element; what is wanted again is run again.
        more, new = sweeper.submit(spec.model_copy(update={"each": {"word": ("one", "three")}}))
        assert [one.is_older for one in more.elements] == [True, False]
        assert [len(run.tasks) for run in new] == [1]
        all_of_it, both = sweeper.submit(spec, again=True)
        assert [len(run.tasks) for run in both] == [3]
        assert [state.word for state in sweeper.states(all_of_it)] == ["COMPLETED ok"] * 3
    finally:
        sweeper.small.on_box("rm -rf $SCRATCH/slipway/data/mended")
    assert runs[0].run_id not in {run.run_id for run in both}


@pytest.fixture
def limited(small: SmallImageBox) -> Iterator[int]:
    """The user may have so many jobs at once."""
    limit = ["sacctmgr", "-i", "modify", "user", "researcher", "set"]
    small.as_root(*limit, "MaxSubmitJobs=4")
    try:
        yield 4
    finally:
        small.as_root(*limit, "MaxSubmitJobs=-1")


def test_more_than_a_user_may_submit_is_submitted_in_parts(sweeper: Sweeper, limited: int) -> None:
    # SLURM may count a job for some moments after it has left the queue.
    asked = ["scontrol", "show", "assoc_mgr", "users=researcher", "flags=assoc"]
    wait_until(lambda: f"MaxSubmitJobs={limited}(0)" in sweeper.small.as_root(*asked), "no job that counts")
    spec = SweepSpec(args=("{n}",), each={"n": tuple(map(str, range(6)))}, resources={"time": "10"})
    with pytest.raises(JobError) as caught:
        sweeper.submit(spec)
    said = str(caught.value)
    assert f"{limited} of the 6 elements were submitted before, as " in said
    assert "The same command later submits the others alone" in said
    [first] = [sweep for sweep in sweeps(sweeper) if (sweep.args, len(sweep.elements)) == (("{n}",), 6)]
    states = sweeper.states(first)
    assert [state.word for state in states] == ["COMPLETED ok"] * 4 + ["not submitted"] * 2
    rest, runs = sweeper.submit(spec)
    assert [len(run.tasks) for run in runs] == [2]
    assert [state.word for state in sweeper.states(rest)] == ["COMPLETED ok"] * 6


def sweeps(sweeper: Sweeper) -> list[Sweep]:
    return list(SweepStore(sweeper.small.session.project.state / "sweeps").all())


def test_each_element_finds_its_own_file(sweeper: Sweeper, tmp_path: Path) -> None:
    (tmp_path / "run.ini").write_text("seed = {seed}\n")
    (tmp_path / "sweep.yaml").write_text(
        "args: ['{seed}', --config, /element/run.ini]\nfiles: {run.ini: run.ini}\neach: {seed: 3..4}\n"
        "resources: {time: '10'}\n"
    )
    sweep, runs = sweeper.submit(load_spec(tmp_path / "sweep.yaml"))
    assert [state.word for state in sweeper.states(sweep)] == ["COMPLETED ok"] * 2
    for task, seed in enumerate((3, 4)):
        file = f"{runs[0].run_dir}/task-{task}/attempt-1/out/config"
        assert sweeper.small.on_box(f"cat {file}") == f"seed = {seed}\n"


def test_a_run_of_a_sweep_says_how_it_is_repeated(sweeper: Sweeper) -> None:
    _, runs = sweeper.submit(SweepSpec(args=("{n}",), each={"n": ("7", "8")}), again=True)
    with pytest.raises(UsageError, match="is part of the sweep"):
        make_replay(sweeper.small.session, runs[0].run_id, resources=SlurmResources())


@pytest.mark.long
def test_figures_are_brought_and_who_failed_is_not_among_them(sweeper: Sweeper) -> None:
    session = sweeper.small.session
    measured = 'printf \'{"rmse": 0.%s}\' "$2" >/out/ate.json; : >/out/large; [ "$1" != fails ]'
    spec = SweepSpec(
        args=("{sequence}", "{seed}"),
        each={"sequence": ("short", "long", "fails"), "seed": ("1", "2")},
        resources={"time": "1m + 1s*frames"},
        lengths={"short": {"frames": 60}, "long": {"frames": 600}, "fails": {"frames": 600}},
    )
    sweep, runs = sweeper.submit(spec, program=measured)
    # An array for each step of time, the longest first.
    assert [(run.resources["time"], run.resources["array"]) for run in runs] == [("11", "0-3"), ("2", "0-1")]
    sweeper.states(sweep)
    assert read_sweep(session, sweep).numbers == [None] * 6
    assert bring_numbers(session, [sweep]) is None
    rmse = Figure("ate", "rmse")
    assert read_sweep(session, sweep).numbers == [{rmse: 0.1}, {rmse: 0.2}] * 2 + [None, None]
    out = session.project.results / runs[1].run_id / "task-0" / "attempt-1" / "out"
    assert [path.name for path in out.iterdir()] == ["ate.json"]
    # A whole pull later changes nothing.
    for run in runs:
        pull(session, run.run_id)
    assert read_sweep(session, sweep).numbers == [{rmse: 0.1}, {rmse: 0.2}] * 2 + [None, None]
    assert (out / "large").is_file()
