"""Converting on a machine that has Apptainer itself, for several users of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from slipway.errors import ConversionError, SpaceError
from slipway.image.base import ensure_base
from slipway.image.build import build_image
from slipway.image.engine import engine, find_image, run_container
from slipway.image.recipe import Recipe
from slipway.profile import load_profile
from slipway.progress import NullProgress
from slipway.project import Project
from slipway.sif.file import read_sif
from slipway.sif.store import TOOLS_IMAGE, tools_recipe
from tests.campaign import others_long
from tests.integration.apptainer_host import IMAGE, PROGRAM, SOCKET, on_a_host

ROOT = Path(__file__).parents[2]
CPU = load_profile(ROOT / "env", "cpu")
DOCKERFILES = {
    # What a user's Apptainer leaves empty, unless it is made to read it.
    IMAGE: "FROM debian:trixie-slim\nENV GREETING='a \"b\" $c'\n"
    "RUN printf secret >/srv/none && chmod 0 /srv/none && printf x >/srv/theirs && chown 7:8 /srv/theirs\n",
}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    if not SOCKET.is_socket():
        pytest.skip(f"the engine is not reached by a socket here: {SOCKET}")
    made = engine()
    ensure_base(made, "debian:trixie-slim", CPU.debian_mirror, NullProgress())
    project = Project(root=ROOT, state=ROOT / ".slipway", results=ROOT / "results")
    build_image(made, tools_recipe(project, CPU), NullProgress())
    folder = tmp_path_factory.mktemp("host")
    for name, text in DOCKERFILES.items():
        (folder / f"Dockerfile.{name}").write_text(text)
        recipe = Recipe(name=name, dockerfile=folder / f"Dockerfile.{name}", platform="")
        build_image(made, recipe, NullProgress())
    yield made
    for name in DOCKERFILES:
        made.images.remove(name, force=True)
    made.close()


def look_into(client: Any, state: Path, *paths: str) -> list[str]:
    """Permissions, owner and size of files in the one .sif there."""
    (sif,) = (state / "sif").glob("*.sif")
    tools = find_image(client, TOOLS_IMAGE)
    assert tools
    said: list[str] = []
    command = ["unsquashfs", "-o", str(read_sif(sif).offset), "-lln", f"/sif/{sif.name}", *paths]
    assert run_container(client, tools, command, mounts={sif.parent: "/sif"}, listen=said.append) == 0
    lines = [line.split() for line in "".join(said).splitlines()]
    return [f"{words[0]} {words[1]} {words[2]}" for words in lines if words[-1].endswith(paths)]


# As where an image cannot be put together of its layers.
AS_A_WHOLE = f"from slipway.sif import by_layers\nby_layers.ByLayers.make = lambda *_: None\n{PROGRAM}"
CLOSED = "Only its owner may read /srv/none"


def test_root_converts_exactly(client: Any, tmp_path: Path) -> None:
    told = on_a_host(client, tmp_path)
    assert [note[: len(CLOSED)] for note in told["notes"]] == [CLOSED]
    assert look_into(client, tmp_path, "srv/none", "srv/theirs") == ["---------- 0/0 6", "-rw-r--r-- 7/8 1"]


@pytest.mark.parametrize("namespaces", others_long([True, False], True))
def test_a_user_loses_nothing(client: Any, tmp_path: Path, namespaces: bool) -> None:
    told = on_a_host(client, tmp_path, user=1000, namespaces=namespaces)
    notes = [note[: len(CLOSED)] for note in told["notes"] if not note.startswith("No image can be run here")]
    assert notes == [CLOSED]
    assert look_into(client, tmp_path, "srv/none", "srv/theirs") == ["---------- 0/0 6", "-rw-r--r-- 7/8 1"]
    (sif,) = (tmp_path / "sif").glob("*.sif")
    assert sif.stat().st_uid == 1000


@pytest.mark.long
def test_a_user_with_namespaces_keeps_all_content(client: Any, tmp_path: Path) -> None:
    told = on_a_host(client, tmp_path, user=1000, program=AS_A_WHOLE)
    assert [note[: len(CLOSED)] for note in told["notes"]][1:] == [CLOSED]
    assert look_into(client, tmp_path, "srv/none", "srv/theirs") == ["---------- 0/0 6", "-rw-r--r-- 0/0 1"]
    (sif,) = (tmp_path / "sif").glob("*.sif")
    assert sif.stat().st_uid == 1000


@pytest.mark.long
def test_a_range_of_ids_that_cannot_be_used_is_done_without(client: Any, tmp_path: Path) -> None:
    told = on_a_host(client, tmp_path, user=1000, subuids=True, program=AS_A_WHOLE)
    assert [note[: len(CLOSED)] for note in told["notes"]][1:] == [CLOSED]
    assert look_into(client, tmp_path, "srv/none") == ["---------- 0/0 6"]


@pytest.mark.long
def test_a_user_without_namespaces_is_told_what_it_costs(client: Any, tmp_path: Path) -> None:
    told = on_a_host(client, tmp_path, user=1000, namespaces=False, program=AS_A_WHOLE)
    closed, cost, not_run = sorted(told["notes"], key=lambda note: note.startswith("No image"))[-3:]
    assert "cannot pretend to be root" in closed + cost
    assert "kernel.apparmor_restrict_unprivileged_userns=0" in closed + cost
    assert not_run.startswith("No image can be run here, so the environment in the .sif was not looked at: ")
    assert not_run.endswith("namespace") or "FATAL" in not_run or "apptainer-suid" in not_run
    assert look_into(client, tmp_path, "srv/none") == ["-rw------- 0/0 6"]


@pytest.mark.long
def test_no_room_is_told_also_where_it_shows_meanwhile(client: Any, tmp_path: Path) -> None:
    # Not enough for the layers, nor, with a little more, for what Apptainer unpacks.
    saving = on_a_host(client, tmp_path, room_mb=60, factor="0")
    assert saving["code"] == SpaceError.exit_code
    assert "is full: No space left on device" in saving["said"]
    unpacking = on_a_host(client, tmp_path, room_mb=130, factor="0", program=AS_A_WHOLE)
    assert unpacking["code"] == SpaceError.exit_code, unpacking["said"]
    assert "no space left on device" in unpacking["said"]
    assert "SLIPWAY_STATE" in unpacking["said"]
    layers = on_a_host(client, tmp_path, room_mb=130, factor="0")
    assert layers["code"] == SpaceError.exit_code, layers["said"]
    assert "No space left on device" in layers["said"]
    assert ConversionError.exit_code != SpaceError.exit_code
