"""The archives of newer engines: Debian's Docker 26 in a container, with both of its image stores."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from slipway.image.base import ensure_base
from slipway.image.build import build_image
from slipway.image.engine import engine, find_image, run_container
from slipway.image.recipe import Recipe
from slipway.profile import load_profile
from slipway.progress import NullProgress
from slipway.project import Project
from slipway.sif.check import compare
from slipway.sif.conversion import Conversion, convert
from slipway.sif.layout import Layout, write_layout
from slipway.sif.store import tools_recipe
from tests.campaign import others_long
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
CPU = load_profile(ROOT / "env", "cpu")
ENGINE = "slipway-test-engine"
IMAGE = "slipway-test-saved"
DOCKERFILES = {
    ENGINE: "FROM debian:trixie-slim\n"
    "ARG DEBIAN_FRONTEND=noninteractive\n"
    "RUN apt-get update && apt-get install -y --no-install-recommends docker.io\n",
    IMAGE: 'FROM debian:trixie-slim\nENV A="b \\"c\\" $d"\nLABEL e=f\nRUN echo x >/x\nUSER nobody\n'
    'WORKDIR /tmp\nENTRYPOINT ["/bin/echo", "a b"]\n',
}
SETTINGS = {
    "classic": ("{}", "vfs"),
    "containerd": ('{"features": {"containerd-snapshotter": true}}', "native"),
}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    made = engine()
    ensure_base(made, "debian:trixie-slim", CPU.debian_mirror, NullProgress())
    folder = tmp_path_factory.mktemp("engine")
    for name, text in DOCKERFILES.items():
        (folder / f"Dockerfile.{name}").write_text(text)
        recipe = Recipe(name=name, dockerfile=folder / f"Dockerfile.{name}", platform="")
        build_image(made, recipe, NullProgress())
    yield made
    for name in DOCKERFILES:
        made.images.remove(name, force=True)
    made.close()


def answers(container: Any) -> bool:
    """True where the engine in a container is ready."""
    container.reload()
    if container.status != "running" and b"permitted" in container.logs():
        pytest.skip(f"no engine may run in a container here: {container.logs(tail=3)!r}")
    assert container.status == "running", container.logs()
    return b"API listen on" in container.logs()


@pytest.fixture
def newer(client: Any, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """Another engine, for `load` and `save`; it runs no containers and has no network."""
    import docker

    settings, driver = SETTINGS[request.param]
    (tmp_path / "daemon.json").write_text(settings)
    (tmp_path / "socket").mkdir()
    address = "unix:///socket/docker.sock"
    container = client.containers.create(
        ENGINE,
        ["dockerd", "-H", address, "--iptables=false", "--ip6tables=false", "--bridge=none", f"-s={driver}"],
        cap_add=["SYS_ADMIN", "NET_ADMIN"],
        security_opt=["seccomp=unconfined", "apparmor=unconfined"],
        network_mode="none",
        volumes=[f"{tmp_path}/socket:/socket", f"{tmp_path}/daemon.json:/etc/docker/daemon.json"],
    )
    container.start()
    try:
        wait_until(lambda: answers(container), container.logs)
        other = docker.DockerClient(base_url=f"unix://{tmp_path}/socket/docker.sock", version="auto")
        yield other
        other.close()
    finally:
        container.remove(force=True, v=True)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(root=ROOT, state=tmp_path / "state", results=tmp_path / "results")


def media_types(layout: Layout) -> list[str]:
    (entry,) = json.loads((layout.path / "index.json").read_text())["manifests"]
    manifest = layout.path / "blobs" / "sha256" / entry["digest"][7:]
    return [layer["mediaType"].rpartition(".")[2] for layer in json.loads(manifest.read_text())["layers"]]


def check(client: Any, layout: Layout, project: Project) -> None:
    conversion = Conversion(layout=layout, sif=layout.path.parent / "x.sif")
    facts = convert(client, conversion, project, tools_recipe(project, CPU), NullProgress())
    config = client.images.get(IMAGE).attrs["Config"]
    assert compare(config, facts).mismatches == ()
    assert facts["environment"]
    assert facts["entrypoint"] == ["/bin/echo", "a b"]


@pytest.mark.parametrize("newer", others_long(SETTINGS), indirect=True)
def test_what_newer_engines_save_is_converted(client: Any, newer: Any, project: Project) -> None:
    assert newer.version()["Version"].split(".")[0] >= "26"
    folder = project.state / "tmp" / "sif-test"
    newer.images.load(b"".join(client.images.get(IMAGE).save(named=True)))
    image = find_image(newer, IMAGE)
    assert image
    archive = b"".join(newer.images.get(image.id).save(named=image.ref))
    assert b"oci-layout" in archive
    layout = write_layout([archive], folder / "layout")
    # The last one is Slipway's own, for the variable with quotes in it.
    assert media_types(layout) == ["tar"] * 3
    # Of the engine that is no longer asked, the same came out.
    older = write_layout(client.images.get(IMAGE).save(), folder / "older")
    assert older.config["rootfs"] == layout.config["rootfs"]
    check(client, layout, project)


@pytest.mark.long
@pytest.mark.parametrize("newer", ["containerd"], indirect=True)
def test_compressed_layers_are_converted(client: Any, newer: Any, project: Project) -> None:
    folder = project.state / "tmp" / "sif-test"
    folder.mkdir(parents=True)
    (folder / "saved.tar").write_bytes(b"".join(client.images.get(IMAGE).save(named=True)))
    tools, _ = build_image(client, tools_recipe(project, CPU), NullProgress())
    copy = ["skopeo", "--insecure-policy", "copy", "--quiet", "docker-archive:/f/saved.tar"]
    copy += [f"oci-archive:/f/gzip.tar:docker.io/library/{IMAGE}:latest"]
    assert run_container(client, tools, copy, mounts={folder: "/f"}, listen=print) == 0
    (loaded,) = newer.images.load((folder / "gzip.tar").read_bytes())
    archive = io.BytesIO(b"".join(newer.images.get(loaded.id).save(named=True)))
    layout = write_layout(iter(lambda: archive.read(4096), b""), folder / "layout")
    assert media_types(layout) == ["tar+gzip", "tar+gzip", "tar"]
    check(client, layout, project)
