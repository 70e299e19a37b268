"""Why tries failed, read once of each."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePosixPath

from slipway.host.host import Host
from slipway.job.log_ends import read_log_ends
from slipway.job.run import RunPaths
from slipway.monitor.decide import count_bad_nodes
from slipway.monitor.failure import END_BYTES, classify
from slipway.monitor.rule import Failure
from slipway.steps.monitored import Where
from slipway.steps.newest_tries import NewestTries

# SLURM may begin such a run again by itself, some seconds after it has called it over.
_MAY_RETURN = (Failure.PREEMPTED, Failure.NODE_FAILURE)


@dataclass(kw_only=True)
class FailedTries:
    """Those of the tries that failed, and why.

    Args:
        newest: all tries.
    """

    newest: NewestTries
    _known: dict[Where, tuple[Failure, str]] = field(default_factory=dict)
    # Which of those that may begin again by themselves were seen before.
    _seen: set[Where] = field(default_factory=set)

    @property
    def doubtful(self) -> list[Where]:
        """Those that SLURM may begin again by itself."""
        return [where for where, (failure, _) in self._known.items() if failure in _MAY_RETURN]

    def read(self, host: Host) -> None:
        """Read why tries failed, of which that is not known yet.

        Raises:
            SshError: the connection was lost.
        """
        newest = self.newest
        self._known = {where: known for where, known in self._known.items() if newest.has_failed(where)}
        self._seen &= set(self._known)
        new = [where for where in newest.tries if where not in self._known and newest.has_failed(where)]
        folders = {where: self._folder(where) for where in new if where[0] in newest.runs}
        ends = read_log_ends(host, list(folders.values()), END_BYTES) if folders else {}
        for where in new:
            status = newest.status(where)
            end = ends.get(folders[where], "") if where in folders else ""
            failure = classify(status, end) if status else Failure.UNKNOWN
            self._known[where] = (failure or Failure.UNKNOWN, end)

    def why(self, where: Where) -> tuple[Failure, str]:
        """Why a try failed, and the last that it printed."""
        return self._known[where]

    def may_return(self, where: Where) -> bool:
        """True the first time that a try is asked for which SLURM may begin again by itself."""
        is_first = self._known[where][0] in _MAY_RETURN and where not in self._seen
        self._seen.add(where)
        return is_first

    def bad_nodes(self) -> dict[str, int]:
        """On which nodes how many have failed in a way that may be the node's fault."""
        failed = ((failure, self.newest.status(where)) for where, (failure, _) in self._known.items())
        return count_bad_nodes((failure, status.node if status else None) for failure, status in failed)

    def _folder(self, where: Where) -> PurePosixPath:
        return RunPaths(PurePosixPath(self.newest.runs[where[0]].run_dir)).of_task(where[1]).folder
