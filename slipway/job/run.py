"""Runs: the record of one submission, here and on the cluster."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from enum import Enum
from pathlib import Path, PurePosixPath
from typing import IO, Any

from slipway.errors import UsageError
from slipway.job.slurm import JobState, parse_array
from slipway.profile import nearest
from slipway.remote.depot import Depot

# No vowels, so that no words come out, and nothing that is read as something else.
_LETTERS = "bcdfghjkmnpqrstvwxz23456789"


class Reason(str, Enum):
    """Why a run ended as it did."""

    OK = "ok"
    PROGRAM_ERROR = "program-error"
    TIME_LIMIT = "time-limit"
    CANCELLED = "cancelled"
    PREEMPTED = "preempted"
    OUT_OF_MEMORY = "out-of-memory"
    NODE_FAILURE = "node-failure"
    LAUNCH_FAILURE = "launch-failure"


@dataclass(frozen=True, kw_only=True)
class Status:
    """How a run stands.

    Attributes:
        state: what is believed.
        reason: a :class:`Reason`, or SLURM's own while the job waits.
        exit_code: the program's; 128 and the signal where one killed it.
        signal: the signal that killed the program.
        elapsed_s: seconds that the last attempt has run.
        slurm_state: what SLURM itself says.
        script_reason: what the job script itself says.
        note: what else there is to know, such as that these two disagree, or why nobody could be asked.
        missing_since_s: since when SLURM has not known the job that it once accepted, in seconds since 1970.
    """

    state: JobState
    reason: str | None = None
    exit_code: int | None = None
    signal: int | None = None
    elapsed_s: int | None = None
    slurm_state: str | None = None
    script_reason: str | None = None
    note: str | None = None
    missing_since_s: int | None = None

    @property
    def wait_code(self) -> int:
        """What somebody who waited is to exit with: the job's own exit code, and never 0 for a failure."""
        if self.reason == Reason.OK:
            return 0
        return self.exit_code or 1


@dataclass(frozen=True, kw_only=True)
class Run:
    """Everything that a run was made of. It is written before the job is submitted."""

    run_id: str
    site: str
    profile: str
    submitted: datetime
    program: tuple[str, ...]
    args: tuple[str, ...]
    commit: str | None
    dirty: bool
    image_id: str
    sif: str
    sif_sha256: str
    code: str
    resources: Mapping[str, Any]
    profile_values: Mapping[str, Any]
    site_values: Mapping[str, Any]
    run_dir: str
    job_id: str | None = None
    status: Status = Status(state=JobState.SUBMITTING)

    @property
    def tasks(self) -> Sequence[int | None]:
        """The indices of an array's tasks; one ``None`` for a run that is no array."""
        spec = self.resources.get("array")
        return parse_array(spec) if spec else [None]

    def to_json(self) -> str:
        """The record as text. Arguments that are no UTF-8 are kept, as lone surrogates."""
        values = {**asdict(self), "submitted": self.submitted.isoformat()}
        return json.dumps(values, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Run:
        """Read a record.

        Raises:
            ValueError: it is no JSON, or not of this form.
        """
        try:
            values = json.loads(text)
            status = Status(**{**values["status"], "state": JobState(values["status"]["state"])})
            lists = {key: tuple(values[key]) for key in ("program", "args")}
            submitted = datetime.fromisoformat(values["submitted"])
            return cls(**{**values, **lists, "status": status, "submitted": submitted})
        except (TypeError, KeyError) as error:
            raise ValueError(f"unexpected content: {error}") from error

    def listed(self) -> dict[str, Any]:
        """The run as ``status --json`` shows it."""
        return {
            "run_id": self.run_id,
            "job_id": self.job_id,
            "site": self.site,
            "profile": self.profile,
            "state": self.status.state.value,
            "reason": self.status.reason,
            "exit_code": self.status.exit_code,
            "signal": self.status.signal,
            "slurm_state": self.status.slurm_state,
            "script_reason": self.status.script_reason,
            "note": self.status.note,
            "submitted": self.submitted.isoformat(),
            "elapsed_s": self.status.elapsed_s,
            "args": list(self.args),
        }


class RunPaths:
    """Where the files of one run lie on the cluster."""

    def __init__(self, folder: PurePosixPath) -> None:
        self.folder = folder
        self.record = folder / "run.json"
        self.script = folder / "job.sh"
        self.argv = folder / "argv"
        self.environment = folder / "environment"
        self.diff = folder / "code.diff"
        self.slurm_log = folder / "slurm.log"
        # Who has the say over its submission, and what sbatch answered: see claim.py.
        self.claim = folder / "claim"
        self.answer = folder / "answer"

    @classmethod
    def of(cls, depot: Depot, run_id: str) -> RunPaths:
        """The paths of a run that is to be made."""
        return cls(depot.runs / run_id)

    def of_task(self, index: int | None) -> RunPaths:
        """The folder in which a task of an array has its attempts; the run's own for ``None``."""
        return self if index is None else RunPaths(self.folder / f"task-{index}")

    def log(self, attempt: int) -> PurePosixPath:
        """What the program printed, both outputs."""
        return self.folder / f"attempt-{attempt}" / "log"

    def result(self, attempt: int) -> PurePosixPath:
        """How the attempt ended, as the job script saw it."""
        return self.folder / f"attempt-{attempt}" / "result.json"


def new_run_id(profile: str, now: datetime) -> str:
    """A fresh id, such as ``k3f9-cpu-20260131-142530``.

    The random part comes first, so that a short prefix will do.
    """
    letters = "".join(secrets.choice(_LETTERS) for _ in range(4))
    return f"{letters}-{profile}-{now.astimezone(timezone.utc):%Y%m%d-%H%M%S}"


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
        with path.open("x") as file:
            _lock(file)
            self.save(run)
            try:
                yield
            finally:
                path.unlink(missing_ok=True)

    def is_submitting(self, run: Run) -> bool:
        """True while a process of this machine is in :meth:`submitting` with the run."""
        try:
            with self._lock_path(run).open() as file:
                free = _lock(file)
        except FileNotFoundError:
            return False
        if free:  # a process that was killed has left it
            self._lock_path(run).unlink(missing_ok=True)
        return not free

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


def _lock(file: IO[str]) -> bool:
    """Have a file for oneself until it is closed; False where another process has it."""
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
