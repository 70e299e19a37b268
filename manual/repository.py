"""Links from a page to files of the repository outside ``docs/``."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
# Files elsewhere that are pages of the site, too.
PAGES = {file: f"examples/{file.parent.name}.md" for file in sorted(ROOT.glob("examples/*/README.md"))}
_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(((?:\.\./)+[^)\s#]+)(#[^)\s]*)?\)")


def address(environment: Mapping[str, str]) -> str | None:
    """Where the repository can be looked at in the state that the site is built from; ``None`` where unknown.

    GitHub tells its workflows. Elsewhere nobody knows whether this state can be looked at anywhere.
    """
    names = ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_SHA")
    server, repository, commit = (environment.get(name) for name in names)
    return f"{server}/{repository}/blob/{commit}" if server and repository and commit else None


def link_files(markdown: str, folder: Path, where: str | None) -> str:
    """Change links that leave ``docs/``; without an address they become plain words.

    Args:
        markdown: the page's text.
        folder: where the page lies.
        where: the address of the repository's files.
    """

    def link(match: re.Match[str]) -> str:
        text, path, anchor = match[1], match[2], match[3] or ""
        target = (folder / path).resolve()
        if target in PAGES:
            return f"[{text}]({os.path.relpath(DOCS / PAGES[target], folder)}{anchor})"
        # What is missing, or a page, is MkDocs' own to tell.
        if not target.exists() or target.is_relative_to(DOCS):
            return match[0]
        return f"[{text}]({where}/{target.relative_to(ROOT)}{anchor})" if where else text

    return _LINK.sub(link, markdown)
