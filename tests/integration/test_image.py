"""Building and converting, with a real engine and a real Apptainer."""

import io
import os
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from slipway.errors import ImageError
from slipway.image.base import ensure_base
from slipway.image.build import build_image
from slipway.image.engine import INPUTS, engine, find_image, run_container
from slipway.image.recipe import Recipe, profile_recipe
from slipway.image.source import Source
from slipway.profile import load_profile
from slipway.progress import NullProgress
from slipway.project import Project
from slipway.sif.store import make_sif, tools_recipe

ROOT = Path(__file__).parents[2]
CPU = load_profile(ROOT / "env", "cpu")
NAME = "slipway-test-image"
DOCKERFILE = """ARG BASE_IMAGE
FROM ${BASE_IMAGE} AS builder
COPY .slipway/ca-bundle.crt /ca.crt
RUN grep -c BEGIN /ca.crt && test "$http_proxy" = http://proxy.example.org:3128
FROM ${BASE_IMAGE}
ENV GREETING="hello there"
COPY greeting.txt /
"""


class Listener(NullProgress):
    """Remembers the steps and lines of a build."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.lines: list[str] = []

    def step(self, text: str) -> None:
        self.steps.append(text)

    def line(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    made = engine()
    ensure_base(made, CPU.base_image, None, NullProgress())
    # Before a test has a proxy that there is not.
    build_image(made, tools_recipe(Project.find(ROOT), CPU), NullProgress())
    yield made
    if find_image(made, NAME):
        made.images.remove(NAME, force=True)
    made.close()


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    monkeypatch.setenv("http_proxy", "http://proxy.example.org:3128")
    (tmp_path / "Dockerfile.test").write_text(DOCKERFILE)
    (tmp_path / "greeting.txt").write_text("hello\n")
    (tmp_path / "notes.md").write_text("")
    (tmp_path / ".dockerignore").write_text("*.md\n")
    return Recipe(
        name=NAME,
        dockerfile=tmp_path / "Dockerfile.test",
        platform="linux/amd64",
        build_args={"BASE_IMAGE": CPU.base_image, "UNDECLARED": "x"},
        labels={"slipway.profile": "test"},
    )


def saved(client: Any, name: str) -> str:
    """Everything that is in an image: its configuration and the text of the small files of its layers."""
    archive = io.BytesIO(b"".join(client.images.get(name).save()))
    found = []
    with tarfile.open(fileobj=archive) as outer:
        for member in outer:
            file = outer.extractfile(member)
            if file is None:
                continue
            content = file.read()
            found.append(member.name)
            if content[:1] == b"{":
                found.append(content.decode())
            elif member.name.endswith(".tar"):
                with tarfile.open(fileobj=io.BytesIO(content)) as layer:
                    found += layer.getnames()
    return "\n".join(found)


def test_an_image_is_built_once_for_the_same_inputs(client: Any, recipe: Recipe) -> None:
    listener = Listener()
    image, built = build_image(client, recipe, listener)
    assert built
    assert [step.split()[:2] for step in listener.steps] == [
        ["[3/11]", "COPY"],
        ["[4/11]", "RUN"],
        ["[7/11]", "COPY"],
    ]
    assert image.labels["slipway.profile"] == "test"
    (recipe.context / "notes.md").write_text("a commit elsewhere")
    again, built = build_image(client, recipe, NullProgress())
    assert (again.id, built) == (image.id, False)
    (recipe.context / "greeting.txt").write_text("good day\n")
    changed, built = build_image(client, recipe, NullProgress())
    assert built
    assert changed.id != image.id
    assert changed.labels[INPUTS] != image.labels[INPUTS]


def test_certificates_and_proxies_do_not_stay_in_the_image(client: Any, recipe: Recipe) -> None:
    build_image(client, recipe, NullProgress())
    content = saved(client, NAME)
    assert "greeting.txt" in content
    assert "ca.crt" not in content
    assert "ca-bundle" not in content
    assert "proxy.example.org" not in content


def test_a_failing_step_is_named_with_its_last_lines(client: Any, recipe: Recipe) -> None:
    build_image(client, recipe, NullProgress())
    before = find_image(client, NAME)
    failing = "RUN echo before && echo 'no such thing' >&2 && exit 4\n"
    recipe.dockerfile.write_text(DOCKERFILE + failing)
    with pytest.raises(ImageError) as caught:
        build_image(client, recipe, NullProgress())
    message = str(caught.value)
    assert "Dockerfile.test: step 8/12 (RUN echo before" in message
    assert "returned a non-zero code: 4" in message
    # The engine reads the two outputs separately, so their order is not fixed.
    assert sorted(message.splitlines()[-2:]) == ["  before", "  no such thing"]
    # What was there is left alone.
    assert find_image(client, NAME) == before


def test_a_step_that_knows_what_is_wrong_is_quoted_alone(client: Any, recipe: Recipe) -> None:
    failing = "RUN echo before && echo 'slipway: no such thing; do another' >&2 && exit 1\n"
    recipe.dockerfile.write_text(DOCKERFILE + failing)
    with pytest.raises(ImageError) as caught:
        build_image(client, recipe, NullProgress())
    assert str(caught.value) == f"{recipe.dockerfile}: no such thing; do another"


def test_local_sources_are_in_the_context_as_they_are(
    client: Any, recipe: Recipe, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("lietorch with a space")
    (folder / "setup.py").write_text("one\n")
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o755)
    (folder / "link").symlink_to("setup.py")
    (folder / "weights.pth").write_text("not named")
    local = Source(name="lietorch", folder=folder, files=("link", "run.sh", "setup.py"), commit="c" * 40)
    fetched = Source(name="droid-slam")
    check = 'RUN cd /src && test "$(find . -type f -o -type l | sort | xargs)" = '
    check += '"./droid-slam/origin.json ./lietorch/link ./lietorch/origin.json ./lietorch/run.sh '
    check += './lietorch/setup.py" && ./lietorch/run.sh && test "$(readlink lietorch/link)" = setup.py '
    check += "&& grep -q '\"local\": true' lietorch/origin.json && grep -q ^one lietorch/setup.py\n"
    recipe.dockerfile.write_text(f"{DOCKERFILE}COPY .slipway/ /src/\nRUN rm /src/ca-bundle.crt\n{check}")
    with_sources = replace(recipe, sources=(local, fetched))
    image, built = build_image(client, with_sources, NullProgress())
    assert built
    assert build_image(client, with_sources, NullProgress()) == (image, False)
    (folder / "setup.py").write_text("two\n")
    with pytest.raises(ImageError, match="grep -q"):
        build_image(client, with_sources, NullProgress())


def test_a_base_image_without_a_compiler_is_told(client: Any) -> None:
    """Before anything long; nothing is fetched for it but Debian's Python."""
    images = [f"{key}={CPU.base_image}" for key in ("BASE_IMAGE", "RUNTIME_IMAGE")]
    profile = load_profile(ROOT / "env", "base", [*images, f"IMAGE={NAME}"])
    with pytest.raises(ImageError) as caught:
        build_image(client, profile_recipe(profile), NullProgress())
    told = "BASE_IMAGE has no nvcc; choose an image with the CUDA compiler (a devel image)"
    assert str(caught.value) == f"{ROOT / 'docker/Dockerfile.base'}: {told}"


def test_a_missing_base_image_is_explained(client: Any, recipe: Recipe) -> None:
    args = {"BASE_IMAGE": "localhost:1/no/such:image"}
    other = Recipe(name=NAME, dockerfile=recipe.dockerfile, platform="", build_args=args)
    with pytest.raises(
        ImageError, match=r"no/such:image, which the Dockerfile starts from.*cannot be pulled"
    ):
        build_image(client, other, NullProgress())


def test_a_sif_is_made_once_and_is_what_the_image_was(client: Any, recipe: Recipe, tmp_path: Path) -> None:
    image, _ = build_image(client, recipe, NullProgress())
    project = Project(root=ROOT, state=tmp_path / "state", results=tmp_path / "results")
    tools = tools_recipe(project, CPU)
    sif, made = make_sif(client, image, project, tools, NullProgress())
    assert made
    assert sif.path.stat().st_uid == os.getuid()
    assert sif.image_id == image.id
    assert make_sif(client, image, project, tools, NullProgress()) == (sif, False)
    # A wrecked file is never taken for a good one.
    sif.path.write_bytes(sif.path.read_bytes()[:-1])
    assert make_sif(client, image, project, tools, NullProgress())[1]
    assert list((project.state / "tmp").iterdir()) == []
    # Extracted, since a container of the engine may not mount it.
    said: list[str] = []
    script = 'apptainer sif dump 4 "$1" >/x.sqfs 2>/dev/null || apptainer sif dump 3 "$1" >/x.sqfs; '
    script += "unsquashfs -cat /x.sqfs greeting.txt .singularity.d/env/10-docker2singularity.sh"
    code = run_container(
        client,
        build_image(client, tools, NullProgress())[0],
        ["sh", "-c", script, "sh", f"/sif/{sif.path.name}"],
        mounts={sif.path.parent: "/sif"},
        listen=said.append,
    )
    assert code == 0, said
    assert "hello\n" in "".join(said)
    assert "hello there" in "".join(said)


def test_the_cpu_image_has_no_compiler(client: Any) -> None:
    image, _ = build_image(client, profile_recipe(CPU), NullProgress())
    said: list[str] = []
    script = "for x in gcc cc g++ ld make pip; do command -v $x; done; python3 -m slam --help"
    assert run_container(client, image, ["sh", "-c", script], mounts={}, listen=said.append) == 0
    assert "".join(said).startswith("usage: ")


def test_an_image_whose_base_copies_files_has_them(client: Any, tmp_path: Path) -> None:
    """Only the base's ONBUILD says that the file is copied; the Dockerfile does not."""
    base, child = f"{NAME}-base", f"{NAME}-child"
    for name, text in (("base", "ONBUILD COPY secret.txt /\n"), ("child", "RUN cat /secret.txt\n")):
        (tmp_path / name).mkdir()
        start = CPU.base_image if name == "base" else base
        (tmp_path / name / "Dockerfile").write_text(f"FROM {start}\n{text}")
    (tmp_path / "child" / "secret.txt").write_text("here\n")
    try:
        listener = Listener()
        for name, folder in ((base, "base"), (child, "child")):
            recipe = Recipe(name=name, dockerfile=tmp_path / folder / "Dockerfile", platform="linux/amd64")
            build_image(client, recipe, listener)
        assert "here" in listener.lines
    finally:
        for name in (child, base):
            if find_image(client, name):
                client.images.remove(name, force=True)
