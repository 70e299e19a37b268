"""What a sweep is: its elements from grids, lists and what goes together, and a file that says so."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, PrivateAttr, ValidationError, field_validator

from slipway.dataset.length import read_lengths
from slipway.errors import ConfigError, UsageError
from slipway.job.elements import describe_values
from slipway.sweep import expression
from slipway.sweep.limit import compute_minutes, is_expression
from slipway.sweep.parameter import MOST_ELEMENTS, NAME, Values, grid, matches, parse_values
from slipway.sweep.placeholder import check_used, fill, find_names, unknown
from slipway.text.nearest import nearest
from slipway.tilde import expand
from slipway.validation import explain
from slipway.yaml_file import read_keys

# It is a word of the job's files, and a file in the container.
_FILE_NAME = re.compile(r"[A-Za-z0-9_][\w.-]{0,99}", re.ASCII)
_Rows = tuple[dict[str, str], ...]


class SweepSpec(BaseModel):
    """A sweep, as its file or the command line has it. All values are text, exactly as it was written.

    Attributes:
        name: a short label.
        profile: what to run; the command line's goes before.
        site: where; likewise.
        args: the program's arguments, with ``{name}`` where an element's value goes.
        each: parameters with their values; every combination is an element.
        zip: each an axis of its own, of parameters whose values go together: first with first.
        listed: elements that are written out; where there is ``each`` or ``zip`` too, they are added.
        exclude: combinations that are left out: all elements that have these values.
        files: files of its own for each element, by their names in /element: templates, whose ``{name}`` are
            filled in as in arguments. Paths are relative to the sweep's file.
        throttle: so many elements run at once, at most.
        pack_minutes: short elements share a job, one after the other, of at most so many minutes.
        per_node: so many elements run side by side in one job.
        resources: what each element asks for, as options of ``invoke job``; ``time`` may be computed.
        lengths: numbers for that, by name, for each value of a parameter.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str | None = None
    profile: str | None = None
    site: str | None = None
    args: tuple[str, ...] = ()
    each: dict[str, tuple[str, ...]] = {}
    zip: tuple[dict[str, tuple[str, ...]], ...] = ()
    listed: _Rows = Field(default=(), alias="list")
    exclude: _Rows = ()
    files: dict[str, str] = {}
    throttle: int | None = Field(default=None, ge=1)
    pack_minutes: int | None = Field(default=None, ge=1)
    per_node: int | None = Field(default=None, ge=1)
    resources: dict[str, str] = {}
    lengths: dict[str, dict[str, FiniteFloat]] = {}
    # The text of each template.
    _templates: dict[str, str] = PrivateAttr(default_factory=dict)

    @field_validator("each", mode="before")
    @classmethod
    def _each(cls, value: Any) -> Any:
        return _lists(value)

    @field_validator("zip", mode="before")
    @classmethod
    def _zip(cls, value: Any) -> Any:
        axes = value if isinstance(value, (list, tuple)) else [value]
        return [_lists(axis) for axis in axes]

    @property
    def elements(self) -> list[dict[str, str]]:
        """The values of each element, in order: the last parameter changes first.

        Raises:
            UsageError: there are none, too many, or what is written contradicts itself.
        """
        axes = [[{name: value} for value in values] for name, values in self.each.items()]
        axes += [_together(axis) for axis in self.zip]
        found = [] if not axes else grid(axes)
        names = {*self.each, *(name for axis in self.zip for name in axis)}
        names = names or {name for row in self.listed for name in row}
        _check_rows("list", self.listed, names, whole=True)
        _check_rows("exclude", self.exclude, names, whole=False)
        found += [dict(row) for row in self.listed]
        for row in self.exclude:
            if not any(matches(values, row) for values in found):
                raise UsageError(f"exclude: no element has {describe_values(row)}")
        found = [values for values in found if not any(matches(values, row) for row in self.exclude)]
        return _checked(found)

    def arguments(self, elements: Sequence[Values]) -> list[tuple[str, ...]]:
        """The arguments of each element.

        Raises:
            UsageError: they name what is no parameter, or a parameter stands nowhere.
        """
        if not elements:
            return []
        texts = [*self.args, *self._templates.values(), *self.resources.values()]
        for text in texts:
            for name in find_names(text):
                if name not in elements[0]:
                    raise unknown(name, elements[0])
        time = self.resources.get("time", "")
        check_used(elements[0], texts, expression.find_names(time) if is_expression(time) else ())
        return [tuple(fill(word, values) for word in self.args) for values in elements]

    def element_files(self, values: Values) -> dict[str, bytes]:
        """The files of one element, by their names."""
        return {name: fill(text, values).encode() for name, text in self._templates.items()}

    def asked(self, values: Values) -> dict[str, str]:
        """What one element asks for, by the names of its resources."""
        return {key: fill(text, values) for key, text in self.resources.items()}

    def minutes(self, elements: Sequence[Values]) -> list[int | None]:
        """How long each element may take, where ``resources.time`` is computed; else ``None``.

        Raises:
            UsageError: it cannot be computed.
        """
        time = self.resources.get("time")
        if time is None:
            return [None] * len(elements)
        try:
            return compute_minutes([fill(time, values) for values in elements], elements, self.lengths)
        except UsageError as error:
            raise UsageError(f"resources.time: {error}") from error


def load_spec(file: Path) -> SweepSpec:
    """Read a sweep's file.

    Raises:
        UsageError: there is no such file.
        ConfigError: it is not YAML, or a key is unknown or of the wrong kind.
    """
    content = read_keys(
        file,
        "expected keys such as args and each; docs/many.md explains them",
        missing=f"{file}: there is no such file; docs/many.md shows one",
        as_text=True,
    )
    lengths = content.get("lengths")
    if isinstance(lengths, str):
        content["lengths"] = read_lengths(file.parent / expand(lengths))
    try:
        spec = SweepSpec.model_validate(content)
        spec._templates.update({name: _template(file, name, path) for name, path in spec.files.items()})
    except ValidationError as error:
        raise ConfigError(f"{file}: {_problem(error.errors()[0])}") from error
    except UsageError as error:
        raise ConfigError(f"{file}: {error}") from error
    return spec


def _template(file: Path, name: str, path: str) -> str:
    """The text of a template, whose path is relative to the sweep's file."""
    place = file.parent / expand(path)
    if not _FILE_NAME.fullmatch(name):
        raise UsageError(f"files: {name!r} cannot be a file's name here: write letters, digits and . _ -")
    try:
        return place.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"files.{name}: {place} cannot be read: {error}") from error


def _lists(value: Any) -> Any:
    """Parameters with lists of values; one word may be several, as on the command line."""
    if not isinstance(value, Mapping):
        return value
    for name in value:
        if not NAME.fullmatch(str(name)):
            raise UsageError(f"{name!r} cannot be a parameter's name: write letters, digits and _")
    lists = {
        name: parse_values(str(name), values) if isinstance(values, str) else values
        for name, values in value.items()
    }
    for name, values in lists.items():
        if not values:
            raise UsageError(f"{name} has no values")
    return lists


def _together(axis: Mapping[str, Sequence[str]]) -> list[dict[str, str]]:
    sizes = {name: len(values) for name, values in axis.items()}
    if len(set(sizes.values())) > 1:
        shown = ", ".join(f"{name} has {size}" for name, size in sizes.items())
        raise UsageError(f"zip: values that go together are as many of each; {shown}")
    return [dict(zip(axis, values, strict=True)) for values in zip(*axis.values(), strict=True)]


def _check_rows(key: str, rows: _Rows, names: set[str], *, whole: bool) -> None:
    for row in rows:
        for name in row:
            if name not in names:
                raise UsageError(f"{key}: {name} is no parameter of this sweep{nearest(name, names)}")
        if whole and (missing := sorted(names - set(row))):
            raise UsageError(f"{key}: {describe_values(row)} has no {missing[0]}")


def _checked(found: list[dict[str, str]]) -> list[dict[str, str]]:
    if not found:
        raise UsageError("the sweep has no elements: write parameters with their values")
    if len(found) > MOST_ELEMENTS:
        raise UsageError(f"a sweep of {len(found)} elements is more than the {MOST_ELEMENTS} of one")
    seen: set[tuple[str, ...]] = set()
    order = list(found[0])
    for values in found:
        key = tuple(values[name] for name in order)
        if key in seen:
            raise UsageError(f"two elements are the same: {describe_values(values)}")
        seen.add(key)
    return [{name: values[name] for name in order} for values in found]


def _problem(error: Any) -> str:
    key = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        known = sorted(field.alias or name for name, field in SweepSpec.model_fields.items())
        return f"{key} is not a key here{nearest(key, known)}; there are: {', '.join(known)}"
    return f"{key}: {explain(error)}; it is {error['input']!r:.200}"
