"""What a command loads before it does anything, and what of it is kept for the next one."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bench.status import make_project, make_run
from slipway.job.record import format_run
from slipway.job.run import Run, Status
from slipway.job.store import RunStore
from slipway.scheduler.base import State
from slipway.sweep.record import Place, Sweep, SweepElement, SweepStore

ROOT = Path(__file__).parents[2]
HEAVY = {"docker", "paramiko", "pydantic", "pydantic_core", "requests", "spython"}
# It runs a task as `invoke` does, and says then what is loaded.
LOADED = """
import sys
from invoke.main import program
program.run(["invoke", *sys.argv[1:]], exit=False)
print(*sys.modules, sep="\\n", file=sys.stderr)
"""


def start(project: Path, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    # No login of this user's is found.
    runtime = project / "runtime"
    runtime.mkdir(mode=0o700, exist_ok=True)
    environment = {**kept, "PYTHONPATH": str(ROOT), "XDG_RUNTIME_DIR": str(runtime), **settings}
    environment.pop("SLIPWAY_STATE", None)
    argv = [sys.executable, *words]
    return subprocess.run(argv, cwd=project, env=environment, capture_output=True, text=True, check=True)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_project(tmp_path / "project", 3)


def loaded(project: Path, *words: str) -> tuple[str, set[str]]:
    done = start(project, "-c", LOADED, *words)
    return done.stdout, set(done.stderr.split())


def test_the_list_of_tasks_loads_no_more_of_slipway_than_the_tasks(project: Path) -> None:
    printed, modules = loaded(project, "--list")
    assert "  status " in printed
    assert modules & (HEAVY | {"rich", "filelock", "dotenv"}) == set()
    parts = {name.split(".")[1] for name in modules if name.startswith("slipway.")}
    known = {"bytecode", "cli", "completion", "dataclass", "errors", "tasks", "terminal", "text", "tilde"}
    assert parts <= known


@pytest.fixture
def sweep(project: Path) -> Run:
    """A sweep of three tasks at a site that is this machine, with stand-ins for SLURM's programs."""
    run = replace(
        make_run(7),
        run_dir=str(project / "scratch" / make_run(7).run_id),
        status=Status(state=State.PENDING),
        task_indices=(0, 1, 2),
        elements={task: {"seed": str(task)} for task in range(3)},
        sweep="many",
    )
    (project / ".slipway" / "runs" / f"{run.run_id}.json").write_text(format_run(run, local=True))
    places = [Place(run_id=run.run_id, task=task) for task in run.task_indices]
    SweepStore(project / ".slipway" / "sweeps").save(
        Sweep(
            sweep_id="many",
            name=None,
            profile="base",
            site="hpc",
            submitted=run.submitted.isoformat(),
            args=(),
            elements=tuple(SweepElement(values={"seed": "0"}, identity="0", place=place) for place in places),
        )
    )
    (project / "cluster" / "hpc.yaml").write_text(
        f"login: {{host: this-machine}}\nscheduler: slurm\npaths: {{scratch: {project / 'scratch'}}}\n"
    )
    home = project / "home"
    home.mkdir()
    (home / ".bash_profile").write_text(f"PATH={home}:$PATH\n")
    queue = f"slipway|{run.job_id}_2|{run.run_id}|RUNNING|0:30|10:00|1000|node1|None"
    ended = "|0:0|60|00:10:00|1000|1060|node1"
    rows = [f"{run.job_id}_{task}|{run.run_id}|COMPLETED{ended}" for task in (0, 1)]
    says = {"squeue": f"slipway|JOBID|NAME|STATE|TIME|TIME_LIMIT|START_TIME|NODELIST|REASON\n{queue}"}
    for program, text in {**says, "sacct": "\n".join(rows)}.items():
        (home / program).write_text(f"#!/bin/sh\necho {program} >>~/called\ncat <<'end'\n{text}\nend\n")
        (home / program).chmod(0o755)
    for task in (0, 1):
        attempt = Path(run.run_dir, f"task-{task}", "attempt-1")
        attempt.mkdir(parents=True)
        (attempt / "result.json").write_text(
            '{"exit_code": 0, "signal": null, "reason": "ok", "start": 1000, "end": 1060}'
        )
    return run


def test_status_of_a_sweep_asks_once_and_writes_what_has_changed(project: Path, sweep: Run) -> None:
    home, file = project / "home", project / ".slipway" / "runs" / f"{sweep.run_id}.json"
    words = ("status", "--sweep", "many", "--json")
    for _ in range(2):
        before = file.stat().st_ino
        done = start(project, "-m", "invoke", *words, HOME=str(home))
        assert json.loads(done.stdout)["counts"] == {"COMPLETED ok": 2, "RUNNING": 1}
        (home / "called").rename(home / "asked")
        assert (home / "asked").read_text().split() == ["squeue", "sacct"]
    assert file.stat().st_ino == before
    # The next look finds another ending.
    queue = (home / "squeue").read_text().replace("RUNNING", "COMPLETING")
    (home / "squeue").write_text(queue)
    start(project, "-m", "invoke", *words, HOME=str(home))
    (run,) = [one for one in RunStore(file.parent).select() if one.run_id == sweep.run_id]
    assert (file.stat().st_ino != before, run.task_statuses[2].state) == (True, State.COMPLETING)


def test_status_of_a_sweep_loads_neither_models_nor_submissions(project: Path, sweep: Run) -> None:
    done = start(project, "-c", LOADED, "status", "--sweep", "many", "--json", HOME=str(project / "home"))
    assert json.loads(done.stdout)["counts"] == {"COMPLETED ok": 2, "RUNNING": 1}
    modules = set(done.stderr.split())
    assert {"slipway.host.host", "slipway.scheduler.slurm.scheduler"} <= modules
    unneeded = ("job.submit", "steps.newest_tries", "keep.survey", "profile", "notify.send", "code.snapshot")
    assert modules & (HEAVY | {f"slipway.{name}" for name in unneeded}) == set()


def test_status_of_runs_that_are_over_loads_neither_models_nor_ssh(project: Path) -> None:
    printed, modules = loaded(project, "status")
    assert printed.count("COMPLETED") == 3
    assert modules & HEAVY == set()
    sites = {"slipway.site", "slipway.profile", "slipway.host.host", "slipway.ssh.target"}
    unneeded = {"slipway.image.engine", "slipway.scheduler.slurm.scheduler", "slipway.notify.send"}
    assert modules & (sites | unneeded | {"slipway.web", "slipway.job.output"}) == set()


def test_what_brings_results_home_loads_nothing_of_a_submission(project: Path) -> None:
    done = start(project, "-c", "import sys, slipway.steps.pull; print(*sys.modules)")
    modules = set(done.stdout.split())
    assert "slipway.job.fetch" in modules
    assert modules & {"slipway.job.submit", "slipway.code.snapshot", "slipway.keep.copy"} == set()


@pytest.mark.parametrize("command", ["invoke", "slipway"])
def test_what_python_compiles_is_kept(project: Path, tmp_path: Path, command: str) -> None:
    """Invoke switches that off, and all of Slipway would be compiled at each command."""
    kept = tmp_path / "kept"
    start(project, "-m", command, "status", PYTHONPYCACHEPREFIX=str(kept))
    tag = sys.implementation.cache_tag
    folder = kept / ROOT.relative_to("/") / "slipway"
    for module in ("cli/status", "steps/status", "terminal/view", "job/record"):
        assert (folder / f"{module}.{tag}.pyc").is_file()


def test_nothing_is_kept_where_python_is_told_so(project: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    start(project, "-m", "invoke", "status", PYTHONPYCACHEPREFIX=str(kept), PYTHONDONTWRITEBYTECODE="1")
    assert not kept.exists()


def test_a_profile_and_a_site_without_a_mistake_load_no_models(project: Path) -> None:
    """Nor does a job, until its container's image is looked for, or somebody has to log in."""
    printed, modules = loaded(project, "job", "--dry-run", "--profile", "cpu", "--site", "box", "--", "true")
    assert "#SBATCH" in printed
    assert {"slipway.profile", "slipway.site", "slipway.scheduler.slurm.scheduler"} <= modules
    assert modules & HEAVY == set()
