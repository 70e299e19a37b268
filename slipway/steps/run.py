"""Steps that look at runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from slipway.errors import SlipwayError, SshError, TransferOnlyError, UsageError
from slipway.host.host import Host
from slipway.job.poll import poll
from slipway.job.run import Run, Status
from slipway.job.slurm import JobState
from slipway.job.submit import settle
from slipway.site import Site, load_site
from slipway.steps.core import Core


class RunSteps(Core):
    """Runs: found, and how they stand."""

    def find(self, prefix: str | None) -> tuple[Run, Site]:
        """A run by the beginning of its id, and its site."""
        run = self.store.find(prefix)
        try:
            return run, load_site(self.project.sites, run.site)
        except UsageError as error:
            raise UsageError(f"{run.run_id} is a run at {run.site}, but {error}") from error

    def keep(self, run: Run) -> Run:
        """Write down how a run stands."""
        self.store.save(run)
        return run

    def look(self, host: Host, runs: Sequence[Run]) -> list[Run]:
        """Runs of one site as they stand now, written down; what a killed command left open is decided."""
        looked = []
        for old, run in zip(runs, poll(host, runs), strict=True):
            left = old.job_id is None and not self.store.is_submitting(old)
            new = settle(host, run) if left and run.status.state is JobState.SUBMITTING else run
            # Where SLURM has refused it meanwhile, the command that was to submit it has removed it.
            looked.append(self.keep(new) if self.store.has(new) else new)
        return looked

    def stand(self, host: Host, run: Run) -> Run:
        """How a run stands; as it was last known, where the host only moves files."""
        try:
            return self.look(host, [run])[0]
        except TransferOnlyError:
            self.progress.note(f"how {run.run_id} stands is not known: this host runs no commands")
            return run

    def refresh(self, prefix: str | None, count: int) -> tuple[list[Run], SlipwayError | None]:
        """Runs as they stand now, the newest first, and why some could not be asked for, if that is so.

        Args:
            prefix: the beginning of one run's id; ``None`` for all runs.
            count: how many runs at most.
        """
        runs = [self.store.find(prefix)] if prefix else self.store.list()[:count]
        known = {run.run_id: run for run in runs}
        troubles: dict[str, SlipwayError] = {}
        alive = sorted((run for run in runs if not run.status.state.is_over), key=lambda run: run.site)
        for name, group in groupby(alive, key=lambda run: run.site):
            some = list(group)
            try:
                with self.host(load_site(self.project.sites, name)) as host:
                    new = self.look(host, some)
            except SlipwayError as error:
                troubles[name] = error
                unknown = Status(state=JobState.UNKNOWN, note=str(error))
                new = [replace(run, status=unknown) for run in some]
            known.update({run.run_id: run for run in new})
        return list(known.values()), _together(troubles)


def _together(troubles: Mapping[str, SlipwayError]) -> SlipwayError | None:
    """One error for all sites that have trouble; where it is one site, it keeps its exit code."""
    said = "\n".join(f"{site}: {error}" for site, error in troubles.items())
    if len(troubles) == 1:
        (error,) = troubles.values()
        return type(error)(said)
    return SshError(said) if troubles else None
