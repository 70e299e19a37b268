"""All that is known of one run, as values: what it was made of, its attempts, where its results are. Pure."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from slipway.job.attempts import Attempt
from slipway.job.run import LOCAL, Run
from slipway.report.patch import summarize
from slipway.report.values import run_values
from slipway.text.shell_line import shell_line


def run_details(
    run: Run,
    *,
    attempts: Sequence[Attempt] | None,
    diff: str | None,
    home: Path | None,
    is_whole: bool = False,
    root: Path | None = None,
) -> dict[str, Any]:
    """What is told of one run, by the keys of ``runs.show --json``: those of ``status --json``, and more.

    Args:
        run: the run.
        attempts: its attempts; ``None`` where nobody could tell.
        diff: what was not committed; ``None`` where there is nothing, or where it is not known.
        home: the folder with its results here; ``None`` where there is none.
        is_whole: all that the run has left is in there.
        root: the project, in whose files resources may have been written.
    """
    return {
        **run_values(run, home=is_whole),
        "code": _code(run, diff),
        "image": image_values(run),
        "program": list(run.program),
        "command": shell_line([*run.program, *run.args]),
        "environment": sorted(environment_names(run)),
        "resources": _resources(run, root),
        "attempts": None if attempts is None else [_attempt(one) for one in attempts],
        "results": {
            "home": None if home is None else str(home),
            "complete": is_whole,
            "cluster": run.run_dir,
            "kept": run.kept,
        },
        "again": replay_command(run),
    }


def image_values(run: Run) -> dict[str, Any]:
    """An image: its name, the file on the cluster, the hash of that, and the Docker image that it was."""
    return {
        "name": run.profile_values.get("image"),
        "file": run.sif,
        "sha256": run.sif_sha256,
        "id": run.image_id,
    }


def environment_names(run: Run) -> Mapping[str, str]:
    """The names of the program's own variables, with the keyed hash of each value, or ``***``."""
    environment = run.profile_values.get("environment")
    if not isinstance(environment, Mapping):
        return {}
    return {str(name): str(value) for name, value in environment.items()}


def wanted_resources(run: Run) -> dict[str, str]:
    """What was asked of the scheduler, by the names of the options."""
    return {key: _text(value) for key, value in run.resources.items() if value not in (None, [], ())}


def replay_command(run: Run) -> str:
    """The command that submits the same again; of a shell, which cannot be repeated, that of another one."""
    if run.shell:
        return f"invoke shell --profile {shlex.quote(run.profile)} --site {shlex.quote(run.site)}"
    if run.site == LOCAL:
        return shlex.join(["invoke", "job", "--profile", run.profile, "--local", "--", *run.args])
    return f"invoke job --replay {shlex.quote(run.run_id)}"


def _code(run: Run, diff: str | None) -> dict[str, Any]:
    changes = summarize(diff) if diff else []
    return {
        "tree": run.code,
        "folder": run.profile_values.get("code_dir"),
        "commit": run.commit,
        "dirty": run.dirty,
        "changes": [{"file": one.name, "added": one.added, "removed": one.removed} for one in changes],
        # Beyond 5 MB it is a summary.
        "summary": diff if diff and not changes else None,
    }


def _resources(run: Run, root: Path | None) -> dict[str, dict[str, str | None]]:
    inside = "" if root is None else f"{root}{os.sep}"
    origins = {key: origin.replace(inside, "") for key, origin in run.resource_origins.items()}
    wanted = wanted_resources(run)
    return {key: {"value": value, "from": origins.get(key)} for key, value in wanted.items()}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return shlex.join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _attempt(attempt: Attempt) -> dict[str, Any]:
    result = attempt.result
    told = {"task": attempt.task, "attempt": attempt.number}
    if result is None:
        return {**told, **dict.fromkeys(("node", "start", "end", "reason", "exit_code", "signal"))}
    return {
        **told,
        "node": result.node,
        "start": _time(result.start),
        "end": _time(result.end),
        "reason": result.reason.value,
        "exit_code": result.exit_code,
        "signal": result.signal,
    }


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat()
