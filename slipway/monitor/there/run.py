"""Runs, as an order or a run's own record has them, and their files. All paths are below scratch."""
# ruff: noqa: UP006, UP035, UP045 - Python 3.6 has no others

import json
import os
import re
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Tuple

from .status import Status

# A run, and which of its tasks; None is a run without tasks.
Where = Tuple[str, Optional[int]]
_ATTEMPT = re.compile("[0-9]{1,9}")
RESULT_BYTES = 65536
_EXCLUDE = "--exclude="
# What of a request is of one submission alone.
_PASSING = ("array", "dependency")


class Run:
    """One run.

    Attributes:
        run_id: its id.
        name: a short label.
        job_id: SLURM's; ``None`` where it is not known.
        day: when it was submitted, as ``2026-01-31``.
        tasks: of an array; one ``None`` for any other.
        tries: the runs that it tries once more, the first one first.
        plan: how it is submitted again, by the name that this has in the order; ``None`` where it is not.
        state: what it asked for, as the plan's states are named.
        rate: the GPU-hours of each hour, and what it costs; ``None`` where its state says so.
        exclude: nodes that it was kept from.
        statuses: how its tasks stand, as far as they were asked.
        spent_s: seconds that earlier attempts of its tasks have run, as accounting has them.
    """

    def __init__(self, run_id: str, values: Mapping[str, Any]) -> None:
        resources = values.get("resources") or {}
        self.run_id = run_id
        self.name: Optional[str] = values.get("name")
        self.job_id: Optional[str] = values.get("job_id")
        self.day = str(values["submitted"])[:10]
        self.tasks: List[Optional[int]] = list(values.get("task_indices") or [None])
        self.tries: List[str] = list(values.get("tries") or [])
        self.plan: Optional[str] = values.get("plan")
        self.state = state_name(resources)
        self.rate: Optional[Tuple[float, float]] = values.get("rate")
        self.exclude = excluded(resources)
        self.statuses: Dict[Optional[int], Status] = {}
        self.spent_s: Dict[Optional[int], int] = {}
        for name, known in (values.get("known") or {}).items():
            task = None if name == "run" else int(name)
            self.statuses[task] = Status(**known["status"])
            self.spent_s[task] = known["spent_s"]

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return Path("runs", self.run_id)

    def folder_of(self, task: Optional[int]) -> Path:
        """Where the attempts of a task are."""
        return self.folder if task is None else self.folder / f"task-{task}"

    def status(self, task: Optional[int]) -> Status:
        """How a task stands."""
        return self.statuses.get(task) or Status("SUBMITTING" if self.job_id is None else "PENDING")

    @property
    def is_over(self) -> bool:
        """True where nothing of it goes on."""
        return all(self.status(task).is_over for task in self.tasks)


def state_name(resources: Mapping[str, Any]) -> str:
    """What was asked for as one word; what is of one submission alone is left out."""
    options = [word for word in resources.get("sbatch") or () if not word.startswith(_EXCLUDE)]
    # An older record lacks what only another scheduler is asked for.
    values = {
        key: value for key, value in resources.items() if value not in (None, [], ()) and key not in _PASSING
    }
    return json.dumps(dict(values, sbatch=options), sort_keys=True)


def excluded(resources: Mapping[str, Any]) -> List[str]:
    """The nodes that a run was kept from, as its options have them."""
    options = resources.get("sbatch") or ()
    return [word[len(_EXCLUDE) :] for word in options if word.startswith(_EXCLUDE)]


def read_run(run_id: str, plan: Optional[str]) -> Optional[Run]:
    """A run by its own record; ``None`` where there is none that can be read."""
    try:
        values = json.loads(Path("runs", run_id, "run.json").read_bytes().decode("utf-8", "surrogateescape"))
        if values["run_id"] != run_id:
            return None
        return Run(run_id, dict(values, plan=plan))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def newest_attempt(folder: Path) -> Optional[Path]:
    """The folder of the newest attempt; ``None`` where the run or task has none."""
    numbers = [path.name[len("attempt-") :] for path in folder.glob("attempt-*")]
    newest = max((int(number) for number in numbers if _ATTEMPT.fullmatch(number)), default=0)
    return folder / f"attempt-{newest}" if newest else None


def read_result(run: Run, task: Optional[int]) -> Optional[str]:
    """What ``result.json`` of the newest attempt holds; ``None`` where there is none."""
    attempt = newest_attempt(run.folder_of(task))
    return None if attempt is None else read_text(attempt / "result.json", RESULT_BYTES)


def read_text(path: Path, most_bytes: int, *, at_end: bool = False) -> Optional[str]:
    """The beginning or the end of a file; ``None`` where it cannot be read."""
    try:
        with path.open("rb") as file:
            if at_end:
                file.seek(max(0, os.fstat(file.fileno()).st_size - most_bytes))
            return file.read(most_bytes).decode("utf-8", "surrogateescape")
    except OSError:
        return None


def read_log_end(run: Run, task: Optional[int], most_bytes: int) -> str:
    """The last that the newest attempt printed."""
    attempt = newest_attempt(run.folder_of(task))
    return "" if attempt is None else read_text(attempt / "log", most_bytes, at_end=True) or ""
