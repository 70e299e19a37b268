"""Steps from a sweep's elements to arrays: which elements ask for the same, and which share jobs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from slipway.errors import SlipwayError, UsageError
from slipway.job.bundles import Bundles
from slipway.job.elements import Element, describe_values
from slipway.job.request import Request, resource_request
from slipway.notify.target import Target
from slipway.quantity import minutes as parse_minutes
from slipway.resources import Resources
from slipway.scheduler.choose import parse_resources
from slipway.steps.session import Choice
from slipway.steps.submit import make_request
from slipway.sweep.arrays import array_of, share
from slipway.sweep.limit import step_of
from slipway.sweep.pack import pack, side_by_side, spread
from slipway.sweep.spec import SweepSpec

if TYPE_CHECKING:
    from slipway.scheduler.limits import ResourceRequest

# The lanes of one job, with elements by their numbers.
_Job = list[list[int]]
_NO_TIME = (
    "pack_minutes: how long elements take is not known; write resources.time in the sweep's file, above "
    "0, or --time to `invoke job --each`"
)


@dataclass(frozen=True, kw_only=True)
class SweepRequest:
    """A sweep that is to be submitted.

    Attributes:
        choice: profile and site.
        spec: its elements and arguments.
        resources: what the command line asks for, which goes before what the sweep's file does.
        notify: who is told of the end of each of its runs.
        again: elements that are done, or on their way, are run once more.
    """

    choice: Choice
    spec: SweepSpec
    resources: Resources
    notify: tuple[Target, ...] = ()
    again: bool = False

    def __post_init__(self) -> None:
        """Refuse what can be refused before anybody is asked."""
        if self.resources.array is not None:
            raise UsageError("--array and a sweep contradict each other: its elements are tasks of arrays")
        _ = list(array_requests(self, range(len(self.spec.elements)), None, None))


def array_requests(
    request: SweepRequest, numbers: Sequence[int], sweep_id: str | None, most: int | None
) -> Iterator[tuple[list[int], Request]]:
    """The request of each array, and which elements are its tasks, in order.

    Raises:
        UsageError: what is asked for contradicts itself.
        JobError: it would never start.
    """
    planned = _Arrays(request)
    jobs = planned.share(numbers)
    arrays = share([planned.describe(job) for job in jobs], most)
    if most is not None:
        sizes = [sum(map(len, job)) for job in jobs]
        arrays = [part for array in arrays for part in _parts(array, sizes, most)]
    throttle = request.spec.throttle and max(1, request.spec.throttle // len(arrays))
    for array in arrays:
        some = [jobs[place] for place in array]
        yield planned.request(some, throttle, sweep_id)


def _parts(array: Sequence[int], sizes: Sequence[int], most: int) -> Iterator[list[int]]:
    """Jobs in arrays of so many elements: what is tried again keeps its number, which SLURM has to take."""
    part: list[int] = []
    count = 0
    for job in array:
        if part and count + sizes[job] > most:
            yield part
            part, count = [], 0
        part.append(job)
        count += sizes[job]
    yield part


def describe_jobs(request: SweepRequest) -> list[str]:
    """A line for each job that elements share; none where none does."""
    lines = []
    for numbers, one in array_requests(request, range(len(request.spec.elements)), None, None):
        for lanes in one.bundles.jobs if one.bundles else ():
            shown = " | ".join(" + ".join(str(numbers[task]) for task in lane) for lane in lanes)
            lines.append(f"job  {shown}")
    return lines


class _Arrays:
    """The elements of a sweep, what each asks for and how long it may take."""

    def __init__(self, request: SweepRequest) -> None:
        self._request, self._spec = request, request.spec
        self._values = request.spec.elements
        self._args = request.spec.arguments(self._values)
        self._computed = request.spec.minutes(self._values)
        # No more side by side than may run at once.
        self._width = min(self._spec.per_node or 1, self._spec.throttle or self._spec.per_node or 1)
        self._is_shared = bool(self._spec.pack_minutes or self._width > 1)
        # How long each may take, also where that was not computed, as far as it matters.
        self._minutes: list[int | None] = [*self._computed]
        if self._is_shared:
            self._minutes = self._all_minutes()

    def _all_minutes(self) -> list[int | None]:
        """The time of each; there may be many elements, and few kinds of requests."""
        known: dict[str, int | None] = {}
        found = []
        for number, (values, computed) in enumerate(zip(self._values, self._computed, strict=True)):
            kind = repr((sorted(self._spec.asked(values).items()), computed))
            if kind not in known:
                known[kind] = _whole_minutes(self._wanted([number]))
            found.append(known[kind])
        return found

    def share(self, numbers: Sequence[int]) -> list[_Job]:
        """The jobs of these elements; those that begin with the longest come first."""
        # So that a sweep does not end with one that is still long.
        numbers = sorted(numbers, key=lambda number: -(self._minutes[number] or 0))
        if not self._is_shared:
            return [[[number]] for number in numbers]
        groups: dict[str, list[int]] = {}
        for number in numbers:
            groups.setdefault(self._group(number), []).append(number)
        jobs = [job for group in groups.values() for job in self._jobs(group)]
        return sorted(jobs, key=lambda job: -self._job_minutes(job))

    def _jobs(self, group: Sequence[int]) -> Iterator[_Job]:
        """The jobs of elements that ask for the same, but for their times."""
        minutes = [one for one in (self._minutes[number] for number in group) if one is not None]
        lanes = [[place] for place in range(len(group))]
        if self._spec.pack_minutes:
            if len(minutes) < len(group):
                raise UsageError(_NO_TIME)
            most = min(self._spec.pack_minutes, self._most_minutes(group[0]))
            lanes = pack(minutes, max(1, int(most)))
            if missing := -len(lanes) % self._width:
                lanes = spread(lanes, minutes, min(len(lanes) + missing, len(group)))
        for job in side_by_side(lanes, minutes, self._width):
            yield [[group[place] for place in lane] for lane in job]

    def _group(self, number: int) -> str:
        """Those for which this is equal may share a job."""
        asked = self._spec.asked(self._values[number])
        # Without a time for each, only those share one that ask for the same time.
        time = None if self._minutes[number] is not None else asked.get("time")
        return repr(sorted((asked | {"time": str(time)}).items()))

    def _most_minutes(self, number: int) -> float:
        """How long a job may be where the site's file says that of the partition that is named."""
        each = self._wanted([number])
        queues = self._request.choice.site.queues
        limits = [queues[name].max_time for name in each.partitions if name in queues]
        return max((parse_minutes(limit) if limit else math.inf for limit in limits), default=math.inf)

    def _job_minutes(self, job: _Job) -> int:
        return max(sum(self._minutes[number] or 0 for number in lane) for lane in job)

    def describe(self, job: _Job) -> dict[str, str]:
        """Jobs of which this is equal can share an array."""
        first = job[0][0]
        asked = self._spec.asked(self._values[first])
        # All of an array ask for what the longest needs.
        time = self._job_minutes(job) if self._is_shared else self._computed[first]
        return asked | ({"time": f"step {step_of(time)}"} if time else {})

    def request(
        self, jobs: Sequence[_Job], throttle: int | None, sweep_id: str | None
    ) -> tuple[list[int], Request]:
        """The request of an array of these jobs, and its elements."""
        some = [number for job in jobs for lane in job for number in lane]
        wanted = self._resources(some)
        wanted = wanted.model_copy(update={"array": array_of(len(some), throttle)})
        elements = tuple(
            Element(
                values=self._values[number],
                args=self._args[number],
                files=self._spec.element_files(self._values[number]),
            )
            for number in some
        )
        bundles = self._bundles(jobs)
        try:
            one = make_request(
                self._request.choice,
                self._spec.args,
                wanted,
                name=self._spec.name,
                notify=self._request.notify,
            )
            return some, replace(one, elements=elements, bundles=bundles, sweep=sweep_id)
        except SlipwayError as error:
            if not any(self._computed[number] for number in some):
                raise
            longest = max(some, key=lambda number: self._minutes[number] or 0)
            shown = describe_values(self._values[longest])
            raise type(error)(f"the longest element, {shown}: {error}") from error

    def _bundles(self, jobs: Sequence[_Job]) -> Bundles | None:
        """Which tasks of an array share jobs; ``None`` where each has its own."""
        if all(len(job) == 1 and len(job[0]) == 1 for job in jobs):
            return None
        numbers = [number for job in jobs for lane in job for number in lane]
        tasks = iter(range(len(numbers)))
        lanes = tuple(tuple(tuple(next(tasks) for _ in lane) for lane in job) for job in jobs)
        known = {task: self._minutes[number] for task, number in enumerate(numbers)}
        minutes = {task: time for task, time in known.items() if time is not None}
        return Bundles(jobs=lanes, minutes=minutes if len(minutes) == len(numbers) else {})

    def _resources(self, some: Sequence[int]) -> Resources:
        """What each of these asks for: all the same, and the time of the longest."""
        asked = self._spec.asked(self._values[some[0]])
        needed = max((self._computed[number] or 0 for number in some), default=0)
        if not needed and self._is_shared:
            needed = max((self._minutes[number] or 0 for number in some), default=0)
        return self._request.resources.over(_parse(asked | ({"time": str(needed)} if needed else {})))

    def _wanted(self, some: Sequence[int]) -> ResourceRequest:
        choice = self._request.choice
        return resource_request(choice.profile, choice.site, self._resources(some))


def _whole_minutes(wanted: ResourceRequest) -> int | None:
    """The time that is asked for, rounded up; ``None`` where there is none."""
    time = wanted.resources.time
    found = parse_minutes(time) if time else math.inf
    return None if math.isinf(found) else math.ceil(found)


def _parse(asked: Mapping[str, str]) -> Resources:
    options = asked.get("sbatch")
    words: dict[str, str | None] = {key: value for key, value in asked.items() if key != "sbatch"}
    return parse_resources(words, [options] if options else ())
