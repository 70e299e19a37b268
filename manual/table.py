"""Tables in Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_ESCAPED = {**{one: f"\\{one}" for one in "\\*_[]#"}, "<": "&lt;", ">": "&gt;"}
_PAGE = re.compile(r"\bdocs/([\w-]+)\.md")


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; what is in its cells is Markdown already."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def code(text: str) -> str:
    """Text as it is typed; nothing where it is empty."""
    mark, space = ("``", " ") if "`" in text else ("`", "")
    return f"{mark}{space}{text}{space}{mark}" if text else ""


def plain(text: str) -> str:
    """Text of a page in ``reference/``: Markdown sees nothing in it but backticks and pages of ``docs/``."""
    parts = text.split("`")
    for number in range(0, len(parts), 2):
        escaped = "".join(_ESCAPED.get(one, one) for one in parts[number])
        parts[number] = _PAGE.sub(r"[\1.md](../\1.md)", escaped)
    return "`".join(parts)
