"""The Dockerfiles that `init` proposes, as whole files, and what they are made from."""

import subprocess
import sys
from pathlib import Path

import pytest

from slipway.image.recipe import Recipe, context_files
from slipway.init.detect import Findings, has_dependencies, look_around
from slipway.init.dockerfile import render_dockerfile

EXPECTED = Path(__file__).parent / "data" / "init"
PYPROJECT = """\
[build-system]
requires = ["hatchling"]
[project]
name = "mine"
dependencies = [
  "numpy",
]
"""
# What is in the folder, and what of it the image is made from.
CASES = {
    "plain": ({"train.py": ""}, Findings(program="train.py")),
    "requirements": (
        {"requirements.txt": "numpy\n", "pyproject.toml": "[tool.ruff]\n", "a.py": "", "main.py": ""},
        Findings(kind="requirements", files=("requirements.txt",), program="main.py"),
    ),
    "requirements-local": (
        {
            "requirements.txt": "-r requirements/base.txt\n-c constraints.txt # why\n-e .\n-r ../up\n",
            "requirements/base.txt": "-r ../requirements.txt\ntool @ git+https://host/tool\n-r missing.txt\n",
            "constraints.txt": "numpy<3\n",
            "environment.yml": "dependencies: [numpy]\n",
            "src/mine/__init__.py": "",
        },
        Findings(
            kind="requirements",
            files=("requirements.txt", "requirements/base.txt", "constraints.txt"),
            unused=("environment.yml",),
            needs_git=True,
            has_local=True,
            has_src=True,
        ),
    ),
    "conda": (
        {
            "environment.yml": "dependencies:\n  - pip:\n    - -r pip.txt\n",
            "pip.txt": "git+https://host/tool\n",
            "pyproject.toml": PYPROJECT,
            "setup.py": "",
        },
        Findings(
            kind="conda", files=("environment.yml", "pip.txt"), unused=("pyproject.toml",), needs_git=True
        ),
    ),
    "pyproject": (
        {"pyproject.toml": PYPROJECT},
        Findings(kind="pyproject", files=("pyproject.toml",)),
    ),
    "uv": (
        {"uv.lock": "", "pyproject.toml": PYPROJECT, "requirements.txt": "numpy\n", "src/mine.py": ""},
        Findings(kind="uv", files=("uv.lock", "pyproject.toml"), unused=("requirements.txt",), has_src=True),
    ),
}
each = pytest.mark.parametrize("name", CASES)


def fill(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


@each
def test_what_is_there_is_found(name: str, tmp_path: Path) -> None:
    files, findings = CASES[name]
    fill(tmp_path, files)
    assert look_around(tmp_path) == findings


@each
def test_the_whole_dockerfile(name: str) -> None:
    assert render_dockerfile(CASES[name][1]) == (EXPECTED / f"{name}.Dockerfile").read_text()


@each
def test_hadolint_has_nothing_to_say(name: str) -> None:
    # In a folder without this repository's own settings for it.
    hadolint = Path(sys.executable).with_name("hadolint")
    argv = [str(hadolint), "--no-color", "-"]
    text = (EXPECTED / f"{name}.Dockerfile").read_text()
    done = subprocess.run(argv, cwd="/", input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@each
def test_the_build_is_sent_what_the_dockerfile_copies(name: str, tmp_path: Path) -> None:
    files, findings = CASES[name]
    fill(tmp_path, {**files, ".slipway/images/a.sif": "", "results/a": ""})
    (tmp_path / "Dockerfile").write_text(render_dockerfile(findings))
    recipe = Recipe(name="x", dockerfile=tmp_path / "Dockerfile", platform="linux/amd64")
    sent = [one for one in context_files(recipe) if (tmp_path / one).is_file()]
    assert sorted(sent) == sorted(["Dockerfile", *findings.files])


@pytest.mark.parametrize(
    ("line", "is_left"),
    [
        ("-e .", False),
        ("--editable=./sub", False),
        (".[dev]", False),
        ("..", False),
        ("  . # this", False),
        ("file:///code", False),
        ("-e git+https://host/x.git", True),
        ("numpy", True),
        ("--find-links ./wheels", True),
        (".hidden-name", True),
    ],
)
def test_folders_of_the_repository_are_no_packages(line: str, is_left: bool, tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text(f"a\n{line}\n")
    assert look_around(tmp_path).has_local is not is_left
    found = Findings(kind="requirements", files=("requirements.txt",), has_local=True)
    sed = next(one for one in render_dockerfile(found).split("RUN ") if one.startswith("sed"))
    command = sed.partition("requirements.txt\n")[0]
    subprocess.run(["sh", "-c", f"{command} requirements.txt"], cwd=tmp_path, check=True)
    assert (tmp_path / "requirements.txt").read_text() == (f"a\n{line}\n" if is_left else "a\n")


@pytest.mark.parametrize(
    ("text", "has"),
    [
        (PYPROJECT, True),
        ('[ project ]  # mine\nauthors = [\n  {name = "x"},\n]\ndependencies=["a"]\n', True),
        ('[project]\nname = "x"\n', False),
        ('[tool.x]\ndependencies = ["a"]\n', False),
        ('[project]\n[project.optional-dependencies]\ndependencies = ["a"]\n', False),
        ('[project]\ndynamic = ["dependencies"]\n[[tool.x]]\ndependencies = []\n', False),
        ("", False),
    ],
)
def test_a_pyproject_counts_where_it_names_packages(text: str, has: bool) -> None:
    assert has_dependencies(text) is has


def test_a_users_own_dockerfile_is_found(tmp_path: Path) -> None:
    fill(tmp_path, {"docker/Dockerfile": "FROM x\n"})
    assert look_around(tmp_path).dockerfile == "docker/Dockerfile"
    (tmp_path / "Dockerfile").symlink_to("nowhere")
    assert look_around(tmp_path).dockerfile == "Dockerfile"
