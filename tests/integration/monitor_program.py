"""Monitors a sweep in a process of its own, which a test may kill. Its argument is JSON: see ``main``."""

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

from slipway.monitor.rule import Rules
from slipway.monitor.spending import Budget
from slipway.progress import NullProgress
from slipway.project import Project
from slipway.site import Site
from slipway.steps.kept_hosts import KeptHostsSession
from slipway.steps.monitor import Monitor
from slipway.steps.monitor_loop import Told, keep_going
from slipway.steps.monitored import Look, find_targets


@dataclass(frozen=True, kw_only=True)
class OpenSession(KeptHostsSession):
    """A session for which the box has rules, and partitions that its file does not list."""

    rules: Rules = field(default_factory=Rules)

    def site(self, name: str) -> Site:
        """The site, with these rules."""
        return super().site(name).model_copy(update={"queues": {}, "monitor": self.rules})


def monitor(session: OpenSession, sweep: str, budget: Budget) -> tuple[Look, list[str]]:
    """Monitor a sweep to its end: how it stood then, and all that was decided, in order."""
    words: list[str] = []

    def on_look(look: Look, before: Look | None) -> None:
        for one in look.seen:
            if one.decision and one.decision.words not in words:
                words.append(one.decision.words)

    monitors = [
        Monitor(session=session, target=one, budget=budget) for one in find_targets(session, sweep, ())
    ]
    try:
        [look] = keep_going(session, monitors, Told(on_look, words.append), 1.0)
    finally:
        session.hosts.close()
    return look, words


def main(argument: str) -> None:
    """Monitor a sweep: ``state``, ``sweep``, ``tries``."""
    wanted = json.loads(argument)
    root, state = Path(__file__).parents[2], Path(wanted["state"])
    project = Project(root=root, state=state, results=state)
    session = OpenSession(project=project, progress=NullProgress())
    look, words = monitor(session, wanted["sweep"], Budget(most_tries=wanted["tries"]))
    print(json.dumps({"counts": look.counts, "words": words}))


if __name__ == "__main__":
    main(sys.argv[1])
