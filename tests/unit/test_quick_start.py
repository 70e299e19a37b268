"""What a command loads before it does anything, and what of it is kept for the next one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.status import make_project

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


def test_status_of_runs_that_are_over_loads_neither_models_nor_ssh(project: Path) -> None:
    printed, modules = loaded(project, "status")
    assert printed.count("COMPLETED") == 3
    assert modules & HEAVY == set()
    sites = {"slipway.site", "slipway.profile", "slipway.host.host", "slipway.ssh.target"}
    assert modules & (sites | {"slipway.image.engine", "slipway.scheduler.slurm.scheduler"}) == set()


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
