"""Definition files on a machine that has Apptainer itself and no Docker, for several users of it."""

from pathlib import Path
from typing import Any

import pytest

from slipway.errors import ConversionError
from slipway.image.base import ensure_base
from slipway.image.build import build_image
from slipway.image.engine import engine
from slipway.profile import load_profile
from slipway.progress import NullProgress
from slipway.project import Project
from slipway.sif.file import read_sif
from slipway.sif.store import tools_recipe
from tests.campaign import others_long
from tests.integration.apptainer_host import on_a_host

ROOT = Path(__file__).parents[2]
CPU = load_profile(ROOT / "env", "cpu")
BASE = "debian:trixie-slim"
PROGRAM = """
import json, sys
from pathlib import Path
from slipway.builder import Base
from slipway.errors import SlipwayError
from slipway.image.recipe import Recipe
from slipway.progress import NullProgress
from slipway.project import Project
from slipway.sif.definition.generated import from_recipe
from slipway.sif.definition.make import make_from_definition
state = Path("/state")
notes = []
class Listener(NullProgress):
    def note(self, text): notes.append(text)
try:
    project = Project(root=Path("/slipway"), state=state, results=state)
    recipe = Recipe(name="hosted", dockerfile=state / "context" / "Dockerfile", platform="linux/amd64")
    base = Base(image="debian:trixie-slim", source=str(state / "trixie.tar"))
    definition = from_recipe(recipe, [base], None, state / "memory")
    # There are no tools here to build: whatever asks for them fails.
    tools = Recipe(name="no-tools", dockerfile=Path("/none"), platform="")
    made, _ = make_from_definition(definition, project, tools, Listener())
    told = {"path": str(made.path), "notes": notes}
except SlipwayError as error:
    told = {"code": error.exit_code, "said": str(error)}
print("TOLD " + json.dumps({**told, "left": [str(path) for path in state.glob("tmp/*")]}))
"""
DOCKERFILE = f"FROM {BASE}\nCOPY file /opt/\nENV A='it\"s'\nRUN id -u >/who && chmod 600 /who\n"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """What such a machine has: a Dockerfile, what it copies, and the base image as a file."""
    client: Any = engine()
    ensure_base(client, BASE, CPU.debian_mirror, NullProgress())
    project = Project(root=ROOT, state=ROOT / ".slipway", results=ROOT / "results")
    build_image(client, tools_recipe(project, CPU), NullProgress())
    with (tmp_path / "trixie.tar").open("wb") as file:
        for chunk in client.images.get(BASE).save(named=BASE):
            file.write(chunk)
    client.close()
    (tmp_path / "context").mkdir()
    (tmp_path / "context" / "file").write_text("x\n")
    (tmp_path / "context" / "Dockerfile").write_text(DOCKERFILE)
    for path in (tmp_path, *tmp_path.rglob("*")):
        path.chmod(0o777 if path.is_dir() else 0o644)
    return tmp_path


@pytest.mark.parametrize("user", others_long([0, 1000], 1000))
def test_root_and_a_user_with_namespaces_build_without_docker(user: int, state: Path) -> None:
    told = on_a_host(engine(), state, user=user, socket=False, program=PROGRAM)
    assert "said" not in told
    (sif,) = (state / "sif").glob("*.sif")
    assert read_sif(sif).compression == "zstd"
    assert not [note for note in told["notes"] if "not looked at" in note]


@pytest.mark.long
def test_root_of_a_container_gives_files_to_others(state: Path) -> None:
    (state / "context" / "Dockerfile").write_text(f"{DOCKERFILE}RUN chown 33:33 /who\n")
    told = on_a_host(engine(), state, socket=False, program=PROGRAM)
    assert "said" not in told


@pytest.mark.long
def test_a_user_with_one_id_is_told_how_to_give_files_to_others(state: Path) -> None:
    (state / "context" / "Dockerfile").write_text(f"{DOCKERFILE}RUN chown 33:33 /who\n")
    told = on_a_host(engine(), state, user=1000, socket=False, program=PROGRAM)
    assert told["code"] == ConversionError.exit_code
    assert told["said"].startswith("/state/context/Dockerfile:5: RUN chown 33:33 /who failed\n")
    assert "the build has one user id" in told["said"]


def test_a_user_without_namespaces_is_told_what_is_missing(state: Path) -> None:
    told = on_a_host(engine(), state, user=1000, namespaces=False, socket=False, program=PROGRAM)
    assert told["code"] == ConversionError.exit_code
    assert "does not let users make namespaces" in told["said"]
    assert not list((state / "sif").glob("*"))
