from pathlib import Path

import pytest

from slipway.errors import ConfigError
from slipway.image.recipe import (
    Recipe,
    context_files,
    find_ca_bundle,
    inputs_hash,
)

DOCKERFILE = """# syntax
ARG BASE_IMAGE=debian:trixie-slim
ARG RUNTIME="debian:trixie-slim"
FROM --platform=linux/amd64 ${BASE_IMAGE} AS builder
ARG DEBIAN_MIRROR
COPY *.txt *.log /
from $RUNTIME
COPY --from=builder /a.txt /
FROM builder
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    (tmp_path / "Dockerfile.a").write_text(DOCKERFILE)
    (tmp_path / "Dockerfile.b").write_text("FROM scratch\n")
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / ".dockerignore").write_text("# comment\n*.log\n!keep.log\n")
    for name in ("x.log", "keep.log"):
        (tmp_path / name).write_text("")
    return Recipe(name="a", dockerfile=tmp_path / "Dockerfile.a", platform="linux/amd64")


def test_dockerignore_is_honoured(recipe: Recipe) -> None:
    files = context_files(recipe)
    assert "keep.log" in files
    assert "x.log" not in files
    assert "Dockerfile.a" in files


def test_a_dockerignore_of_one_dockerfile_takes_the_place_of_the_other(recipe: Recipe) -> None:
    (recipe.context / "Dockerfile.a.dockerignore").write_text("*\n!x.log\n")
    assert [name for name in context_files(recipe) if name.endswith((".txt", ".log"))] == ["x.log"]
    other = Recipe(name="b", dockerfile=recipe.context / "Dockerfile.b", platform="", copies_all=True)
    assert "a.txt" in context_files(other)
    assert "x.log" not in context_files(other)


def test_the_hash_changes_with_what_goes_in_and_with_nothing_else(recipe: Recipe) -> None:
    bases = {"debian:trixie-slim": "sha256:1"}
    first = inputs_hash(recipe, bases)
    folder = recipe.context
    (folder / "x.log").write_text("ignored")
    (folder / "Dockerfile.b").write_text("FROM other\n")
    (folder / "a.txt").touch()
    assert inputs_hash(recipe, bases) == first
    changed = {inputs_hash(recipe, {"debian:trixie-slim": "sha256:2"})}
    (folder / "a.txt").write_text("b")
    changed.add(inputs_hash(recipe, bases))
    (folder / "a.txt").chmod(0o755)
    changed.add(inputs_hash(recipe, bases))
    recipe.dockerfile.write_text(DOCKERFILE + "RUN true\n")
    changed.add(inputs_hash(recipe, bases))
    assert len(changed | {first}) == 5


def test_certificates_come_from_the_profile_then_the_environment(recipe: Recipe, tmp_path: Path) -> None:
    mine, theirs = tmp_path / "mine.crt", tmp_path / "theirs.crt"
    mine.write_bytes(b"mine")
    theirs.write_bytes(b"theirs")
    environment = {"REQUESTS_CA_BUNDLE": str(theirs)}
    assert find_ca_bundle(recipe, environment.get) == b"theirs"
    named = Recipe(name="a", dockerfile=recipe.dockerfile, platform="", ca_bundle=mine)
    assert find_ca_bundle(named, environment.get) == b"mine"
    assert b"BEGIN CERTIFICATE" in find_ca_bundle(recipe, {}.get)
    with pytest.raises(ConfigError, match=r"SSL_CERT_FILE is /no/such, which cannot be read"):
        find_ca_bundle(recipe, {"SSL_CERT_FILE": "/no/such"}.get)


def test_a_missing_dockerfile_is_named(tmp_path: Path) -> None:
    recipe = Recipe(name="a", dockerfile=tmp_path / "Dockerfile.no", platform="")
    with pytest.raises(ConfigError, match=r"Dockerfile.no: there is no such Dockerfile for a"):
        recipe.text()


def test_a_dockerfile_is_read_as_docker_does(tmp_path: Path) -> None:
    recipe = Recipe(name="a", dockerfile=tmp_path / "Dockerfile", platform="")
    recipe.dockerfile.write_bytes(b"\xef\xbb\xbfFROM debian\r\n# Z\xfcrich\r\nCOPY a.txt /\r\n")
    (tmp_path / ".dockerignore").write_bytes(b"\xef\xbb\xbfb.txt\n# Z\xfcrich\n")
    (tmp_path / "a.txt").touch()
    (tmp_path / "b.txt").touch()
    assert recipe.text().startswith("FROM debian\n")
    assert context_files(recipe) == [".dockerignore", "Dockerfile", "a.txt"]
    assert len(inputs_hash(recipe, {})) == 64
