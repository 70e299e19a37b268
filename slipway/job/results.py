"""Results: what a run left on the cluster, brought home."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from slipway.errors import HostError, IncompleteError, UsageError
from slipway.host.host import Host
from slipway.job.fetch import Fetched, Fetcher
from slipway.job.home import Arrived, Home, forget_home, is_here, now, read_home, write_home
from slipway.job.last_attempt import describe_last
from slipway.job.output import Output, read_output
from slipway.job.record import format_run
from slipway.job.run import Run, RunPaths
from slipway.job.wanted import Wanted, newest_attempts
from slipway.progress import Progress, Transfer
from slipway.sftp.listing import Listing
from slipway.skipped import Skipped, list_skipped
from slipway.whole_file import write_whole


class NothingWantedError(UsageError):
    """None of a run's files is one of those that are wanted."""


@dataclass(frozen=True, kw_only=True)
class Results:
    """What was brought of a run.

    Attributes:
        home: the run's folder here.
        out: the output of the attempt that is shown, the last one where that came; ``None`` where there is
            none.
        shown: the name that ``out`` has for a person: the link to it, where that could be made.
        transfer: what was copied, and what was not.
        mark: what is home by now.
        is_part: only some of it was wanted.
        different: files that are not as they are there, after a second try.
        attempts: where there are several, how each ended, and which is ``out``; a line for each task.
        lost: True where files are gone on the cluster that were not home before.
    """

    home: Path
    out: Path | None
    shown: Path | None
    transfer: Transfer
    mark: Home
    is_part: bool = False
    different: Sequence[Skipped] = ()
    attempts: Sequence[str] = ()
    lost: bool = False

    @property
    def output(self) -> Output:
        """What there is to show of the last attempt's output."""
        if self.out is None:
            return Output(figures={}, listing=[], notes=[])
        return read_output(self.out, self.shown)

    def check(self) -> None:
        """Say what could not be brought, once all else is shown.

        Raises:
            IncompleteError: there is something.
        """
        said = "\n".join(filter(None, [self._say_skipped(), self._say_different(), self._say_lost()]))
        if said:
            raise IncompleteError(said)

    def _say_skipped(self) -> str:
        if not self.transfer.skipped:
            return ""
        return (
            f"{_count(self.transfer.skipped)} of {self.home.name} could not be brought; the rest is here:\n"
            f"{list_skipped(self.transfer.skipped)}\n"
            "Where you may not read them, `chmod -R u+rX` on the cluster helps; then pull again, which "
            "brings only what is missing"
        )

    def _say_different(self) -> str:
        if not self.different:
            return ""
        return (
            f"{_count(self.different)} of {self.home.name} came twice, and are still not as they are there:\n"
            f"{list_skipped(self.different)}\n"
            "Something writes to them there, or here; pull again when that is over"
        )

    def _say_lost(self) -> str:
        if not self.lost:
            return ""
        return (
            f"{self.home.name} is not whole on the cluster any more: its job.sh is gone, and with it results "
            "may have gone, as by the site's purge of old files; what was left there is here"
        )


def _count(names: Sequence[Skipped]) -> str:
    return "1 file or folder" if len(names) == 1 else f"{len(names):,} files or folders"


def pull(
    host: Host,
    run: Run,
    folder: Path,
    progress: Progress,
    wanted: Wanted | None = None,
    *,
    source: PurePosixPath | None = None,
) -> Results:
    """Bring a run's folder home; called again, it brings what is new.

    The folder looks as on the cluster, and ``out`` and ``log`` in it point to those of the last attempt.
    What cannot be brought is in the answer's ``transfer.skipped``; all else comes. Of a run that is over, all
    files are compared with those there, by their hashes; one that differs is brought once more. What is there
    as it was when it last was the same is compared with what was noted then.

    Args:
        host: the connection to the run's site.
        run: the run.
        folder: where results are kept: the run's get a folder of its id in there.
        progress: is told what is copied.
        wanted: which files; all where it is left out.
        source: where the run's folder is by now; where it was made, if it is left out.

    Raises:
        HostError: the folder cannot be made.
        NothingWantedError: none of its files is wanted.
        RemoteError: nothing could be brought.
    """
    wanted = wanted or Wanted()
    home = folder / run.run_id
    progress.step(f"Bringing {run.shown} home")
    source = source or PurePosixPath(run.run_dir)
    fetcher = Fetcher(host=host, source=source, home=home, progress=progress)
    there = fetcher.look()
    _make(home)
    newest = newest_attempts(there)
    names = None if wanted.is_all else _choose(run, wanted, there)
    before = read_home(folder, run)
    forget_home(home)
    known = before.files if before else None
    fetched = fetcher.bring(there, names, compare_all=run.status.state.is_over, known=known)
    out, shown = _point_to_last(home, newest, wanted, progress)
    write_whole(home / "run.json", format_run(run))
    is_lost = _is_lost(run, there, before)
    mark = _mark(home, run, fetched, before, is_all=wanted.is_all and not is_lost)
    write_home(mark)
    return Results(
        home=home,
        out=out,
        shown=shown,
        transfer=fetched.transfer,
        mark=mark,
        is_part=not wanted.is_all,
        different=fetched.different,
        attempts=describe_last(home, newest),
        lost=is_lost and wanted.is_all,
    )


def _is_lost(run: Run, there: Listing, before: Home | None) -> bool:
    """True where files are gone that nobody has brought: a purge takes the oldest first, the script."""
    is_home = before is not None and before.is_complete
    return run.status.state.is_over and RunPaths(PurePosixPath()).script.name not in there and not is_home


def _mark(home: Path, run: Run, fetched: Fetched, before: Home | None, *, is_all: bool) -> Home:
    """What is home by now; it is added to what was there before, which may be gone on the cluster."""
    is_whole = run.status.state.is_over and not fetched.transfer.skipped and not fetched.different
    return Home(
        folder=home,
        is_complete=is_whole and (is_all or (before is not None and before.is_complete)),
        brought=now(),
        files={**_still_here(home, before, is_all=is_all), **fetched.arrived},
    )


def _still_here(home: Path, before: Home | None, *, is_all: bool) -> Mapping[str, Arrived]:
    """What came before. Of a run that was not over then, files may have gone here and there for good."""
    if before is None or before.is_complete or not is_all:
        return before.files if before else {}
    return {name: one for name, one in before.files.items() if is_here(home / name, one)}


def _make(home: Path) -> None:
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HostError(
            f"{home} cannot be made: {error.strerror}; "
            "name another folder by --into, or for good by SLIPWAY_RESULTS"
        ) from error


def _choose(run: Run, wanted: Wanted, there: Listing) -> list[str]:
    names = wanted.choose(there)
    if not any(not there[name].is_folder for name in names):
        has = sorted(set(newest_attempts(there).values()))
        which = f"its newest attempt is {has[-1]}" if has else "it has no attempts"
        what = " ".join(f"--only {pattern!r}" for pattern in wanted.only) or f"--attempt {wanted.attempt}"
        raise NothingWantedError(f"{run.run_id} has no file of {what}; {which}")
    return names


def _point_to_last(
    home: Path, newest: Mapping[int | None, int], wanted: Wanted, progress: Progress
) -> tuple[Path | None, Path | None]:
    """Have ``out`` and ``log`` lead to the last attempt, of each task in the task's folder.

    Returns:
        The output to be shown, and its name for a person.
    """
    for task, attempt in newest.items():
        place = home if task is None else home / f"task-{task}"
        for name in ("out", "log"):
            if (place / f"attempt-{attempt}").is_dir():
                _point(place / name, f"attempt-{attempt}/{name}", progress)
    if None not in newest:
        return None, None
    last = newest[None]
    if isinstance(wanted.attempt, int) and wanted.attempt != last:
        out = home / f"attempt-{wanted.attempt}" / "out"
        return out, out
    out = home / f"attempt-{last}" / "out"
    return out, home / "out" if (home / "out").is_symlink() else out


def _point(link: Path, target: str, progress: Progress) -> bool:
    """Make a link, or switch it, in one step; where that is impossible a note says so."""
    fresh = link.with_name(f".{link.name}.{secrets.token_hex(4)}")
    try:
        fresh.symlink_to(target)
        fresh.replace(link)
    except OSError as error:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)
        progress.note(f"{link} cannot be a link to {target} ({error.strerror}); look there")
        return False
    return True
