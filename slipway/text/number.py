"""Numbers in text from outside."""

from __future__ import annotations

# All that a count, a size in bytes or a time can have; Python itself refuses 4,300 of them with an error.
_MOST_DIGITS = 18


def whole(word: str) -> int | None:
    """A whole number of 0 or more; ``None`` where it is none, or has more digits than any that is meant."""
    # `isdigit` and `isdecimal` take digits of other scripts, too, and the former what `int` does not.
    return int(word) if word.isascii() and word.isdecimal() and len(word) <= _MOST_DIGITS else None
