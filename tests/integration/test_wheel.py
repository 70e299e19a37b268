"""The wheel, in an empty environment, away from the checkout: the commands, and the whole demo.

The demo finds a smaller room there than the one that it renders, which ``test_line.py`` looks at the
results of. What is left to pay for is a conversion, a box and a short job.
"""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from slam.demo.scene import make_scene
from tests.campaign import LONG
from tests.conftest import Tell
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parents[2]
# What images are known by, and the name of the payload's code, as whoever runs this has them.
IDENTITIES = """
import json, sys
from pathlib import Path
from slipway.box.container import box_recipe
from slipway.code.snapshot import take_snapshot
from slipway.image.recipe import inputs_hash, profile_recipe
from slipway.profile import load_profile
from slipway.project import Project
from slipway.sif.store import tools_recipe

project = Project.find(Path(sys.argv[1]))
profile = load_profile(project.profiles, "cpu")
recipes = profile_recipe(profile), tools_recipe(project, profile), box_recipe(project, profile)
names = [inputs_hash(recipe, {}) for recipe in recipes]
with take_snapshot(project.share / "docker" / "payload", Path(sys.argv[2])) as snapshot:
    names.append(snapshot.tree.name)
print(json.dumps(names))
"""


@dataclass(frozen=True)
class Installed:
    """A folder of a user's own, with nothing of Slipway's in it but an environment that git ignores."""

    folder: Path

    @property
    def programs(self) -> Path:
        return self.folder / ".venv" / "bin"

    def run(self, *argv: str, timeout_s: float = PATIENCE_S) -> "subprocess.CompletedProcess[str]":
        """Run a program of the environment as a user does who has nothing else of Slipway's."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SLIPWAY_")}
        environment |= {"PATH": f"{self.programs}:/usr/local/bin:/usr/bin:/bin", "PYTHONPATH": ""}
        done = subprocess.run(
            [str(self.programs / argv[0]), *argv[1:]],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    dist, folder = tmp_path_factory.mktemp("dist"), tmp_path_factory.mktemp("mine")
    # The long form builds in an environment of its own, and installs what the wheel asks for; the short form
    # has both from here.
    build = [sys.executable, "-m", "build", "--wheel", "--outdir", str(dist), str(ROOT)]
    build += [] if LONG else ["--no-isolation"]
    done = subprocess.run(build, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = dist.glob("*.whl")
    subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
    (folder / ".gitignore").write_text(".venv/\n")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / ".venv")], check=True)
    made = Installed(folder=folder)
    python = str(made.programs / "python")
    install = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", str(wheel)]
    if not LONG:
        install.append("--no-deps")
        (own,) = (folder / ".venv").glob("lib/python*/site-packages")
        others = [path for path in sys.path if path.endswith("site-packages")]
        (own / "others.pth").write_text("\n".join(others))
    subprocess.run(install, check=True, timeout=PATIENCE_S)
    return made


def test_its_command_has_the_tasks(installed: Installed) -> None:
    assert installed.run("slipway", "--version").stdout.startswith("Slipway ")
    assert "box.up" in installed.run("slipway", "--list").stdout


def test_images_and_code_are_the_same_as_from_the_checkout(installed: Installed, tmp_path: Path) -> None:
    words = (str(installed.folder), str(tmp_path / "state"))
    there = json.loads(installed.run("python", "-c", IDENTITIES, *words).stdout)
    argv = [sys.executable, "-c", IDENTITIES, *words]
    here = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    # So nothing is built or sent twice. The bytecode that pip makes is no part of it.
    assert there == json.loads(here)
    assert list(installed.folder.glob(".venv/**/share/**/__pycache__"))


@pytest.mark.long
def test_the_whole_demo(installed: Installed, tell: Tell) -> None:
    make_scene(installed.folder / ".slipway" / "demo" / "room", frames=20, width=320)
    began = time.monotonic()
    try:
        said = installed.run("slipway", "demo", timeout_s=4 * PATIENCE_S).stdout
        tell(f"the demo from the wheel: {time.monotonic() - began:.0f} s")
        (run,) = json.loads(installed.run("slipway", "status", "--json").stdout)
    finally:
        installed.run("slipway", "box.down")
    assert (run["state"], run["reason"]) == ("COMPLETED", "ok")
    out = installed.folder / "results" / run["run_id"] / "out"
    summary = json.loads((out / "summary.json").read_text())
    assert summary["frames_registered"] >= 0.95 * summary["frames"]
    assert "slipway box.down" in said
