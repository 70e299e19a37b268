"""What `doctor` has found, as a terminal shows it: a line a check, and more only of what is not well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text

from slipway.report.diagnosis import PLACES, summary
from slipway.terminal.styled import safe_text
from slipway.terminal.terminal import Terminal
from slipway.text.command_name import as_typed
from slipway.text.escapes import neutral
from slipway.text.wording import one_line, text_width, wrapped

_MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "failed": ("✗", "red"), "skipped": ("-", "dim")}
_HEADINGS = {
    "here": "This machine",
    "there": "{site}, by its login node",
    "node": "A node of {site}",
}
_NO_SITE = {"here": "This machine", "there": "A cluster", "node": "A node"}
# Lines of a file or a pipe; a terminal has its own width.
_WIDTH = 80
_INDENT = "      "


def show_diagnosis(screen: Terminal, told: Mapping[str, Any]) -> None:
    """Show what :func:`slipway.report.diagnosis.diagnosis` has."""
    width = screen.width or _WIDTH
    for line in diagnosis_lines(told, width):
        screen.show(line, whole=True)


def diagnosis_lines(told: Mapping[str, Any], width: int) -> list[Text]:
    """The lines, of at most so many columns but for commands and paths, which are never cut.

    A group that was skipped as a whole for one reason is one line.
    """
    lines: list[Text] = []
    titles = max((text_width(one["title"]) for one in told["checks"]), default=0)
    for place in PLACES:
        group = [one for one in told["checks"] if one["where"] == place.value]
        if not group:
            continue
        if lines:
            lines.append(safe_text(""))
        headings = _HEADINGS if told["site"] else _NO_SITE
        lines.append(safe_text(headings[place.value].format(site=told["site"]), "bold"))
        whys = {one["seen"] for one in group}
        if len(whys) == 1 and group[0]["verdict"] == "skipped":
            lines += _skipped_lines(group[0]["seen"], width)
            continue
        for one in group:
            lines += _check_lines(one, titles, width)
    # Where something would fail, the task's error says how much.
    return lines if told["failed"] else [*lines, safe_text(""), safe_text(_total(told), "bold")]


def _total(told: Mapping[str, Any]) -> str:
    words = summary(dict(told))
    return words[:1].upper() + words[1:]


def _skipped_lines(why: str, width: int) -> list[Text]:
    pieces = _pieces(f"skipped, because {why}", width - len("  - "))
    mark, style = _MARKS["skipped"]
    return [
        safe_text(f"  {mark} {pieces[0]}", style),
        *(safe_text(f"    {one}", style) for one in pieces[1:]),
    ]


def _check_lines(one: Mapping[str, Any], titles: int, width: int) -> list[Text]:
    mark, style = _MARKS[one["verdict"]]
    is_skipped = one["verdict"] == "skipped"
    title = one["title"] + " " * (titles - text_width(one["title"]))
    head = safe_text("  ").append(mark, style).append(f" {title}  ", "dim" if is_skipped else "")
    begin = "    " + " " * titles + "  "
    seen = f"skipped, because {one['seen']}" if is_skipped else one["seen"]
    if one["verdict"] == "ok":
        return [head.append(safe_text(one_line(as_typed(seen), max(width - len(begin), 20))))]
    pieces = _pieces(seen, width - len(begin))
    shown = "dim" if is_skipped else ""
    lines = [
        head.append(safe_text(pieces[0], shown)),
        *(safe_text(begin + piece, shown) for piece in pieces[1:]),
    ]
    for label, text in (("so: ", one["consequence"]), ("fix: ", one["fix"])):
        if text:
            lines += _detail_lines(label, text, width)
    return lines


def _detail_lines(label: str, text: str, width: int) -> list[Text]:
    pieces = _pieces(text, width - len(_INDENT) - len(label))
    first = safe_text(_INDENT).append(label, "bold").append(safe_text(pieces[0]))
    return [first, *(safe_text(_INDENT + " " * len(label) + piece) for piece in pieces[1:])]


def _pieces(text: str, width: int) -> Sequence[str]:
    """Text in lines of so many columns; what stands in backticks is never cut."""
    one = " ".join(neutral(text).split())
    return [piece.strip() for piece in wrapped(one, max(width, 20)).split("\n")] or [""]
