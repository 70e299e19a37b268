"""What a shell's script gets when it asks: the whole answer or nothing, whatever lies in the project."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.waiting import PATIENCE_S

Ask = Callable[..., str]

TASKS = """
from invoke import task
from slipway.tasks import slipway_tasks

@task
def mine(context, name, fast=True):
    "A task of one's own. It does much."

ns = slipway_tasks(__file__)
ns.add_task(mine)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project that has been used before."""
    for name in ("env", "cluster", ".slipway/runs", "deep/er"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "env" / ".env.base").write_text("SITE=hpc\n")
    (tmp_path / "cluster" / "hpc.yaml").write_text("queues: {gpu: {}}\n")
    (tmp_path / "tasks.py").write_text(TASKS)
    return tmp_path


@pytest.fixture
def ask(project: Path) -> Ask:
    """Ask as fish's script does; all that is said, on both outputs."""

    def call(*words: str, folder: str = ".", python: tuple[str, ...] = ("-m", "slipway")) -> str:
        done = subprocess.run(
            [sys.executable, *python, "__complete", "fish", *words],
            cwd=project / folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0
        return done.stdout

    return call


def test_candidates_come_with_their_help(ask: Ask) -> None:
    assert ask("slipway", "job", "--se") == "words \n--set\tKEY=VALUE over the profile\n"
    assert ask("slipway", "job", "--profile=dev") == "words --profile=\n--profile=devel\t\n"
    assert ask("slipway", "job", "--set=SI") == "nospace --set=\n--set=SITE=\t\n"
    assert ask("slipway", "weights", "--file=x") == "files --file=\n"
    assert ask("slipway", "job", '--profile="dev') == "words --profile=\n--profile=devel\t\n"


def test_invoke_has_the_user_s_tasks_too_from_any_folder(ask: Ask) -> None:
    assert ask("slipway", "mi") == "words \n"
    for command in ("invoke", "inv", "/some/bin/invoke"):
        assert ask(command, "mi", folder="deep/er") == "words \nmine\tA task of one's own\n"
    assert (
        ask("invoke", "mine", "x", "--")
        == "words \n--no-fast\t\n--help\tShow core or per-task help and exit\n"
    )


def test_a_changed_tasks_py_is_read_again(ask: Ask, project: Path) -> None:
    assert ask("invoke", "yo") == "words \n"
    assert (project / ".slipway" / "completion" / "invoke.json").is_file()
    (project / "tasks.py").write_text(TASKS.replace("mine", "yours"))
    assert ask("invoke", "yo") == "words \nyours\tA task of one's own\n"
    # What is kept may be anything.
    for kept in ("{", "[]", '{"stamps": {}, "source": []}', '{"stamps": 3}'):
        (project / ".slipway" / "completion" / "invoke.json").write_text(kept)
        assert "yours" in ask("invoke", "yo")


def test_elsewhere_invoke_is_invoke_s(ask: Ask, project: Path) -> None:
    (project / "env" / ".env.base").unlink()
    assert ask("invoke", "mi") == "elsewhere \n"
    assert ask("slipway", "compl").startswith("words \ncompletion\t")


def test_tab_makes_no_folders(ask: Ask, project: Path) -> None:
    (project / ".slipway" / "runs").rmdir()
    (project / ".slipway").rmdir()
    assert ask("slipway", "job", "--profile=dev") != ""
    assert sorted(file.name for file in project.iterdir()) == ["cluster", "deep", "env", "tasks.py"]


@pytest.mark.parametrize(
    "text",
    [
        "this is no Python",
        "import nothing_of_this_name",
        "raise SystemExit(3)",
        "import sys; sys.exit('no')",
        "raise KeyboardInterrupt",
        "raise BaseException",
        "input()",
        "import threading, time; threading.Thread(target=time.sleep, args=(50,)).start()\n1/0",
        "import atexit; atexit.register(print, 'bye')\n1/0",
        "\0",
    ],
)
def test_with_a_broken_tasks_py_there_are_slipway_s_own_tasks(ask: Ask, project: Path, text: str) -> None:
    noise = "import sys, os\nprint('loud'); print('loud', file=sys.stderr); os.system('echo loud >&2')\n"
    (project / "tasks.py").write_text(noise + text)
    said = ask("invoke", "job", "--wa")
    assert said in ("words \n--wait\tFollow the log, and exit with the job's own exit code\n", "")
    assert said or "raise" in text


@pytest.mark.parametrize("words", [(), ("slipway",), ("bash",), ("\udcff", "\udcff")])
def test_what_makes_no_sense_has_no_answer(ask: Ask, words: tuple[str, ...]) -> None:
    assert ask(*words) in ("", "words \n")


def test_a_project_that_cannot_be_read_has_tasks_all_the_same(ask: Ask, project: Path) -> None:
    (project / "env" / ".env.base").write_bytes(b"\xff\xfe\0'\n=")
    (project / "cluster" / "hpc.yaml").write_text("[[[")
    (project / ".slipway" / "runs").rmdir()
    (project / ".slipway" / "runs").touch()
    (project / ".slipway" / "completion").touch()
    assert ask("slipway", "job", "--site=hpc", "--partition=").splitlines() == [
        "words --partition=",
        "--partition=auto\twhere it begins first",
    ]
    assert ask("slipway", "logs", "") != ""
    assert "base" in ask("slipway", "job", "--profile", "")


# It ends as the real one does, and tells first what is loaded.
LOADED = """
import os, sys
def end(code):
    sys.stderr.flush()
    with open("loaded", "w") as file: file.write("\\n".join(sys.modules))
    raise SystemExit
os._exit = end
from slipway.__main__ import main
main()
"""


def loaded(ask: Ask, project: Path, *words: str) -> set[str]:
    ask(*words, python=("-c", LOADED))
    return {name.partition(".")[0] for name in (project / "loaded").read_text().split()}


HEAVY = {"docker", "paramiko", "pydantic", "requests", "rich", "spython"}


def test_nothing_heavy_is_loaded_and_invoke_only_once(ask: Ask, project: Path) -> None:
    assert loaded(ask, project, "invoke", "job", "--p") & (HEAVY | {"invoke"}) == {"invoke"}
    for number in range(20):
        text = json.dumps({"site": "hpc", "args": ["--dataset", f"d{number}"]})
        (project / ".slipway" / "runs" / f"r{number}-a-20260101-000000.json").write_text(text)
    for words in (
        ["logs", ""],
        ["job", "--site="],
        ["job", "--partition", ""],
        ["job", "--", "--dataset", ""],
    ):
        assert loaded(ask, project, "invoke", *words) & (HEAVY | {"invoke"}) == set(), words
    assert loaded(ask, project, "invoke", "logs", "") & {"yaml", "dotenv"} == set()


@pytest.mark.parametrize(
    "typed",
    [
        "job --profile",
        "job --profile ",
        "job --profile=",
        "job --nothing",
        "jo",
        "stage --path",
        "logs 8 --r",
    ],
)
def test_invoke_s_own_script_is_told_nothing_on_the_error_stream(project: Path, typed: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "invoke", "--complete", "--", "invoke", *typed.split(" ")],
        cwd=project,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
