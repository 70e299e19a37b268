"""The arguments of several runs, where there is no room for all of them: what tells the runs apart. Pure."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from os.path import commonprefix

from slipway.text.wording import cut, one_line, text_width

_WORTH_IT = 10
_NUMBER = re.compile(r"-[\d.]")
_WORD_START = re.compile(r".*[/_=.,: -]", re.S)


def tell_apart(arguments: Sequence[tuple[str, ...]], width: int) -> list[str]:
    """The arguments of some runs, each in so many columns, in the order in which they were typed.

    Where there is no room for all of them, what is common to all runs gives way first, to ``…``.
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
        rare = sorted(range(len(some)), key=lambda place: count[some[place]])
        shown = (
            _short(unit, values[unit[0]], width) if count[unit] < len(units) else _joined(unit)
            for unit in some
        )
        texts.append(_as_many([one_line(text, 10_000) for text in shown], rare, width))
    return texts


def _as_many(words: Sequence[str], rare: Sequence[int], width: int) -> str:
    """As many of the words as there is room for, the rarest first; of the next one only what is worth it."""
    shown: dict[int, str] = {}
    for place in rare:
        more = shown | {place: words[place]}
        if text_width(_in_order(more, len(words))) <= width:
            shown = more
            continue
        if not shown:  # It needs the room more than a mark that others are left out.
            return cut(words[place], width)
        room = width - text_width(_in_order(shown | {place: ""}, len(words)))
        if room >= _WORTH_IT:
            shown = shown | {place: cut(words[place], room)}
        break
    return _in_order(shown, len(words))


def _in_order(shown: Mapping[int, str], count: int) -> str:
    """The words at their places, with one ``…`` for those between them that are not shown."""
    words = [shown.get(place, "…") for place in range(count)]
    pairs = zip([None, *words], words, strict=False)
    return " ".join(word for before, word in pairs if word != "…" or before != "…")


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
