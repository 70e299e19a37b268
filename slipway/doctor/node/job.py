"""The test job: its script, from its submission to its answers."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from slipway.doctor.check import Answer, Check, Facts, JobEnding, Place
from slipway.doctor.finding import Finding, failed, ok, refused, skipped
from slipway.doctor.program import compose, parse_answers
from slipway.errors import RemoteError, SlipwayError
from slipway.host.scratch import Scratch
from slipway.progress import explain_stop
from slipway.quantity import minutes
from slipway.resources import Resources
from slipway.scheduler.base import Job, JobQuery, State
from slipway.scheduler.find import find_scheduler
from slipway.text.wording import moment

if TYPE_CHECKING:
    from slipway.host.host import Host
    from slipway.progress import Progress
    from slipway.scheduler.base import Scheduler

_TIME = "0:10:00"
_ASKED_S = 300
_PAUSES_S = (1, 1, 2, 2, 3, 5)
_LONGEST_PAUSE_S = 10
_LATE_S = 10
# How a job ends that nobody ended.
_BY_ITSELF = ("COMPLETED", "FAILED")
# How often in a row a scheduler may know nothing of the job before it is given up.
_MOST_UNKNOWN = 5


def trial_resources(wanted: Resources) -> Resources:
    """What the test job asks for: the same as the profile's job, on one node and for at most ten minutes."""
    is_short = wanted.time is not None and minutes(wanted.time) < minutes(_TIME)
    changes = {
        "time": wanted.time if is_short else _TIME,
        "nodes": None,
        "array": None,
        "dependency": None,
        "continue_after_limit": None,
    }
    return wanted.model_copy(update=changes)


def run_job(
    host: Host, scratch: Scratch, facts: Facts, scripts: Mapping[str, str], progress: Progress
) -> JobEnding:
    """Submit the test job, and wait for its end. Whatever stops the wait cancels it; nothing of it is left.

    Args:
        host: the connection.
        scratch: where its folder is made.
        facts: what the profile's job would ask for.
        scripts: by the names of the checks.
        progress: is told how it stands.
    """
    name = f"slipway-doctor-{secrets.token_hex(4)}"
    folder = scratch.root / "doctor" / name
    job = _TestJob(host, find_scheduler(facts.there.scheduler), name, folder)
    try:
        with explain_stop("the test job was cancelled"):
            return job.run(facts, scripts, progress)
    finally:
        job.clean_up(progress)


class _TestJob:
    """One test job, from its folder to its end."""

    def __init__(self, host: Host, scheduler: Scheduler, name: str, folder: PurePosixPath) -> None:
        self.host, self.scheduler, self.name, self.folder = host, scheduler, name, folder
        self.submitted = datetime.now(timezone.utc)
        self.job_id: str | None = None
        self.is_open = False

    def run(self, facts: Facts, scripts: Mapping[str, str], progress: Progress) -> JobEnding:
        began, mark = time.monotonic(), secrets.token_hex(16)
        progress.step("Submitting a test job")
        options = self._write(facts, scripts, mark)
        self.is_open = True
        done = self.host.run_in_login_shell(
            self.scheduler.submit_command(self.folder / "job.sh", options), timeout_s=self.scheduler.submit_s
        )
        submission = self.scheduler.read_submission(done.exit_code, done.stdout, done.stderr)
        self.job_id = submission.job_id
        if submission.job_id is None:
            self.is_open = submission.refusal is None
            return JobEnding(refusal=submission.refusal or done.explain())
        ended = self._wait(progress)
        self.is_open = False
        printed = self._read_answers()
        text = None if printed is None else printed.decode("utf-8", "surrogateescape")
        return JobEnding(
            job_id=submission.job_id,
            answers=None if text is None else parse_answers(text, mark),
            ended=ended,
            waited_s=time.monotonic() - began,
            log=(self.host.read(self.folder / "log") or b"").decode("utf-8", "replace").strip()[-400:],
        )

    def _write(self, facts: Facts, scripts: Mapping[str, str], mark: str) -> list[str]:
        """Make the job's folder; returns the options of its submission."""
        options = self.scheduler.directives(
            name=self.name,
            log=self.folder / "log",
            resources=trial_resources(facts.wanted.resources),
            site=facts.there,
        )
        made = self.host.run(["mkdir", "-p", "-m", "700", "--", str(self.folder)])
        if not made.ok:
            raise RemoteError(f"{self.host.target}: {made.explain()}")
        self.host.write(self.folder / "token", self.name.encode())
        lines = ["#!/bin/bash -l", *self.scheduler.script_lines(options)]
        asked = render(facts, scripts, mark, self.folder)
        self.host.write(self.folder / "job.sh", ("\n".join(lines) + "\n" + asked).encode())
        return options

    def _wait(self, progress: Progress) -> str:
        """Wait until it is over; returns the scheduler's own word for how."""
        told, unknown, count = "", 0, 0
        while True:
            job = self._ask()
            if job is not None and job.state.is_over:
                return job.native_state or str(job.state)
            unknown = unknown + 1 if job is None else 0
            if unknown > _MOST_UNKNOWN:
                return "unknown to the scheduler"
            words = _how_it_stands(job, self.job_id or "")
            if words != told:
                progress.step(words)
                told = words
            time.sleep(_PAUSES_S[count] if count < len(_PAUSES_S) else _LONGEST_PAUSE_S)
            count += 1

    def _ask(self) -> Job | None:
        query = JobQuery(name=self.name, submitted=self.submitted, job_id=self.job_id, tasks=(None,))
        return self.scheduler.query(self.host, [query]).job(self.name, None)

    def _read_answers(self) -> bytes | None:
        """What the node has left; a file system that is shared may show it a little later."""
        deadline = time.monotonic() + _LATE_S
        while (printed := self.host.read(self.folder / "answers")) is None and time.monotonic() < deadline:
            time.sleep(1)
        return printed

    def clean_up(self, progress: Progress) -> None:
        """Cancel it where it may still be there, and remove its folder; say so where that cannot be done."""
        try:
            if self.is_open and self.job_id is None:
                # The submission may still be under way; without its script it comes to nothing.
                self._remove()
                time.sleep(1)
                job = self._ask()
                self.job_id = job.job_id if job else None
            if self.is_open and self.job_id is not None:
                self.scheduler.cancel(self.host, [self.job_id])
            self._remove()
        except SlipwayError as error:
            left = f"the test job {self.job_id or self.name} may still be there, for ten minutes at most"
            progress.note(f"{left if self.is_open else f'{self.folder} is still there'}: {error}")

    def _remove(self) -> None:
        self.host.run(["rm", "-rf", "--", str(self.folder)])


def render(facts: Facts, scripts: Mapping[str, str], mark: str, folder: PurePosixPath) -> str:
    """What the job's script does: it asks, and leaves the answers as a whole in its folder."""
    # Paths of a job are those of the login node, whatever variables say on the node.
    scratch = Scratch.of_run(folder).root.parent
    return (
        f"here='{folder}'\nexec >\"$here/answers.part\"\n"
        + compose(scripts, facts.there, mark, _ASKED_S, scratch=scratch)
        + 'mv -- "$here/answers.part" "$here/answers"\n'
    )


def _how_it_stands(job: Job | None, job_id: str) -> str:
    if job is None:
        return f"Waiting for the test job {job_id}"
    words = [str(job.state).lower()]
    if job.state is State.PENDING:
        words += [job.pending_reason] if job.pending_reason not in (None, "", "None") else []
        now = datetime.now().astimezone()
        words += [f"expected at {moment(job.expected_s, now)}"] if job.expected_s else []
    return f"Waiting for the test job {job_id} ({', '.join(words)})"


def judge_job(ending: JobEnding) -> Finding:
    """Whether the test job came to its end and left its answers."""
    if ending.why_not is not None:
        return skipped(ending.why_not)
    if ending.problem is not None:
        return refused(ending.problem, so="nothing is known of the node", fix="try the same once more")
    if ending.refusal is not None:
        so = "`invoke job` would be refused, too"
        return failed(f"it was refused: {ending.refusal}", so=so, fix="change what the profile asks for")
    took = f"job {ending.job_id}, {ending.waited_s:.0f} s with its wait"
    if ending.answers is not None:
        return ok(took)
    said = f"; it says: {' '.join(ending.log.split())}" if ending.log else ""
    seen = f"job {ending.job_id} ended ({ending.ended}) and left no answer{said}"
    if ending.ended.partition(" ")[0] not in _BY_ITSELF:
        fix = f"try the same once more; `sacct -j {ending.job_id}` there tells more"
        return failed(seen, so="nothing is known of the node", fix=fix)
    fix = "does the node see scratch? paths.scratch has to be a folder that login node and nodes share"
    return failed(seen, so="a job would leave no log and no results", fix=fix)


def with_answers(facts: Facts, ending: JobEnding) -> Facts:
    """The same, with what the test job has left."""
    return replace(facts, answers={**facts.answers, **(ending.answers or {})}, ending=ending)


def _look(facts: Facts, _: Answer) -> Finding:
    return judge_job(facts.ending or JobEnding(why_not="it was not submitted"))


CHECKS = (
    Check(
        name="job",
        title="test job",
        place=Place.NODE,
        about="A job of ten minutes, with what the profile asks for, is taken, runs, and leaves its answers.",
        predicts="A job is refused, or leaves no log and no results.",
        look=_look,
    ),
)
