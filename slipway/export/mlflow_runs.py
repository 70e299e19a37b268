"""Elements as runs of MLflow, by MLflow's own client: one run an element, however often it is exported."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from itertools import groupby, islice
from typing import TYPE_CHECKING, Any

from slipway.errors import HostError
from slipway.export.element import Exported
from slipway.export.optional import Done, needed
from slipway.text.wording import one_line
from slipway.web import hide_password

if TYPE_CHECKING:
    from mlflow import MlflowClient

# A tag with the places of an element, a line each: a run there that has one of them is the element's.
PLACES = "slipway.places"
_PREFIX = "slipway."
_COMMIT = "mlflow.source.git.commit"
# MLflow takes 100 parameters and tags, and 1000 metrics, at once.
_AT_ONCE = 90
_A_PAGE = 1000
# Unless the user has set them: nobody is told of a Slipway that exports, and who does not answer is given up
# after seconds and not after minutes.
_DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
}


def export_mlflow(elements: Sequence[Exported], uri: str | None) -> Done:
    """Make a run of each element, or bring the one that there is up to date.

    Args:
        elements: the elements.
        uri: a tracking server's address, or what else MLflow takes; ``None`` for what its settings name.

    Raises:
        HostError: MLflow is not installed, does not answer, or refuses.
    """
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    with needed("--mlflow", "mlflow"):
        from mlflow import MlflowClient, get_tracking_uri
    done: list[str] = []
    # It prints two lines a run, where the output of a task may be JSON.
    with _told(uri or get_tracking_uri()), redirect_stdout(io.StringIO()):
        client = MlflowClient(tracking_uri=uri)
        for name, group in groupby(
            sorted(elements, key=lambda one: one.experiment), lambda one: one.experiment
        ):
            runs = _Runs(client, name)
            done += [runs.put(one) for one in group]
    return Done(**{word: done.count(word) for word in set(done)})


@contextmanager
def _told(uri: str) -> Iterator[None]:
    """Within it, what MLflow raises is told as an error of ours."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except ImportError as error:
        with needed("--mlflow", "mlflow"):
            raise error
    except (MlflowException, OSError) as error:
        # An address may have a password in it, and MLflow repeats it.
        said = one_line(str(error).replace(uri, hide_password(uri)), 600)
        raise HostError(f"MLflow at {hide_password(uri)}: {said}") from error


class _Runs:
    """The runs of one experiment."""

    def __init__(self, client: MlflowClient, name: str) -> None:
        self._client = client
        experiment = client.get_experiment_by_name(name)
        if experiment is not None and experiment.lifecycle_stage != "active":
            raise HostError(
                f"MLflow's experiment {name} was deleted; restore it there (`mlflow experiments restore "
                f"--experiment-id {experiment.experiment_id}`), or give the sweep another name"
            )
        self._experiment_id = experiment.experiment_id if experiment else client.create_experiment(name)
        self._known: dict[str, Any] = {}
        for run in self._all():
            for place in run.data.tags.get(PLACES, "").split("\n"):
                self._known.setdefault(place, run)

    def put(self, element: Exported) -> str:
        """Make or change the run of an element; which of it."""
        tags = {f"{_PREFIX}{name}": value for name, value in element.tags.items()}
        tags[PLACES] = "\n".join(element.places)
        if "commit" in element.tags:
            tags[_COMMIT] = element.tags["commit"]
        known = next((self._known[place] for place in element.places if place in self._known), None)
        run = known or self._client.create_run(
            self._experiment_id,
            start_time=_milliseconds(element.started_s or element.ended_s) or int(time.time() * 1000),
            run_name=element.name,
            tags={PLACES: tags[PLACES]},
        )
        for place in element.places:
            self._known[place] = run
        has_changed = self._write(run, element, tags)
        return "new" if known is None else "changed" if has_changed else "unchanged"

    def _write(self, run: Any, element: Exported, tags: Mapping[str, str]) -> bool:
        """Write what is not there yet: a metric that is written twice would have two points."""
        from mlflow.entities import Metric, Param, RunTag

        client, run_id = self._client, run.info.run_id
        at = _milliseconds(element.ended_s) or int(time.time() * 1000)
        entries = [
            *(
                ("metrics", Metric(key, value, at, 0))
                for key, value in _new(element.metrics, run.data.metrics)
            ),
            *(("params", Param(key, value)) for key, value in _new(element.values, run.data.params)),
            *(("tags", RunTag(key, value)) for key, value in _new(tags, run.data.tags)),
        ]
        for some in _batches(entries):
            kinds = {kind: [entry for one, entry in some if one == kind] for kind, _ in some}
            client.log_batch(run_id, **kinds)
        gone = [name for name in run.data.tags if name.startswith(_PREFIX) and name not in tags]
        for name in gone:
            client.delete_tag(run_id, name)
        is_new_end = self._end(run, element)
        return bool(entries or gone or is_new_end)

    def _end(self, run: Any, element: Exported) -> bool:
        """Say how it stands."""
        ended_ms = _milliseconds(element.ended_s)
        is_over = element.outcome.is_over
        if run.info.status == element.outcome.value and (
            not is_over or ended_ms in (None, run.info.end_time)
        ):
            return False
        if is_over:
            self._client.set_terminated(run.info.run_id, element.outcome.value, ended_ms)
        else:
            self._client.update_run(run.info.run_id, status=element.outcome.value)
        return True

    def _all(self) -> Iterator[Any]:
        token = None
        while True:
            page = self._client.search_runs([self._experiment_id], max_results=_A_PAGE, page_token=token)
            yield from page
            token = page.token
            if not token:
                return


def _new(wanted: Mapping[str, Any], known: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in wanted.items() if known.get(name) != value]


def _batches(entries: Sequence[tuple[str, Any]]) -> Iterator[list[tuple[str, Any]]]:
    left = iter(entries)
    while some := list(islice(left, _AT_ONCE)):
        yield some


def _milliseconds(seconds: int | None) -> int | None:
    return None if seconds is None else seconds * 1000
