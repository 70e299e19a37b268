"""Several sequences on the workers of a Dask cluster, one at a time on each; the one module that knows Dask.

Results get the places that they have without Dask. A worker that sees the folders of data and results works
in them. To any other the sequence is sent, and the results come back. What a worker has when it dies is begun
again elsewhere, so many times at most.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent import futures
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from slam import parcel
from slam.batch import try_one
from slam.cpu import bind_threads
from slam.dataset.catalog import Staged
from slam.errors import CrashError, InputError, SlamError
from slam.progress import say

# By this variable `Client()` finds the cluster, and we know that there is one.
ADDRESS = "DASK_SCHEDULER_ADDRESS"
_TRIES = 3
_LOOK_S, _PAUSE_S = 1.0, 0.1
# So long results may be under way, which are on the worker until then.
_RESULT_S = 900
_CANCELLED = (asyncio.CancelledError, futures.CancelledError)
_CONNECT_S = 60
# So long it is waited for a worker where there is none.
_NONE_S = 300


class Movable(Protocol):
    """The work on one sequence, which can be done on another machine."""

    def __call__(self, folder: Path, out: Path) -> None:
        """Do it."""

    def at(self, root: Path, threads: int) -> Callable[[Path, Path], None]:
        """The same where data lie in ``root``, with at most so many threads."""


def is_asked(environment: Mapping[str, str]) -> bool:
    """Whether there is a cluster to be used."""
    return bool(environment.get(ADDRESS))


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where data and results are for the program, and a file by which a worker knows that it sees these."""

    root: Path
    out: Path
    token: str


def sees(place: Place, folder: Path, size_bytes: int) -> tuple[bool, bool]:
    """Whether a worker sees a sequence, and the folder for results; it is run there."""
    try:
        top = place.root / folder.relative_to(place.root).parts[0]
        has_data = parcel.size_of(parcel.files_of(folder, top)) == size_bytes
    except (OSError, SlamError):
        has_data = False
    return has_data, (place.out / place.token).is_file()


def do(
    work: Movable, place: Place, one: Staged, threads: int, content: bytes | None, *, in_place: bool
) -> tuple[SlamError | None, bytes | None]:
    """The work on one sequence; it is run on a worker.

    Args:
        work: what is to be done.
        place: the program's folders.
        one: the sequence, there.
        threads: of the worker.
        content: the sequence, where the worker does not see it.
        in_place: whether the worker sees the folder for results.

    Returns:
        Why it failed, and the results, unless they are in their place.
    """
    bind_threads(threads)
    folder = Path(tempfile.mkdtemp(prefix="slam-"))
    try:
        root = place.root if content is None else folder / "data"
        if content is not None:
            parcel.unpack(content, root)
        out = place.out / one.name if in_place else folder / "out"
        mine = Staged(name=one.name, folder=root / one.folder.relative_to(place.root))
        there = work.at(root, threads)
        error = try_one(mine, out, lambda its, to: there(its.folder, to))
        return error, None if in_place or not out.is_dir() else parcel.pack_results(out)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(kw_only=True)
class _Task:
    """One sequence that is being worked on."""

    one: Staged
    worker: str
    future: Any


@dataclass(kw_only=True)
class _Spread:
    """Sequences on their way through the workers of a cluster."""

    client: Any
    place: Place
    work: Movable
    waiting: list[Staged]
    count: int
    tasks: list[_Task] = field(default_factory=list)
    tries: dict[str, int] = field(default_factory=dict)
    seen: dict[tuple[str, str], tuple[bool, bool]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)

    def run(self) -> Iterator[tuple[Staged, SlamError | None]]:
        """Each sequence once it is done, with its error."""
        none_since: float | None = None
        try:
            while self.waiting or self.tasks:
                workers = self._workers()
                none_since = None if workers else none_since or time.monotonic()
                if none_since is not None and time.monotonic() - none_since > _NONE_S:
                    raise CrashError(f"Dask's cluster has had no worker for {_NONE_S} s")
                yield from self._settle_lost(workers)
                yield from self._begin(workers)
                yield from self._settle_done()
        finally:
            self.client.cancel([task.future for task in self.tasks])

    def _workers(self) -> dict[str, int]:
        """The threads of all workers that there are now, by their addresses."""
        found = self.client.scheduler_info(n_workers=-1)["workers"]
        self.names.update({address: str(one.get("name", address)) for address, one in found.items()})
        return {address: int(one["nthreads"]) for address, one in found.items()}

    def _begin(self, workers: Mapping[str, int]) -> Iterator[tuple[Staged, SlamError | None]]:
        """Give each worker that does nothing a sequence."""
        busy = {task.worker for task in self.tasks}
        for worker in [one for one in workers if one not in busy]:
            if not self.waiting:
                return
            one = self.waiting.pop(0)
            try:
                self._give(worker, one, workers[worker])
            except InputError as error:
                yield one, error
            except (OSError, TimeoutError, ValueError) as error:  # it has gone in this moment
                yield from self._again(one, worker, f"it was not reached ({error})")

    def _give(self, worker: str, one: Staged, threads: int) -> None:
        has_data, has_out = self._sees(worker, one)
        content: Any = None
        if not has_data:
            content = parcel.pack_sequence(one.folder, self.place.root)
            # To the worker itself, and not by way of the scheduler.
            content = self.client.scatter(content, workers=[worker], direct=True, hash=False)
        future = self.client.submit(
            do,
            self.work,
            self.place,
            one,
            threads,
            content,
            in_place=has_out,
            workers=[worker],
            pure=False,
        )
        say(f"[{self.count - len(self.waiting)}/{self.count}] {one.name} on {self.names[worker]}")
        self.tasks.append(_Task(one=one, worker=worker, future=future))

    def _sees(self, worker: str, one: Staged) -> tuple[bool, bool]:
        key = worker, one.name
        if key not in self.seen:
            top = self.place.root / one.folder.relative_to(self.place.root).parts[0]
            size_bytes = parcel.size_of(parcel.files_of(one.folder, top))
            answers = self.client.run(
                sees, self.place, one.folder, size_bytes, workers=[worker], on_error="return"
            )
            answer = answers.get(worker)
            self.seen[key] = answer if isinstance(answer, tuple) else (False, False)
        return self.seen[key]

    def _settle_lost(self, workers: Mapping[str, int]) -> Iterator[tuple[Staged, SlamError | None]]:
        """Take back what is with workers that have gone."""
        lost = [task for task in self.tasks if task.worker not in workers and not task.future.done()]
        for task in lost:
            self.client.cancel([task.future])
            self.tasks.remove(task)
            yield from self._again(task.one, task.worker, "its worker has gone")

    def _settle_done(self) -> Iterator[tuple[Staged, SlamError | None]]:
        # Dask's own `wait` raises where one of several was cancelled, as what has lost its data is.
        deadline = time.monotonic() + _LOOK_S
        while time.monotonic() < deadline and not any(task.future.done() for task in self.tasks):
            time.sleep(_PAUSE_S)
        for task in [task for task in self.tasks if task.future.done()]:
            yield from self._settle(task)

    def _settle(self, task: _Task) -> Iterator[tuple[Staged, SlamError | None]]:
        if task.future.status == "finished":
            self.tasks.remove(task)
            try:
                error, content = task.future.result(timeout=_RESULT_S)
            except (OSError, TimeoutError, *_CANCELLED):
                yield from self._again(task.one, task.worker, "its worker has gone with the results")
                return
            if content is not None:
                error = self._place(content, task.one) or error
            yield task.one, error
        elif _is_of_dask(task.future):
            self.tasks.remove(task)
            yield from self._again(task.one, task.worker, "its worker has died")
        else:
            why = task.future.exception()
            self.tasks.remove(task)
            yield task.one, CrashError(f"{type(why).__name__} on {self.names[task.worker]}: {why}")

    def _place(self, content: bytes, one: Staged) -> SlamError | None:
        try:
            parcel.unpack_results(content, self.place.out / one.name)
        except SlamError as error:
            return error
        return None

    def _again(self, one: Staged, worker: str, why: str) -> Iterator[tuple[Staged, SlamError | None]]:
        self.tries[one.name] = self.tries.get(one.name, 0) + 1
        say(f"lost       {one.name} on {self.names[worker]}: {why}")
        if self.tries[one.name] < _TRIES:
            self.waiting.insert(0, one)
        else:
            yield one, CrashError(f"{_TRIES} workers have died while they worked on it")


def _is_of_dask(future: Any) -> bool:
    """Whether Dask has given a task up, and not the task itself failed."""
    from distributed.scheduler import KilledWorker, NoValidWorkerError

    return future.status != "error" or isinstance(future.exception(), KilledWorker | NoValidWorkerError)


def spread(
    staged: Sequence[Staged], out: Path, work: Movable, root: Path, count: int
) -> Iterator[tuple[Staged, SlamError | None]]:
    """Do the work for each sequence on the cluster's workers.

    Args:
        staged: the sequences.
        out: the folder for results, each in a folder of its name there.
        work: what is done.
        root: the folder of datasets.
        count: how many there are with those that need not be done.

    Raises:
        CrashError: the cluster does not answer, or has no workers.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise CrashError(
            f"{ADDRESS} is set, and this image has no Dask: install distributed in it"
        ) from error
    place = Place(root=root, out=out, token=f".slam-dask-{secrets.token_hex(6)}")
    try:
        client = Client(os.environ[ADDRESS], timeout=_CONNECT_S)
    except (OSError, TimeoutError) as error:
        raise CrashError(f"Dask's scheduler {os.environ[ADDRESS]} does not answer: {error}") from error
    with client:
        (out / place.token).touch()
        try:
            yield from _Spread(client=client, place=place, work=work, waiting=[*staged], count=count).run()
        finally:
            (out / place.token).unlink(missing_ok=True)
