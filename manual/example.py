"""The pages of the examples: the README of each, with the place where its files are."""

from __future__ import annotations

from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def pages() -> dict[str, str]:
    """The text of each page, by its name in the site."""
    return {f"examples/{file.parent.name}.md": _page(file) for file in sorted(EXAMPLES.glob("*/README.md"))}


def _page(file: Path) -> str:
    title, _, text = file.read_text(encoding="utf-8").partition("\n")
    folder = f"examples/{file.parent.name}"
    return f"{title}\n\nThe files are in [`{folder}/`](../../{folder}) of Slipway's repository.\n{text}"
