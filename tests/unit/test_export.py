"""Sweeps in MLflow and TensorBoard: what is exported, and what their own readers find of it."""

import json
import sqlite3
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from slipway.errors import HostError
from slipway.export.element import Exported, Outcome, exported, metric_names
from slipway.export.event_files import _file_name, export_tensorboard
from slipway.export.mlflow_runs import export_mlflow
from slipway.export.optional import Done
from slipway.job.figure import Figure
from slipway.job.run import Status
from slipway.project import Project
from slipway.report.metric_table import Measured, known_figures
from slipway.scheduler.base import State
from slipway.steps.session import Session
from slipway.sweep.record import Place, SweepStore
from tests.unit.test_table import FAILED, GRID, OK, RMSE, RUN, call, make_array, make_sweep, measure, put

# What these libraries say of each other is not ours.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
LATER = "p2mn-cpu-20260131-152530"
BEGAN = replace(OK, started_s=400, ended_s=1000, node="node2")


def export_of(measured: Sequence[Measured]) -> list[Exported]:
    return exported(measured, [*known_figures(measured)])


@pytest.fixture
def elements() -> list[Exported]:
    """Of nine: one in each state, and one that was not submitted."""
    sweep = make_sweep(GRID)
    *submitted, last = sweep.elements
    sweep = replace(sweep, elements=(*submitted, replace(last, place=None)))
    array = make_array(
        BEGAN,
        OK,
        FAILED,
        Status(state=State.RUNNING, started_s=500),
        Status(state=State.CANCELLED, reason="cancelled"),
        Status(state=State.PENDING),
        Status(state=State.OUT_OF_MEMORY, reason="out-of-memory", exit_code=137),
        OK,
    )
    run = replace(array, commit="c0" * 20)
    return export_of(measure(sweep, run, (0.25, 0.5, None, None, None, None, None, None, None)))


# What a monitor does with the third: it fails, and the second try does well.
def tried_again(rmse: float = 0.75) -> list[Exported]:
    sweep = make_sweep(GRID[:3])
    place = sweep.elements[2].place
    assert place is not None
    again = sweep.elements[2].at(place, Place(run_id=LATER, task=2))
    sweep = replace(sweep, elements=(*sweep.elements[:2], again))
    run = replace(make_array(BEGAN, OK, FAILED), commit="c0" * 20)
    first = measure(sweep, run, (0.25, 0.5, rmse))
    state = replace(first[2].state, run=replace(run, run_id=LATER), status=BEGAN)
    return export_of([*first[:2], replace(first[2], state=state)])


def test_what_is_exported(elements: list[Exported]) -> None:
    assert [one.outcome.value for one in elements] == [
        "FINISHED",
        "FINISHED",
        "FAILED",
        "RUNNING",
        "KILLED",
        "SCHEDULED",
        "FAILED",
        "FINISHED",
    ]
    first, *_, memory, away = elements
    assert (first.experiment, first.name) == ("nine", "sequence=rpy seed=0")
    assert (first.places, first.values) == ((f"{RUN} task 0",), {"sequence": "rpy", "seed": "0"})
    assert (first.metrics, first.started_s, first.ended_s) == ({"ate.rmse": 0.25}, 400, 1000)
    assert {name: first.tags[name] for name in ("run", "task", "site", "state", "reason", "node")} == {
        "run": RUN,
        "task": "0",
        "site": "hpc",
        "state": "COMPLETED",
        "reason": "ok",
        "node": "node2",
    }
    assert {"image", "code", "commit", "sweep", "profile"} <= {*first.tags}
    assert (memory.metrics, memory.tags["reason"], memory.tags["exit_code"]) == ({}, "out-of-memory", "137")
    assert (away.metrics, away.tags["results"]) == ({}, "not home")


def test_an_element_of_two_sweeps_of_a_name_is_exported_once() -> None:
    run = make_array(OK)
    both = [
        *measure(make_sweep(GRID[:1]), run, (0.5,)),
        *measure(make_sweep(GRID[:1], sweep_id="other"), run, (0.5,)),
    ]
    assert len(export_of(both)) == 1
    # Without a name, each is an experiment of its own.
    unnamed = [replace(one, sweep=replace(one.sweep, name=None)) for one in both]
    assert [one.experiment for one in export_of(unnamed)] == ["k3f9-sweep-20260131-142530", "other"]


def test_only_the_figures_that_are_wanted() -> None:
    [one] = exported(
        [
            replace(
                measure(make_sweep(GRID[:1]), make_array(OK), (0.5,))[0],
                numbers={RMSE: 1, Figure("a", "b"): 2},
            )
        ],
        [RMSE],
    )
    assert one.metrics == {"ate.rmse": 1}


def test_names_that_mlflow_takes() -> None:
    figures = [
        Figure("ate", "rmse"),
        Figure("ate", "RMSE"),
        Figure("rpy/ate", "rmse"),
        Figure("a", "50%|x"),
        Figure("a", "50_:x"),
        Figure("a", "b//c"),
        Figure("a", "\udce4"),
        Figure("long", "x" * 300),
    ]
    names = metric_names(figures)
    assert names[Figure("ate", "RMSE")] == "ate.RMSE"
    assert names[Figure("ate", "rmse")] == "ate.rmse-2"
    assert names[Figure("rpy/ate", "rmse")] == "rpy/ate.rmse"
    assert {names[figures[3]], names[figures[4]]} == {"a.50__x", "a.50__x-2"}
    assert (names[figures[5]], names[figures[6]]) == ("a.b__c", "a._")
    assert len(names[figures[7]]) == 240


@pytest.mark.parametrize(
    ("library", "export"), [("mlflow", export_mlflow), ("tensorboard", export_tensorboard)]
)
def test_a_library_that_is_missing(
    library: str, export: Any, elements: list[Exported], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == library]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(HostError) as error:
        export(elements, tmp_path / "there")
    assert str(error.value).startswith(
        f"--{library}: the Python that runs Slipway has no {library} that loads ("
    )
    assert f"`pip install 'slipway[{library}]'` installs it" in str(error.value)
    assert not (tmp_path / "there").exists()


def test_the_words_of_what_was_done() -> None:
    assert str(Done(new=1)) == "1 element (1 new, 0 changed, 0 as before)"
    assert str(Done(new=1, changed=2, unchanged=24)) == "27 elements (1 new, 2 changed, 24 as before)"


# ---- MLflow --------------------------------------------------------------------------------------------


@pytest.fixture
def uri(tmp_path: Path) -> str:
    """A database that MLflow keeps in a file."""
    pytest.importorskip("mlflow", reason="MLflow is not installed here; `slipway[mlflow]` has it")
    pytest.importorskip("sqlalchemy", reason="SQLAlchemy is not installed here; `slipway[mlflow]` has it")
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


def runs_in(uri: str, name: str = "nine") -> list[Any]:
    """What MLflow's own client finds, by its runs' names."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    found = client.search_runs([client.get_experiment_by_name(name).experiment_id])
    return sorted(found, key=lambda run: str(run.info.run_name))


def test_mlflow_has_a_run_for_each_element(uri: str, elements: list[Exported]) -> None:
    assert export_mlflow(elements, uri) == Done(new=8)
    runs = {run.info.run_name: run for run in runs_in(uri)}
    assert {name: run.info.status for name, run in runs.items()} == {
        one.name: one.outcome.value for one in elements
    }
    first = runs["sequence=rpy seed=0"]
    assert (first.data.params, first.data.metrics) == ({"sequence": "rpy", "seed": "0"}, {"ate.rmse": 0.25})
    assert (first.info.start_time, first.info.end_time) == (400_000, 1_000_000)
    tags = first.data.tags
    assert (tags["slipway.run"], tags["slipway.task"], tags["slipway.site"]) == (RUN, "0", "hpc")
    assert tags["slipway.image"] == elements[0].tags["image"]
    assert tags["mlflow.source.git.commit"] == elements[0].tags["commit"]
    failed = runs["sequence=rpy seed=2"]
    assert (failed.data.metrics, failed.data.tags["slipway.reason"]) == ({}, "program-error")


def test_mlflow_prints_nothing(
    uri: str, elements: list[Exported], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from mlflow import MlflowClient

    ended = MlflowClient.set_terminated

    def told(*words: Any) -> None:
        # So it does where it talks to a server.
        print("View run at: http://…")
        ended(*words)

    monkeypatch.setattr(MlflowClient, "set_terminated", told)
    assert export_mlflow(elements, uri) == Done(new=8)
    assert capsys.readouterr().out == ""
    # What has no beginning does not end before it.
    assert all((run.info.end_time or run.info.start_time) >= run.info.start_time for run in runs_in(uri))


def test_mlflow_has_no_doubles(uri: str, elements: list[Exported]) -> None:
    from mlflow import MlflowClient

    export_mlflow(elements, uri)
    before = [run.to_dictionary() for run in runs_in(uri)]
    assert export_mlflow(elements, uri) == Done(unchanged=8)
    assert [run.to_dictionary() for run in runs_in(uri)] == before
    # The third has been tried again, and the monitor has given it another run.
    assert export_mlflow(tried_again(), uri) == Done(changed=1, unchanged=2)
    runs = {run.info.run_name: run for run in runs_in(uri)}
    assert len(runs_in(uri)) == 8
    third = runs["sequence=rpy seed=2"]
    assert (third.info.status, third.data.metrics) == ("FINISHED", {"ate.rmse": 0.75})
    assert (third.data.tags["slipway.run"], third.data.tags["slipway.reason"]) == (LATER, "ok")
    assert "slipway.exit_code" not in third.data.tags
    assert export_mlflow(tried_again(), uri) == Done(unchanged=3)
    # A figure that has changed is a point more, and one that has not is none.
    assert export_mlflow(tried_again(0.125), uri) == Done(changed=1, unchanged=2)
    client = MlflowClient(tracking_uri=uri)
    history = client.get_metric_history(third.info.run_id, "ate.rmse")
    assert sorted(one.value for one in history) == [0.125, 0.75]


def test_mlflow_takes_odd_values_and_many_figures(uri: str) -> None:
    values = {"empty": "", "odd": "a|b\n'\" \udce4 ü", "long": "x" * 9000}
    numbers = {Figure("many", f"key {number} (%)"): float(number) for number in range(1200)}
    [one] = measure(make_sweep([values]), make_array(OK), (0.5,))
    odd = export_of([replace(one, numbers=numbers)])
    assert export_mlflow(odd, uri) == Done(new=1)
    assert export_mlflow(odd, uri) == Done(unchanged=1)
    [run] = runs_in(uri)
    assert run.data.params == {"empty": "", "odd": "a|b\n'\" ? ü", "long": "x" * 4000}
    assert len(run.data.metrics) == 1200


def test_mlflow_that_does_not_answer(elements: list[Exported], monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow", reason="MLflow is not installed here; `slipway[mlflow]` has it")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(HostError, match=r"^MLflow at http://127.0.0.1:9: ") as error:
        export_mlflow(elements, "http://me:secret@127.0.0.1:9")
    assert "secret" not in str(error.value)


def test_an_experiment_that_was_deleted(uri: str, elements: list[Exported]) -> None:
    from mlflow import MlflowClient

    export_mlflow(elements, uri)
    client = MlflowClient(tracking_uri=uri)
    client.delete_experiment(client.get_experiment_by_name("nine").experiment_id)
    with pytest.raises(HostError, match="MLflow's experiment nine was deleted; restore it there"):
        export_mlflow(elements, uri)


# ---- TensorBoard ---------------------------------------------------------------------------------------


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    pytest.importorskip(
        "tensorboard", reason="TensorBoard is not installed here; `slipway[tensorboard]` has it"
    )
    return tmp_path / "logs"


def scalars(logs: Path) -> dict[str, dict[str, list[float]]]:
    """What TensorBoard's own reader finds, by its runs and tags."""
    from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
    from tensorboard.util.tensor_util import make_ndarray

    found = EventMultiplexer().AddRunsFromDirectory(str(logs))
    found.Reload()
    return {
        run: {
            tag: [float(make_ndarray(one.tensor_proto)) for one in found.Tensors(run, tag)]
            for tag in known["tensors"]
            if tag != "slipway" and not tag.startswith("_hparams_")
        }
        for run, known in found.Runs().items()
    }


def sessions(logs: Path) -> dict[str, tuple[dict[str, Any], int]]:
    """What the plugin hparams shows: parameters and how it ended, by the runs."""
    from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
    from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
    from tensorboard.context import RequestContext
    from tensorboard.plugins.base_plugin import TBContext
    from tensorboard.plugins.hparams import api_pb2, backend_context, list_session_groups

    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(logs))
    multiplexer.Reload()
    provider = MultiplexerDataProvider(multiplexer, str(logs))
    context = backend_context.Context(TBContext(data_provider=provider, logdir=str(logs)))
    request = api_pb2.ListSessionGroupsRequest(
        start_index=0,
        slice_size=100,
        include_metrics=True,
        allowed_statuses=[0, 1, 2, 3],
    )
    handler = list_session_groups.Handler(RequestContext(), context, "", request)
    return {
        session.name: (
            {name: getattr(value, str(value.WhichOneof("kind"))) for name, value in group.hparams.items()},
            session.status,
        )
        for group in handler.run().session_groups
        for session in group.sessions
    }


def test_tensorboard_has_a_folder_for_each_element(logs: Path, elements: list[Exported]) -> None:
    assert export_tensorboard(elements, logs) == Done(new=8)
    found = scalars(logs)
    assert len(found) == 8
    assert found["nine/sequence=rpy,seed=0"] == {"ate.rmse": [0.25]}
    assert found["nine/sequence=rpy,seed=2"] == {}
    assert "nine/sequence=_x_y_z_,seed=1" in found
    shown = sessions(logs)
    assert {name: status for name, (_, status) in shown.items()} == {
        f"nine/{path.name}": {Outcome.FINISHED: 1, Outcome.FAILED: 2, Outcome.KILLED: 2}.get(one.outcome, 0)
        for path, one in zip(folders(logs, elements), elements, strict=True)
    }
    # What is a number everywhere can be sorted as one.
    assert shown["nine/sequence=rpy,seed=1"][0] == {"sequence": "rpy", "seed": 1.0}


def folders(logs: Path, elements: Sequence[Exported]) -> list[Path]:
    marks = {json.loads(mark.read_text())["name"]: mark.parent for mark in logs.glob("*/*/slipway.json")}
    return [marks[one.name] for one in elements]


def test_tensorboard_has_no_doubles(logs: Path, elements: list[Exported]) -> None:
    export_tensorboard(elements, logs)
    before = {path: path.read_bytes() for path in logs.rglob("*") if path.is_file()}
    assert export_tensorboard(elements, logs) == Done(unchanged=8)
    assert {path: path.read_bytes() for path in logs.rglob("*") if path.is_file()} == before
    assert export_tensorboard(tried_again(), logs) == Done(changed=1, unchanged=2)
    found = scalars(logs)
    assert len(found) == 8
    assert found["nine/sequence=rpy,seed=2"] == {"ate.rmse": [0.75]}
    assert export_tensorboard(tried_again(), logs) == Done(unchanged=3)
    # What a killed export has left does not count, and does not stay.
    [file] = (logs / "nine" / "sequence=rpy,seed=2").glob("events*")
    file.rename(file.with_name("events.out.tfevents.0000000001.slipway"))
    mark = file.with_name("slipway.json")
    mark.write_text(mark.read_text().replace("0.75", "0.5"))
    assert export_tensorboard(tried_again(), logs) == Done(changed=1, unchanged=2)
    assert scalars(logs)["nine/sequence=rpy,seed=2"] == {"ate.rmse": [0.75]}


def test_elements_of_one_name_have_folders_of_their_own(logs: Path) -> None:
    sweep = make_sweep([{"a": "x/y"}, {"a": "x y"}, {"a": "007"}])
    some = export_of(measure(sweep, make_array(OK, OK, OK), (1.0, 2.0, 3.0)))
    export_tensorboard(some, logs)
    assert scalars(logs) == {
        "nine/a=x_y": {"ate.rmse": [1.0]},
        "nine/a=_x,y_": {"ate.rmse": [2.0]},
        "nine/a=007": {"ate.rmse": [3.0]},
    }
    assert sessions(logs)["nine/a=007"][0] == {"a": "007"}
    # Another sweep of this name, with other code: nothing is written over.
    other = [replace(one, places=(f"{LATER} task {task}",)) for task, one in enumerate(some)]
    assert export_tensorboard(other, logs) == Done(new=3)
    assert {*scalars(logs)} > {"nine/a=x_y-2", "nine/a=007-2"}


def test_a_folder_that_cannot_be_written(logs: Path, elements: list[Exported], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        HostError, match=r"--tensorboard .*file: .*file/nine cannot be written: Not a directory"
    ):
        export_tensorboard(elements, tmp_path / "file")


# ---- The task ------------------------------------------------------------------------------------------


def test_the_task_exports(uri: str, logs: Path, tmp_path: Path) -> None:
    (tmp_path / "env").mkdir()
    (tmp_path / "env" / ".env.base").write_text("IMAGE=i\nDOCKERFILE=Dockerfile\nCODE_DIR=.\n")
    session = Session(project=Project.find(tmp_path))
    SweepStore(session.project.state / "sweeps").save(make_sweep(GRID[:3]))
    session.store.save(make_array(OK, FAILED, OK))
    # Nothing is home: what has failed can be told all the same.
    done = call(tmp_path, "--tensorboard", "logs")
    assert done.returncode == 0, done.stderr
    assert "for TensorBoard in logs: 3 elements (3 new, 0 changed, 0 as before)" in done.stderr
    put(session.project.results / RUN / "task-0", 1, 0.25)
    done = call(tmp_path, "--metric", "rmse", "--tensorboard", "logs", "--mlflow", uri)
    assert done.returncode == 0, done.stderr
    assert "for TensorBoard in logs: 3 elements (0 new, 1 changed, 2 as before)" in done.stderr
    assert "in MLflow: 3 elements (3 new, 0 changed, 0 as before)" in done.stderr
    assert done.stdout.splitlines()[0] == "ate.rmse"
    assert [run.data.metrics for run in runs_in(uri)] == [{"ate.rmse": 0.25}, {}, {}]
    # Alone, it is MLflow's own default.
    done = call(tmp_path, "--json", "--mlflow")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"ate.rmse": [0.25]}
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        assert database.execute("SELECT count(*) FROM runs").fetchone() == (3,)


@pytest.mark.parametrize("name", ["..", "../x", "/etc", "a/../../x", "", ".", "\0", "\x1b[2J", "x" * 900])
def test_names_lead_out_of_no_folder(tmp_path: Path, name: str) -> None:
    made = tmp_path / _file_name(name)
    assert made.parent == tmp_path
    assert made.name not in ("", ".", "..")
    made.mkdir()
    assert [one.name for one in tmp_path.iterdir()] == [made.name]
    assert made.name.isprintable()
