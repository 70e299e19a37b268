"""Runs on the box that are under way at once."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from slipway.job.run import Run, Status
from slipway.scheduler.base import State
from slipway.scheduler.slurm.resources import SlurmResources
from slipway.scheduler.slurm.site import SlurmSite
from slipway.steps.refresh import refresh
from tests.integration.small_image import SmallImageBox
from tests.waiting import wait_until


@dataclass
class Night:
    """Runs that are under way at once, by names of their own."""

    small: SmallImageBox
    runs: dict[str, Run] = field(default_factory=dict)

    def submit(
        self, name: str, script: str, *, site: SlurmSite | None = None, **wanted: str | int | tuple[str, ...]
    ) -> None:
        defaults = {"cpus": 1, "mem": "200M", "time": "10"}
        resources = SlurmResources(**{**defaults, **wanted})  # type: ignore[arg-type]
        # The box has partitions that the site's file does not list.
        site = (site or self.small.choice.site).model_copy(update={"queues": {}})
        with self.small.connect() as host:
            self.runs[name] = self.small.submit(host, "sh", "-c", script, wanted=resources, site=site)

    def look(self) -> None:
        """Ask how those stand that are not over, all at once."""
        alive = [name for name, run in self.runs.items() if not run.status.state.is_over]
        with self.small.connect() as host:
            looked = refresh(self.small.session, host, [self.runs[name] for name in alive])
        self.runs.update(zip(alive, looked, strict=True))

    def wait(self, done: Callable[[], bool], what: str) -> None:
        def asked() -> bool:
            if done():
                return True
            self.look()
            return False

        wait_until(asked, lambda: f"{what} of {self.runs}\n{self.small.as_root('squeue')}", pause_s=0.5)

    def wait_for(self, name: str, *states: State) -> Run:
        self.wait(lambda: self.runs[name].status.state in states, f"{name} {states}")
        return self.runs[name]

    def ended(self, name: str) -> Run:
        self.wait(lambda: self.runs[name].status.state.is_over, f"the end of {name}")
        return self.runs[name]

    def wait_for_word(self, name: str, word: str, attempt: int = 1) -> None:
        log = f"{self.runs[name].run_dir}/attempt-{attempt}/log"
        self.wait(lambda: word in self.small.on_box(f"cat {log} 2>/dev/null || true"), f"{word} of {name}")

    def is_over_or_hurried(self, name: str) -> bool:
        run = self.runs[name]
        if not run.status.state.is_over:
            self.small.hurry(str(run.job_id))
        return run.status.state.is_over

    def has_come_to_an_end(self, name: str) -> bool:
        """The same for one that SLURM may call preempted for a moment, before it begins it again."""
        run = self.runs[name]
        if run.status.state is State.PREEMPTED:
            # Else nobody would ask again.
            self.runs[name] = replace(run, status=Status(state=State.RUNNING))
            return False
        return self.is_over_or_hurried(name)

    def has_attempt(self, name: str, attempt: int) -> bool:
        """True where it has begun; a requeue that waits is hurried."""
        run = self.runs[name]
        self.small.hurry(str(run.job_id))
        return bool(self.small.on_box(f"ls -d {run.run_dir}/attempt-{attempt} 2>/dev/null || true"))

    def result(self, name: str, attempt: int = 1) -> dict[str, object]:
        found: dict[str, object] = json.loads(self.file(name, f"attempt-{attempt}/result.json"))
        return found

    def file(self, name: str, path: str) -> str:
        return self.small.on_box(f"cat {self.runs[name].run_dir}/{path}")

    def told(self, name: str, attempt: int = 1) -> tuple[object, ...]:
        """What the job script wrote."""
        result = self.result(name, attempt)
        return result["reason"], result["exit_code"], result["signal"]


def ending(run: Run) -> tuple[object, ...]:
    return *ending_of(run.status), run.status.wait_code


def ending_of(status: Status) -> tuple[object, ...]:
    return status.state.value, status.reason, status.exit_code
