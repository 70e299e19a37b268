"""Mistakes on the way from a Dockerfile to a .sif, as users make them; docs/errors.md has each."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from slipway.image.base import ensure_base
from slipway.image.build import build_image
from slipway.image.engine import engine, find_image
from slipway.profile import load_profile
from slipway.progress import NullProgress
from slipway.project import Project
from slipway.sif.store import tools_recipe
from tests.integration.apptainer_host import SOCKET, on_a_host
from tests.integration.error_checkout import ROOT, Case, Seen, Topic, UserCheckout, make_checkout
from tests.old_engine import old_engine

BASE = "debian:trixie-slim"
NAME = "slipway-test-mistake"
DOCKERFILE = f"FROM {BASE}\nRUN echo 'no compiler here' && exit 4\n"


@dataclass(frozen=True, kw_only=True)
class EngineCheckout(UserCheckout):
    """A checkout with the profile `mine`, and this machine's engine."""

    client: Any

    def build(self, dockerfile: str | None = DOCKERFILE, **environment: str) -> Seen:
        """Run `invoke build` with a Dockerfile, or without one."""
        if dockerfile is not None:
            (self.folder / "docker" / "Dockerfile.mine").write_text(dockerfile)
        self.environment.update(environment)
        return self.invoke("build", "--profile", "mine")

    def convert_elsewhere(self, **options: Any) -> Seen:
        """Convert on a machine that has Apptainer and lacks something else; nothing may be left there."""
        told = on_a_host(self.client, self.state, image=BASE, **options)
        return subprocess.CompletedProcess([], told["code"], "", f"error: {told['said']}\n")


TOPIC = Topic[EngineCheckout]("image")
case = TOPIC.case


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    made = engine()
    profile = load_profile(ROOT / "env", "cpu")
    ensure_base(made, BASE, profile.debian_mirror, NullProgress())
    project = Project(root=ROOT, state=ROOT / ".slipway", results=ROOT / "results")
    build_image(made, tools_recipe(project, profile), NullProgress())
    yield made
    made.close()


@pytest.fixture
def checkout(client: Any, tmp_path: Path) -> EngineCheckout:
    make_checkout(tmp_path)
    (tmp_path / "env" / ".env.mine").write_text(f"IMAGE={NAME}\nDOCKERFILE=docker/Dockerfile.mine\n")
    hidden = {re.escape(str(tmp_path)): "~/slipway", NAME: "my-image"}
    return EngineCheckout(folder=tmp_path, state=tmp_path / "state", hidden=hidden, client=client)


# --- The engine


def skip_without_socket() -> None:
    if not SOCKET.is_socket():
        pytest.skip(f"the engine is not reached by a socket here: {SOCKET}")


@case("Docker is not installed", 74, "Install it, or set `DOCKER_HOST` to an engine elsewhere.")
def not_installed(checkout: EngineCheckout) -> Seen:
    skip_without_socket()
    return checkout.convert_elsewhere(user=1000, socket=False)


@case(
    "Docker does not run",
    74,
    "Start it.",
    **{r"(?s)again: .*": "again: WHY", r"DOCKER_HOST=\S+": "DOCKER_HOST=…"},
)
def not_running(checkout: EngineCheckout) -> Seen:
    return checkout.build(DOCKER_HOST=f"unix://{checkout.folder}/docker.sock")


@case("Docker does not let this user in", 74, "Join the group `docker`, and log in anew.")
def not_let_in(checkout: EngineCheckout) -> Seen:
    skip_without_socket()
    if SOCKET.stat().st_mode & 0o006:
        pytest.skip("everybody may use the engine of this machine")
    return checkout.convert_elsewhere(user=1000, groups=False)


@case("Docker is too old", 74, "Update Docker.")
def too_old(checkout: EngineCheckout) -> Seen:
    with old_engine(checkout.state.parent / "old.sock", "1.27"):
        return checkout.build(DOCKER_HOST=f"unix://{checkout.folder}/old.sock")


# --- A definition file


@case(
    "Dockerfile and definition file at once",
    65,
    "Write `DOCKERFILE=` beside `DEFINITION`, or take that out.",
)
def two_sources(checkout: EngineCheckout) -> Seen:
    with (checkout.folder / "env" / ".env.mine").open("a") as file:
        file.write("DEFINITION=image.def\n")
    return checkout.invoke("sif", "--profile", "mine")


@case(
    "What stands for an image of FROM is not there",
    65,
    "Correct `BASES` in `env/.env.PROFILE`.",
)
def no_base_file(checkout: EngineCheckout) -> Seen:
    with (checkout.folder / "env" / ".env.mine").open("a") as file:
        file.write(f"BASES={BASE}=images/trixie.tar\n")
    (checkout.folder / "docker" / "Dockerfile.mine").write_text(DOCKERFILE)
    return checkout.invoke("sif", "--from-def", "--profile", "mine")


@case(
    "The Dockerfile says what a definition file cannot",
    67,
    "Change these lines, or write a definition file; [definition.md](definition.md) has what becomes of each "
    "instruction.",
)
def untranslatable(checkout: EngineCheckout) -> Seen:
    text = f"FROM {BASE}\nADD https://example.org/tool /opt/tool\nRUN --mount=type=secret,id=key true\n"
    (checkout.folder / "docker" / "Dockerfile.mine").write_text(text)
    return checkout.invoke("sif", "--from-def", "--profile", "mine")


# --- The Dockerfile


@case("The Dockerfile is not there", 65, "Correct `DOCKERFILE` in `env/.env.PROFILE`, or write it.")
def no_dockerfile(checkout: EngineCheckout) -> Seen:
    return checkout.build(None)


@case(
    "A line of the Dockerfile is no instruction",
    67,
    "Correct the line.",
    # Newer engines have other words.
    **{r"error (on )?line": "error line", r"RNU\b.*": "RNU"},
)
def broken_dockerfile(checkout: EngineCheckout) -> Seen:
    return checkout.build(f"FROM {BASE}\nRNU true\n")


@case(
    "The Dockerfile starts from an image that is not to be had",
    67,
    "Correct the name; `docker pull`, `docker load`, or `invoke base`.",
    **{r"(?m)^  .*(refused|timeout|reset|no such host).*$": "  WHY"},
)
def no_base(checkout: EngineCheckout) -> Seen:
    return checkout.build("FROM localhost:1/no/such:image\n")


@case("A step of the Dockerfile fails", 67, "Read the step's last lines, correct it, and build again.")
def failing_step(checkout: EngineCheckout) -> Seen:
    before = {one.id for one in checkout.client.containers.list(all=True, ignore_removed=True)}
    done = checkout.build()
    assert find_image(checkout.client, NAME) is None
    left = [
        one for one in checkout.client.containers.list(all=True, ignore_removed=True) if one.id not in before
    ]
    assert "no compiler here" not in str([one.attrs["Config"]["Cmd"] for one in left])
    return done


@case("The image was never built", 67, "`invoke build --profile PROFILE`.")
def not_built(checkout: EngineCheckout) -> Seen:
    shutil.copytree(ROOT / "singularity", checkout.folder / "singularity")
    (checkout.folder / "docker" / "Dockerfile.mine").write_text(DOCKERFILE)
    site = "login: {host: localhost}\npaths: {scratch: /scratch}\n"
    return checkout.invoke("push", "--profile", "mine", site=site)


# --- The conversion


@case(
    "There is no room for a conversion",
    75,
    "Make room, or set `SLIPWAY_STATE` to a folder on another disk.",
    **{r"/small/tmp": "~/slipway/.slipway/tmp", r"\d+\.\d GB": "N GB"},
)
def no_room(checkout: EngineCheckout) -> Seen:
    skip_without_socket()
    return checkout.convert_elsewhere(room_mb=100)


@case(
    "The disk fills up while an image is saved",
    75,
    "As above.",
    **{r"/small/tmp/[\w-]+": "~/slipway/.slipway/tmp/sif-…"},
)
def fills_up(checkout: EngineCheckout) -> Seen:
    skip_without_socket()
    # Less is asked for than is needed, as where somebody else fills the disk meanwhile.
    return checkout.convert_elsewhere(room_mb=30, factor="0")


@case(
    "Apptainer fails",
    76,
    "Read its words; where their cause is known, the last line says what helps.",
    **{r"debian-[0-9a-f]{16}-zstd\.sif": "my-image.sif", r"/small": "~/slipway/.slipway"},
)
def apptainer_fails(checkout: EngineCheckout) -> Seen:
    skip_without_socket()
    return checkout.convert_elsewhere(room_mb=1000, noexec=True)


@pytest.mark.parametrize("case", [pytest.param(case, id=case.make.__name__) for case in TOPIC.cases])
def test_a_mistake(checkout: EngineCheckout, case: Case[EngineCheckout]) -> None:
    TOPIC.check(checkout, case)


def test_the_documentation_has_these_and_no_others() -> None:
    TOPIC.check_order()
