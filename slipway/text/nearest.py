"""The word that somebody may have meant."""

from __future__ import annotations

from collections.abc import Iterable

# So many letters may be wrong for each that there is; of a word of three to seven, one.
_LETTERS_A_SLIP = 4
_BEGINNING = 3
# A longer one is no slip of anything.
_LONGEST = 100


def nearest(word: str, known: Iterable[str]) -> str:
    """`` (did you mean …?)`` where a known word is near, else nothing."""
    found = find_nearest(word, known)
    return f" (did you mean {found}?)" if found else ""


def find_nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that differs by slips of the fingers, or that the word is the beginning of.

    Dashes in front and capitals count for nothing.
    """
    plain = {_plain(one): one for one in known}
    wanted = _plain(word)
    if not 0 < len(wanted) <= _LONGEST:
        return None
    distances = {one: _slips(wanted, one) for one in plain if len(one) <= 2 * _LONGEST}
    close = min(distances, key=lambda one: distances[one], default="")
    if close and distances[close] <= max(len(wanted) // _LETTERS_A_SLIP, int(len(wanted) >= _BEGINNING)):
        return plain[close]
    longer = [one for one in plain if len(wanted) >= _BEGINNING and one.startswith(wanted)]
    return plain[min(longer, key=len)] if longer else None


def _plain(word: str) -> str:
    return word.lstrip("-").lower()


def _slips(one: str, other: str) -> int:
    """How many letters are wrong, missing, too many, or in each other's place."""
    rows = [list(range(len(other) + 1))]
    for i, letter in enumerate(one, 1):
        row = [i]
        for j, there in enumerate(other, 1):
            least = min(rows[-1][j] + 1, row[j - 1] + 1, rows[-1][j - 1] + (letter != there))
            if i > 1 and j > 1 and (letter, one[i - 2]) == (other[j - 2], there):
                least = min(least, rows[-2][j - 2] + 1)
            row.append(least)
        rows.append(row)
    return rows[-1][-1]
