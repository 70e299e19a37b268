"""The record of a run as text: written as JSON, and read from any version of it, by a model.

The version is raised where an older Slipway would misread a record. A key that is merely new is ignored by
it, and kept. Older versions are read for ever.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import asdict, fields
from functools import cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from slipway.errors import ParseError
from slipway.job.older import to_current
from slipway.job.run import JOB_ID, Run, Status
from slipway.job.secret import may_have_passwords, without_commands, without_passwords
from slipway.jsontext import dump_each, load_json
from slipway.plain import read_plain
from slipway.quantity import parse_array
from slipway.scheduler.find import NAMES
from slipway.scheduler.usage import Usage

if TYPE_CHECKING:
    from pydantic import TypeAdapter

VERSION = 3
# That of a record whose tasks share no jobs: an older Slipway does not misread it.
PLAIN_VERSION = 2
# Fields of Run that are no keys of a record, or only of the one on the machine that submitted the run.
_UNKNOWN, _LOCAL = "unknown", frozenset({"session"})
# Of what is behind it, in a record on the machine that submitted the run: a byte that has changed is noticed.
_CHECKSUM, _DIGITS = "checksum", 16
_BEGIN = re.compile(rb'\{\n "checksum": "([0-9a-f]{16})",')
_KEYS = frozenset(field.name for field in fields(Run)) - {_UNKNOWN}
# What has an entry for each task.
_OF_TASKS = ("task_statuses", "task_usages", "elements")
# It names files, here and on the cluster.
_RUN_ID = re.compile(r"\w[\w.+-]*")
# It is written into a list of lines, and sent as UTF-8.
_RUN_DIR = re.compile(r"/[^\x00-\x1f\x7f\ud800-\udfff]*")


class NewerRecordError(ValueError):
    """A record was written by a newer Slipway, and may mean something else."""


def format_run(run: Run, *, local: bool = False) -> str:
    """The record as text, without secrets. Arguments that are no UTF-8 are kept, as lone surrogates.

    Args:
        run: the run.
        local: with what concerns only the machine that submitted it.
    """
    # Images in use are found by the line `"sif": "…"`, with one space before it: see push/prune.py.
    names = sorted(_KEYS if local else _KEYS - _LOCAL, key=_order().__getitem__)
    values = {name: getattr(run, name) for name in names}
    values |= {"status": asdict(run.status), "submitted": run.submitted.isoformat()}
    values["task_statuses"] = {task: _short_status(status) for task, status in run.task_statuses.items()}
    values["usage"] = None if run.usage is None else _short(run.usage)
    values["task_usages"] = {task: _short(usage) for task, usage in run.task_usages.items()}
    values["site_values"] = without_commands(run.site_values)
    version = VERSION if run.bundles else PLAIN_VERSION
    whole = {"version": version, **values, **run.unknown}
    text = _dump(whole)
    if may_have_passwords(text):
        text = _dump(without_passwords(whole))
    return _with_checksum(text) if local else text


def _dump(values: Mapping[str, Any]) -> str:
    """JSON with a line for each value; a line for each task of which there may be thousands.

    Python's fast encoder writes no lines, and the other one takes seconds for so many.
    """
    mark = f"<{secrets.token_hex(16)}-"
    many = {key: values[key] for key in _OF_TASKS if isinstance(values.get(key), dict) and values[key]}
    text = json.dumps({**values, **{key: f"{mark}{key}" for key in many}}, indent=1) + "\n"
    for key, tasks in many.items():
        each = zip(tasks, dump_each([*tasks.values()]), strict=True)
        lines = ",\n".join(f'  "{task:d}": {one}' for task, one in each)
        text = text.replace(f'"{mark}{key}"', f"{{\n{lines}\n }}")
    return text


def _short_status(status: Status) -> dict[str, Any]:
    return {name: value for name, value in vars(status).items() if value is not None}


def _with_checksum(text: str) -> str:
    # The first key of all: an older Slipway, which does not know it, keeps it behind all others, and there
    # it says nothing.
    return f'{{\n "{_CHECKSUM}": "{_digest(text.encode())}",{text[1:]}'


def _digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()[:_DIGITS]


def _refuse_changed(text: bytes) -> None:
    found = _BEGIN.match(text)
    if found and _digest(b"{" + text[found.end() :]) != found[1].decode():
        raise ValueError("it is not what was written: its checksum is another one")


def _short(values: Status | Usage) -> dict[str, Any]:
    return {key: value for key, value in asdict(values).items() if value is not None}


def parse_run(text: str | bytes) -> Run:
    """Read a record of any version. Keys that are not known are kept in the run.

    Raises:
        NewerRecordError: a newer Slipway wrote it.
        ValueError: it is not a record, or not as it was written.
    """
    values = load_json(text)
    if not isinstance(values, dict):
        raise ValueError("it is not a record")
    version = values.pop("version", 1)
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ValueError("its version is not a number")
    if version > VERSION:
        raise NewerRecordError(
            f"a newer Slipway wrote it (version {version}; this one reads up to {VERSION})"
        )
    _refuse_changed(text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text)
    values.pop(_CHECKSUM, None)
    unknown = {key: value for key, value in values.items() if key not in _KEYS}
    known = to_current({key: value for key, value in values.items() if key in _KEYS}, version)
    whole = {**known, _UNKNOWN: unknown}
    return _checked(read_plain(Run, whole) or _validated(whole))


def _validated(values: dict[str, Any]) -> Run:
    from pydantic import ValidationError

    try:
        return _adapter().validate_python(values)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
        key = ".".join(str(part) for part in problem["loc"])
        raise ValueError(f"{key}: {problem['msg']}") from error


def _checked(run: Run) -> Run:
    """Refuse values that would lead somewhere else, or fail where they are used."""
    tests = {
        "run_id": _RUN_ID.fullmatch(run.run_id),
        "run_dir": _is_folder_of(run.run_dir, run),
        "kept": run.kept is None or _is_folder_of(run.kept, run),
        "job_id": run.job_id is None or JOB_ID.fullmatch(run.job_id),
        "submitted": 2000 <= run.submitted.year < 2500,
        "resources.array": _has_tasks(run),
        "bundles": _has_bundles(run),
        "site_values.scheduler": _has_scheduler(run),
    }
    bad = [key for key, is_good in tests.items() if not is_good]
    if bad:
        raise ValueError(f"{bad[0]} has a value that no run has")
    return run


def _is_folder_of(folder: str, run: Run) -> bool:
    return _RUN_DIR.fullmatch(folder) is not None and PurePosixPath(folder).name == run.run_id


def _has_tasks(run: Run) -> bool:
    array = run.resources.get("array")
    try:
        return array is None or (isinstance(array, str) and len(parse_array(array)) > 0)
    except ParseError:
        return False


def _has_bundles(run: Run) -> bool:
    """True where each task is in one job, if tasks share any."""
    shared = sorted(task for lanes in run.bundles.values() for lane in lanes for task in lane)
    return not run.bundles or shared == sorted(run.task_indices)


def _has_scheduler(run: Run) -> bool:
    return run.scheduler in NAMES


@cache
def _adapter() -> TypeAdapter[Run]:
    from pydantic import TypeAdapter

    return TypeAdapter(Run)


@cache
def _order() -> dict[str, int]:
    return {field.name: place for place, field in enumerate(fields(Run))}
