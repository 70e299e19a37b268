"""Runs, datasets and images copied to the home folder on a cluster, and brought back to scratch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from itertools import groupby
from pathlib import PurePosixPath

from slipway.errors import DataError, IncompleteError, JobError, SlipwayError, SshError
from slipway.host.host import Host
from slipway.host.scratch import Scratch, kept_folder
from slipway.job.run import Run
from slipway.keep.copy import Copied
from slipway.keep.kept import Keeper, sums_file
from slipway.progress import explain_stop
from slipway.site import Site
from slipway.steps.find import find_runs
from slipway.steps.purge import forget_purge
from slipway.steps.refresh import current, save
from slipway.steps.session import Session

_GOES_ON = "what was copied stays where it is; the same command goes on with it"


@dataclass(frozen=True, kw_only=True)
class Moved:
    """One thing that was copied: what a person calls it, where it lies now, and what was copied for that."""

    name: str
    path: PurePosixPath
    copied: Copied


OnMoved = Callable[[Moved], None]


@explain_stop(_GOES_ON)
def keep_runs(session: Session, words: Sequence[str], on_moved: OnMoved, *, back: bool = False) -> None:
    """Copy runs to the home folder of their sites, or ``back`` to scratch; one that fails stops no other.

    Args:
        session: the checkout's.
        words: what the runs are called; the newest without any.
        on_moved: is told of each that is done.
        back: bring them back.

    Raises:
        IncompleteError: some could not be copied; where it was one of one, its own error.
    """
    errors: list[tuple[str, SlipwayError]] = []
    runs = sorted(find_runs(session, words), key=lambda pair: pair[1].name)
    for _, group in groupby(runs, key=lambda pair: pair[1].name):
        some = [*group]
        with _keeper(session, some[0][1]) as keeper:
            for run, _ in some:
                try:
                    on_moved(_keep_run(session, keeper, run, back=back))
                except SshError:
                    raise
                except SlipwayError as error:
                    errors.append((run.run_id, error))
    if errors:
        if len(runs) == 1:
            raise errors[0][1]
        lines = "".join(f"\n  {name}: {error}" for name, error in errors)
        raise IncompleteError(f"{len(errors)} of {len(runs)} runs could not be copied:{lines}")


@explain_stop(_GOES_ON)
def keep_data(session: Session, site: Site, name: str, *, back: bool = False) -> Moved:
    """Copy a dataset to the home folder of a site, or ``back`` to scratch."""
    with (
        session.lock(f"stage-{site.name}-{name}", f"Waiting for another command on {name}"),
        _keeper(session, site) as keeper,
    ):
        path, copied = keeper.dataset(name, back=back)
        return Moved(name=name, path=_root(keeper, back=back) / path, copied=copied)


@explain_stop(_GOES_ON)
def keep_image(session: Session, site: Site, name: str, *, back: bool = False) -> Moved:
    """Copy an image to the home folder of a site, or ``back`` to scratch."""
    with _keeper(session, site) as keeper:
        file, copied = keeper.image(name, back=back)
        return Moved(name=file, path=_root(keeper, back=back) / "images" / file, copied=copied)


def where_it_lies(session: Session, host: Host, run: Run) -> PurePosixPath:
    """The folder of a run on the cluster: its copy in the home folder there, if it is kept as a whole.

    A purge may have taken some of its files from scratch, and nobody sees which.

    Raises:
        DataError: it was removed from scratch, and is not kept.
    """
    folder = PurePosixPath(run.run_dir)
    if run.kept and run.state.is_over:
        kept = PurePosixPath(run.kept)
        sums = sums_file(kept.parent.parent, f"runs-{run.run_id}")
        if host.size(sums) is not None and host.is_folder(kept):
            return kept
    if run.removed_s is not None and not host.is_folder(folder):
        when = datetime.fromtimestamp(run.removed_s, timezone.utc)
        home = session.project.results / run.run_id
        left = f"what was brought home is in {home}" if home.exists() else "nothing of it was brought home"
        raise DataError(
            f"the folder of {run.run_id} in scratch was removed on {when:%Y-%m-%d}, and it is not kept in "
            f"the home folder there; {left}"
        )
    return folder


def _keep_run(session: Session, keeper: Keeper, run: Run, *, back: bool) -> Moved:
    run = current(session, keeper.host, run)
    if not run.state.is_over:
        raise JobError(
            f"{run.run_id} is {run.state.value}, and its files still change; keep it when it is over"
        )
    folder = PurePosixPath(run.run_dir)
    is_only_kept = not back and where_it_lies(session, keeper.host, run) != folder
    if is_only_kept and not keeper.host.is_folder(folder):
        raise DataError(
            f"{run.run_id} does not lie in scratch any more, but is kept in {run.kept}; "
            f"`invoke restore {run.run_id}` brings it back"
        )
    copied = keeper.run(run, back=back)
    path = _root(keeper, back=back) / "runs" / run.run_id
    save(session, replace(run, removed_s=None) if back else replace(run, kept=str(path)))
    return Moved(name=run.run_id, path=path, copied=copied)


def _root(keeper: Keeper, *, back: bool) -> PurePosixPath:
    return keeper.scratch.root if back else keeper.kept


@contextmanager
def _keeper(session: Session, site: Site) -> Iterator[Keeper]:
    with (
        session.lock(f"keep-{site.name}", f"Waiting for another copy at {site.name}"),
        session.open_scratch(site) as (host, scratch),
    ):
        host.require_commands()
        yield _make_keeper(session, host, scratch, site)
        forget_purge(session, host, scratch, site)


def _make_keeper(session: Session, host: Host, scratch: Scratch, site: Site) -> Keeper:
    return Keeper(
        host=host,
        scratch=scratch,
        kept=kept_folder(host, site),
        script=(session.project.share / "cluster" / "keep.sh").read_text(encoding="utf-8"),
        client=session.client(site),
        progress=session.progress,
    )
