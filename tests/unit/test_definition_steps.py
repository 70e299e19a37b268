"""What tasks make of a profile whose image Apptainer builds; nothing is built here."""

from pathlib import Path

import pytest

from slipway.errors import UsageError
from slipway.image.engine import Image
from slipway.image.inputs import explain_stale, keep_inputs, read_inputs
from slipway.image.own import remember_built
from slipway.project import Project
from slipway.sif.kept import Sif, find_newest, keep_made
from slipway.steps.container import start
from slipway.steps.definition import find_built_definition, read_definition, write_files
from slipway.steps.image import build, publish
from slipway.steps.session import Session
from slipway.steps.submit import look_here


@pytest.fixture
def session(tmp_path: Path) -> Session:
    (tmp_path / "env").mkdir()
    settings = "IMAGE=mine\nDEFINITION=image.def\nCODE_DIR=env\nPROGRAM=\nARG_LEVEL=1\n"
    (tmp_path / "env" / ".env.base").write_text(settings)
    (tmp_path / "image.def").write_text(
        "Bootstrap: docker\nFrom: a\n%files\n  in /in\n%post\n  echo {{ LEVEL }}\n"
    )
    (tmp_path / "in").write_text("x\n")
    return Session(project=Project(root=tmp_path, state=tmp_path / "state", results=tmp_path / "results"))


def kept(session: Session, image_id: str, compression: str = "zstd") -> Sif:
    made = session.project.root / "made"
    made.write_text(image_id)
    image = Image(ref="mine:latest", id=image_id, labels={}, size_bytes=0)
    return keep_made(made, session.project, image, compression)


def test_the_newest_that_apptainer_has_built_is_found(session: Session) -> None:
    profile = session.profile("base")
    assert look_here(session, profile, "zstd")() is None
    kept(session, "sha256:of-docker")
    assert find_newest(session.project, "mine", "zstd", "definition:") is None
    sif = kept(session, "definition:1234567890abcdef-and-more")
    # Of two definitions that begin alike, no file is that of the other.
    assert sif.path.name == "mine-1234567890abcdef-zstd.sif"
    assert find_built_definition(session, profile, "zstd") == sif
    assert find_built_definition(session, profile, "gzip") is None
    found = look_here(session, profile, "zstd")()
    assert found is not None
    assert (found.id, found.name) == (sif.image_id, "mine")


def test_what_a_cluster_has_built_since_is_not_the_one_here(session: Session) -> None:
    kept(session, "definition:1")
    remember_built(session.project, Image(ref="mine:latest", id="definition:2", labels={}, size_bytes=0))
    assert look_here(session, session.profile("base"), "zstd")() is None


def test_what_has_changed_since_is_told(session: Session) -> None:
    profile, root = session.profile("base"), session.project.root
    image = read_definition(session, profile).image
    keep_inputs(session.project, image, read_inputs(session.project, profile))
    assert explain_stale(session.project, profile, image.id) is None
    (root / "nobody-copies-it").write_text("x\n")
    assert explain_stale(session.project, profile, image.id) is None
    (root / "in").write_text("other\n")
    assert explain_stale(session.project, profile, image.id) == "of a build before in changed"
    changed = session.profile("base", ["ARG_LEVEL=2"])
    assert explain_stale(session.project, changed, image.id) == "of a build before in, LEVEL changed"
    with (root / "image.def").open("a") as file:
        file.write("# more\n")
    assert explain_stale(session.project, profile, image.id) == "of a build before image.def, in changed"


def test_what_needs_an_engine_says_that_there_is_no_image_in_one(session: Session) -> None:
    profile = session.profile("base")
    for act in (lambda: start(session, profile), lambda: publish(session, profile, "r.example/me", None)):
        with pytest.raises(
            UsageError, match=r"profile base has none: Apptainer builds it \(.*base:2: DEFINITION\)"
        ):
            act()
    with pytest.raises(UsageError, match="--cache is of layers that Docker builds"):
        build(session, profile, cache="r.example/me")


def test_it_is_written_to_a_new_folder_alone(session: Session) -> None:
    folder = session.project.root / "out" / "there"
    file = write_files(session, session.profile("base"), folder)
    assert file.read_text().startswith("Bootstrap: docker\n")
    assert (folder / "in").read_text() == "x\n"
    with pytest.raises(UsageError, match="is there already"):
        write_files(session, session.profile("base"), folder)
