"""The document: sections in their order, with styles and scripts in it, so that one file is all of a page."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

from slipway.errors import HostError
from slipway.page.markup import Html, element
from slipway.page.sections import (
    again,
    attempts,
    curves,
    error,
    figures,
    files,
    log,
    overview,
    pictures,
    resources,
    usage,
    view,
)
from slipway.page.subject import Section, Subject
from slipway.text.wording import one_line

# In this order. The files are last: by then all notes are there.
_SECTIONS: Sequence[Callable[[Subject], Section | None]] = (
    view.section,
    error.section,
    curves.section,
    figures.section,
    pictures.section,
    attempts.section,
    resources.section,
    usage.section,
    log.section,
    again.section,
    files.section,
)
_HERE = Path(__file__).parent


def run_page(subject: Subject) -> str:
    """The page of one run."""
    sections = [one for make in _SECTIONS if (one := make(subject)) is not None]
    head = overview.header(subject)
    return document(f"{one_line(subject.name, 120)} · Slipway", head, sections)


def document(title: str, head: Html, sections: Sequence[Section]) -> str:
    """A whole page. Nothing in it comes from elsewhere, and a browser is told to ask for nothing."""
    body = [_section(one) for one in sections]
    links = [element("li", element("a", one.title, href=f"#{one.key}")) for one in sections]
    with_view = any('id="scenes"' in one.body for one in sections)
    scripts = [_asset("assets/page.js")]
    if with_view:
        scripts += [_asset("vendor/three.min.js"), _asset("assets/scene.js")]
    style = _asset("assets/page.css")
    page = element(
        "html",
        element(
            "head",
            element("meta", charset="utf-8"),
            element("meta", http_equiv="Content-Security-Policy", content=_policy(style, scripts)),
            element("meta", name="viewport", content="width=device-width, initial-scale=1"),
            element("meta", name="referrer", content="no-referrer"),
            element("title", title),
            element("style", Html(style)),
        ),
        element(
            "body",
            element("a", "Skip to the content", href="#content", class_="skip"),
            head,
            element("nav", element("ul", *links), aria_label="sections") if len(links) > 1 else None,
            element("main", *body, id="content"),
            element("footer", "Made by Slipway; this file needs no network."),
            *(element("script", Html(script)) for script in scripts),
        ),
        lang="en",
    )
    return f"<!doctype html>\n{page}\n"


def _section(section: Section) -> Html:
    return element(
        "section",
        element("h2", section.title, id=f"{section.key}-title"),
        section.body,
        id=section.key,
        aria_labelledby=f"{section.key}-title",
    )


def _policy(style: str, scripts: Sequence[str]) -> str:
    """Only these styles and scripts, pictures that are in the page, and no request to anybody."""
    trusted = " ".join(_hash(script) for script in scripts)
    return (
        f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {trusted}; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(words: str) -> str:
    digest = hashlib.sha256(words.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


@cache
def _asset(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def write_page(path: Path, page: str) -> None:
    """Write a page in one step, in the place of a link that has its name, too.

    Raises:
        HostError: it cannot be written.
    """
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_text(page, encoding="utf-8")
        fresh.replace(path)
    except OSError as error_:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise HostError(f"{path} cannot be written: {error_.strerror}") from error_
