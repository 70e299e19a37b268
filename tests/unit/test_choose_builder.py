"""Which builder is taken, and what is said where it does not do. The `docker` command is a program of the "
"test."""

from pathlib import Path
from typing import Any, cast

import pytest

from slipway.errors import ImageError
from slipway.image.docker_builder import Builder, choose_builder
from slipway.image.recipe import Recipe


class Engine:
    """An engine that says what it is; real ones are in the integration tests."""

    def __init__(self, *names: str) -> None:
        self.names = names

    def version(self) -> dict[str, Any]:
        return {"Components": [{"Name": name} for name in self.names]}


DOCKER: Any = cast(Any, Engine("Engine", "containerd"))
PODMAN: Any = cast(Any, Engine("Podman Engine", "Conmon"))


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that programs are looked for in."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder / "docker"


def write(command: Path, text: str) -> None:
    command.write_text(f"#!/bin/sh\n{text}\n")
    command.chmod(0o755)


def test_buildkit_where_its_command_is(command: Path) -> None:
    write(command, 'test "$*" = "buildx version" && echo github.com/docker/buildx v0.29.1 a3276')
    found = choose_builder(DOCKER, {})
    assert (found.buildx, found.is_classic) == ((0, 29), False)
    assert choose_builder(DOCKER, {"DOCKER_BUILDKIT": "1"}).buildx == (0, 29)
    off = choose_builder(DOCKER, {"DOCKER_BUILDKIT": "0"})
    assert (off.is_classic, off.why) == (True, "DOCKER_BUILDKIT is 0; unset it")


def test_podman_has_its_own(command: Path) -> None:
    write(command, "echo github.com/docker/buildx v0.29.1 a3276")
    found = choose_builder(PODMAN, {"DOCKER_BUILDKIT": "0"})
    assert found == Builder(is_podman=True)
    assert not found.is_classic


def test_why_there_is_no_buildkit(command: Path) -> None:
    assert "there is no `docker` command here" in choose_builder(DOCKER, {}).why
    # As Docker 28 says it.
    write(command, "echo 'docker: unknown command: docker buildx' >&2; exit 1")
    assert (
        "`docker buildx`, which drives BuildKit, is not installed. Debian" in choose_builder(DOCKER, {}).why
    )


def test_a_dockerfile_that_the_classic_builder_does_not_know(tmp_path: Path) -> None:
    file = tmp_path / "Dockerfile"
    file.write_text("FROM x\n\nRUN \\\n  --mount=type=cache,target=/c true\n")
    recipe = Recipe(name="a", dockerfile=file, platform="")
    with pytest.raises(ImageError) as caught:
        Builder(why="X").check(recipe)
    assert str(caught.value) == (
        f"{file}: line 3, RUN --mount=type=cache,target=/c: this needs BuildKit, and the image would be "
        "built by Docker's classic builder, because X"
    )
    Builder(buildx=(0, 13)).check(recipe)
    Builder(is_podman=True).check(recipe)
    file.write_text("FROM x\nRUN true\n")
    Builder(why="X").check(recipe)
