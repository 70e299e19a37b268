"""Results: what a run left on the cluster, brought home."""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from slipway.errors import HostError, IncompleteError
from slipway.host.host import Host
from slipway.job.output import Output, read_output
from slipway.job.record import format_run
from slipway.job.run import Run, RunPaths
from slipway.job.tail import last_attempt
from slipway.progress import Progress, Transfer
from slipway.skipped import list_skipped
from slipway.transfer.choice import choose_carrier


@dataclass(frozen=True, kw_only=True)
class Results:
    """What was brought of a run.

    Attributes:
        home: the run's folder here.
        out: the last attempt's output in it; ``None`` where no attempt has begun.
        shown: the name that ``out`` has for a person: the link to it, where that could be made.
        transfer: what was copied, and what was not.
    """

    home: Path
    out: Path | None
    shown: Path | None
    transfer: Transfer

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
        if self.transfer.skipped:
            count = len(self.transfer.skipped)
            what = "1 file or folder" if count == 1 else f"{count:,} files or folders"
            raise IncompleteError(
                f"{what} of {self.home.name} could not be brought; the rest is here:\n"
                f"{list_skipped(self.transfer.skipped)}\n"
                "Where you may not read them, `chmod -R u+rX` on the cluster helps; then pull again, which "
                "brings only what is missing"
            )


def pull(host: Host, run: Run, folder: Path, progress: Progress) -> Results:
    """Bring a run's folder home; called again, it brings what is new.

    The folder looks as on the cluster, and ``out`` and ``log`` in it point to those of the last attempt.
    What cannot be brought is in the answer's ``transfer.skipped``; all else comes.

    Args:
        host: the connection to the run's site.
        run: the run.
        folder: where results are kept: the run's get a folder of its id in there.
        progress: is told what is copied.

    Raises:
        HostError: the folder cannot be made.
        RemoteError: nothing could be brought.
    """
    paths = RunPaths(PurePosixPath(run.run_dir))
    home = folder / run.run_id
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HostError(
            f"{home} cannot be made: {error.strerror}; set SLIPWAY_RESULTS to another folder"
        ) from error
    progress.step(f"Bringing {run.run_id} home")
    # What the program was given may be secret; the record that is written here has the arguments. The claim
    # is a link that leads nowhere, and of no use here.
    without = [paths.argv.name, paths.environment.name, paths.record.name, paths.claim.name, "*.part"]
    carrier = choose_carrier(host, progress)
    transfer = carrier.fetch_tree(paths.folder, home, without=without, on_progress=progress.transfer)
    attempt = last_attempt(host, paths)
    out = shown = None
    if attempt:
        out = home / f"attempt-{attempt}" / "out"
        shown = home / "out" if _point(home / "out", f"attempt-{attempt}/out", progress) else out
        _point(home / "log", f"attempt-{attempt}/log", progress)
    _write(home / "run.json", format_run(run))
    return Results(home=home, out=out, shown=shown, transfer=transfer)


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


def _write(path: Path, text: str) -> None:
    """Write a file in one step, in the place of a link that has its name, too."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(path)
    except OSError as error:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise HostError(f"{path} cannot be written: {error.strerror}") from error
