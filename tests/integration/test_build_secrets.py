"""Secrets of a build and of a project: looked for in an image, its .sif and what is shown, and not found."""

import gzip
import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from slipway.image.base import ensure_base
from slipway.image.build import build_image
from slipway.image.engine import Image, engine, find_image, run_container
from slipway.image.recipe import Recipe
from slipway.profile import load_profile
from slipway.progress import NullProgress
from slipway.project import Project
from slipway.sif.file import read_sif
from slipway.sif.store import tools_recipe
from tests.integration.process_watch import processes_here

ROOT = Path(__file__).parents[2]
CPU = load_profile(ROOT / "env", "cpu")
BASE = "debian:trixie-slim"
NAME = "slipway-test-secrets"
BUILDX = "slipway-test-buildx"
# In each secret, and nowhere else by chance; the mark shows that what is looked at can be found.
WORD = "hunter2"
MARK = "slipway_secrets_mark"
# One of the environment and one of a file for the build, one of the environment that nobody asks for; and two
# for jobs, in the profile.
SECRETS = {"TRIAL_TOKEN": f"{WORD}-it's-$(id)", "OTHER_TOKEN": f"{WORD}-other"}
IN_FILE = f"machine a\n  password {WORD}-in-a-file\n"
PROFILE = f"""IMAGE={NAME}
DOCKERFILE=docker/Dockerfile
PROGRAM=cat
BUILD_SECRETS=TRIAL_TOKEN netrc=netrc
ENV_HF_TOKEN={WORD}-of-jobs
ARG_GREETING={MARK}
"""
PLAIN = f"""FROM {BASE}
ARG GREETING
LABEL mark={MARK}
COPY a.txt /a.txt
RUN echo "$GREETING" >/mark; env >/env; sleep 1; : {MARK}
"""
# What a program may do that is given a secret: it prints it, too.
WITH_SECRETS = f"""RUN --mount=type=secret,id=TRIAL_TOKEN,required=true --mount=type=secret,id=netrc \\
    wc -c </run/secrets/TRIAL_TOKEN >/size && sleep 1 && : {MARK} && cat /run/secrets/*
"""
FAILS = """RUN --mount=type=secret,id=TRIAL_TOKEN --mount=type=secret,id=netrc,target=/netrc \\
    echo 'not so' && cat /run/secrets/TRIAL_TOKEN /netrc >&2 && exit 4
"""


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    made = engine()
    ensure_base(made, BASE, CPU.debian_mirror, NullProgress())
    build_image(made, tools_recipe(Project.find(ROOT), CPU), NullProgress())
    yield made
    if find_image(made, NAME):
        made.images.remove(NAME, force=True)
    made.close()


@pytest.fixture(scope="module")
def buildx(client: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for DOCKER_CONFIG with a `docker buildx` in it: this machine's own, or Debian's."""
    folder = tmp_path_factory.mktemp("docker")
    if has_buildx(None):
        return Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    place = folder / "image"
    place.mkdir()
    (place / "Dockerfile").write_text(
        f"FROM {BASE}\nRUN apt-get update && cd /tmp && apt-get download docker-buildx "
        "&& dpkg-deb -x *.deb /x && rm -rf *.deb /var/lib/apt/lists/*\n"
    )
    recipe = Recipe(name=BUILDX, dockerfile=place / "Dockerfile", platform="")
    image, _ = build_image(client, recipe, NullProgress())
    plugins = folder / "cli-plugins"
    plugins.mkdir()
    code = run_container(
        client,
        image,
        ["sh", "-c", "cp /x/usr/libexec/docker/cli-plugins/docker-buildx /there"],
        mounts={plugins: "/there"},
        listen=lambda _: None,
    )
    assert code == 0
    if not has_buildx(folder):
        pytest.skip("Debian's docker-buildx does not run on this machine, and there is no other")
    return folder


def has_buildx(config: Path | None) -> bool:
    environment = {**os.environ, **({"DOCKER_CONFIG": str(config)} if config else {})}
    argv = ["docker", "buildx", "version"]
    return subprocess.run(argv, env=environment, capture_output=True, check=False).returncode == 0


@dataclass
class Trial:
    """A project of a user's, and what its tasks have printed."""

    folder: Path
    environment: dict[str, str]
    said: list[str] = field(default_factory=list)

    @property
    def state(self) -> Path:
        return self.folder / ".slipway"

    def write(self, dockerfile: str) -> None:
        (self.folder / "docker" / "Dockerfile").write_text(dockerfile)

    def task(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Give a task, and remember what it prints."""
        done = subprocess.run(
            [sys.executable, "-m", "slipway", *words],
            cwd=self.folder,
            env={**os.environ, **SECRETS, "PYTHONPATH": str(ROOT), **self.environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        self.said += [done.stdout, done.stderr]
        return done


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    for name in ("env", "docker"):
        (tmp_path / name).mkdir()
    (tmp_path / "env" / ".env.base").write_text(PROFILE)
    (tmp_path / "env" / ".env.local").write_text(f"ENV_WANDB_API_KEY={WORD}-of-this-machine\n")
    (tmp_path / "netrc").write_text(IN_FILE)
    (tmp_path / "docker" / "a.txt").write_text("a\n")
    return Trial(folder=tmp_path, environment={})


def contents(image: Any) -> Iterator[tuple[str, bytes]]:
    """All files of a saved image, its layers not compressed."""
    with tarfile.open(fileobj=io.BytesIO(b"".join(image.save()))) as archive:
        for member in archive:
            if file := archive.extractfile(member):
                content = file.read()
                yield member.name, gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content


def in_image(client: Any, image: Image, word: str) -> list[str]:
    """Where in an image a word is: its layers, its configuration as it is saved, its history."""
    found = client.images.get(image.id)
    places = [name for name, content in contents(found) if word.encode() in content]
    described = {"attributes": found.attrs, "history": found.history()}
    return [*places, *(name for name, value in described.items() if word in json.dumps(value))]


def in_sif(client: Any, sif: Path, word: str) -> list[str]:
    """The files of a .sif that have a word in them, its tables and labels among them."""
    tools = find_image(client, "slipway-apptainer")
    assert tools is not None
    said: list[str] = []
    script = (
        f'unsquashfs -q -n -o {read_sif(sif).offset} -d /x "/sif/$1" >&2; cd /x && grep -rlaF "$2" .; '
        'grep -qaF "$2" "/sif/$1" && echo tables; exit 0'
    )
    code = run_container(
        client,
        tools,
        ["sh", "-c", script, "sh", sif.name, word],
        mounts={sif.parent: "/sif"},
        listen=said.append,
        writable=False,
    )
    assert code == 0, said
    return sorted("".join(said).split())


def in_folder(folder: Path, word: str) -> list[str]:
    done = subprocess.run(["grep", "-rlaF", word, str(folder)], capture_output=True, text=True, check=False)
    return done.stdout.splitlines()


def check_made(client: Any, trial: Trial) -> None:
    """The image and the .sif are there, and no secret is in them."""
    image = find_image(client, NAME)
    assert image is not None
    assert in_image(client, image, WORD) == []
    assert {"attributes", "history"} < set(in_image(client, image, MARK))
    (sif,) = (trial.state / "sif").glob("*.sif")
    assert in_sif(client, sif, WORD) == []
    assert {"./mark", "tables"} <= set(in_sif(client, sif, MARK))


def check_shown(trial: Trial, seen: set[bytes]) -> None:
    """No secret was in a process's words, in what was printed, or is in what Slipway keeps."""
    assert any(MARK.encode() in line for line in seen)
    assert not [line for line in seen if WORD.encode() in line]
    assert NAME in "".join(trial.said)
    assert WORD not in "".join(trial.said)
    assert in_folder(trial.state, NAME)
    assert in_folder(trial.state, WORD) == []


def test_a_build_by_buildkit_keeps_no_secret(client: Any, buildx: Path, trial: Trial) -> None:
    trial.environment = {"DOCKER_CONFIG": str(buildx), "DOCKER_BUILDKIT": "1"}
    trial.write(PLAIN + WITH_SECRETS)
    seen: set[bytes] = set()
    with processes_here(seen):
        built = trial.task("build", "--fresh")
        converted = trial.task("sif")
    assert (built.returncode, converted.returncode) == (0, 0), trial.said
    # The program had the secrets, and what it has printed of them is hidden.
    image = find_image(client, NAME)
    assert image is not None
    lines: list[str] = []
    run_container(client, image, ["cat", "/size"], mounts={}, listen=lines.append)
    assert "".join(lines).strip() == str(len(SECRETS["TRIAL_TOKEN"]))
    check_made(client, trial)
    # A step that fails is quoted, without them.
    trial.write(PLAIN + FAILS)
    with processes_here(seen):
        failed = trial.task("build")
    assert failed.returncode == 67, failed
    assert "not so" in failed.stderr
    assert "***" in failed.stderr
    check_shown(trial, seen)


@pytest.mark.long
def test_a_build_by_the_engine_itself_keeps_no_secret(client: Any, trial: Trial) -> None:
    trial.environment = {"DOCKER_BUILDKIT": "0"}
    trial.write(PLAIN)
    seen: set[bytes] = set()
    with processes_here(seen):
        built = trial.task("build", "--fresh")
        converted = trial.task("sif")
    assert (built.returncode, converted.returncode) == (0, 0), trial.said
    check_made(client, trial)
    trial.write(PLAIN + "RUN env && cat /run/secrets/*\n")
    assert trial.task("build").returncode == 67
    # It has no secrets, and does not try.
    trial.write(PLAIN + WITH_SECRETS)
    refused = trial.task("build")
    assert refused.returncode == 67
    assert "this needs BuildKit" in refused.stderr
    check_shown(trial, seen)
