"""Two runs compared, by what is known of them here; no cluster is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from slipway.code.checkout import find_checkout, run_git
from slipway.errors import SlipwayError, UsageError
from slipway.job.attempts import newest_output
from slipway.job.kept import recall_difference, recall_tree
from slipway.job.output import Value, read_output
from slipway.job.run import Run
from slipway.steps.find import find_record
from slipway.steps.session import Session


@dataclass(frozen=True, kw_only=True)
class Known:
    """What is known of a run here: its record, what is in its code, what was not committed, its figures."""

    run: Run
    tree: Mapping[str, str] | None
    diff: str | None
    figures: Mapping[str, Mapping[str, Value]] | None


def find_pair(session: Session, prefixes: Sequence[str]) -> tuple[Known, Known]:
    """Two runs by the beginnings of their ids or by their names; of one, the run that it repeats and it.

    Raises:
        UsageError: there are not two.
    """
    runs = [find_record(session, prefix) for prefix in prefixes]
    if len(runs) == 1 and runs[0].parent is not None:
        runs = [find_record(session, runs[0].parent), runs[0]]
    if len(runs) != 2 or runs[0].run_id == runs[1].run_id:
        raise UsageError("name two runs: `invoke runs.diff A B`; of a replay, its own id or name will do")
    return _known(session, runs[0]), _known(session, runs[1])


def compare_commits(session: Session, a: Run, b: Run) -> str | None:
    """What `git diff --stat` says of the commits of two runs; ``None`` where this checkout lacks one."""
    if a.commit is None or b.commit is None or a.commit == b.commit:
        return None
    source = session.project.root / str(b.profile_values.get("code_dir") or "")
    try:
        if not source.is_dir() or find_checkout(source) is None:
            return None
        words = ["diff", "--no-color", "--no-ext-diff", "--stat=100", a.commit, b.commit, "--", "."]
        done = run_git(source, *words)
    except SlipwayError:
        return None  # Without git there is nothing to say.
    return done.stdout.rstrip("\n") if done.ok and done.stdout.strip() else None


def _known(session: Session, run: Run) -> Known:
    project = session.project
    out = newest_output(project.results / run.run_id)
    return Known(
        run=run,
        tree=recall_tree(project.state, run.code),
        diff=recall_difference(project.state, project.results, run),
        figures=None if out is None else read_output(out).figures,
    )
