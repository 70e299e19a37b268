"""The pages of the examples: the README of each, with the place where its files are."""

from __future__ import annotations

from pathlib import Path

from manual.repository import PAGES


def pages() -> dict[str, str]:
    """The text of each page, by its name in the site."""
    return {name: _page(file) for file, name in PAGES.items()}


def _page(file: Path) -> str:
    title, _, text = file.read_text(encoding="utf-8").partition("\n")
    folder = f"examples/{file.parent.name}"
    return f"{title}\n\nThe files are in [`{folder}/`](../../{folder}) of Slipway's repository.\n{text}"
