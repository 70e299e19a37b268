"""Runs, as the Python API has them."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeVar

from slipway.api.lines import Lines
from slipway.api.request import Settings, Word, as_resources, as_settings, as_words
from slipway.errors import DataError, RunFailedError, SshError, UsageError, WaitTimeoutError
from slipway.job.home import read_home
from slipway.job.output import Value, read_output, read_small
from slipway.job.run import LOCAL, RunPaths
from slipway.job.tail import LogPart, LogTail, last_attempt
from slipway.job.wanted import Wanted, check_tasks, parse_attempt, parse_only
from slipway.job.watch import RETRY_S, Following
from slipway.scheduler.base import State
from slipway.steps.cancel import cancel
from slipway.steps.pull import Order, pull
from slipway.steps.refresh import refresh
from slipway.steps.replay import make_replay, replayed
from slipway.steps.submit import Push

if TYPE_CHECKING:
    from typing_extensions import Self

    from slipway.api.session import KeptSession
    from slipway.host.host import Host
    from slipway.job.run import Run as Record
    from slipway.site import Site

_Value = TypeVar("_Value")


@dataclass(frozen=True, kw_only=True)
class Results:
    """What a run has left, on this machine.

    Attributes:
        folder: the run's folder here, with all its attempts.
        out: what the last attempt wrote to ``/out``; ``None`` where none has begun, and for an array.
        figures: numbers and short words of the JSON files in ``out``, by the file's name without its ending.
        is_complete: the run was over, and all that it has left is here.
    """

    folder: Path
    out: Path | None
    figures: Mapping[str, Mapping[str, Value]]
    is_complete: bool = False

    @property
    def returned(self) -> Any:
        """What the function of a ``call`` has returned.

        Raises:
            DataError: there is no such file, or it is not what such a job writes, or has more than 4 MB.
        """
        file = (self.out or self.folder) / "return.json"
        try:
            return json.loads(read_small(file))["value"]
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise DataError(f"{file} has no value that a function returned: {error}") from error


class Run:
    """One submission, as it was last seen: ``refresh()`` and ``wait()`` look again.

    ``Project.submit()``, ``Project.run()`` and ``Project.runs()`` make these.
    """

    def __init__(self, session: KeptSession, record: Record) -> None:
        self._session = session
        self._record = record
        self._attempt: int | None = None

    def __repr__(self) -> str:
        return f"<Run {self.id} {self.state.value}{f' {self.reason}' if self.reason else ''}>"

    @property
    def id(self) -> str:
        """Its id, such as ``k3f9-cpu-20260131-142530``; its job in SLURM has this name."""
        return self._record.run_id

    @property
    def site(self) -> str:
        """The name of its site."""
        return self._record.site

    @property
    def profile(self) -> str:
        """The name of its profile."""
        return self._record.profile

    @property
    def argv(self) -> tuple[str, ...]:
        """Its command line, with passwords in addresses left out."""
        return (*self._record.program, *self._record.args)

    @property
    def submitted(self) -> datetime:
        """When it was submitted, in UTC."""
        return self._record.submitted

    @property
    def job_id(self) -> str | None:
        """SLURM's id of its job; ``None`` where the answer of ``sbatch`` has not come."""
        return self._record.job_id

    @property
    def state(self) -> State:
        """How it stands. A ``slipway.State`` is equal to its name: ``run.state == "RUNNING"``."""
        return self._record.status.state

    @property
    def is_over(self) -> bool:
        """True where nothing will change any more."""
        return self.state.is_over

    @property
    def reason(self) -> str | None:
        """Why it ended so: ``ok``, ``program-error``, ``time-limit``, …; ``None`` before its end."""
        return self._record.status.reason

    @property
    def exit_code(self) -> int | None:
        """The program's; 128 and the signal where one killed it, ``None`` where it has none."""
        return self._record.status.exit_code

    @property
    def pending_reason(self) -> str | None:
        """Why it waits, in SLURM's own words."""
        return self._record.status.pending_reason

    @property
    def elapsed_s(self) -> int | None:
        """Seconds that the last attempt has run."""
        return self._record.status.elapsed_s

    @property
    def note(self) -> str | None:
        """What else there is to know of its state, such as why it is UNKNOWN."""
        return self._record.status.note

    @property
    def attempt(self) -> int | None:
        """The newest attempt, 0 before the first; ``None`` for an array, and before a look of this object."""
        return self._attempt

    @property
    def tasks(self) -> Mapping[int, State]:
        """How the tasks of an array stand, by their indices."""
        return {index: status.state for index, status in self._record.task_statuses.items()}

    def refresh(self) -> Self:
        """Look how it stands now.

        Raises:
            SshError: the site cannot be reached.
        """
        self._record = self._ask(lambda host: self._look(host, self._record))
        return self

    def wait(self, timeout_s: float | None = None, *, check: bool = False, poll_s: float = 1.0) -> Self:
        """Wait until it is over, also over connections that are lost and made again.

        However it ends, that is no error here, unless ``check`` asks for it, as in ``subprocess.run``.

        Args:
            timeout_s: seconds to wait at most. The run goes on after that.
            check: raise where it did not do well.
            poll_s: seconds between two looks. SLURM itself is asked less often.

        Raises:
            RunFailedError: it did not do well, and ``check`` is on.
            WaitTimeoutError: it was not over in time. It is a ``TimeoutError``, too.
            SshError: the site cannot be reached at first, or not again for an hour.
        """
        deadline = float("inf") if timeout_s is None else time.monotonic() + timeout_s
        try:
            for is_over in self._watch(None, poll_s, deadline):
                if not is_over and time.monotonic() >= deadline:
                    raise self._late(timeout_s)
        except SshError as error:
            if time.monotonic() < deadline:
                raise
            raise self._late(timeout_s) from error
        if check and self._record.status.wait_code:
            code = "no exit code" if self.exit_code is None else f"exit code {self.exit_code}"
            raise RunFailedError(
                f"{self.id} {self.state.value}: {self.reason}, {code}. `run.logs()` has what it printed"
            )
        return self

    def logs(
        self,
        follow: bool = False,
        *,
        tail: int | None = None,
        tasks: Iterable[int] = (),
        attempt: int | str | None = None,
        poll_s: float = 1.0,
    ) -> Iterator[str]:
        r"""What it has printed, line by line, both outputs.

        Lines come without their ends; a carriage return ends a line, too, so that progress bars come as they
        move. Bytes that are no UTF-8 stand as ``\xff``.

        Args:
            follow: go on until it is over.
            tail: only so many lines from the end, of the newest attempt; what is before them does not travel.
            tasks: of an array, these alone.
            attempt: a number, or ``"last"``. Default: all.
            poll_s: seconds between two looks.

        Yields:
            One line. An array's tasks come one after the other.

        Raises:
            SshError: the site cannot be reached; while a run is followed, not again for an hour.
        """
        which = parse_attempt(None if attempt is None else str(attempt))
        part = LogPart(tasks=frozenset(tasks), attempt=which, last_lines=tail)
        check_tasks(self._record, part.tasks)
        lines = Lines()
        if follow:
            for _ in self._watch(lines.add, poll_s, float("inf"), part):
                yield from lines.take()
        else:
            log = LogTail(self._record, lines.add, part)
            while not self._ask(log.finish):
                yield from lines.take()
        yield from lines.take(final=True)

    def cancel(self) -> Self:
        """Cancel its job; one that is over already stays as it is.

        Raises:
            JobError: SLURM does not know the job.
            RemoteError: SLURM refused.
            SshError: the site cannot be reached.
        """
        self._record, _ = self._ask(lambda _: cancel(self._session, self.id))
        return self

    def pull(
        self, *, only: Iterable[str] = (), tasks: Iterable[int] = (), attempt: int | str | None = None
    ) -> Results:
        """Bring its results to ``results/<run>/``; called again, it brings what is new.

        Args:
            only: patterns of names in the attempts' output folders; all else stays there.
            tasks: of an array, these alone.
            attempt: a number, or ``"last"``. Default: all.

        Raises:
            IncompleteError: some files could not be brought. All others are here: see ``results``.
            UsageError: it has no such task, attempt or file.
            JobError: it was never submitted.
            SshError: the site cannot be reached, or the connection was lost twice.
        """
        which = parse_attempt(None if attempt is None else str(attempt))
        wanted = Wanted(only=parse_only(only), tasks=frozenset(tasks), attempt=which)
        pulled = self._ask(lambda _: pull(self._session, self.id, Order(wanted=wanted)))
        self._record = pulled.run
        brought = pulled.results
        brought.check()
        return Results(
            folder=brought.home,
            out=brought.out,
            figures=brought.output.figures,
            is_complete=brought.mark.is_complete,
        )

    def replay(
        self,
        argv: Sequence[Word] | None = None,
        *,
        site: str | None = None,
        set: Settings | None = None,  # noqa: A002
        push: bool = False,
        name: str | None = None,
        sbatch: Sequence[str] = (),
        **resources: str | int | None,
    ) -> Run:
        """Submit it once more: the same image, code, arguments, variables and resources.

        Args:
            argv: other arguments, behind the same program. Default: its own.
            site: where it is to run. Default: where it ran.
            set: keys of the profile that go before what it had: ``{"ENV_SEED": 2}``.
            push: send its image, where the site has lost it and this machine has it.
            name: a short label for the new run.
            sbatch: more options of sbatch.
            resources: what is asked for otherwise, by the names that ``submit`` has: ``time="4:00:00"``.

        Raises:
            UsageError: a key would need another image, or a value is of the wrong kind.
            ImageError: its image is gone, and was not sent.
            JobError: its code, arguments or variables are gone; or SLURM refused it.
            SshError: the site cannot be reached.
        """
        again = make_replay(
            self._session,
            self.id,
            site=site,
            overrides=as_settings(set),
            args=None if argv is None else as_words(argv),
            resources=as_resources(resources, sbatch),
            name=name,
        )
        with (
            self._session.connections.turn(again.site),
            replayed(self._session, again, Push.ALWAYS if push else Push.NEVER) as done,
        ):
            return Run(self._session, done.run)

    @property
    def results(self) -> Results | None:
        """What was brought by a ``pull()`` of today or before; ``None`` where nothing was."""
        folder = self._session.project.results / self.id
        if not (folder / "run.json").is_file():
            return None
        names = [re.fullmatch(r"attempt-([0-9]{1,9})", path.name) for path in folder.iterdir()]
        newest = max((int(name[1]) for name in names if name), default=None)
        out = None if newest is None else folder / f"attempt-{newest}" / "out"
        home = read_home(self._session.project.results, self._record)
        return Results(
            folder=folder,
            out=out,
            figures=read_output(out).figures if out else {},
            is_complete=home is not None and home.is_complete,
        )

    def _ask(self, act: Callable[[Host], _Value]) -> _Value:
        return self._session.connections.retry(self._find_site(), act)

    def _find_site(self) -> Site:
        if self.site == LOCAL:
            raise UsageError(f"{self.id} ran on this machine, and all of it is in {self._record.run_dir}")
        try:
            return self._session.site(self.site)
        except UsageError as error:
            raise UsageError(f"{self.id} is a run at {self.site}, but {error}") from error

    def _look(self, host: Host, record: Record) -> Record:
        new = refresh(self._session, host, [record])[0]
        if not record.task_indices:
            self._attempt = last_attempt(host, RunPaths(PurePosixPath(record.run_dir)))
        return new

    def _watch(
        self,
        on_text: Callable[[str], None] | None,
        poll_s: float,
        deadline: float,
        part: LogPart | None = None,
    ) -> Iterator[bool]:
        """Look again and again, and tell each time whether it is over; between two looks others may."""
        if self.is_over and on_text is None:
            return
        site, connections, note = self._find_site(), self._session.connections, self._session.progress.note
        following = Following(
            run=self._record,
            on_text=on_text,
            on_change=lambda new: note(f"{new.run_id} is {new.status.state.value}"),
            look=self._look,
            part=part,
        )
        # Where there is no way to the site at all, that is said at once.
        connections.retry(site, lambda _: None)
        while True:
            retry_s = min(RETRY_S, deadline - time.monotonic())
            is_over = connections.persist(site, following.step, note, retry_s)
            self._record = following.run
            yield is_over
            if is_over:
                return
            if not following.is_behind:
                time.sleep(max(0.0, min(poll_s, deadline - time.monotonic())))

    def _late(self, timeout_s: float | None) -> WaitTimeoutError:
        return WaitTimeoutError(f"{self.id} is {self.state.value} after {timeout_s:g} s, and goes on")
