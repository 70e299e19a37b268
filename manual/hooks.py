"""Hooks of MkDocs: pages of the reference, which are made of the code, and links that leave ``docs/``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
# MkDocs loads this file by its path.
sys.path.insert(0, str(ROOT))

from manual import example, exit_code, profile_key, repository, site_key, task  # noqa: E402

PAGES = {
    "reference/tasks.md": task.page,
    "reference/profile.md": profile_key.page,
    "reference/site.md": site_key.page,
    "reference/exit-codes.md": exit_code.page,
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made of the code, and those of the examples."""
    for name, page in PAGES.items():
        files.append(File.generated(config, name, content=page()))
    for name, text in example.pages().items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Have links to files of the repository lead to where it is kept."""
    source = Path(config.docs_dir, page.file.src_uri).parent
    return repository.link_files(markdown, source, repository.address(os.environ))
