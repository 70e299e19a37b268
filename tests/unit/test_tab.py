"""Tab, pressed in real shells at a terminal, after `slipway completion --install`."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.shells import Shell, environment, write_start_file
from tests.waiting import PATIENCE_S

# Where the package bash-completion has it. A user's start files may load it, and may not.
BASH_COMPLETION = Path("/usr/share/bash-completion/bash_completion")
WITH_PACKAGE = "bash with bash-completion"
SLIPWAY = Path(sys.executable).with_name("slipway")
TASKS = """
from invoke import task
from slipway.tasks import slipway_tasks

@task
def mine(context, name): pass

ns = slipway_tasks(__file__)
ns.add_task(mine)
"""


@dataclass(frozen=True, kw_only=True)
class User:
    """Somebody with a shell, who has installed completion; ``loads``: it loads scripts by itself."""

    shell: str
    home: Path
    loads: bool

    def open(self, folder: Path) -> Shell:
        return Shell(self.shell, folder, environment(self.home))


@pytest.fixture(scope="module", params=["bash", WITH_PACKAGE, "zsh", "fish"])
def user(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> User:
    shell, has_package = request.param.split()[0], request.param == WITH_PACKAGE
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    if has_package and not BASH_COMPLETION.exists():
        pytest.skip("the package bash-completion is not installed")
    home = tmp_path_factory.mktemp("home")
    write_start_file(shell, home, f"source {BASH_COMPLETION}\n" if has_package else "")
    done = subprocess.run(
        [str(SLIPWAY), "completion", "--install"],
        env={**environment(home), "SHELL": f"/usr/bin/{shell}"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
    )
    assert ("bash-completion/completions/run" in done.stdout) == has_package
    return User(shell=shell, home=home, loads=has_package)


@pytest.fixture(scope="module")
def shell(user: User) -> Iterator[Shell]:
    """The shell, in a project."""
    project = user.home / "project"
    for folder in ("env", "cluster", ".slipway/runs", "data dir", "src"):
        (project / folder).mkdir(parents=True)
    (project / "tasks.py").write_text(TASKS)
    (project / "env" / ".env.base").write_text("SITE=hpc\nCODE_DIR=src\n")
    for profile in ("my lab", 'it"s', "$x"):
        (project / "env" / f".env.{profile}").touch()
    (project / "cluster" / "hpc.yaml").write_text(
        'queues: {gpu: {max_gpus: {a100: 2}, note: "A100: fast"}, gpu-long: {}}\n'
    )
    for run in ("8xfp-cpu-20260101-120000", "8xgg-cpu-20260102-120000", "2bcd-base-20260103-120000"):
        text = json.dumps({"site": "hpc", "args": ["--dataset", "room"]})
        (project / ".slipway" / "runs" / f"{run}.json").write_text(text)
    (project / "with space.txt").touch()
    (project / "src" / "train it.py").touch()
    one = user.open(project)
    yield one
    one.close()


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("slipway jo", "slipway job "),
        ("slipway jx", "slipway jx"),
        ("slipway job --pro", "slipway job --profile "),
        ("slipway build pus", "slipway build push "),
        # Values of all kinds, behind a blank and behind =.
        ("slipway job --profile c", "slipway job --profile cpu "),
        ("slipway job --profile=c", "slipway job --profile=cpu "),
        ("slipway job --profile my", r"slipway job --profile my\ lab "),
        ("slipway job --profile=my", r"slipway job --profile=my\ lab "),
        ('slipway job --profile "my', 'slipway job --profile "my lab" '),
        ("slipway job --profile 'my", "slipway job --profile 'my lab' "),
        ("slipway job --profile it", r"slipway job --profile it\"s "),
        (r"slipway job --profile \$", r"slipway job --profile \$x "),
        ("slipway job --site=h", "slipway job --site=hpc "),
        ("slipway job --partition g", "slipway job --partition gpu"),
        ("slipway job --partition gpu-", "slipway job --partition gpu-long "),
        ("slipway job --partition nothing", "slipway job --partition nothing"),
        ("slipway job --gpus a1", "slipway job --gpus a100:"),
        ("slipway job --gpus=a100:2", "slipway job --gpus=a100:2 "),
        ("slipway job --set=SI", "slipway job --set=SITE="),
        ("slipway job --set SITE=h", "slipway job --set SITE=hpc "),
        ("slipway job --sbatch=--com", "slipway job --sbatch=--comment="),
        ("slipway logs 2", "slipway logs 2bcd-base-20260103-120000 "),
        ("slipway logs 8x", "slipway logs 8x"),
        ("slipway pull --run=2", "slipway pull --run=2bcd-base-20260103-120000 "),
        # Nothing is offered for what only a person knows, files neither.
        ("slipway job --time w", "slipway job --time w"),
        # Files, found by the shell, from where somebody stands.
        ("slipway weights --file wi", r"slipway weights --file with\ space.txt "),
        ("slipway weights --file=wi", r"slipway weights --file=with\ space.txt "),
        ('slipway weights --file "wi', 'slipway weights --file "with space.txt" '),
        ("slipway weights --file ../project/wi", r"slipway weights --file ../project/with\ space.txt "),
        ("slipway stage d", r"slipway stage data\ dir/"),
        ("slipway stage --path=d", r"slipway stage --path=data\ dir/"),
        ("slipway stage wi", "slipway stage wi"),
        ("slipway job --set CODE_DIR=d", r"slipway job --set CODE_DIR=data\ dir/"),
        ("slipway status --json >wi", r"slipway status --json >with\ space.txt "),
        # The program's own words: files of the code folder.
        ("slipway job -- python tr", r"slipway job -- python train\ it.py "),
        ('slipway job -- python "tr', 'slipway job -- python "train it.py" '),
        ("slipway job -- --dataset ", "slipway job -- --dataset room "),
        ("slipway job -- --dataset=r", "slipway job -- --dataset=room "),
        ("slipway job -- --input /data/", "slipway job -- --input /data/room/"),
        # The same for Invoke, with the user's own tasks.
        ("invoke mi", "invoke mine "),
        ("inv job --profile=c", "inv job --profile=cpu "),
        # Where the command does not stand first.
        ("A=1 slipway jo", "A=1 slipway job "),
        ("true; slipway jo", "true; slipway job "),
        ("true && invoke mi", "true && invoke mine "),
    ],
)
def test_tab(shell: Shell, typed: str, line: str) -> None:
    assert shell.tab(typed) == line


def test_several_candidates_are_shown(shell: Shell) -> None:
    shell.screen = ""
    assert shell.tab("slipway job --partition gpu", times=3).startswith("slipway job --partition gpu")
    shell.show("gpu-long")
    assert "--partition=gpu" not in shell.screen


def test_the_cursor_may_stand_inside_the_line(shell: Shell) -> None:
    # Ctrl-A, and then past `slipway job`.
    assert shell.tab("slipway jo --wait\x01" + "\x06" * len("slipway jo")) in (
        "slipway job --wait",
        "slipway job  --wait",
    )


def test_a_broken_project_is_met_in_silence(user: User) -> None:
    project = user.home / "broken"
    (project / "env").mkdir(parents=True)
    (project / "env" / ".env.base").write_bytes(b"\xff'\n=")
    (project / "tasks.py").write_text("import sys\nprint('loud')\nprint('loud', file=sys.stderr)\n1 / 0\n")
    shell = user.open(project)
    try:
        for command in ("slipway", "invoke"):
            assert shell.tab(f"{command} job --profi") == f"{command} job --profile "
            assert shell.tab(f"{command} job --profile cp") == f"{command} job --profile cpu "
            assert shell.tab(f"{command} job --partition x") == f"{command} job --partition x"
        assert not {"loud", "Error", "error", "Traceback"} & set(shell.screen.split())
    finally:
        shell.close()


@pytest.mark.long
def test_elsewhere_invoke_is_completed_by_itself(user: User) -> None:
    folder = user.home / "elsewhere"
    folder.mkdir()
    (folder / "tasks.py").write_text(
        "from invoke import task\n@task\ndef mother(context, wide=False): pass\n"
    )
    (folder / "run").write_text("#!/bin/sh\n")
    (folder / "run").chmod(0o755)
    shell = user.open(folder)
    try:
        assert shell.tab("invoke mo") == "invoke mother "
        assert shell.tab("inv mother --wi") == "inv mother --wide "
        assert shell.tab("invoke --vers") == "invoke --version "
        # Some other script of this name: files.
        assert shell.tab("./run tas") == "./run tasks.py "
        assert shell.tab("slipway completio") == "slipway completion "
        (folder / "tasks.py").write_text("1 / 0")
        shell.screen = ""
        assert shell.tab("invoke mo") == "invoke mo"
        assert "Traceback" not in shell.screen
    finally:
        shell.close()


def test_the_checkout_s_own_script_is_completed(user: User) -> None:
    checkout = user.home / "checkout"
    for folder in ("env", ".venv/bin", "slipway/completion", "deep"):
        (checkout / folder).mkdir(parents=True)
    for file in ("env/.env.base", "slipway/completion/answer.py"):
        (checkout / file).touch()
    (checkout / "tasks.py").write_text(TASKS)
    (checkout / ".venv" / "bin" / "slipway").symlink_to(SLIPWAY)
    (checkout / "run").write_text("#!/bin/sh\n")
    (checkout / "run").chmod(0o755)
    for folder, command in (
        (checkout, "./run"),
        (checkout / "deep", "../run"),
        (user.home, "~/checkout/run"),
    ):
        shell = user.open(folder)
        try:
            # Where bash loads scripts by itself, the first Tab behind a path, whatever command that is, only
            # loads one (seen with bash 5.2).
            line = shell.tab(f"{command} mi")
            assert line == f"{command} mine " or (user.loads and line == f"{command} mi")
            assert shell.tab(f"{command} mi") == f"{command} mine "
            assert shell.tab(f"{command} job --profile=c") == f"{command} job --profile=cpu "
        finally:
            shell.close()
