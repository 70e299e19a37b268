"""Images that Apptainer builds from definition files: beside what Docker builds, and in jobs."""

import io
import os
import re
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from slipway.errors import ConversionError, UsageError
from slipway.host.scratch import open_scratch
from slipway.image.base import ensure_base
from slipway.image.build import build_image
from slipway.image.engine import engine, run_container
from slipway.image.recipe import profile_recipe
from slipway.profile import Profile
from slipway.progress import NullProgress
from slipway.project import Project
from slipway.push.upload import find_pushed
from slipway.scheduler.base import State
from slipway.sif.check import compare
from slipway.sif.conversion import container_config
from slipway.sif.kept import Sif
from slipway.sif.store import tools_recipe
from slipway.steps import definition, image
from slipway.steps.container import start
from slipway.steps.session import Session
from tests.integration.small_image import SmallImageBox

BASE = "debian:trixie-slim"
DOCKERFILE = r"""# escape=\
ARG BASE=debian:trixie-slim
ARG LEVEL=default
FROM ${BASE} AS First
ARG LEVEL
ENV HARD="he said \"hi\" and 'bye' \$HOME {{ nothing }} `x` ☃" EMPTY= SPACED="  two  " BACK='a\b\n'
ENV LEGACY one two  three
ENV LD_LIBRARY_PATH=/opt/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} odd.name=1
LABEL a.b="c d" level="$LEVEL" quoted="it's \"so\" % # ☃"
RUN echo "$LEVEL|$HARD" >/level && \
    # a comment within
    echo '%post' >>/level; printf '%s\n' "{{ x }}" >>/level
RUN useradd --create-home --shell /bin/sh app && mkdir -p /s/d && touch /s/d/x && chmod 4755 /s/d/x \
 && touch /s/y && ln /s/y /s/hard && ln -s /nowhere /s/dangling && chown app:app /s/d && chmod 640 /level
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
WORKDIR /room
WORKDIR deeper
RUN [[ $PWD == /room/deeper ]] && echo "${BASH_VERSION%%.*}" >bash
RUN ["/bin/sh", "-c", "echo \"$1\" >/json", "it's", "a b"]

FROM debian:trixie-slim AS unused
RUN true

FROM first AS second
COPY src /copied/
COPY src/a.txt tool.sh /both/
COPY --chown=app:app tool.sh /usr/local/bin/tool
COPY named named-here
COPY src/*.txt s[r]c/sub/b.txt missin[g] globbed/
ADD pack.tar.gz src/a.txt /unpacked/
RUN rm /copied/a.txt && echo changed >/both/a.txt
COPY src/a.txt /copied/a.txt
COPY ["src/with space", "/with space"]
USER app
RUN id -un >~/me && pwd >>~/me && echo "$HARD" >>~/me
USER root
CMD ["one", "it's \"$HOME\""]

FROM first
COPY --from=second /copied /copied
COPY --from=second /home/app/me /both/a.txt /from/
COPY --from=second ["/with space", "/with space"]
COPY --from=second --chown=app /unpacked/ /unpacked
COPY --from=second /usr/local/bin/tool /usr/local/bin/tool
COPY --from=second /room/deeper/globbed /room/deeper/named-here /taken/
ENV PATH=/opt/bin:$PATH:/opt/end AFTER=$HARD HOME=/opt/home
EXPOSE 80
VOLUME /data
STOPSIGNAL SIGINT
HEALTHCHECK CMD true
USER app:app
ENTRYPOINT ["printf", "%s|", "a b", "$HOME", "q\"q", "it's", "", "*"]
CMD ["`x`"]
"""
TOOL = "/usr/local/bin/tool"
LOOKED_AT = ("/s", "/room", "/copied", "/from", "/unpacked", "/with space", "/taken", "/level", "/json", TOOL)
LISTED = re.compile(r"(\S{10}) +(\d+/\d+) +.*? \d{4}-\d\d-\d\d \d\d:\d\d squashfs-root(/.*)")
OWN = """Bootstrap: docker-archive
From: trixie.tar
Stage: first

%post
    mkdir /made && echo made >/made/file

Bootstrap: docker-archive
From: trixie.tar

%files from first
    /made /made

%files
    data/in*.txt /opt/
    # with a name of its own
    "data/with space" /opt/spaced

%environment
    export OF_THE_DEFINITION="it's"

%post
    test -f /opt/input.txt
    echo "{{ LEVEL }}" >/level

%arguments
    LEVEL=low

%labels
    of.mine yes

%runscript
    echo ran "$@"; exit 3
"""


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """The engine, with Debian's base image."""
    made = engine()
    ensure_base(made, BASE, None, NullProgress())
    yield made
    made.close()


@pytest.fixture(scope="module")
def archive(client: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The base image as ``docker save`` writes it."""
    path: Path = tmp_path_factory.mktemp("base") / "trixie.tar"
    with path.open("wb") as file:
        for chunk in client.images.get(BASE).save(named=BASE):
            file.write(chunk)
    return path


@pytest.fixture
def facts(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What is found in each file that is made, once it is."""
    from slipway.sif.definition import make

    found: dict[str, Any] = {}
    check = make.check_made

    def keep(config: Mapping[str, Any], made: Any, facts: Mapping[str, Any], *args: Any, **more: Any) -> None:
        found.update(facts)
        check(config, made, facts, *args, **more)

    monkeypatch.setattr(make, "check_made", keep)
    return found


def project(folder: Path, settings: str) -> Session:
    """A project with one profile."""
    (folder / "env").mkdir()
    (folder / "env" / ".env.base").write_text(f"CODE_DIR=env\nPROGRAM=\n{settings}")
    return Session(project=Project(root=folder, state=folder / "state", results=folder / "results"))


def write_context(folder: Path) -> None:
    """What the Dockerfile copies, with names that are hard to write."""
    (folder / "src" / "sub").mkdir(parents=True)
    (folder / "src" / "with space").mkdir()
    (folder / "src" / "a.txt").write_text("one\n")
    (folder / "src" / "sub" / "b.txt").write_text("two\n")
    (folder / "src" / "sub" / "link").symlink_to("b.txt")
    (folder / "src" / "out").symlink_to("/etc/passwd")
    (folder / "src" / "with space" / "q\"uo$te'.txt").write_text("q\n")
    (folder / "src" / "ignored.pyc").write_text("no part of it\n")
    (folder / ".dockerignore").write_text("**/*.pyc\nstate\n")
    (folder / "tool.sh").write_text("#!/bin/sh\n")
    (folder / "tool.sh").chmod(0o700)
    (folder / "named").symlink_to("tool.sh")
    with tarfile.open(folder / "pack.tar.gz", "w:gz") as packed:
        member = tarfile.TarInfo("t/in-tar")
        member.size = 2
        packed.addfile(member, io.BytesIO(b"t\n"))
    (folder / "Dockerfile").write_text(DOCKERFILE)


def in_docker(client: Any, ref: Any) -> set[str]:
    """Permissions, owner, path and target of all that is looked at."""
    said: list[str] = []
    command = ["find", *LOOKED_AT, "-printf", "%M %U/%G %p -> %l\\n"]
    assert run_container(client, ref, command, mounts={}, listen=said.append, user="0") == 0
    return set("".join(said).replace(" -> \n", "\n").splitlines())


def in_sif(client: Any, session: Session, profile: Profile, sif: Sif) -> set[str]:
    """The same of a file."""
    said: list[str] = []
    tools, _ = build_image(client, tools_recipe(session.project, profile), NullProgress())
    offset = f"$(apptainer sif list {sif.path.name} | sed -n 's/.*|\\([0-9]*\\)-.*Squashfs.*/\\1/p')"
    command = ["sh", "-c", f"cd /s && unsquashfs -o {offset} -lln {sif.path.name}"]
    assert run_container(client, tools, command, mounts={sif.path.parent: "/s"}, listen=said.append) == 0
    found = set()
    for line in "".join(said).splitlines():
        match = LISTED.match(line)
        if match and any(f"{match[3]}/".startswith((f"{one}/", f"{one} -> ")) for one in LOOKED_AT):
            found.add(f"{match[1]} {match[2]} {match[3]}")
    return found


@pytest.mark.long
def test_it_is_what_docker_builds(client: Any, archive: Path, tmp_path: Path, facts: dict[str, Any]) -> None:
    session = project(
        tmp_path,
        f"IMAGE=slipway-test-def\nDOCKERFILE=Dockerfile\nARG_LEVEL=it's high\nBASES={BASE}={archive}\n",
    )
    write_context(tmp_path)
    profile = session.profile("base")
    docker, _ = build_image(client, profile_recipe(profile), NullProgress())
    try:
        config = client.images.get(docker.id).attrs["Config"]
        chosen = session.profile("base", ["BUILDER=apptainer"])
        sif, is_new = definition.build_definition(session, chosen)
        assert is_new
        found = compare(config, facts)
        # Both are known by what they were made of, which is not the same.
        assert [one for one in found.mismatches if "'slipway.inputs'" not in one] == []
        assert in_sif(client, session, chosen, sif) == in_docker(client, docker)
        assert facts["entrypoint"] == config["Entrypoint"]
        assert facts["command"] == ["`x`"]
    finally:
        client.images.remove(docker.id, force=True)
    assert definition.build_definition(session, chosen) == (sif, False)
    (tmp_path / "tool.sh").write_text("#!/bin/sh\ntrue\n")
    assert definition.read_definition(session, chosen).image_id != sif.image_id
    with pytest.raises(UsageError, match="--set BUILDER"):
        start(session, chosen)


@pytest.mark.long
def test_what_the_base_image_says_counts(client: Any, tmp_path: Path, facts: dict[str, Any]) -> None:
    base = """FROM debian:trixie-slim
ENV OF_BASE="it's a" PATH=/of/base:$PATH
LABEL of.base=yes
ENTRYPOINT ["/bin/echo", "of base"]
CMD ["c"]
"""
    name = "slipway-test-def-base"
    client.images.build(fileobj=io.BytesIO(base.encode()), tag=name)
    try:
        with (tmp_path / "base.tar").open("wb") as file:
            for chunk in client.images.get(name).save(named=f"{name}:latest"):
                file.write(chunk)
    finally:
        client.images.remove(name, force=True)
    settings = "IMAGE=slipway-test-def\nDOCKERFILE=Dockerfile\nBUILDER=apptainer\n"
    session = project(tmp_path, f"{settings}BASES={name}=base.tar\n")
    (tmp_path / "Dockerfile").write_text(
        f'FROM {name} AS first\nRUN echo "$OF_BASE" >/of-base\n'
        'FROM first\nENV PATH=/mine:$PATH\nRUN grep -qx "it.s a" /of-base && [ "$PATH" = /mine:/of/base:'
        '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin ]\nCMD ["d e"]\n'
    )
    sif, _ = definition.build_definition(session, session.profile("base"))
    assert sif.image_id.startswith("definition:")
    assert (facts["entrypoint"], facts["command"]) == (["/bin/echo", "of base"], ["d e"])
    assert facts["labels"]["of.base"] == "yes"
    environment = dict(word.partition("=")[::2] for word in facts["environment"])
    assert environment["PATH"].startswith("/mine:/of/base:/usr/local/sbin:")


@pytest.mark.long
def test_a_command_that_fails_is_named_by_its_line(archive: Path, tmp_path: Path) -> None:
    session = project(
        tmp_path,
        f"IMAGE=slipway-test-def\nDOCKERFILE=Dockerfile\nBUILDER=apptainer\nBASES={BASE}={archive}\n",
    )
    (tmp_path / "Dockerfile").write_text(f"FROM {BASE}\nRUN true\nRUN echo so it goes \\\n && exit 7\n")
    with pytest.raises(ConversionError) as raised:
        definition.build_definition(session, session.profile("base"))
    assert str(raised.value).startswith(f"{tmp_path}/Dockerfile:3: RUN echo so it goes && exit 7 failed\n")
    assert "so it goes" in str(raised.value)
    assert not list((session.project.state / "sif").glob("*"))
    assert not list((session.project.state / "tmp").glob("sif-*/*"))


@pytest.mark.long
def test_a_job_runs_in_an_image_of_a_users_definition_file(
    small: SmallImageBox, archive: Path, tmp_path: Path
) -> None:
    os.link(archive, tmp_path / "trixie.tar")
    (tmp_path / "data" / "with space").mkdir(parents=True)
    (tmp_path / "data" / "input.txt").write_text("input\n")
    (tmp_path / "data" / "with space" / "x").write_text("spaced\n")
    (tmp_path / "image.def").write_text(OWN)
    words = [
        f"DEFINITION={tmp_path / 'image.def'}",
        "DOCKERFILE=",
        "IMAGE=slipway-test-own",
        "ARG_LEVEL=high",
    ]
    words.append(f"CODE_DIR={small.choice.profile.code_dir}")
    choice = small.session.choose("cpu", "box", words)
    built, is_new = image.build(small.session, choice.profile)
    assert is_new
    assert image.build(small.session, choice.profile) == (built, False)
    sif, is_made, pushed, _ = image.push(small.session, choice)
    assert (is_made, sif.image_id) == (False, built.id)
    assert pushed.image_id == built.id
    there = replace(small, choice=choice)
    script = 'echo "$OF_THE_DEFINITION"; cat /level /made/file /opt/input.txt /opt/spaced/x; pwd; exit 7'
    with there.connect() as remote:
        run = there.submit(remote, "sh", "-c", script)
        ended = there.wait_for(run)
        assert (ended.state, ended.status.exit_code) == (State.FAILED, 7)
        for line in ("it's", "high", "made", "input", "spaced", "/code"):
            assert there.has_printed(run, line), line
        found = find_pushed(remote, open_scratch(remote, choice.site), "slipway-test-own")
        assert found is not None
        assert found.image_id == run.image_id == built.id
    path = f"$SCRATCH/slipway/images/{pushed.path.name}"
    ran = small.on_box(f"module load apptainer; apptainer run --userns {path} a 'b c'; echo $?")
    assert ran.splitlines()[-2:] == ["ran a b c", "3"]
    assert "of.mine: yes" in small.on_box(f"module load apptainer; apptainer inspect {path}")
    (tmp_path / "data" / "input.txt").write_text("other\n")
    again, is_new = image.build(small.session, choice.profile)
    assert is_new
    assert again.id != built.id


def test_what_runs_the_definition_has_a_network_and_nothing_more() -> None:
    from slipway.image.engine import Image

    tools = Image(ref="t:latest", id="sha256:1", labels={}, size_bytes=1)
    with_network = container_config(tools, ["x"], {}, Path("/f"), has_network=True)["HostConfig"]
    without = container_config(tools, ["x"], {}, Path("/f"))["HostConfig"]
    assert without == {**with_network, "NetworkMode": "none"}
