"""Images that the cluster builds: on the box, which has Apptainer and lets users make namespaces."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from slipway.errors import ConversionError, RemoteError
from slipway.host.scratch import open_scratch
from slipway.image.base import ensure_base
from slipway.image.engine import engine
from slipway.progress import NullProgress
from slipway.push.upload import find_pushed
from slipway.scheduler.base import State
from slipway.steps.remote_build import build_remotely
from slipway.steps.session import Choice
from tests.integration.small_image import SmallImageBox, fakes

BASE = "debian:trixie-slim"
NAME = "slipway-test-there"
DOCKERFILE = f"""FROM {BASE} AS build
RUN useradd --create-home app && mkdir /out && echo made >/out/file && chown app:app /out/file
FROM {BASE}
COPY --from=build /out /out
COPY data /data-in-image
ARG LEVEL
ENV OF_THE_IMAGE="it's $LEVEL" PATH=/opt/own:$PATH
LABEL of.mine="$LEVEL"
RUN cat /out/file /data-in-image/input.txt >/both
ENTRYPOINT ["printf", "%s|"]
CMD ["a b"]
"""


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The base image as ``docker save`` writes it."""
    client = engine()
    ensure_base(client, BASE, None, NullProgress())
    path: Path = tmp_path_factory.mktemp("base") / "trixie.tar"
    with path.open("wb") as file:
        for chunk in client.images.get(BASE).save(named=BASE):
            file.write(chunk)
    client.close()
    return path


@pytest.fixture
def there(small: SmallImageBox, archive: Path, tmp_path: Path) -> Iterator[SmallImageBox]:
    """The box with a profile whose Dockerfile is in a folder of its own."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "input.txt").write_text("input\n")
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    yield replace(small, choice=choose(small, archive, tmp_path))
    small.on_box(f"rm -rf $SCRATCH/slipway/images/{NAME}*")


def choose(small: SmallImageBox, archive: Path, folder: Path) -> Choice:
    words = [f"DOCKERFILE={folder / 'Dockerfile'}", "BUILDER=apptainer", f"IMAGE={NAME}", "ARG_LEVEL=high"]
    words += [f"BASES={BASE}={archive}", f"CODE_DIR={small.choice.profile.code_dir}"]
    return small.session.choose("cpu", "box", words)


def left_there(small: SmallImageBox) -> list[str]:
    """What is in the folder of images but the images themselves."""
    listed = small.on_box("ls -A $SCRATCH/slipway/images").split()
    return [one for one in listed if one.startswith(".") and NAME in one]


def test_the_cluster_builds_an_image_and_a_job_runs_in_it(there: SmallImageBox) -> None:
    session, choice = there.session, there.choice
    pushed, built = build_remotely(session, choice)
    assert built
    assert pushed.image_id.startswith("definition:")
    assert build_remotely(session, choice) == (pushed, False)
    assert left_there(there) == []
    script = 'echo "$OF_THE_IMAGE"; cat /both; echo "${PATH%%:*}"; exit 7'
    with there.connect() as remote:
        scratch = open_scratch(remote, choice.site)
        assert find_pushed(remote, scratch, NAME) == pushed
        run = there.submit(remote, "sh", "-c", script)
        ended = there.wait_for(run)
    assert (ended.state, ended.status.exit_code) == (State.FAILED, 7)
    assert run.image_id == pushed.image_id
    for line in ("it's high", "made", "input", "/opt/own"):
        assert there.has_printed(run, line), line
    ran = there.on_box(f"module load apptainer; apptainer run --userns {pushed.path}; echo; echo $?")
    assert ran.splitlines()[-2:] == ["a b|", "0"]
    labels = there.on_box(f"module load apptainer; apptainer inspect {pushed.path}")
    assert "of.mine: high" in labels
    assert f"slipway.inputs: {pushed.image_id.partition(':')[2]}" in labels


@pytest.mark.long
def test_another_content_is_another_image_and_the_old_one_stays_for_jobs_that_wait(
    there: SmallImageBox,
) -> None:
    session, choice = there.session, there.choice
    pushed, _ = build_remotely(session, choice)
    folder = choice.profile.recipe_file.parent
    (folder / "data" / "input.txt").write_text("other\n")
    before = there.on_box("stat -c '%i %y' $SCRATCH/slipway/cache/base-*")
    other, built = build_remotely(session, choice, as_job=True)
    assert built
    assert other.path != pushed.path
    # The base image is not sent again.
    assert there.on_box("stat -c '%i %y' $SCRATCH/slipway/cache/base-*") == before
    listed = there.on_box(f"cd $SCRATCH/slipway/images; readlink {NAME}.sif; ls {NAME}-*.sif").split()
    assert listed[0] == other.path.name
    assert sorted(listed[1:]) == sorted([other.path.name, pushed.path.name])
    # What was built once is found again, and the link goes to it again.
    (folder / "data" / "input.txt").write_text("input\n")
    assert build_remotely(session, choice) == (pushed, False)
    assert there.on_box(f"readlink $SCRATCH/slipway/images/{NAME}.sif").strip() == pushed.path.name


@pytest.mark.long
def test_what_fails_there_is_named_by_its_line_and_leaves_nothing(there: SmallImageBox) -> None:
    file = there.choice.profile.recipe_file
    file.write_text(f"FROM {BASE}\nRUN true\nRUN echo so it goes && exit 7\n")
    with pytest.raises(ConversionError) as raised:
        build_remotely(there.session, there.choice)
    assert str(raised.value).startswith(f"{file}:3: RUN echo so it goes && exit 7 failed\n")
    assert "so it goes" in str(raised.value)
    assert left_there(there) == []
    assert there.on_box(f"ls $SCRATCH/slipway/images/{NAME}* 2>/dev/null || true") == ""


def test_a_cluster_without_namespaces_is_told_to_be_one(there: SmallImageBox) -> None:
    there.as_root("sed", "-i.bak", "s/^researcher:/nobody-else:/", "/etc/subuid")
    try:
        with fakes(there) as fake:
            fake("unshare", "exit 1")
            with pytest.raises(RemoteError, match="lets no user make namespaces") as raised:
                build_remotely(there.session, there.choice)
    finally:
        there.as_root("mv", "/etc/subuid.bak", "/etc/subuid")
    assert "sif --from-def" in str(raised.value)
    assert left_there(there) == []


@pytest.mark.long
def test_only_one_user_id_is_explained(there: SmallImageBox) -> None:
    there.as_root("sed", "-i.bak", "s/^researcher:/nobody-else:/", "/etc/subuid")
    there.choice.profile.recipe_file.write_text(f"FROM {BASE}\nRUN touch /x && chown 33:33 /x\n")
    try:
        with pytest.raises(ConversionError) as raised:
            build_remotely(there.session, there.choice)
    finally:
        there.as_root("mv", "/etc/subuid.bak", "/etc/subuid")
    assert "has one user id there" in str(raised.value)
    assert os.fspath(there.choice.profile.recipe_file) in str(raised.value)
