"""How jobs stand: the platform is asked, and what those that are over have written comes to scratch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import PurePosixPath

from slipway.errors import ParseError, RemoteError
from slipway.host.host import Host
from slipway.model import WrongValueError
from slipway.scheduler.base import Job, JobQuery, QueryResult, State
from slipway.scheduler.ngc.commands import LABEL, list_command, run_label
from slipway.scheduler.ngc.parse import Found, by_tasks, explain, parse_jobs
from slipway.scheduler.ngc.results import Place, bring, notes_command, parse_notes, refresh_log
from slipway.scheduler.ngc.site import Platform, read_platform

# It takes some seconds to answer, with many jobs more.
ASK_S = 300.0
# The platform's clock, and this machine's.
_DIFFERENCE = timedelta(days=1)
_BY_SCRIPT = {"time-limit": State.TIMEOUT, "out-of-memory": State.OUT_OF_MEMORY}
# Of so many running jobs at most the log is fetched, each time that somebody asks.
_LOGS = 4
# And of so many that are over, what they wrote.
_BROUGHT = 16


def query_jobs(host: Host, wanted: Sequence[JobQuery]) -> QueryResult:
    """What the platform knows of jobs; of those that are over, their files are in scratch then.

    A job whose files could not be brought still counts as one that is about to end.

    Raises:
        SshError: the connection was lost.
    """
    jobs: dict[tuple[str, int | None], Job] = {}
    problems: list[str] = []
    for platform, queries in _by_platform(wanted):
        found = find_jobs(host, platform, queries)
        if isinstance(found, str):
            problems.append(found)
            continue
        folders = {query.name: PurePosixPath(query.folder) for query in queries if query.folder}
        home = _Home(host=host, platform=platform)
        for one in found:
            job, folder = one.job, folders.get(one.job.name)
            jobs[job.name, job.task] = home.seen(one, folder) if folder and one.has_begun else job
    return QueryResult(jobs=jobs, problem="; ".join(dict.fromkeys(problems)) or None)


@dataclass
class _Home:
    """Brings what jobs have written; not of too many at once, so that who asks is answered."""

    host: Host
    platform: Platform
    logs: int = _LOGS
    left: int = _BROUGHT
    notes: dict[PurePosixPath, dict[tuple[int | None, int], str]] = field(default_factory=dict)

    def seen(self, found: Found, folder: PurePosixPath) -> Job:
        """A job that is over, with its files in scratch; one that is about to end as long as they are not."""
        job = found.job
        place = Place(platform=self.platform, run=folder, task=job.task, number=found.number)
        if job.state is State.RUNNING and self.logs:
            self.logs -= 1
            refresh_log(self.host, place)
        if not job.state.is_over:
            return job
        if folder not in self.notes:
            said = self.host.run_in_login_shell(notes_command(self.platform, folder))
            self.notes[folder] = parse_notes(said.stdout)
        reason = self.notes[folder].get((job.task, found.number))
        try:
            reason = self._bring(place) if reason is None else reason
        except RemoteError as error:
            return replace(job, state=State.COMPLETING, ended_s=None, pending_reason=str(error))
        # The platform only sees that the script has failed.
        return replace(job, state=_BY_SCRIPT.get(reason, job.state)) if job.state is State.FAILED else job

    def _bring(self, place: Place) -> str:
        if not self.left:
            raise RemoteError("what it wrote comes home when it is asked for again: others come first")
        self.left -= 1
        return bring(self.host, place)


def find_all(host: Host, wanted: Sequence[JobQuery]) -> tuple[list[Found], str | None]:
    """The jobs of some runs, and why one of the platforms could not be asked."""
    answers = [find_jobs(host, platform, queries) for platform, queries in _by_platform(wanted)]
    problems = (answer for answer in answers if isinstance(answer, str))
    return [one for answer in answers if not isinstance(answer, str) for one in answer], next(problems, None)


def find_jobs(host: Host, platform: Platform, queries: Sequence[JobQuery]) -> list[Found] | str:
    """The jobs of some runs at one platform, or why it could not be asked."""
    names = {query.name for query in queries}
    since = min(query.submitted for query in queries) - _DIFFERENCE
    label = run_label(next(iter(names))) if len(names) == 1 else LABEL
    asked = list_command(platform.where, since=since, label=label)
    done = host.run_in_login_shell(asked, timeout_s=ASK_S)
    if not done.ok:
        return f"ngc batch list: {explain(done.stderr, done.exit_code)}"
    try:
        found = parse_jobs(done.stdout, platform.org)
    except ParseError as error:
        return str(error)
    return list(by_tasks([one for one in found if one.job.name in names]))


def _by_platform(wanted: Sequence[JobQuery]) -> Iterable[tuple[Platform, list[JobQuery]]]:
    """The queries of each platform; all of one site have one, unless its file was changed meanwhile."""
    groups: list[tuple[Platform, list[JobQuery]]] = []
    for query in wanted:
        platform = _platform(query.site_values)
        if platform is None:
            continue
        for known, queries in groups:
            if known == platform:
                queries.append(query)
                break
        else:
            groups.append((platform, [query]))
    return groups


def _platform(site_values: Mapping[str, object]) -> Platform | None:
    try:
        return read_platform(site_values)
    except (KeyError, TypeError, WrongValueError):
        return None
