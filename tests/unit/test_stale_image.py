"""Whether what an image was built from has changed since, as it is told without the engine."""

import os
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from slipway.doctor.check import Facts
from slipway.doctor.finding import Verdict
from slipway.doctor.there.image import judge_image
from slipway.image import inputs
from slipway.image.copied import may_hold_copied
from slipway.image.engine import Image
from slipway.image.inputs import explain_stale, explain_stale_here, find_changes, keep_inputs, read_inputs
from slipway.profile import Profile, load_profile
from slipway.progress import NullProgress
from slipway.project import Project
from slipway.push.upload import PushedSif
from slipway.scheduler.slurm.site import SlurmSite
from slipway.site import Login, Paths
from slipway.steps import submit
from slipway.steps.session import Session

DOCKERFILE = """FROM debian
ARG LEVEL=1
COPY requirements.txt /
COPY src/ /opt/src/
RUN pip install -r /requirements.txt
"""
IMAGE = Image(ref="a:latest", id="sha256:1", labels={}, size_bytes=1)
THERE = PushedSif(path=PurePosixPath("/s/a-1.sif"), image_id=IMAGE.id, sha256="00", size_bytes=1_000_000)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project whose image has just been built; its code is not in the image."""
    env = tmp_path / "env"
    env.mkdir()
    (env / ".env.base").write_text(
        "IMAGE=a\nDOCKERFILE=Dockerfile\nCODE_DIR=.\nPROGRAM=python3\nARG_LEVEL=1\n"
    )
    (env / ".env.other").write_text("DOCKERFILE=Dockerfile\n")
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    (tmp_path / "requirements.txt").write_text("numpy==2.0\n")
    (tmp_path / "train.py").write_text("print(1)\n")
    (tmp_path / "src" / "deep").mkdir(parents=True)
    (tmp_path / "src" / "deep" / "a.c").write_text("int a;\n")
    (tmp_path / "src" / "link").symlink_to("deep")
    (tmp_path / ".dockerignore").write_text("**/*.log\n")
    made = Project(root=tmp_path, state=tmp_path / ".slipway", results=tmp_path / "results")
    build(made)
    return made


def profile(project: Project, *words: str, name: str = "base") -> Profile:
    return load_profile(project.profiles, name, words)


def build(project: Project) -> None:
    keep_inputs(project, IMAGE, read_inputs(project, profile(project)))


def changes(project: Project, *words: str) -> list[str]:
    return find_changes(project, profile(project, *words), IMAGE.id)


def write(name: str, text: str) -> Callable[[Path], object]:
    return lambda root: (root / name).write_text(text)


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (write("Dockerfile", DOCKERFILE + "RUN more\n"), ["Dockerfile"]),
        (write("requirements.txt", "numpy==2.1\n"), ["requirements.txt"]),
        (write("requirements.txt", "numpy==2.0\ntorch\n"), ["requirements.txt"]),
        (write("src/new.c", ""), ["src/new.c"]),
        (write("src/deep/a.c", "int b;\n"), ["src/deep/a.c"]),
        (lambda root: (root / "src" / "deep" / "a.c").chmod(0o755), ["src/deep/a.c"]),
        (lambda root: (root / "src" / "deep" / "a.c").unlink(), ["src/deep/a.c"]),
        (lambda root: (root / "src" / "link").unlink(), ["src/link"]),
    ],
)
def test_what_goes_into_the_image_is_told(
    project: Project, change: Callable[[Path], object], names: list[str]
) -> None:
    assert changes(project) == []
    change(project.root)
    assert changes(project) == names
    build(project)
    assert changes(project) == []


@pytest.mark.parametrize(
    "change",
    [
        write("train.py", "print(2)\n"),
        write("src/run.log", "a line\n"),
        write("Dockerfile.other", "FROM scratch\n"),
        write("env/.env.local", "SITE=hpc\nPARTITION=gpu\n"),
        lambda root: (root / "requirements.txt").touch(),
        lambda root: (root / "src" / ".git").mkdir(),
        lambda root: os.mkfifo(root / "src" / "pipe"),
    ],
)
def test_nothing_else_is(project: Project, change: Callable[[Path], object]) -> None:
    change(project.root)
    assert changes(project) == []


def test_a_setting_that_the_dockerfile_declares_is_told(project: Project) -> None:
    assert changes(project, "ARG_LEVEL=2") == ["LEVEL"]
    assert changes(project, "PLATFORM=linux/arm64") == ["PLATFORM"]
    # It may be secret.
    (record,) = (project.state / "inputs").glob("*.json")
    assert '"LEVEL": "1"' not in record.read_text()


def test_of_an_image_that_was_not_built_here_nothing_is_told(project: Project) -> None:
    (project.root / "requirements.txt").write_text("")
    assert find_changes(project, profile(project), "sha256:2") == []
    assert find_changes(project, profile(project), "") == []
    assert find_changes(project, profile(project, name="other"), IMAGE.id) == []


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"profile": "base", "settings": 1, "files": {"a": 1}}'])
def test_a_broken_record_is_as_none(project: Project, text: str) -> None:
    (record,) = (project.state / "inputs").glob("*.json")
    record.write_text(text)
    assert changes(project) == []


def test_without_a_dockerfile_nothing_is_told(project: Project) -> None:
    (project.root / "Dockerfile").unlink()
    assert changes(project) == []
    assert read_inputs(project, profile(project)) is None


def test_nobody_waits_for_a_large_context(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    # Folders that nothing is copied of are not looked into.
    (project.root / "data").mkdir()
    for number in range(9):
        (project.root / "data" / str(number)).touch()
    (project.root / "requirements.txt").write_text("numpy==2.1\n")
    monkeypatch.setattr(inputs, "_MOST_ENTRIES", 15)
    assert changes(project) == ["requirements.txt"]
    monkeypatch.setattr(inputs, "_MOST_ENTRIES", 3)
    assert changes(project) == []
    monkeypatch.setattr(inputs, "_MOST_ENTRIES", 15)
    monkeypatch.setattr(inputs, "_MOST_BYTES", 3)
    assert changes(project) == []


def test_only_so_many_records_are_kept(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "_KEPT", 2)
    for number in range(5):
        image = Image(ref="a:latest", id=f"sha256:{number}", labels={}, size_bytes=1)
        keep_inputs(project, image, read_inputs(project, profile(project)))
    assert len(list((project.state / "inputs").glob("*.json"))) == 2


def test_sources_that_are_compiled_count(project: Project) -> None:
    folder = project.root.parent / f"{project.root.name}-droid"
    for name in ("setup.py", "droid_slam/droid.py", "src/droid_kernels.cu"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x\n")
    (project.root / "Dockerfile").write_text(f"{DOCKERFILE}ARG DROID_SLAM_REPO\n")
    word = f"DROID_SLAM_SOURCE={folder}"
    keep_inputs(project, IMAGE, read_inputs(project, profile(project, word)))
    assert changes(project, word) == []
    (folder / "setup.py").write_text("y\n")
    assert changes(project, word) == [str(folder / "setup.py")]
    (folder / "setup.py").write_text("x\n")
    assert changes(project) == ["DROID_SLAM_SOURCE"]


def test_folders_of_which_something_may_be_copied() -> None:
    assert may_hold_copied(None, "a")
    assert may_hold_copied(["."], "a/b")
    assert may_hold_copied(["a/*/c.txt"], "a/b")
    assert may_hold_copied(["a"], "a/b")
    assert not may_hold_copied(["a/c.txt", "*.txt"], "b")


def test_the_words(project: Project) -> None:
    for name in ("Dockerfile", "requirements.txt", "src/b.c", "src/deep/a.c"):
        (project.root / name).write_text(f"{DOCKERFILE}# changed\n")
    said = "of a build before Dockerfile, requirements.txt, src/b.c and 1 more changed"
    assert explain_stale(project, profile(project), IMAGE.id) == said
    assert explain_stale_here(project, profile(project), IMAGE) == (
        f"The image a here is {said}; `invoke build --profile base` brings it up to date"
    )
    build(project)
    assert explain_stale(project, profile(project), IMAGE.id) is None
    assert explain_stale_here(project, profile(project), IMAGE) is None


class Notes(NullProgress):
    def __init__(self) -> None:
        self.notes = list[str]()

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.mark.parametrize("has_engine", [True, False])
def test_a_job_says_once_that_its_image_is_stale(
    project: Project, monkeypatch: pytest.MonkeyPatch, has_engine: bool
) -> None:
    site = SlurmSite(name="hpc", login=Login(host="h"), paths=Paths(scratch="/s"))
    own = profile(project)
    monkeypatch.setattr("slipway.push.upload.find_pushed", lambda *_: THERE)
    notes, here, nowhere = Notes(), IMAGE if has_engine else None, Any
    session = Session(project=project, progress=notes)
    ask = submit.Push.ASK

    def choose() -> object:
        return submit._choose_image(session, own, site, nowhere, nowhere, lambda: here, ask)  # type: ignore[arg-type]

    assert (choose(), notes.notes) == (THERE, [])
    (project.root / "requirements.txt").write_text("")
    assert choose() is THERE
    (said,) = notes.notes
    assert said == (
        "The image a at hpc is of a build before requirements.txt changed, and this run uses it; `invoke "
        "build --profile base`, then `invoke push --profile base --site hpc` bring it up to date"
    )


@pytest.mark.parametrize("here", [IMAGE, None])
def test_doctor_warns_of_a_stale_image(project: Project, here: Image | None) -> None:
    site = SlurmSite(name="hpc", login=Login(host="h"), paths=Paths(scratch="/s"))
    facts = Facts(project=project, profile=profile(project), site=site, image=here)
    assert judge_image(facts, THERE, THERE.size_bytes, "`invoke push`").verdict is Verdict.OK
    (project.root / "requirements.txt").write_text("")
    found = judge_image(facts, THERE, THERE.size_bytes, "`invoke push`")
    assert found.verdict is Verdict.WARNING
    assert found.seen == "of a build before requirements.txt changed: a-1.sif, 1 MB"
    assert found.fix == "`invoke build --profile base`, then `invoke push`"
