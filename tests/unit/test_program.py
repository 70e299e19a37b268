"""The command `slipway`, and tasks of a user's own beside Slipway's."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from slipway.cli.common import refuse_job_options
from slipway.cli.program import GROUPS, make_program
from slipway.errors import UsageError
from slipway.project import Project, find_root
from slipway.share import share_folder
from slipway.text.command_name import as_typed

ROOT = Path(__file__).parents[2]
TASKS = """
from invoke import task

from slipway.tasks import slipway_tasks

ns = slipway_tasks(__file__)


@task
def hello(context):
    print("hello of mine")


ns.add_task(hello)
"""


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("SLIPWAY_STATE", None)
    argv = [sys.executable, "-m", *words]
    return subprocess.run(argv, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "my project"
    (folder / "env").mkdir(parents=True)
    (folder / "src" / "deep").mkdir(parents=True)
    (folder / "env" / ".env.base").write_text("IMAGE=mine\nDOCKERFILE=Dockerfile\n")
    (folder / "tasks.py").write_text(TASKS)
    return folder


def test_without_a_word_it_says_what_there_is(tmp_path: Path) -> None:
    done = run(tmp_path, "slipway")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Usage: slipway TASK")
    assert "Submit a job: slipway job" in done.stdout
    assert "invoke" not in done.stdout
    assert not list(tmp_path.iterdir())


def test_runs_of_the_demo_can_be_looked_at(tmp_path: Path) -> None:
    assert run(tmp_path, "slipway", "status").returncode == 64
    (tmp_path / ".slipway" / "runs").mkdir(parents=True)
    assert run(tmp_path, "slipway", "status").returncode == 0


def test_its_help_names_it(tmp_path: Path) -> None:
    shown = run(tmp_path, "slipway", "--help", "logs").stdout
    assert "slipway logs RUN" in shown
    assert "invoke" not in shown


def test_help_has_each_task_in_a_group_and_invokes_own_words_nowhere(tmp_path: Path) -> None:
    grouped = [name for names in GROUPS.values() for name in names]
    assert sorted(grouped) == sorted(make_program().namespace.task_names)
    shown = run(tmp_path, "slipway", "help").stdout
    assert shown == run(tmp_path, "slipway").stdout
    assert "\nJobs:\n  job " in shown
    for name in grouped:
        assert f"\n  {name} " in shown
    job = run(tmp_path, "slipway", "job", "--help").stdout
    assert (
        job
        == run(tmp_path, "slipway", "help", "job").stdout
        == run(tmp_path, "slipway", "--help", "job").stdout
    )
    assert job.startswith(
        "Usage: slipway job [--options] [-- PROGRAM ARGUMENTS]\n\nSubmit a job: slipway job "
    )
    assert "core-opts" not in job
    assert "Docstring" not in job
    assert run(tmp_path, "slipway", "help", "stage").stdout.startswith(
        "Usage: slipway stage PATH [--options]\n"
    )
    assert run(tmp_path, "slipway", "help", "logs").stdout.startswith(
        "Usage: slipway logs [RUN] [--options]\n"
    )


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("help jbo", "Did you mean job? `slipway --list` shows the tasks"),
        ("run", "Did you mean job? `slipway --list` shows the tasks"),
        ("box", "Did you mean box.down or box.up? `slipway --list` shows the tasks"),
        ("fly", "`slipway --list` shows the tasks"),
        (
            "job --gpus 1 python train.py --lr 1",
            (
                "`slipway --help job` lists its options; what is for the program stands behind `--`: "
                "`slipway job --gpus 1 -- python train.py --lr 1`"
            ),
        ),
    ],
)
def test_a_word_that_is_no_task_is_told_with_what_may_have_been_meant(
    tmp_path: Path, typed: str, hint: str
) -> None:
    done = run(tmp_path, "slipway", *typed.split())
    assert done.returncode == 64
    assert done.stdout == ""
    assert done.stderr.startswith("error: No idea what ")
    assert done.stderr.partition("is! ")[2] == f"{hint}\n"


@pytest.mark.parametrize(
    ("typed", "task", "line"),
    [
        ("job train --lr 1", "train", "job -- train --lr 1"),
        ("job --mem 4G --wait infer", "infer", "job --mem 4G --wait -- infer"),
    ],
)
def test_a_short_form_behind_job_is_no_second_task(tmp_path: Path, typed: str, task: str, line: str) -> None:
    done = run(tmp_path, "slipway", *typed.split())
    assert done.returncode == 64
    assert done.stderr == (
        f"error: '{task}' behind job is a task of its own, and no word of job's program (the payload's is "
        f"--task {task}). `slipway --help job` lists its options; what is for the program stands behind "
        f"`--`: `slipway {line}`\n"
    )


@pytest.mark.parametrize("typed", ["job --name train", "job --dry-run -- train", "train job", "train"])
def test_a_short_form_elsewhere_is_what_it_is(tmp_path: Path, typed: str) -> None:
    assert "behind job" not in run(tmp_path, "slipway", *typed.split()).stderr


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"time": "5", "account": None}, "--time is for a job; add --on SITE, or leave it out"),
        ({"time": "5", "account": "a"}, "--time, --account are for a job; add --on SITE, or leave them out"),
    ],
)
def test_options_of_a_job_where_there_is_none(wanted: dict[str, str | None], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        refuse_job_options(wanted, push=False, no_push=False)
    assert str(caught.value) == said


def test_the_help_shows_which_options_take_a_value(tmp_path: Path) -> None:
    lines = run(tmp_path, "slipway", "--help", "status").stdout.splitlines()
    options = [line.split()[0] for line in lines if line.startswith("  --")]
    assert {"--run=STRING", "--state=STRING", "--site=STRING", "--json", "--wide"} < {*options}


def test_what_a_task_cannot_do_without_is_named(tmp_path: Path) -> None:
    done = run(tmp_path, "slipway", "stage")
    assert done.returncode == 64
    assert done.stderr == (
        "error: stage needs PATH: `slipway stage PATH`. `slipway --help stage` lists its options\n"
    )
    # Nothing was typed that could stand behind `--`.
    done = run(tmp_path, "slipway", "ssh.run")
    assert done.stderr.endswith("lists its options; what is for the program stands behind `--`\n")


def test_a_folder_that_is_no_project_says_how_it_becomes_one(tmp_path: Path) -> None:
    done = run(tmp_path, "slipway", "status")
    assert done.returncode == 64
    assert done.stderr == (
        f"error: neither {tmp_path} nor a folder above it is a project: there is no env/.env.base. "
        "`slipway init` makes this folder one\n"
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("where", [".", "src/deep"])
def test_the_project_is_found_from_any_folder_in_it(project: Path, where: str) -> None:
    done = run(project / where, "slipway", "job", "--site", "nowhere", "--", "x")
    assert done.returncode == 64
    assert f"there is no site 'nowhere': {project}/cluster has none; with Slipway come box, " in done.stderr
    assert "`slipway site.add nowhere`" in done.stderr


@pytest.mark.parametrize("where", [".", "src/deep"])
def test_tasks_of_ones_own_stand_beside_slipways(project: Path, where: str) -> None:
    assert run(project / where, "invoke", "hello").stdout == "hello of mine\n"
    done = run(project / where, "invoke", "status")
    assert (done.returncode, done.stdout) == (0, "There are no runs yet; `invoke job -- …` starts one.\n")


def test_the_nearest_project_counts(project: Path) -> None:
    inner = project / "src" / "env"
    inner.mkdir()
    (inner / ".env.base").touch()
    assert find_root(project / "src" / "deep") == project / "src"
    assert find_root(project / "env") == project
    assert find_root(Path("/")) is None


def test_a_project_has_runs_of_its_own_and_the_files_of_slipway(project: Path) -> None:
    found = Project.find(project)
    assert (found.state, found.results) == (project / ".slipway", project / "results")
    assert found.share == share_folder() == ROOT
    assert found.sites == (project / "cluster", ROOT / "cluster")
    assert Project.find(ROOT).sites == (ROOT / "cluster",)


def test_commands_in_messages_are_those_that_one_types(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "`invoke push` sends it; invoke and `invoke.yaml` are words"
    monkeypatch.setattr(sys, "argv", ["/opt/bin/invoke", "job"])
    assert as_typed(text) == text
    for program in ("/opt/bin/slipway", r"slipway.exe", "/lib/slipway/__main__.py"):
        monkeypatch.setattr(sys, "argv", [program, "job"])
        assert as_typed(text) == "`slipway push` sends it; invoke and `invoke.yaml` are words"
    assert as_typed("Show it: invoke logs RUN, or invoke --list.", "slipway") == (
        "Show it: slipway logs RUN, or slipway --list."
    )


def test_a_folder_above_that_nobody_may_look_into_is_no_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may look anywhere, so the refusal is made here."""
    refused, stat = tmp_path / "env" / ".env.base", os.stat

    def refuse(path: str | os.PathLike[str], **rest: bool) -> os.stat_result:
        if os.fspath(path) == str(refused):
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, **rest)

    (tmp_path / "deep").mkdir()
    monkeypatch.setattr(os, "stat", refuse)
    assert find_root(tmp_path / "deep") is None


def test_a_folder_that_was_removed_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    program = f"cd {shlex.quote(str(folder))} && rmdir ../gone && exec {sys.executable} -m slipway status"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1"}
    done = subprocess.run(["sh", "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 66
    assert done.stderr == "error: the folder that you are in was removed; go to another one\n"


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_inputs_and_outputs_are_no_mistake(project: Path, closed: str) -> None:
    program = f"exec {sys.executable} -m slipway status {closed}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["sh", "-c", program], cwd=project, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", ["docker.py", "docker/__init__.py"])
def test_a_module_of_the_users_that_hides_docker_py_is_named(project: Path, name: str) -> None:
    module = project / name
    module.parent.mkdir(exist_ok=True)
    module.touch()
    (project / "Dockerfile").write_text("FROM scratch\n")
    done = run(project, "invoke", "build")
    assert done.returncode == 66
    assert f"{module} hides docker-py, which Slipway needs" in done.stderr
