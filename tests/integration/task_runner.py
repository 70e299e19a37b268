"""How the integration tests use Slipway: its tasks, as a user would."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.campaign import LONG
from tests.forked import RUN_S, SharedTasks
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parents[2]
INVOKE = [sys.executable, "-m", "invoke"]
# What the demo works on: its own room with ./run test --long, else a smaller one.
FRAMES = 40 if LONG else 20
# For commands that end by themselves; conftest.py closes it.
SHARED_TASKS = SharedTasks()
SHARED = Path(os.environ.get("SLIPWAY_SHARED_DATA") or ROOT.parent / "shared" / "data")


@dataclass(frozen=True)
class TaskRunner:
    """Runs Slipway's tasks as a user would, on the box."""

    state: Path
    results: Path

    def invoke(
        self, *words: str, code: int = 0, timeout_s: float = PATIENCE_S
    ) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "SLIPWAY_STATE": str(self.state), "SLIPWAY_RESULTS": str(self.results)}
        if timeout_s <= RUN_S:
            done = SHARED_TASKS.run(words, cwd=ROOT, env=environment)
        else:
            done = subprocess.run(
                [*INVOKE, *words],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=timeout_s,
                check=False,
            )
        assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done

    def job(self, program: str, *args: str, options: tuple[str, ...] = (), code: int = 0) -> dict[str, Any]:
        """Run a program on the box to its end; returns what `status --json` says of it."""
        flags = ["--profile", "cpu", "--site", "box", "--wait", "--set", f"PROGRAM={program}", *options]
        self.invoke("job", *flags, "--", *args, code=code)
        return self.status()[0]

    def status(self, *words: str) -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = json.loads(self.invoke("status", "--json", *words).stdout)
        return listed

    def on_box(self, command: str) -> str:
        """Run a command on the login node with the plain ssh that the documentation shows."""
        config = str(self.state / "box" / "ssh_config")
        argv = ["ssh", "-F", config, "box", command]
        return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=PATIENCE_S).stdout
