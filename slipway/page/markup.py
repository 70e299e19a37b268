"""HTML made of values. Text is never markup: only what :func:`element` has made is."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from slipway.text.escapes import neutral

_VOID = frozenset({"br", "img", "input", "meta", "link"})


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


Child = str | None


def element(tag: str, *children: Child, **attributes: str | int | float | bool | None) -> Html:
    """An element. What is no :class:`Html` among its children is text, and shown as such.

    Args:
        tag: its name.
        children: what is in it; ``None`` is left out.
        attributes: ``class_`` is ``class``, ``aria_label`` is ``aria-label``; no ``None``, no ``False``.
    """
    words = [tag]
    for name, value in attributes.items():
        if value is None or value is False:
            continue
        name = name.rstrip("_").replace("_", "-")
        words.append(name if value is True else f'{name}="{html.escape(neutral(str(value)))}"')
    opening = f"<{' '.join(words)}>"
    return Html(opening if tag in _VOID else f"{opening}{join(*children)}</{tag}>")


def join(*children: Child) -> Html:
    """Pieces one after the other."""
    return Html("".join(child if isinstance(child, Html) else text(child) for child in children if child))


def text(words: str) -> Html:
    """Text as it is to be read: no markup, no control characters, none that turn its direction."""
    return Html(html.escape(neutral(words)))


def table(
    head: Sequence[Child],
    rows: Sequence[Sequence[Child]],
    *,
    caption: str | None = None,
    label: str = "table",
    class_: str = "",
) -> Html:
    """A table whose first column names its rows; ``label`` names one that shows no ``caption``."""
    cells = [element("th", title, scope="col") for title in head]
    body = [
        element("tr", element("th", row[0], scope="row"), *(element("td", cell) for cell in row[1:]))
        for row in rows
    ]
    inner = element(
        "table",
        element("caption", caption) if caption else None,
        element("thead", element("tr", *cells)) if any(head) else None,
        element("tbody", *body),
        class_=class_ or None,
    )
    return element("div", inner, class_="wide", tabindex=0, role="group", aria_label=caption or label)


def facts(rows: Sequence[tuple[str, Child]]) -> Html:
    """Names and values, those without a value left out."""
    pairs = [element("div", element("dt", name), element("dd", value)) for name, value in rows if value]
    return element("dl", *pairs, class_="facts")


def notes(lines: Sequence[str]) -> Html | None:
    """What is not shown, and why."""
    if not lines:
        return None
    return element("ul", *(element("li", line) for line in lines), class_="notes")


def more(summary: str, *children: Child) -> Html:
    """What is shown on request, and in print."""
    return element("details", element("summary", summary), *children)


def data(name: str, value: Any) -> Html:
    """Values for a script, in an element that no browser runs."""
    safe = json.dumps(value, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    return Html(f'<script type="application/json" id="{html.escape(name)}">{safe}</script>')


def data_url(kind: str, content: bytes) -> str:
    """Bytes as an address."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def href(path: str) -> str:
    """A path from the page on as an address; a colon or slash at its beginning is no scheme and no host."""
    return "./" + quote(path, safe="/", errors="surrogateescape")
