"""How jobs stand: SLURM's queue, its accounting and its controller are asked, in this order."""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import chain

from slipway.errors import ParseError
from slipway.host.host import Host
from slipway.scheduler.base import Job, JobQuery, QueryResult, State
from slipway.scheduler.slurm.commands import TIME_FORMAT, accounting_command, queue_command, show_command
from slipway.scheduler.slurm.parse import parse_accounting, parse_queue, parse_shown
from slipway.shell import Result

# A program is given at most 128 kB as one argument (MAX_ARG_STRLEN), which both commands with all names are.
AT_ONCE = 500
Parse = Callable[[str], Iterable[Job]]


def query_jobs(host: Host, wanted: Sequence[JobQuery]) -> QueryResult:
    """What SLURM knows of jobs. Where the queue cannot be read, its accounting and its controller serve.

    Raises:
        SshError: the connection was lost.
    """
    # sacct takes the cluster's own time, which may be a day behind.
    since = (min(query.submitted for query in wanted) - timedelta(days=1)).strftime("%Y-%m-%d")
    names = [query.name for query in wanted]
    queue, accounting = _Answers("squeue", parse_queue), _Answers("sacct", parse_accounting)
    for some in _parts(names):
        results = _run(host, [queue_command(some), accounting_command(some, since)])
        for answers, result in zip((queue, accounting), results, strict=True):
            answers.add(result)
    accounted, queue_problem = accounting.jobs, queue.problem
    # The queue is the fresher of the two: accounting may be some seconds late, also with what it says of an
    # array's tasks that have not begun.
    accounted.sort(key=lambda job: job.state is not State.PENDING)
    # Of a job that was cancelled as it was requeued it says for minutes that it waits.
    listed = {job.name for job in queue.jobs}
    late = {
        (job.name, job.task): job
        for job in accounted
        if not (queue_problem or job.state.is_over or job.name in listed)
    }
    jobs = {(job.name, job.task): job for job in chain(accounted, queue.jobs)}
    jobs = {key: job for key, job in jobs.items() if key not in late}
    found = QueryResult(jobs=jobs, problem=queue_problem, history_problem=accounting.problem)
    # Accounting may also be down, or not be kept at all: the controller remembers a job for some minutes.
    ids = [query.job_id for query in wanted if query.job_id and (queue_problem or _lacks(found, query))]
    controller = _Answers("scontrol", parse_shown)
    for some in _parts(ids):
        controller.add(_run(host, [show_command(some)])[0])
    known = {(job.name, job.task): job for job in controller.jobs if job.name in names}
    # The controller is fresher than accounting, and the queue is fresher than it says of jobs that are over.
    return replace(found, jobs={**jobs, **known} if queue_problem else {**late, **known, **jobs})


def _lacks(found: QueryResult, query: JobQuery) -> bool:
    return found.may_be_over(query) and found.lacks(query)


class _Answers:
    """What one of SLURM's programs has answered, and why it has not answered all."""

    def __init__(self, program: str, parse: Parse) -> None:
        self.jobs: list[Job] = []
        self.problem: str | None = None
        self._program = program
        self._parse = parse

    def add(self, result: Result) -> None:
        """Take one answer; once there is a problem, no more are read."""
        if self.problem is not None:
            return
        if not result.ok:
            words = " ".join(result.stderr.split()) or f"it ended with exit code {result.exit_code}"
            self.problem = f"{self._program} could not be asked: {words}"
            return
        try:
            self.jobs += self._parse(result.stdout)
        except ParseError as error:
            self.problem = str(error)


def _parts(items: Sequence[str]) -> Iterator[Sequence[str]]:
    return (items[start : start + AT_ONCE] for start in range(0, len(items), AT_ONCE))


def _run(host: Host, commands: Sequence[Sequence[str]]) -> list[Result]:
    """Run commands one after the other, in one round trip."""
    mark = secrets.token_hex(16)
    name, value = TIME_FORMAT
    times = f"{name}={value}; export {name}\n"
    ran = "".join(
        f"errors=$( {{ {shlex.join(command)} >&3; }} 2>&1 </dev/null )\n"
        f"printf '%s%s\\n%s%s' {mark} $? \"$errors\" {mark}\n"
        for command in commands
    )
    printed = host.run_in_login_shell(["sh", "-c", f"{times}exec 3>&1\n{ran}"]).stdout.split(mark)
    if len(printed) != 2 * len(commands) + 1:
        raise ParseError(f"{host.target}: SLURM's answers were cut off; try again")
    results = []
    for command, stdout, ending in zip(commands, printed[::2], printed[1::2], strict=False):
        code, _, errors = ending.partition("\n")
        results.append(Result(argv=tuple(command), exit_code=int(code), stdout=stdout, stderr=errors))
    return results
