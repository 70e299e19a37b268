"""The table of runs: what gives way where a terminal is too narrow for all of it."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from os.path import commonprefix
from typing import Any

from slipway.text.wording import clock, cut, one_line, text_width

TITLES = ("RUN", "JOB", "SITE", "STATE", "REASON", "EXIT", "ELAPSED", "ARGUMENTS")
GAP = 2
# A column gives way only so far, before the next one does: see `_fit`.
_ARGUMENTS, _FEW_ARGUMENTS, _REASON, _SHORT_REASON, _SHORT_STATE = 24, 12, 14, 8, 8
_WORTH_IT = 10
_NUMBER = re.compile(r"-[\d.]")
_WORD_START = re.compile(r".*[/_=.,: -]", re.S)

Columns = dict[str, list[str]]


def run_table(runs: Sequence[Mapping[str, Any]], width: int | None = None) -> Columns:
    """The columns of a table of runs, by their titles, each with a cell for every run.

    ARGUMENTS gives way first, to what tells runs apart on 80 columns; then ids of runs become beginnings of
    them, which tasks take as well. JOB, SITE and EXIT are always whole.

    Args:
        runs: what :func:`slipway.report.values.run_values` says of each; there is at least one.
        width: how many columns the terminal has; ``None`` for no limit.
    """
    cells = (_cells(run) for run in runs)
    columns = dict(zip(TITLES, map(list, zip(*cells, strict=True)), strict=True))
    if width is not None:
        _fit(columns, [tuple(run["args"]) for run in runs], width)
    return columns


def widest(columns: Columns, title: str) -> int:
    """How many columns of a terminal a column of the table takes, without the gap behind it."""
    return max(map(text_width, (title, *columns[title])))


def _cells(run: Mapping[str, Any]) -> tuple[str, ...]:
    code = "" if run["exit_code"] is None else str(run["exit_code"])
    words = (run["run_id"], run["job_id"] or "", run["site"], run["state"], run["reason"] or "", code)
    texts = (*words, clock(run["elapsed_s"]), shlex.join(run["args"]))
    return tuple(one_line(text, 10_000) for text in texts)


def _fit(columns: Columns, arguments: Sequence[tuple[str, ...]], width: int) -> None:
    def excess() -> int:
        return sum(widest(columns, title) + GAP for title in columns) - GAP - width

    def narrow(title: str, least: int) -> None:
        if excess() <= 0 or widest(columns, title) <= least:
            return
        room = max(least, widest(columns, title) - excess())
        if title == "ARGUMENTS":
            columns[title] = tell_apart(arguments, room)
        else:
            columns[title] = [cut(cell, room) for cell in columns[title]]

    narrow("ARGUMENTS", _ARGUMENTS)
    narrow("REASON", _REASON)
    for parts in (2, 3):
        if excess() > 0:
            columns["RUN"] = _short_ids(columns["RUN"], parts)
    narrow("ARGUMENTS", _FEW_ARGUMENTS)
    narrow("REASON", _SHORT_REASON)
    for title in ("ARGUMENTS", "ELAPSED", "REASON"):
        if excess() > 0:
            del columns[title]
    narrow("STATE", _SHORT_STATE)


def _short_ids(ids: list[str], parts: int) -> list[str]:
    """Ids without their last parts, the time and then the profile, where they stay different."""
    short = [one.rsplit("-", 2)[0] if parts == 2 else one.partition("-")[0] for one in ids]
    return short if len(set(short)) == len(set(ids)) else ids


def tell_apart(arguments: Sequence[tuple[str, ...]], width: int) -> list[str]:
    """The arguments of some runs, each in so many columns; what is not common to all comes first.

    Where there is room for all of them, they are as they were typed.
    """
    whole = [one_line(shlex.join(args), 10_000) for args in arguments]
    units = [_units(args) for args in arguments]
    count = Counter(unit for some in units for unit in set(some))
    if len(count) == len(set(units[0])) or all(cut(text, width) == text for text in whole):
        return [cut(text, width) for text in whole]
    values: dict[str, set[str]] = {}
    for name, value in count:
        values.setdefault(name, set()).add(value)
    texts = []
    for some in units:
        rare = sorted(some, key=lambda unit: count[unit])
        shown = (
            _short(unit, values[unit[0]], width) if count[unit] < len(units) else _joined(unit)
            for unit in rare
        )
        texts.append(_as_many([one_line(text, 10_000) for text in shown], width))
    return texts


def _as_many(words: Sequence[str], width: int) -> str:
    """As many of the words as there is room for; of the next one only what is worth it."""
    text = cut(words[0], width) if words else ""
    for word in words[1:]:
        room = width - text_width(text) - 1
        if text_width(word) > room:
            return f"{text} {cut(word, room) if room >= _WORTH_IT else '…'}" if room > 0 else text
        text += f" {word}"
    return text


def _units(args: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Words that belong together: an option, with `` `` or ``=`` at its end, and its value; or one word."""
    units: list[tuple[str, str]] = []
    for word in args:
        is_option = word.startswith("-") and not _NUMBER.match(word)
        if is_option:
            name, equals, value = word.partition("=")
            units.append((name + equals, value))
        elif units and units[-1][0].startswith("-") and units[-1][0][-1] not in "= ":
            units[-1] = (f"{units[-1][0]} ", word)
        else:
            units.append(("", word))
    return tuple(units)


def _joined(unit: tuple[str, str]) -> str:
    name, value = unit
    return name + (shlex.quote(value) if value or not name.startswith("-") or name.endswith(" ") else "")


def _short(unit: tuple[str, str], values: set[str], width: int) -> str:
    """An option and its value, without the beginning that the values of other runs have, too."""
    name, value = unit
    if name and len(values) > 1:
        same = _WORD_START.match(commonprefix(list(values)))  # noqa: RUF071 - words, not paths
        if same and len(same[0]) > 3:
            value = f"…{value[len(same[0]) :]}"
    if name and text_width(name + value) > width:
        room = max(width - text_width(value) - 1, 4)
        name = f"{cut(name.rstrip(), room)} "
    return name + value if value.startswith("…") else _joined((name, value))
