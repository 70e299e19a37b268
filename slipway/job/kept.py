"""What is kept here of a run beside its record, so that it can be shown and compared without its cluster.

The uncommitted difference lies beside the record. What is in a tree of code is kept once for all runs of it:
the kind of each entry and the beginning of its hash, which is enough to tell what differs.
"""

from __future__ import annotations

import gzip
import json
import secrets
import zlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from slipway.code.tree import Tree
from slipway.job.run import Run
from slipway.jsontext import load_json

# Of a hash, digits that no two files of a project share by chance.
_DIGITS = 16


def keep_difference(state: Path, run: Run, diff: str | None) -> None:
    """Keep what was not committed when a run was submitted."""
    if diff is not None:
        _write(_difference_path(state, run), diff.encode("utf-8", errors="surrogateescape"))


def recall_difference(state: Path, results: Path, run: Run) -> str | None:
    """What was not committed, from what is kept here, or from results that are home; else ``None``."""
    for file in (_difference_path(state, run), results / run.run_id / "code.diff"):
        with suppress(OSError):
            return file.read_bytes().decode("utf-8", errors="surrogateescape")
    return None


def keep_tree(state: Path, tree: Tree) -> None:
    """Keep what is in a tree of code."""
    path = _tree_path(state, tree.name)
    if path.exists():
        return
    _write(path, gzip.compress(json.dumps(tree_words(tree)).encode(), compresslevel=1, mtime=0))


def tree_words(tree: Tree) -> dict[str, str]:
    """A word for each entry of a tree, which is the same for the same entry."""
    return {name: f"{kind} {value[:_DIGITS]}" for name, (kind, value) in tree.entries.items()}


def recall_tree(state: Path, name: str) -> Mapping[str, str] | None:
    """The :func:`tree_words` of a tree; ``None`` where it is of before they were kept, or broken."""
    try:
        rows = load_json(gzip.decompress(_tree_path(state, name).read_bytes()))
        return {str(key): str(value) for key, value in rows.items()}
    except (OSError, EOFError, ValueError, AttributeError, zlib.error):
        return None


def _difference_path(state: Path, run: Run) -> Path:
    return state / "runs" / f"{run.run_id}.diff"


def _tree_path(state: Path, name: str) -> Path:
    return state / "code" / "trees" / f"{name}.json.gz"


def _write(path: Path, content: bytes) -> None:
    # The cluster has it as well; a full disk here is no reason to stop.
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content)
        part.replace(path)
    except OSError:
        with suppress(OSError):
            part.unlink(missing_ok=True)
