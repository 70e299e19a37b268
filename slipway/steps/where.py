"""Where a run's folder lies on its cluster."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import PurePosixPath

from slipway.errors import DataError
from slipway.host.host import Host
from slipway.job.run import Run
from slipway.steps.session import Session


def where_it_lies(session: Session, host: Host, run: Run) -> PurePosixPath:
    """The folder of a run on the cluster: its copy in the home folder there, if it is kept as a whole.

    A purge may have taken some of its files from scratch, and nobody sees which.

    Raises:
        DataError: it was removed from scratch, and is not kept.
    """
    folder = PurePosixPath(run.run_dir)
    if run.kept and run.state.is_over:
        from slipway.keep.kept import sums_file

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
