"""What runs have printed until now: all of it, its end, or the lines that match."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from slipway.errors import DataError, SlipwayError, UsageError
from slipway.host.host import Host
from slipway.job.log_search import LineFilter, search
from slipway.job.run import Run, RunPaths
from slipway.job.tail import FileTail, LogPart, LogTail, last_attempt
from slipway.job.wanted import LAST, check_tasks
from slipway.site import Site
from slipway.steps.hosts import SiteHosts
from slipway.steps.keep import where_it_lies
from slipway.steps.session import Session
from slipway.steps.several import as_one
from slipway.text.wording import megabytes

# From here on it is said how much is to come, and how to see less.
_LARGE_BYTES = 100_000_000


@dataclass(frozen=True, kw_only=True)
class LogQuery:
    """What of a log is to be shown.

    Attributes:
        part: which tasks, attempt and lines.
        pattern: only lines that match this, as ``grep -E`` has it.
        slurm: SLURM's own log, in the program's place.
    """

    part: LogPart = field(default_factory=LogPart)
    pattern: str | None = None
    slurm: bool = False

    def of_tasks(self, tasks: frozenset[int] | None) -> LogQuery:
        """The same of these tasks, where there are any."""
        return replace(self, part=replace(self.part, tasks=tasks)) if tasks else self


def print_logs(
    session: Session,
    found: Sequence[tuple[Run, Site]],
    query: LogQuery,
    on_text: Callable[[str], None],
    tasks: Mapping[str, frozenset[int]] | None = None,
) -> SlipwayError | None:
    """Hand over what runs have printed until now, one after the other; none that fails stops the others.

    Args:
        session: the checkout's.
        found: the runs, and their sites.
        query: what of each is to be shown.
        on_text: is given each piece.
        tasks: which tasks of a run, by its id, where these are not the same for all.

    Returns:
        What could not be shown.
    """
    errors: dict[str, SlipwayError] = {}
    output = _Output(on_text)
    queries = {run.run_id: query.of_tasks((tasks or {}).get(run.run_id)) for run, _ in found}
    for run, _ in found:
        check_tasks(run, queries[run.run_id].part.tasks)
    with SiteHosts(session) as hosts:
        for run, site in found:
            if len(found) > 1:
                output.heading(run)
            try:
                _print(session, hosts.of(site), run, queries[run.run_id], output.write)
            except SlipwayError as error:
                errors[run.run_id] = error
    return as_one(errors, len(found), "could not be shown")


class _Output:
    """Has the heading of a run begin a line."""

    def __init__(self, on_text: Callable[[str], None]) -> None:
        self._on_text = on_text
        self._ends_line = True

    def write(self, text: str) -> None:
        if text:
            self._on_text(text)
            self._ends_line = text.endswith("\n")

    def heading(self, run: Run) -> None:
        self.write(f"{'' if self._ends_line else chr(10)}=== {run.shown} ===\n")


def _print(session: Session, host: Host, run: Run, query: LogQuery, on_text: Callable[[str], None]) -> None:
    run = replace(run, run_dir=str(where_it_lies(session, host, run)))
    if query.pattern is not None:
        said = _search(session, host, run, query, query.pattern, on_text)
        nothing = f"no line of {run.shown} matches {query.pattern!r}"
    else:
        said = _show(session, host, run, query, on_text)
        yet = "" if run.status.state.is_over else " yet"
        nothing = f"{'the scheduler has said' if query.slurm else f'{run.shown} has printed'} nothing{yet}"
    if said:
        return
    if run.job_id is not None and not host.is_folder(PurePosixPath(run.run_dir)):
        raise DataError(
            f"{host.target}:{run.run_dir} is not there any more; what was brought home is in "
            f"{session.project.results / run.run_id}"
        )
    if isinstance(query.part.attempt, int):
        _check_attempt(host, run, query.part)
    if query.part.last_lines != 0:
        session.progress.note(nothing)


def _show(session: Session, host: Host, run: Run, query: LogQuery, on_text: Callable[[str], None]) -> bool:
    """Show a log; true where there was something."""
    if query.slurm:
        file = FileTail(RunPaths(PurePosixPath(run.run_dir)).slurm_log, on_text, query.part.last_lines)
        said = False
        while file.read(host):
            said = True
        return said
    tail = LogTail(run, on_text, query.part)
    is_told = query.part.last_lines is not None
    while not tail.finish(host):
        if not is_told and (left := tail.left_bytes(host)) > _LARGE_BYTES:
            session.progress.note(
                f"{run.shown} has {megabytes(left)} more; --tail 100 shows its end, --grep what matches"
            )
        is_told = True
    return tail.said


def _search(
    session: Session, host: Host, run: Run, query: LogQuery, pattern: str, on_text: Callable[[str], None]
) -> bool:
    """Show the lines that match; true where there was one."""
    if host.runs_commands:
        return search(host, run, pattern, query.part, on_text, slurm=query.slurm)
    session.progress.note(
        "This host runs no commands: the whole log comes, and is searched here (Python's regular expressions)"
    )
    lines = query.part.last_lines
    last: deque[str] = deque(maxlen=lines)
    matching = LineFilter(pattern, on_text if lines is None else last.append)
    attempt = query.part.attempt or (None if lines is None else LAST)
    part = replace(query.part, attempt=attempt, last_lines=None)
    _show(session, host, run, replace(query, part=part), matching.add)
    matching.end()
    for line in last:
        on_text(line)
    return matching.has_found


def _check_attempt(host: Host, run: Run, part: LogPart) -> None:
    """Refuse an attempt that there is not."""
    paths = RunPaths(PurePosixPath(run.run_dir))
    task = min(part.tasks) if part.tasks else run.tasks[0]
    newest = last_attempt(host, paths.of_task(task))
    if isinstance(part.attempt, int) and part.attempt > newest:
        raise UsageError(f"{run.run_id} has no attempt {part.attempt}; its newest is {newest}")
