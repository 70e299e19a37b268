"""Steps of sweeps: from a specification to runs that the cluster has accepted, and how they stand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from slipway.errors import SlipwayError
from slipway.host.host import Host
from slipway.job.elements import describe_values
from slipway.job.request import Request
from slipway.job.run import Run, new_run_id
from slipway.scheduler.find import find_scheduler
from slipway.steps.older_elements import with_older
from slipway.steps.session import Session
from slipway.steps.submit import Push, Ready, keep_notify, prepared
from slipway.steps.sweep_arrays import SweepRequest, array_requests
from slipway.sweep.identity import Made
from slipway.sweep.record import Place, Sweep, SweepElement, SweepStore
from slipway.sweep.spec import SweepSpec

if TYPE_CHECKING:
    from slipway.job.inputs import Code
    from slipway.push.upload import PushedSif


@dataclass(frozen=True, kw_only=True)
class SweepSubmitted:
    """A sweep that was submitted, its new runs, and the connection that is still open to follow them."""

    sweep: Sweep
    runs: Sequence[Run]
    host: Host


@contextmanager
def sweep_submitted(
    session: Session, request: SweepRequest, push: Push = Push.ASK
) -> Iterator[SweepSubmitted]:
    """Submit a sweep, with one login: an array for each kind of resources, or several where one has no room.

    Elements that an earlier sweep has run to a good end, or that are on their way, also since a monitor has
    claimed them, from the same image, code, arguments and variables, are not submitted. The record of the
    sweep is written before the first array.

    Raises:
        JobError: an array was refused; the message says which elements were submitted before.
        KeyboardInterrupt: the person who was asked about the image does not want to go on.
    """
    choice = request.choice
    with prepared(session, choice.profile, choice.site, push) as ready:
        from slipway.job.inputs import find_image

        image = ready.image or find_image(ready.host, ready.scratch, choice.profile, choice.site)
        sweep = _new_sweep(session, request, image, ready.code)
        if not request.again:
            sweep = with_older(session, ready.host, ready.scratch, choice.site, sweep)
        submission = _Submission(session, request, sweep)
        submission.submit(replace(ready, image=image))
        yield SweepSubmitted(sweep=submission.sweep, runs=submission.runs, host=ready.host)


class _Submission:
    """The arrays of one sweep, submitted one after the other.

    Attributes:
        sweep: its record, with the places of what was submitted.
        runs: the runs that were accepted.
    """

    def __init__(self, session: Session, request: SweepRequest, sweep: Sweep) -> None:
        self.sweep = sweep
        self.runs: list[Run] = []
        self._session, self._request = session, request
        self._store = SweepStore(session.project.state / "sweeps")
        self._left = [number for number, one in enumerate(sweep.elements) if one.place is None]
        self._arrays: list[tuple[list[int], Request]] = []
        self._planned: list[Run] = []

    def submit(self, ready: Ready) -> None:
        """Submit what has no place yet; the record is written down in any case.

        Raises:
            JobError: an array was refused.
        """
        from slipway.job.submit import submit_all

        if not self._left:
            self._store.save(self.sweep)
            return
        self._arrays = list(
            array_requests(self._request, self._left, self.sweep.sweep_id, self._most(ready.host))
        )
        try:
            for run in submit_all(
                self._session.project,
                [one for _, one in self._arrays],
                ready.host,
                ready.scratch,
                self._session.progress,
                image=ready.image,
                code=ready.code,
                on_plans=self._plan,
            ):
                self.runs.append(run)
                keep_notify(self._session, run, self._arrays[len(self.runs) - 1][1].notify)
        except SlipwayError as error:
            if not self.runs:
                raise
            raise self._explained(error) from error
        finally:
            if self._planned:
                # Of those that were refused there is no record.
                self._keep([self._session.store.has(run) for run in self._planned])

    def _most(self, host: Host) -> int | None:
        """How many tasks an array may have."""
        _, first = next(array_requests(self._request, self._left, None, None))
        scheduler = find_scheduler(self._request.choice.site.scheduler)
        return scheduler.most_tasks(host, first.resource_request.resources)

    def _plan(self, runs: Sequence[Run]) -> None:
        self._planned = [*runs]
        self._keep([True] * len(runs))

    def _keep(self, is_there: Sequence[bool]) -> None:
        """Write the record, with the elements of those runs that there are."""
        elements = list(self.sweep.elements)
        for (numbers, _), run, is_one in zip(self._arrays, self._planned, is_there, strict=True):
            for task, number in enumerate(numbers):
                place = Place(run_id=run.run_id, task=task) if is_one else None
                elements[number] = replace(elements[number], place=place)
        self.sweep = replace(self.sweep, elements=tuple(elements))
        self._store.save(self.sweep)

    def _explained(self, error: SlipwayError) -> SlipwayError:
        count = sum(len(run.tasks) for run in self.runs)
        return type(error)(
            f"{error}\n  {count} of the {len(self._left)} elements were submitted before, as "
            f"{', '.join(run.run_id for run in self.runs)}. The same command later submits the others alone"
        )


def preview_sweep(session: Session, request: SweepRequest) -> str:
    """The job script of the first array; nobody is asked, and nothing sent or written."""
    from slipway.job.submit import preview

    (_, first), *_ = array_requests(request, range(len(request.spec.elements)), None, None)
    return preview(session.project, first)


def _new_sweep(session: Session, request: SweepRequest, image: PushedSif, code: Code) -> Sweep:
    from slipway.job.secret import keyed_hash

    profile, spec, key = request.choice.profile, request.spec, session.project.key
    made = Made(
        image_sha256=image.sha256,
        code=code.snapshot.tree.name,
        program=profile.program,
        environment={name: keyed_hash(key, name, value) for name, value in profile.environment.items()},
    )
    now = datetime.now(timezone.utc)
    values = spec.elements
    return Sweep(
        sweep_id=new_run_id("sweep", now),
        name=spec.name,
        profile=profile.name,
        site=request.choice.site.name,
        submitted=now.isoformat(),
        args=spec.args,
        elements=tuple(
            SweepElement(values=one, identity=made.identity(args, spec.element_files(one)))
            for one, args in zip(values, spec.arguments(values), strict=True)
        ),
        throttle=spec.throttle,
    )


def describe_elements(spec: SweepSpec) -> list[str]:
    """A line for each element."""
    import shlex

    values = spec.elements
    times = [f"{time} min  " if time else "" for time in spec.minutes(values)]
    lines = zip(values, times, spec.arguments(values), strict=True)
    return [
        f"{number:>4}  {describe_values(one)}  {time}{shlex.join(args)}"
        for number, (one, time, args) in enumerate(lines)
    ]
