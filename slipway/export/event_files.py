"""Elements as event files of TensorBoard, by TensorBoard's own messages and writer: a folder an element."""

from __future__ import annotations

import io
import json
import math
import re
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from itertools import groupby
from pathlib import Path
from typing import Any

from slipway.errors import HostError
from slipway.export.element import Exported, Outcome, unique
from slipway.export.optional import Done, needed
from slipway.jsontext import load_json

# What an element's folder is of, in JSON; by it the folder is found again.
MARK = "slipway.json"
_ENDING = ".slipway"
_MODULES = (
    "compat.proto.event_pb2",
    "plugins.hparams.metadata",
    "plugins.text.summary_v2",
    "summary.writer.record_writer",
)
_LONGEST_NAME = 100
_NOT_IN_A_NAME = re.compile(r"[^\w.=,+-]+")


def export_tensorboard(elements: Sequence[Exported], folder: Path) -> Done:
    """Write a folder for each element, in one for its experiment; one that is up to date stays as it is.

    Raises:
        HostError: TensorBoard is not installed, or a file cannot be written.
    """
    with needed("--tensorboard", "tensorboard"):
        for module in _MODULES:
            import_module(f"tensorboard.{module}")
    done: list[str] = []
    try:
        for name, group in groupby(
            sorted(elements, key=lambda one: one.experiment), lambda one: one.experiment
        ):
            some = list(group)
            numeric = _numeric(some)
            folders = _Folders(folder / _file_name(name))
            done += [folders.put(one, numeric) for one in some]
    except OSError as error:
        where = error.filename or folder
        raise HostError(f"--tensorboard {folder}: {where} cannot be written: {error.strerror}") from error
    return Done(**{word: done.count(word) for word in set(done)})


class _Folders:
    """The folders of one experiment."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._taken = {path.name.lower() for path in folder.iterdir()}
        self._known: dict[str, Path] = {}
        for mark in sorted(folder.glob(f"*/{MARK}")):
            for place in _read(mark).get("places", ()):
                self._known.setdefault(str(place), mark.parent)

    def put(self, element: Exported, numeric: Mapping[str, bool]) -> str:
        """Write the folder of an element; whether it is new or has changed."""
        known = next((self._known[place] for place in element.places if place in self._known), None)
        folder = known or self._folder / unique(_file_name(element.name), self._taken)
        self._known |= dict.fromkeys(element.places, folder)
        values = _json(element)
        files = _event_files(folder)
        if known is not None and len(files) == 1 and _read(known / MARK) == values:
            return "unchanged"
        folder.mkdir(exist_ok=True)
        events = _events(element, numeric)
        fresh = folder / f"events.out.tfevents.{int(time.time()):010}{_ENDING}"
        _write(fresh, events)
        _write(folder / MARK, (json.dumps(values, indent=1) + "\n").encode())
        for old in files:
            if old != fresh:
                old.unlink(missing_ok=True)
        return "new" if known is None else "changed"


def _json(element: Exported) -> dict[str, Any]:
    return {
        "experiment": element.experiment,
        "name": element.name,
        "places": list(element.places),
        "values": dict(element.values),
        "metrics": dict(element.metrics),
        "tags": dict(element.tags),
        "outcome": element.outcome.value,
        "started_s": element.started_s,
        "ended_s": element.ended_s,
    }


def _read(mark: Path) -> dict[str, Any]:
    try:
        values = load_json(mark.read_bytes())
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def _event_files(folder: Path) -> list[Path]:
    """Those of ours; a program's own may lie beside them."""
    return sorted(folder.glob(f"events.out.tfevents.*{_ENDING}"))


def _write(path: Path, content: bytes) -> None:
    """Write a file in one step, in the place of a link that has its name, too."""
    fresh = path.with_name(f".{secrets.token_hex(4)}")
    try:
        fresh.write_bytes(content)
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def _events(element: Exported, numeric: Mapping[str, bool]) -> bytes:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter

    began = float(element.started_s or 0)
    at = float(element.ended_s or began or time.time())
    file = io.BytesIO()
    writer = RecordWriter(file)
    writer.write(Event(wall_time=began or at, file_version="brain.Event:2").SerializeToString())
    for summary in _about(element, numeric):
        writer.write(Event(wall_time=at, step=0, summary=summary).SerializeToString())
    for name, value in element.metrics.items():
        scalar = Summary(value=[Summary.Value(tag=name, simple_value=value)])
        writer.write(Event(wall_time=at, step=0, summary=scalar).SerializeToString())
    return file.getvalue()


def _about(element: Exported, numeric: Mapping[str, bool]) -> Iterator[Any]:
    """Its parameters and its end, for the plugin hparams, and the rest as a table of text."""
    from tensorboard.plugins.hparams import metadata
    from tensorboard.plugins.hparams.api_pb2 import Status
    from tensorboard.plugins.hparams.plugin_data_pb2 import (
        HParamsPluginData,
        SessionEndInfo,
        SessionStartInfo,
    )
    from tensorboard.plugins.text.summary_v2 import text_pb

    start = SessionStartInfo(group_name=element.places[-1], start_time_secs=float(element.started_s or 0))
    for name, value in element.values.items():
        if numeric[name]:
            start.hparams[name].number_value = float(value)
        else:
            start.hparams[name].string_value = value
    yield _plugin(metadata.SESSION_START_INFO_TAG, HParamsPluginData(session_start_info=start))
    if element.outcome.is_over:
        is_ok = element.outcome is Outcome.FINISHED
        end = SessionEndInfo(
            status=Status.STATUS_SUCCESS if is_ok else Status.STATUS_FAILURE,
            end_time_secs=float(element.ended_s or 0),
        )
        yield _plugin(metadata.SESSION_END_INFO_TAG, HParamsPluginData(session_end_info=end))
    yield text_pb("slipway", _markdown(element))


def _plugin(tag: str, content: Any) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import metadata

    value = Summary.Value(
        tag=tag, metadata=metadata.create_summary_metadata(content), tensor=metadata.NULL_TENSOR
    )
    return Summary(value=[value])


def _markdown(element: Exported) -> str:
    lines = ["| | |", "|---|---|"]
    lines += [
        f"| {name} | `{value.replace('`', ' ').replace('|', ' ')}` |" for name, value in element.tags.items()
    ]
    return "\n".join(lines)


def _numeric(elements: Sequence[Exported]) -> dict[str, bool]:
    """Whether a parameter is a number, which it is where all its values are."""
    names = {name for one in elements for name in one.values}
    return {
        name: all(_is_number(one.values[name]) for one in elements if name in one.values) for name in names
    }


def _is_number(text: str) -> bool:
    """True for what reads as a finite number and is not a name such as ``007``."""
    try:
        return math.isfinite(float(text)) and not re.match(r"[+-]?0\d|.*_", text)
    except ValueError:
        return False


def _file_name(text: str) -> str:
    """A folder's name for what a person named: TensorBoard shows it."""
    return _NOT_IN_A_NAME.sub("_", text.replace(" ", ","))[:_LONGEST_NAME].lstrip(".") or "_"
