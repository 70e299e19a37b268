"""What every place where jobs run has to do, whichever scheduler and whichever container it has."""

import json
from collections.abc import Iterator

import pytest

from slipway.job.run import Run
from slipway.scheduler.base import State
from slipway.sweep.spec import SweepSpec
from tests import campaign
from tests.integration.places import at_ngc, on_box, on_dask, on_pbs, on_this_machine, on_workstation
from tests.integration.places.place import Place

HOSTILE = (
    "it's",
    "a  b",
    "",
    "*",
    "$(id)",
    "`id`",
    "--",
    "-x",
    "a\nb",
    "é",
    "{x}",
    '"',
    "\\",
    "\udcff",
    "%s;true",
)
# Goes on until somebody says that it is to end, and says so in turn.
WAITS = "trap 'echo told; exit 0' TERM; echo running; while :; do sleep 0.1; done"
SAVES = "trap 'echo saved >/out/saved; exit 0' USR1; echo running; while :; do sleep 0.1; done"


@pytest.fixture(scope="module")
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp(request.param) / "checkout"
    match request.param:
        case "slurm":
            yield on_box.slurm(request.getfixturevalue("small"), folder)
        case "host":
            yield on_box.host(request.getfixturevalue("small"), folder)
        case "host-docker":
            with on_workstation.docker(folder) as made:
                yield made
        case "this-machine":
            with on_this_machine.docker(folder) as made:
                yield made
        case "this-machine-apptainer":
            with on_this_machine.apptainer(folder) as made:
                yield made
        case "dask":
            with on_dask.two_hosts(folder) as made:
                yield made
        case "pbs":
            with on_pbs.openpbs(folder) as made:
                yield made
        case "ngc":
            with at_ngc.stand_in(folder) as made:
                yield made


# What `./run test` does at each place, beside the place's own tests; `--long` does all. Each has its
# scheduler, or its container, in common with another one.
HOME = "test_a_program_runs_to_its_end_and_its_results_come_home"
ARGUMENTS = "test_arguments_arrive_byte_for_byte"
CANCELLED = "test_a_running_job_is_cancelled_and_its_program_told"
SWEEP = "test_a_sweep_with_an_element_that_fails"
WARNED = "test_a_program_is_warned_before_its_time_is_up"
ENDED = "test_a_program_that_does_not_listen_is_ended"
MEMORY = "test_too_much_memory_is_told"
SHORT = {
    # Its limits are whole minutes.
    "slurm": (HOME, ARGUMENTS, CANCELLED, SWEEP, MEMORY),
    "host": (HOME, ARGUMENTS, CANCELLED, SWEEP, MEMORY, WARNED, ENDED),
    # test_engine_job.py runs jobs in containers of an engine.
    "host-docker": (),
    "this-machine": (ARGUMENTS, CANCELLED),
    "this-machine-apptainer": (ARGUMENTS,),
    "dask": (ARGUMENTS,),
    "pbs": (ARGUMENTS, CANCELLED, SWEEP),
    "ngc": (SWEEP,),
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every scenario at every place."""
    name = metafunc.function.__name__
    places = [pytest.param(place, marks=() if name in SHORT[place] else pytest.mark.long) for place in SHORT]
    metafunc.parametrize("place", places, indirect=True, scope="module")


@pytest.fixture(autouse=True)
def begun(request: pytest.FixtureRequest) -> None:
    """What waits for a time limit begins with the first test."""
    if campaign.LONG or request.node.callspec.params["place"] == "host":
        request.getfixturevalue("limited")


@pytest.fixture(scope="module")
def limited(place: Place) -> tuple[Run, Run]:
    """Those that take as long as the shortest time limit: they begin first, and run beside the others."""
    saves = place.run(SAVES, time=place.limit)
    return saves, place.run("echo kept >/out/file; sleep 600", time=place.limit)


def test_a_program_runs_to_its_end_and_its_results_come_home(place: Place) -> None:
    run = place.run('echo "this is $SLIPWAY_RUN" | tee /out/file; ls /code >/out/code')
    assert run.job_id is not None
    ended = place.wait(run)
    assert (ended.state, ended.status.reason, ended.status.exit_code) == (State.COMPLETED, "ok", 0)
    # Apptainer may have to say what is not installed.
    assert place.log(run).splitlines()[-1] == f"this is {run.run_id}"
    home = place.pull(run)
    assert (home / "attempt-1" / "out" / "file").read_text() == f"this is {run.run_id}\n"
    assert (home / "attempt-1" / "out" / "code").read_text() == "it's a <file>\n"
    assert json.loads((home / "attempt-1" / "result.json").read_text())["reason"] == "ok"


def test_a_program_that_fails_has_its_exit_code(place: Place) -> None:
    ended = place.wait(place.run("echo kept >/out/file; exit 3"))
    assert (ended.state, ended.status.reason, ended.status.exit_code) == (State.FAILED, "program-error", 3)
    assert (place.pull(ended) / "attempt-1" / "out" / "file").read_text() == "kept\n"


def test_a_program_that_is_killed_is_no_success(place: Place) -> None:
    ended = place.wait(place.run("kill -SEGV $$"))
    assert (ended.state, ended.status.reason, ended.status.exit_code) == (State.FAILED, "program-error", 139)
    assert ended.status.signal == 11


def test_arguments_arrive_byte_for_byte(place: Place) -> None:
    run = place.run('printf "%s\\0" "$@" >/out/words', *HOSTILE)
    assert place.wait(run).status.reason == "ok"
    words = (place.pull(run) / "attempt-1" / "out" / "words").read_bytes()
    assert words.decode("utf-8", "surrogateescape").split("\0")[:-1] == [*HOSTILE]


def test_a_program_that_is_not_there_was_not_started(place: Place) -> None:
    run = place.run("exec /no/such/program")
    ended = place.wait(run)
    assert (ended.state, ended.status.exit_code) == (State.FAILED, 127)


def test_a_running_job_is_cancelled_and_its_program_told(place: Place) -> None:
    run = place.run(WAITS)
    place.wait_for_line(run, "running")
    assert place.look(run).state is State.RUNNING
    place.cancel(run)
    ended = place.wait(run)
    assert (ended.state, ended.status.reason) == (State.CANCELLED, "cancelled")
    assert "told" in place.log(run)


def test_a_job_that_waits_is_cancelled_before_it_begins(place: Place) -> None:
    if not place.has_dependencies:
        pytest.skip(f"no job waits for another at {place.site.name}; its own tests have one that waits")
    before = place.run(WAITS)
    waits = place.run("echo begun", dependency=f"afterok:{before.job_id}")
    assert place.look(waits).state is State.PENDING
    assert place.look(waits).status.pending_reason
    assert place.cancel(waits).state in (State.CANCELLED, State.PENDING)
    place.cancel(before)
    ended = place.wait(waits)
    assert (ended.state, ended.status.reason) == (State.CANCELLED, "cancelled")
    assert place.log(waits) == ""
    place.wait(before)


def test_a_program_is_warned_before_its_time_is_up(place: Place, limited: tuple[Run, Run]) -> None:
    ended = place.wait(limited[0])
    assert ended.status.reason == "time-limit"
    assert (place.pull(ended) / "attempt-1" / "out" / "saved").read_text() == "saved\n"


def test_a_program_that_does_not_listen_is_ended(place: Place, limited: tuple[Run, Run]) -> None:
    ended = place.wait(limited[1])
    assert (ended.state, ended.status.reason) == (State.TIMEOUT, "time-limit")
    assert (place.pull(ended) / "attempt-1" / "out" / "file").read_text() == "kept\n"


def test_too_much_memory_is_told(place: Place) -> None:
    if not place.limits_memory:
        pytest.skip(f"{place.site.name} does not limit memory here")
    ended = place.wait(place.run("echo running; tail /dev/zero", mem="100M"))
    assert (ended.state, ended.status.reason) == (State.OUT_OF_MEMORY, "out-of-memory")


def test_a_sweep_with_an_element_that_fails(place: Place) -> None:
    spec = SweepSpec(
        args=("{word}",), each={"word": ("one", "it's", "fails", "$(id)")}, throttle=place.throttle
    )
    states = place.sweep(spec, 'printf %s "$1" >/out/word; [ "$1" != fails ]')
    assert [state.word for state in states] == [
        "COMPLETED ok",
        "COMPLETED ok",
        "FAILED program-error",
        "COMPLETED ok",
    ]
    for state in states:
        assert state.run is not None
        assert state.element.place is not None
        name = f"task-{state.element.place.task}/attempt-1/out/word"
        assert place.there(state.run, name).decode() == state.element.values["word"]
