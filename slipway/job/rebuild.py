"""The code of an earlier run, put together again from what is here, and only if it is the very same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from slipway.code.rebuild import check_out
from slipway.code.snapshot import Snapshot, take_snapshot
from slipway.errors import DataError, HostError, JobError
from slipway.job.kept import recall_tree, tree_words
from slipway.job.run import Run
from slipway.project import Project
from slipway.text.wording import one_line

_NAMED = 5


@dataclass(frozen=True, kw_only=True)
class Rebuilt:
    """The code of a run, and where it was found, in words."""

    snapshot: Snapshot
    source: str


def rebuild_code(project: Project, run: Run, diff: str | None, folder: Path) -> Rebuilt:
    """The code that a run had: the code folder as it is now, or as it was at the run's commit.

    Args:
        project: the checkout.
        run: the run.
        diff: what was not committed; ``None`` for nothing, or where it is not known.
        folder: an empty one to work in, as long as the snapshot is used.

    Raises:
        JobError: neither is the same code. The message says what differs, and what to do.
    """
    source = project.root / str(run.profile_values.get("code_dir") or "")
    tries = _tries(project, run, diff, source, folder)
    said = []
    for name, take in tries:
        try:
            snapshot = take()
        except (DataError, HostError) as error:
            said.append(f"{name}: {error}")
            continue
        if snapshot.tree.name == run.code:
            return Rebuilt(snapshot=snapshot, source=name)
        with snapshot:
            said.append(f"{name}: {_differs(project, run, snapshot)}")
    lines = "".join(f"\n  {line}" for line in said)
    raise JobError(
        f"and what is here is not the same code:{lines}\n"
        f"Bring that back to {source} and give the same command again; or run the code as it is now: "
        f"`invoke job --profile {run.profile} --site {run.site} -- …`"
    )


def _tries(
    project: Project, run: Run, diff: str | None, source: Path, folder: Path
) -> Iterator[tuple[str, Callable[[], Snapshot]]]:
    yield f"{source} as it is now", lambda: take_snapshot(source, project.state)
    if run.commit is None:
        return
    # Of a large difference only a summary was kept.
    patch = diff if diff and "diff --git " in diff else None
    name = f"commit {run.commit[:12]}" + (" with what was not committed" if patch else "")

    def at_commit() -> Snapshot:
        code = check_out(source, str(run.commit), patch, folder / "code")
        # Hashes of files in a clone are of no use to anybody later.
        return take_snapshot(code, folder / "state")

    yield name, at_commit


def _differs(project: Project, run: Run, snapshot: Snapshot) -> str:
    """In what a tree is not that of the run, as far as it is known what that had."""
    wanted = recall_tree(project.state, run.code)
    if wanted is None:
        return "it has another hash; what the run's code had is not kept here"
    found = tree_words(snapshot.tree)
    lines = [f"{_shown(name)} is missing" for name in wanted if name not in found]
    lines += [
        f"{_shown(name)} is another" for name in wanted if found.get(name, wanted[name]) != wanted[name]
    ]
    lines += [f"{_shown(name)} was not there" for name in found if name not in wanted]
    more = f" and {len(lines) - _NAMED} more" if len(lines) > _NAMED else ""
    return ", ".join(lines[:_NAMED]) + more


def _shown(name: str) -> str:
    return one_line(name, 100)
