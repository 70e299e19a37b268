"""Results: what a run left on the cluster, brought home."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from slipway.errors import HostError
from slipway.host.host import Host
from slipway.job.run import Run, RunPaths
from slipway.job.tail import last_attempt
from slipway.progress import Progress, Transfer
from slipway.transfer.choice import choose_carrier


def pull(host: Host, run: Run, folder: Path, progress: Progress) -> tuple[Path, Transfer]:
    """Bring a run's folder home; called again, it brings what is new.

    The folder looks as on the cluster, and ``out`` and ``log`` in it point to those of the last attempt.

    Args:
        host: the connection to the run's site.
        run: the run.
        folder: where results are kept: the run's get a folder of its id in there.
        progress: is told what is copied.

    Raises:
        HostError: the folder cannot be made.
        RemoteError: rsync failed.
    """
    paths = RunPaths(PurePosixPath(run.run_dir))
    home = folder / run.run_id
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HostError(
            f"{home} cannot be made: {error.strerror}; set SLIPWAY_RESULTS to another folder"
        ) from error
    progress.step(f"Bringing {run.run_id} home")
    # What the program was given may be secret; the record has the arguments.
    without = [paths.argv.name, paths.environment.name, "*.part"]
    carrier = choose_carrier(host, progress)
    transfer = carrier.fetch_tree(paths.folder, home, without=without, on_progress=progress.transfer)
    attempt = last_attempt(host, paths)
    if attempt:
        _point(home / "out", f"attempt-{attempt}/out")
        _point(home / "log", f"attempt-{attempt}/log")
    (home / "run.json").write_text(run.to_json(), encoding="utf-8")
    return home, transfer


def read_figures(home: Path) -> dict[str, Mapping[str, Any]]:
    """The JSON files that the program wrote beside its output, by name; broken ones are left out."""
    figures: dict[str, Mapping[str, Any]] = {}
    for file in sorted((home / "out").glob("*.json")):
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(content, dict):
            figures[file.stem] = content
    return figures


def _point(host: Path, target: str) -> None:
    fresh = host.with_name(f".{host.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.replace(host)
