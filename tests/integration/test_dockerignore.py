"""A folder of code goes by its .dockerignore as a build's context does: Docker itself is asked."""

import shutil
import subprocess
import tarfile
import uuid
from pathlib import Path

import pytest

from slipway.code.listing import list_folder
from tests.campaign import others_long

FILES = (
    "a.py",
    "b.log",
    "B.LOG",
    "build/x.o",
    "Build/x.o",
    "data/raw/1.bin",
    "data/raw/keep.csv",
    "data/notes.md",
    "deep/data/raw/2.bin",
    "deep/tmp/x",
    "deep/er/tmp/y",
    "odd/[x].py",
    "odd/a*b",
    "odd/ab",
    "odd/-",
    "odd/two words",
    "Dockerfile.cpu",
    "README.md",
)
ENDING = "an ending behind stars"
RULES = {
    "plain": "build\ndata/raw\n",
    "wildcards": "*.log\n*/raw\nodd/?b\n",
    "any depth": "**/tmp\n**/*.bin\nDockerfile*\n.dockerignore\n",
    "exceptions": "data\n!data/raw/keep.csv\n!data/notes.md\n*.md\n!README.md\n",
    "order": "!data/notes.md\ndata\n",
    "everything but": "*\n!a.py\n!deep\n**/y\n",
    "within what is left out": "**/raw\n!data/raw/keep.csv\n",
    "sets": "[a-b]*\nodd/[^a]*\nodd/\\[x\\].py\n",
    "escapes": "odd/a\\*b\nodd/two words\n",
    "tidying": "/build/\n#a.py\n  # b.log\n ./data/../deep/tmp \n!  README.md\n\n",
    "trailing stars": "data/**\ndeep/**/y\n",
    "stars and no slash": "**.lo[g]\ndeep/**x\n**wo*\n**\\.LOG\n",
    ENDING: "**.log\n**words\n**b\n",
}


@pytest.fixture(scope="module")
def tag() -> str:
    return f"slipway-test-{uuid.uuid4().hex[:8]}"


def docker(*words: str) -> bytes:
    environment = {"DOCKER_BUILDKIT": "0", "PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/nonexistent"}
    return subprocess.run(["docker", *words], env=environment, check=True, capture_output=True).stdout


def version() -> int:
    """The major version of the command line, which is what reads the file."""
    return int(docker("version", "--format", "{{.Client.Version}}").split(b".")[0])


def copied_by_docker(folder: Path, dockerfile: Path, tag: str, tmp_path: Path) -> list[str]:
    """The files that a build copies from its context."""
    docker("build", "--quiet", "--tag", tag, "--file", str(dockerfile), str(folder))
    container = docker("create", tag, "/none").decode().strip()
    try:
        (tmp_path / "tar").write_bytes(docker("cp", f"{container}:/context", "-"))
    finally:
        docker("rm", container)
        docker("rmi", tag)
    with tarfile.open(tmp_path / "tar") as archive:
        names = [member.name for member in archive if not member.isdir()]
    return sorted(name.removeprefix("context/") for name in names)


@pytest.mark.parametrize("rules", others_long(RULES, "exceptions", "sets", "tidying", ENDING))
def test_docker_leaves_out_the_same(tmp_path: Path, tag: str, rules: str) -> None:
    if shutil.which("docker") is None:
        pytest.skip("Docker's own command line is not installed")
    if rules == ENDING and version() < 23:
        pytest.skip("Docker reads it so from 23.0 on")
    folder = tmp_path / "code"
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")
    (folder / ".dockerignore").write_text(RULES[rules])
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text("FROM scratch\nCOPY . /context\n")
    seen = copied_by_docker(folder, dockerfile, tag, tmp_path)
    assert seen, "nothing at all would prove nothing"
    assert sorted(list_folder(folder).names) == seen
