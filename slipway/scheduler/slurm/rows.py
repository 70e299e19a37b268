"""Rows of SLURM's tables among other words: a site's wrappers may print a header or a notice."""

from __future__ import annotations

from collections.abc import Callable

from slipway.errors import ParseError

# What each row begins with where a program's --format has it.
MARK = "slipway"
# Counts, seconds, indices and codes; longer ones are none of SLURM's.
_MOST_DIGITS = 18


def marked_rows(stdout: str, count: int, program: str) -> list[list[str]]:
    """The fields of rows that begin with :data:`MARK`; other lines are left out.

    Args:
        stdout: what the program printed.
        count: how many fields a row has behind its mark; the last may have ``|`` in it.
        program: its name, for messages.

    Raises:
        ParseError: there are words and no row among them, or a row is not of this form.
    """
    lines = [line.strip() for line in stdout.splitlines()]
    rows = [line.split("|", count)[1:] for line in lines if line.startswith(f"{MARK}|")]
    for row in rows:
        if len(row) != count:
            raise _unexpected(program, "|".join([MARK, *row]), f"{count} fields with | between them")
    if not rows and any(lines):
        raise _unexpected(program, stdout.strip(), f"rows that begin with {MARK}|")
    return rows


def rows_of(stdout: str, count: int, program: str, is_row: Callable[[list[str]], bool]) -> list[list[str]]:
    """The fields of rows where a program can print no mark; lines of another form are left out.

    Args:
        stdout: what the program printed.
        count: how many fields a row has.
        program: its name, for messages.
        is_row: tells a row from other words that have as many fields.

    Raises:
        ParseError: there are words and no row among them.
    """
    fields = [line.split("|") for line in stdout.splitlines()]
    rows = [row for row in fields if len(row) == count and is_row(row)]
    if not rows and stdout.strip():
        raise _unexpected(program, stdout.strip(), f"{count} fields with | between them")
    return rows


def parse_number(text: str) -> int | None:
    """A number as SLURM writes it; ``None`` where it is none."""
    # A pattern would take three times as long, for some 50,000 of them.
    return int(text) if len(text) <= _MOST_DIGITS and text.isascii() and text.isdecimal() else None


def _unexpected(program: str, text: str, expected: str) -> ParseError:
    return ParseError(f"{program} printed {text[:200]!r}; expected {expected}")
