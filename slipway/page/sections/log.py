"""The end of what the program printed, to be searched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from slipway.page.found import Found
from slipway.page.markup import Html, element, join
from slipway.page.read.log_end import read_log_end
from slipway.page.subject import Section, Subject

_MOST_BYTES = 240 << 10
_MOST_LOGS = 6


def section(subject: Subject) -> Section | None:
    """The ends of logs, a tab each."""
    found = subject.found
    logs = [(name, path, body) for name, path in _logs(found) if (body := _body(path, found)) is not None]
    if not logs:
        return None
    tabs, panels = [], []
    for place, (name, _, body) in enumerate(logs):
        is_first = place == 0
        tabs.append(
            element(
                "button",
                name,
                type="button",
                role="tab",
                id=f"log-tab-{place}",
                aria_controls=f"log-{place}",
                aria_selected="true" if is_first else "false",
                tabindex=0 if is_first else -1,
            )
        )
        panels.append(
            element(
                "div",
                body,
                role="tabpanel",
                id=f"log-{place}",
                aria_labelledby=f"log-tab-{place}",
                hidden=not is_first,
            )
        )
    one = element("div", *tabs, role="tablist", aria_label="logs") if len(logs) > 1 else None
    return Section(key="log", title="Log", body=element("div", _search(), one, *panels, class_="log"))


def _search() -> Html:
    return element(
        "form",
        element("label", "Search", for_="search"),
        element(
            "input", type="search", id="search", autocomplete="off", spellcheck="false", aria_keyshortcuts="/"
        ),
        element("button", "↑", type="button", class_="previous", aria_label="match before"),
        element("button", "↓", type="submit", class_="next", aria_label="next match"),
        element("output", "", for_="search", aria_live="polite"),
        role="search",
        class_="needs-script",
    )


def _logs(found: Found) -> Iterator[tuple[str, Path]]:
    """The newest attempts' logs first, of an array those that failed first; then the scheduler's own."""
    attempts = sorted(
        found.attempts,
        key=lambda one: (bool(one.result and one.result.reason.value == "ok"), one.task or 0, -one.number),
    )
    if all(one.task is None for one in attempts):
        attempts = sorted(attempts, key=lambda one: -one.number)
    for attempt in attempts[:_MOST_LOGS]:
        yield attempt.name, attempt.folder / "log"
    yield "the scheduler's log", found.folder / "slurm.log"


def _body(path: Path, found: Found) -> Html | None:
    try:
        end = read_log_end(path, _MOST_BYTES)
    except OSError:
        return None
    if not end.lines:
        return None
    link = path.relative_to(found.folder).as_posix()
    before = (
        element(
            "p", f"This is {end.note}; all of it is in ", element("a", link, href=f"./{link}"), class_="notes"
        )
        if end.note
        else None
    )
    lines = "\n".join(end.lines)
    return join(before, element("pre", lines, tabindex=0, aria_label="the log's end", class_="lines"))
