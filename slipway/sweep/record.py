"""Sweeps as they are kept: which elements there are, and which task of which run each of them is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slipway.checked import Text, Whole
from slipway.errors import UsageError
from slipway.job.selection import find_called
from slipway.jsontext import format_json, load_json
from slipway.plain import read_plain
from slipway.text.nearest import nearest
from slipway.whole_file import write_whole

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_VERSION = 1
# Files that a note names.
_NAMED = 5


@dataclass(frozen=True, kw_only=True)
class Place:
    """The run in which an element is, and its task there."""

    run_id: Text
    task: Whole


@dataclass(frozen=True, kw_only=True)
class SweepElement:
    """One element.

    Attributes:
        values: its parameters' values, by their names.
        identity: what it is made of: image, code, program, arguments and variables, as one hash.
        place: where it runs or ran; ``None`` where it was not submitted.
        is_older: an earlier sweep had the same one, and that is its place.
        tries: where it was before, where `invoke monitor` has submitted it again.
    """

    values: Mapping[Text, Text]
    identity: Text
    place: Place | None = None
    is_older: bool = False
    tries: tuple[Place, ...] = ()

    def at(self, *tries: Place) -> SweepElement:
        """The element, last tried at the last of these; what was tried again is this sweep's."""
        *earlier, last = tries
        is_older = self.is_older and last == self.place
        return replace(self, place=last, tries=tuple(earlier), is_older=is_older)


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """One sweep.

    Attributes:
        sweep_id: its id, which its runs have in their records.
        name: a short label that the user gave it.
        submitted: when, as ISO 8601 has it.
        args: the program's arguments, with placeholders.
        elements: all of them, in order.
        throttle: so many of them run at once, at most.
    """

    sweep_id: Text
    name: Text | None
    profile: Text
    site: Text
    submitted: Text
    args: tuple[Text, ...]
    elements: tuple[SweepElement, ...]
    throttle: Whole | None = None

    @property
    def run_id(self) -> str:
        """Its id, by the name that whoever finds things by their ids knows."""
        return self.sweep_id

    @property
    def shown(self) -> str:
        """What a person is told that it is."""
        return f"{self.sweep_id} ({self.name})" if self.name else self.sweep_id

    @property
    def run_ids(self) -> list[str]:
        """All runs that it has elements in, earlier ones too, in order."""
        return list(dict.fromkeys(one.place.run_id for one in self.elements if one.place))


@dataclass(frozen=True, kw_only=True)
class UnreadableSweep:
    """A file that should be a sweep, and why it cannot be read as one."""

    file: Path
    why: str


class SweepStore:
    """The sweeps of a project, one JSON file each.

    Args:
        folder: where they are.
        note: is told of files that are left out because they cannot be read.
    """

    def __init__(self, folder: Path, note: Callable[[str], None] = lambda text: None) -> None:
        self.folder = folder
        self._note = note

    def save(self, sweep: Sweep) -> None:
        """Write one down, as a whole; a power cut after this does not take it away."""
        text = format_json({"version": _VERSION, **asdict(sweep)}) + "\n"
        write_whole(self.folder / f"{sweep.sweep_id}.json", text, synced=True)

    def all(self) -> Iterator[Sweep]:
        """All that can be read, the newest first; what cannot is told in one note."""
        sweeps, unreadable = self.read()
        if unreadable:
            self._note(describe_unreadable(unreadable))
        yield from sweeps

    def read(self) -> tuple[list[Sweep], list[UnreadableSweep]]:
        """All that can be read, the newest first, and what cannot."""
        files = sorted(self.folder.glob("*.json"), key=lambda file: -file.stat().st_mtime_ns)
        found = [_read(file) for file in files]
        return (
            [one for one in found if isinstance(one, Sweep)],
            [one for one in found if isinstance(one, UnreadableSweep)],
        )

    def get(self, sweep_id: str) -> Sweep | None:
        """The sweep of this id; ``None`` where there is none that can be read."""
        return next((one for one in self.read()[0] if one.sweep_id == sweep_id), None)

    def find(self, word: str | None) -> Sweep:
        """The sweep of this id or name, or the beginning of either; without a word, the newest.

        Raises:
            UsageError: there is none, or it is not clear which.
        """
        sweeps, unreadable = self.read()
        if meant := next((one for one in unreadable if word and one.file.stem == word), None):
            raise UsageError(f"{meant.file} cannot be read: {meant.why}")
        if unreadable:
            self._note(describe_unreadable(unreadable))
        if not sweeps:
            raise UsageError("no sweep was submitted yet; `invoke sweep FILE` starts one")
        if word is None:
            return sweeps[0]
        found = find_called(word, sweeps)
        if not word or not found:
            known = [name for one in sweeps for name in (one.sweep_id, one.name) if name]
            raise UsageError(f"no sweep's id or name starts with {word!r}{nearest(word, known)}")
        # Of several of one name it is the newest.
        if len({one.name or one.sweep_id for one in found}) > 1:
            shown = ", ".join(one.shown for one in found[:5])
            raise UsageError(f"{word!r} is the beginning of several sweeps: {shown}; write more of it")
        return found[0]


def describe_unreadable(sweeps: Sequence[UnreadableSweep]) -> str:
    """What is said of sweeps that are left out: which, and why."""
    are = "1 sweep is" if len(sweeps) == 1 else f"{len(sweeps)} sweeps are"
    lines = [f"{are} left out:", *(f"  {one.file}: {one.why}" for one in sweeps[:_NAMED])]
    if len(sweeps) > _NAMED:
        lines.append(f"  and {len(sweeps) - _NAMED} more in {sweeps[0].file.parent}")
    return "\n".join([*lines, "  Their runs are there as before; move the files away to be told no more"])


def _read(file: Path) -> Sweep | UnreadableSweep | None:
    """A sweep, or why it cannot be read; ``None`` where it has just been removed."""
    try:
        values = load_json(file.read_bytes())
        if not isinstance(values, dict):
            raise ValueError("it is no sweep")
        version = values.pop("version", None)
        if isinstance(version, int) and version > _VERSION:
            raise ValueError(f"a newer Slipway wrote it (version {version}; this one reads up to {_VERSION})")
        if version != _VERSION:
            raise ValueError("it is no sweep")
        return read_plain(Sweep, values) or _validated(values)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        why = (error.strerror if isinstance(error, OSError) else str(error)) or type(error).__name__
        return UnreadableSweep(file=file, why=why.splitlines()[0])


def _validated(values: dict[str, Any]) -> Sweep:
    from pydantic import ValidationError

    try:
        sweep: Sweep = _adapter().validate_python(values)
    except ValidationError as error:
        place = ".".join(map(str, error.errors()[0]["loc"]))
        raise ValueError(f"{place} is missing, or has a value that no sweep has") from error
    return sweep


@cache
def _adapter() -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(Sweep)
