"""The records of runs on this machine."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from slipway.errors import UsageError
from slipway.job.run import Run
from slipway.lock import is_locked, try_lock
from slipway.nearest import nearest


class RunStore:
    """The records of this machine, one JSON file a run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, run: Run) -> None:
        """Write a record as a whole."""
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self._path(run)
        # Two commands may write down the same run at once.
        part = file.with_suffix(f".{secrets.token_hex(4)}.part")
        part.write_text(run.to_json(), encoding="utf-8")
        part.replace(file)

    def forget(self, run: Run) -> None:
        """Remove a record."""
        self._path(run).unlink(missing_ok=True)

    @contextmanager
    def submitting(self, run: Run) -> Iterator[None]:
        """Write a new record, and hold it while its job is submitted; that ends with this process at last.

        Raises:
            FileExistsError: there is a run of this id.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self._lock_path(run)
        is_mine = False
        try:
            with try_lock(path) as is_mine:
                if not is_mine or self.has(run):
                    raise FileExistsError(f"{self._path(run)} is there already")
                self.save(run)
                yield
        finally:
            if is_mine:  # Not before it is let go: Windows does not remove a file that is open.
                path.unlink(missing_ok=True)

    def is_submitting(self, run: Run) -> bool:
        """True while a process of this machine is in :meth:`submitting` with the run."""
        return is_locked(self._lock_path(run))

    def has(self, run: Run) -> bool:
        """True where there is a record of the run."""
        return self._path(run).is_file()

    def _lock_path(self, run: Run) -> Path:
        return self.folder / f"{run.run_id}.lock"

    def _path(self, run: Run) -> Path:
        return self.folder / f"{run.run_id}.json"

    def list(self) -> list[Run]:
        """All runs, the newest first."""
        found = (self._read(file) for file in self.folder.glob("*.json"))
        runs = [run for run in found if run is not None]
        return sorted(runs, key=lambda run: run.submitted, reverse=True)

    def find(self, prefix: str | None) -> Run:
        """The run whose id starts with ``prefix``; without one, the newest.

        Raises:
            UsageError: there is none, or more than one.
        """
        runs = self.list()
        if not runs:
            raise UsageError("there are no runs yet; `invoke job -- …` starts one")
        if not prefix:
            return runs[0]
        found = [run for run in runs if run.run_id.startswith(prefix)]
        if len(found) == 1:
            return found[0]
        ids = [run.run_id for run in found or runs]
        if not found:
            starts = {one[: len(prefix)] for one in ids}
            raise UsageError(
                f"no run's id starts with {prefix!r}{nearest(prefix, starts)}; `invoke status` lists them"
            )
        raise UsageError(
            f"{prefix!r} is the beginning of several runs' ids: {', '.join(ids)}; write more of it"
        )

    def _read(self, file: Path) -> Run | None:
        try:
            return Run.from_json(file.read_bytes())
        except FileNotFoundError:  # another command has just removed it
            return None
        except (OSError, ValueError) as error:
            raise UsageError(
                f"{file} is not the record of a run ({str(error).splitlines()[0]}); move it away"
            ) from error
