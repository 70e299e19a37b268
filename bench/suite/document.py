"""The figures in docs/performance.md: between two marks, as the JSON file has them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.suite.figure import Result
from bench.suite.table import render

BEGIN, END = "<!-- figures of invoke bench -->", "<!-- end of figures of invoke bench -->"


def fill(text: str, results: Sequence[Result]) -> str:
    """A page with other figures.

    Raises:
        ValueError: it has no marks.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"the page lacks {BEGIN} and {END} behind it")
    return f"{before}{BEGIN}\n\n{render(results)}\n{END}{after}"


def write(page: Path, results: Sequence[Result]) -> None:
    """Fill a page."""
    page.write_text(fill(page.read_text(encoding="utf-8"), results), encoding="utf-8")
