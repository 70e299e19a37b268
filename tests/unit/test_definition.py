"""A Dockerfile as a definition file, a user's own definition file, and what is refused with its line."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from slipway.builder import Base, parse_base
from slipway.errors import ConfigError, ImageError
from slipway.image.definition_file import find_named, parse_definition
from slipway.image.dockerfile import declared_args
from slipway.image.recipe import Recipe, profile_recipe
from slipway.init.dockerfile import render_dockerfile
from slipway.profile import Profile, load_profile
from slipway.sif.definition.base import BaseSource, find_bases
from slipway.sif.definition.context import Context, Entry
from slipway.sif.definition.definition import Definition, is_definition_id, write_definition
from slipway.sif.definition.generated import from_recipe
from slipway.sif.definition.instruction import UntranslatableError, parse_instructions
from slipway.sif.definition.make import check_platform, explain_definition
from slipway.sif.definition.own import from_file
from slipway.sif.definition.quoting import quote
from slipway.sif.definition.render import _COPY, _MOUNT, _runscript, render
from slipway.sif.definition.section import Program
from slipway.sif.definition.translate import translate
from slipway.sif.definition.variable import Scope, expand, expand_literal, shell, split_words
from tests.unit.test_init_dockerfile import CASES

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "data" / "definition"
PLATFORM = "linux/amd64"
# Those that images have for /bin/sh, as far as they are here.
SHELLS = [one for one in ("dash", "bash") if shutil.which(one)]
FILES = ("a.txt", "dir/b.txt", "dir/sub/c.txt", ".hidden", "tool.sh", "pack.tar")


def context(*names: str, **entries: Entry) -> Context:
    made = {name: Entry(kind="f", is_archive=name.endswith(".tar")) for name in names or FILES}
    return Context({**made, **entries})


def rendered(dockerfile: str, given: Mapping[str, str] | None = None, files: Context | None = None) -> str:
    """The definition file's text, without what stands at its head."""
    made = translate(
        dockerfile, "Dockerfile", declared_args(dockerfile, given or {}), PLATFORM, files or context()
    )
    bases = {one.base: BaseSource(header=(f"From: {one.base}",)) for one in made.stages if one.base}
    return render(made.stages, "Dockerfile", bases, {}).partition("\n\n")[2]


def post(dockerfile: str, given: Mapping[str, str] | None = None) -> list[str]:
    """The lines of the last stage's commands, without what all have."""
    made = translate(dockerfile, "Dockerfile", declared_args(dockerfile, given or {}), PLATFORM, context())
    return [line for line in made.stages[-1].post if not line.startswith("printf")]


def test_the_whole_of_a_definition_file() -> None:
    text = rendered(
        "ARG BASE=debian:12\nFROM $BASE AS build\nARG LEVEL\nRUN make \\\n  it\nFROM build\n"
        'COPY --from=build /out /out/\nENV PATH=/out:$PATH\nLABEL a="b c"\nENTRYPOINT ["run"]\nCMD ["x y"]\n',
        {"LEVEL": "1 2"},
    )
    begin = (
        "set +x\numask 022\n# Apptainer's own, which a RUN of Docker's would not see.\n"
        "LD_LIBRARY_PATH=${LD_LIBRARY_PATH%/.singularity.d/libs}\nLD_LIBRARY_PATH=${LD_LIBRARY_PATH%:}\n"
        '[ -n "$LD_LIBRARY_PATH" ] || unset LD_LIBRARY_PATH\nunset PS1 PROMPT_COMMAND\n'
    )
    assert text == (
        f"From: debian:12\nStage: build\n\n%post\n{begin}"
        "export LEVEL='1 2'\nprintf '%s\\n' '[Dockerfile:4] RUN make it'\n/bin/sh -c 'make   it'\n"
        "cd / && rm -rf /.slipway\n\n\n"
        'Bootstrap: scratch\n\n%files from build\n/ /\n\n%files from build\n"/out" /.slipway/7/0000/\n\n'
        f'%post\n{begin}{_COPY}\nslipway_copy /.slipway/7 /out/\nexport PATH=/out:"${{PATH}}"\n'
        "cd / && rm -rf /.slipway\n\n"
        '%environment\nexport PATH=/out:"${PATH}"\n\n%labels\na b c\n\n'
        "%runscript\nOCI_ENTRYPOINT=run\nOCI_CMD=''\"'\"'x y'\"'\"''\n\n# slipway: what is started\n"
        'if [ $# = 0 ]; then eval "set -- $OCI_CMD"; fi\neval "set -- $OCI_ENTRYPOINT \\"\\$@\\""\n'
        'if [ $# = 0 ]; then set -- /bin/sh; fi\nexec "$@"\n'
    )


@pytest.mark.parametrize("name", ["cpu", "devel", "base", "dask", "train-pytorch"])
def test_the_dockerfiles_of_this_repository(name: str, tmp_path: Path) -> None:
    recipe = repository_recipe(name)
    made = from_recipe(recipe, (), None, tmp_path)
    # What the files hold, and which version this is, changes; what is said of them does not.
    lines = [
        line
        for line in made.text.splitlines()
        if not line.startswith(("slipway.inputs ", "org.opencontainers.image.version "))
    ]
    text = "\n".join(lines) + "\n"
    golden = GOLDEN / f"{name}.def"
    if os.environ.get("SLIPWAY_WRITE_DEFINITIONS"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(text)
    assert text == golden.read_text(), "SLIPWAY_WRITE_DEFINITIONS=1 writes it anew; look at the difference"
    assert made.config["Labels"]["slipway.inputs"] == made.inputs
    assert is_definition_id(made.image_id)


def repository_recipe(name: str) -> Recipe:
    if name in ("cpu", "devel", "base"):
        # A mirror may be this machine's own.
        return profile_recipe(load_profile(ROOT / "env", name, ["DEBIAN_MIRROR="]))
    folder = ROOT / "examples" / name
    return Recipe(name=name, dockerfile=folder / "Dockerfile", platform=PLATFORM)


@pytest.mark.parametrize(
    ("instruction", "line"),
    [
        ("RUN a && b", "/bin/sh -c 'a && b'"),
        ('RUN ["a", "b c", "$D"]', "a 'b c' '$D'"),
        ("RUN it's", "/bin/sh -c 'it'\"'\"'s'"),
        ('SHELL ["/bin/bash", "-c"]\nRUN a', "/bin/bash -c a"),
        ("RUN echo {{ NAME }}", "/bin/sh -c 'echo {''{ NAME }}'"),
        ("WORKDIR /a\nWORKDIR b/../c", "mkdir -p /a/c && cd /a/c"),
        ("WORKDIR $CONDA_DIR/x", 'mkdir -p "${CONDA_DIR}"/x && cd "${CONDA_DIR}"/x'),
        ("USER app\nRUN a", "su -s /bin/sh app -c 'umask 022; /bin/sh -c a'"),
        ("ENV HOME=/h\nUSER app\nRUN a", "su -s /bin/sh app -c 'umask 022; HOME=/h /bin/sh -c a'"),
        ("USER 0\nRUN a", "/bin/sh -c a"),
        ("COPY a.txt dir /d", "slipway_copy /.slipway/2 /d/"),
        ("COPY a.txt .", "slipway_copy /.slipway/2 ./"),
        ("COPY a.txt -x", "slipway_copy /.slipway/2 ./-x"),
        ("COPY --chown=a:b --chmod=600 a.txt /d", "slipway_copy /.slipway/2 /d"),
        ("COPY a.txt $HERE/", 'slipway_copy /.slipway/2 "${HERE}"/'),
        ("ADD pack.tar /d", "slipway_unpack /.slipway/2.tar /d/"),
        ("COPY pack.tar /d", "slipway_copy /.slipway/2 /d"),
        ("ARG A=1\nENV A=2\nARG A=3\nENV B=$A", "export B=2"),
        ("ENV A=1 B=2\nENV C=$A$B", "export C=12"),
        ("ENV A=${NOT_SET:-x}", 'export A="${NOT_SET:-x}"'),
        ("ENV odd.name=1\nRUN a", "/bin/sh -c a"),
        ("ARG TARGETARCH\nENV A=$TARGETARCH", "export A=amd64"),
    ],
)
def test_one_instruction(instruction: str, line: str) -> None:
    assert post(f"FROM debian\n{instruction}\n")[-1] == line


def test_a_cache_of_one_run_is_no_part_of_the_image() -> None:
    assert post("FROM debian\nRUN --mount=type=cache,target=/c --mount=type=tmpfs,target=/t a\n") == [
        "slipway_mount 0 /c",
        "slipway_mount 1 /t",
        "/bin/sh -c a",
        "slipway_unmount 1 /t",
        "slipway_unmount 0 /c",
    ]


@pytest.mark.parametrize(
    ("instruction", "reason"),
    [
        ("RUN <<EOF", "a here-document (<<) has nothing like it"),
        ("COPY <<EOF /a", "a here-document (<<) has nothing like it"),
        ("RUN --mount=type=secret,id=x a", "RUN --mount=type=secret has nothing like it"),
        ("RUN --mount=type=bind,target=/x a", "RUN --mount=type=bind has nothing like it"),
        ("RUN --mount=target=/x a", "RUN --mount=type=bind has nothing like it"),
        ("RUN --network=none a", "RUN --network=none has nothing like it"),
        ("ADD https://a.b/c /c", "Apptainer downloads no files"),
        ("ADD git@a.b:c.git /c", "Apptainer downloads no files"),
        ("COPY missing /a", "missing is not in the context"),
        ("COPY no-*-such /a", "none of its sources is in the context"),
        ("COPY --parents a.txt /a", "COPY --parents has nothing like it"),
        ("COPY a.txt", "COPY needs at least one source"),
        ("COPY $UNKNOWN /a", "$UNKNOWN may come from the image that the stage starts from"),
        ("COPY --from=other:1 /a$b /x", "$b may come from"),
        ('COPY --from=other:1 ["/a`", "/x"]', "Apptainer cannot copy a name with such a sign"),
        ("LABEL a=$UNKNOWN", "$UNKNOWN may come from"),
        ('LABEL "a b"=c', "the label 'a b'"),
        ('LABEL a="b\\\n c "', "the label 'a'"),
        ('LABEL a="{{ x }}"', "the label 'a'"),
        ("LABEL a=1 b", "'b' is not NAME=VALUE"),
        ("ENV A=/x:$A B=$A", "B is made of A, which the same ENV sets"),
        ('ENV A="x', "has a quote without its end"),
        ("ENV A=${B:?no}", "uses ${…} in a way that is not read here"),
        ("USER 1000\nRUN a", "a RUN as USER 1000"),
        ("USER a:b\nRUN a", "a RUN as USER a:b"),
        ("SHELL bash", "SHELL is written as"),
        ("INCLUDE x", "INCLUDE is no instruction"),
        ("WORKDIR", "WORKDIR names nothing"),
        ("FROM scratch", "FROM scratch: Apptainer needs a shell"),
        ("FROM $NONE", "$NONE may come from"),
        ("FROM --platform=linux/arm64 debian", "--platform=linux/arm64: Apptainer builds for linux/amd64"),
        ("FROM a b", "FROM is written as"),
    ],
)
def test_what_cannot_be_said_is_refused_with_its_line(instruction: str, reason: str) -> None:
    line = 2 + instruction.count("\n") - instruction.count("\\\n")
    with pytest.raises(ImageError) as raised:
        rendered(f"FROM debian\n{instruction}\n")
    text = str(raised.value)
    assert f"\n  Dockerfile:{line}: " in text
    assert reason in text
    assert "DEFINITION" in text


def test_all_that_is_refused_is_told_at_once_and_no_stage_that_does_not_count() -> None:
    unused = "FROM debian AS unused\nADD https://a.b/c /c\n"
    with pytest.raises(ImageError, match="cannot be written") as raised:
        rendered(f"{unused}FROM debian\nADD https://a.b/c /c\nRUN true\nRUN <<EOF\nEOF\n")
    assert [line.split(": ")[0].strip() for line in str(raised.value).splitlines()[1:-1]] == [
        "Dockerfile:4",
        "Dockerfile:6",
    ]
    assert "unused" not in rendered(f"{unused}FROM debian\nRUN true\n")


def test_what_has_no_effect_is_told() -> None:
    made = translate(
        "FROM debian\nEXPOSE 80\n# c\nVOLUME /d\nSTOPSIGNAL INT\nHEALTHCHECK NONE\nCOPY a.txt x\n",
        "Dockerfile",
        {},
        PLATFORM,
        context(),
    )
    assert [(note.line, note.text.split()[0]) for note in made.notes] == [
        (2, "EXPOSE"),
        (4, "VOLUME"),
        (5, "STOPSIGNAL"),
        (6, "HEALTHCHECK"),
        (7, "COPY"),
    ]


def test_lines_are_counted_through_comments_and_continuations() -> None:
    found, escape = parse_instructions("# escape=`\n\nFROM a\nRUN b `\n# c\n\n  d\n\tENV\tX 1\nRUN e\n")
    assert escape == "`"
    assert [(one.line, one.keyword, one.text) for one in found] == [
        (3, "FROM", "a"),
        (4, "RUN", "b   d"),
        (8, "ENV", "X 1"),
        (9, "RUN", "e"),
    ]


VALUES = Scope(values={"A": "a b", "EMPTY": "", "SHELL_ONLY": None})


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("plain", "plain"),
        ("'$A'", "$A"),
        ('"$A"', "a b"),
        ("$A.${A}", "a b.a b"),
        (r"\$A", "$A"),
        (r'"\$A\n\\"', "$A\\n\\"),
        (r"a\ b", "a b"),
        ("${EMPTY:-x}${EMPTY-y}${A:+z}${EMPTY:+w}${EMPTY+v}", "xzv"),
        ("${EMPTY:-${A}}", "a b"),
        ("$", "$"),
        ("a$.", "a$."),
        ("it''s", "its"),
        ('"it\'s"', "it's"),
    ],
)
def test_words_are_read_as_docker_reads_them(text: str, wanted: str) -> None:
    assert expand_literal(text, VALUES) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("/x:$PATH", '/x:"${PATH}"'),
        ("/x${P:+:$P}", '/x"${P:+:${P}}"'),
        ('${P:-"a b$A`"}', '"${P:-a ba b\\`}"'),
        ("$SHELL_ONLY", '"${SHELL_ONLY}"'),
        ("", "''"),
    ],
)
def test_what_only_the_build_knows_is_left_to_the_shell(text: str, wanted: str) -> None:
    assert shell(expand(text, VALUES)) == wanted


def test_words_are_told_apart_as_docker_does() -> None:
    assert split_words(r"""a="b c" d=e\ f 'g h'=i  j""", "\\") == ['a="b c"', r"d=e\ f", "'g h'=i", "j"]


HOSTILE = [
    "it's",
    "a\n%post\nb",
    "\n%files",
    "{{ NAME }}",
    "a\r\nb",
    "Bootstrap: x",
    "x\nBootstrap: y",
    "$(id)`id`\\",
    "☃",
    "-n",
    "",
]


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("program", SHELLS)
def test_what_is_quoted_is_the_same_for_a_shell_and_means_nothing_to_apptainer(
    program: str, text: str
) -> None:
    line = f"printf %s {quote(text)}"
    said = subprocess.run([program, "-c", line], capture_output=True, check=True).stdout
    assert said == text.encode()
    for one in line.split("\n"):
        assert not one.lstrip().startswith(("%", "Bootstrap:"))
        assert not one.endswith("\r")
    assert "{{" not in line


def run_functions(program: str, folder: Path, functions: str, command: str) -> None:
    text = functions.replace("/.slipway", str(folder / ".slipway"))
    subprocess.run([program, "-e", "-c", f"{text}\n{command}"], cwd=folder, check=True)


@pytest.mark.parametrize("program", SHELLS)
def test_copies_go_where_docker_puts_them(program: str, tmp_path: Path) -> None:
    def wait(number: int, name: str, content: str | None) -> None:
        path = tmp_path / "w" / f"{number:04d}" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            (path / "sub").mkdir(parents=True)
            (path / "sub" / ".in").write_text("in\n")
            (path / ".dot").write_text("dot\n")
            (path / "link").symlink_to("/nowhere")
        else:
            path.write_text(content)

    def files(folder: str) -> list[str]:
        return sorted(str(one.relative_to(tmp_path / folder)) for one in (tmp_path / folder).rglob("*"))

    wait(0, "dir", None)
    run_functions(program, tmp_path, _COPY, "slipway_copy w new/place")
    assert files("new/place") == [".dot", "link", "sub", "sub/.in"]
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "old").write_text("old\n")
    wait(0, "dir", None)
    wait(1, ".bashrc", "x\n")
    run_functions(program, tmp_path, _COPY, "slipway_copy w there/")
    assert files("there") == [".bashrc", ".dot", "link", "old", "sub", "sub/.in"]
    wait(0, "a b", "x\n")
    run_functions(program, tmp_path, _COPY, "slipway_copy w 'as/an other'")
    assert (tmp_path / "as" / "an other").read_text() == "x\n"
    wait(0, "into", "x\n")
    run_functions(program, tmp_path, _COPY, "slipway_copy w there")
    assert (tmp_path / "there" / "into").read_text() == "x\n"
    wait(0, "dir", None)
    run_functions(program, tmp_path, _COPY, "slipway_copy w slash/")
    assert files("slash") == [".dot", "link", "sub", "sub/.in"]
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize("program", SHELLS)
def test_a_mount_is_gone_after_its_run(program: str, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "kept").write_text("kept\n")
    command = "slipway_mount 0 there; ls -A there >seen; touch there/x; slipway_unmount 0 there"
    run_functions(program, tmp_path, _MOUNT, command)
    assert (tmp_path / "seen").read_text() == ""
    assert [one.name for one in (tmp_path / "there").iterdir()] == ["kept"]
    run_functions(program, tmp_path, _MOUNT, "slipway_mount 0 new; touch new/x; slipway_unmount 0 new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("program", SHELLS)
def test_what_is_started_is_what_docker_would_start(program: str, tmp_path: Path) -> None:
    odd = ("a b", "$HOME", 'q"q', "it's", "", "*", "`x`")

    def started(entrypoint: tuple[str, ...], command: tuple[str, ...], *args: str) -> list[str]:
        script = tmp_path / "runscript"
        script.write_text("\n".join(_runscript(Program(entrypoint=entrypoint, command=command))))
        done = subprocess.run([program, script, *args], capture_output=True, text=True, check=True)
        return done.stdout.split("|")[:-1]

    assert started(("printf", "%s|", *odd), ()) == list(odd)
    assert started(("printf", "%s|"), odd) == list(odd)
    assert started(("printf", "%s|", "e"), ("c",), *odd) == ["e", *odd]
    assert started((), ("printf", "%s|", *odd)) == list(odd)


def test_links_of_the_context_are_made_in_the_image_and_named_ones_followed() -> None:
    files = context(
        "d/a", **{"d/link": Entry(kind="l", target="/etc/x y"), "named": Entry(kind="l", target="d/a")}
    )
    made = translate("FROM debian\nCOPY d /d\nCOPY named /n\n", "Dockerfile", {}, PLATFORM, files)
    lines = [line for line in made.stages[0].post if not line.startswith("printf")]
    assert lines[0] == "mkdir -p /.slipway/2/0000/d && ln -s -- '/etc/x y' /.slipway/2/0000/d/link"
    assert [(one.name, one.place) for one in made.stages[0].taken] == [
        ("d", "2/0000/d"),
        ("d/a", "3/0000/a"),
    ]
    with pytest.raises(ImageError, match="is a link that leads to nothing in the context"):
        translate(
            "FROM debian\nCOPY named /n\n",
            "Dockerfile",
            {},
            PLATFORM,
            context("a", named=Entry(kind="l", target="../../etc/passwd")),
        )


def test_an_image_that_is_only_copied_from_is_a_stage() -> None:
    text = rendered("FROM debian\nCOPY --from=Other:1 /a /b\nCOPY --from=other:1 / /c\n", {})
    assert text.startswith(
        "From: Other:1\nStage: image-2\n\n\nFrom: other:1\nStage: image-3\n\n\nFrom: debian\n"
    )
    assert '%files from image-3\n"/" /.slipway/3/0000/all\n' in text
    assert "(cd /.slipway/3/0000/all && rm -rf .singularity.d " in text


def test_a_command_alone_goes_with_the_program_of_the_base() -> None:
    text = rendered('FROM debian AS a\nCMD ["x"]\nFROM a\nCMD ["y"]\n')
    assert text.count("[ -e /.singularity.d/slipway-entrypoint ] || sed -n ") == 2
    assert text.count("OCI_ENTRYPOINT=\n. /.singularity.d/slipway-entrypoint\n") == 2


def test_an_entrypoint_takes_the_command_of_the_base_away() -> None:
    first = 'FROM debian AS a\nENTRYPOINT ["e"]\nCMD ["c"]\n'
    assert "OCI_ENTRYPOINT=f\nOCI_CMD=''\n" in rendered(f'{first}FROM a\nENTRYPOINT ["f"]\n')
    assert "OCI_ENTRYPOINT=f\nOCI_CMD=d\n" in rendered(f'{first}FROM a\nCMD ["d"]\nENTRYPOINT ["f"]\n')
    assert "OCI_ENTRYPOINT=e\nOCI_CMD=d\n" in rendered(f'{first}FROM a\nCMD ["d"]\n')


def test_a_section_that_is_too_long_for_apptainer_is_refused() -> None:
    with pytest.raises(ImageError, match="makes a section %post of more than 60000 bytes"):
        rendered(f"FROM debian\nRUN {'x' * 70_000}\n")


def test_where_a_base_comes_from(tmp_path: Path) -> None:
    sif = tmp_path / "a.sif"
    sif.write_bytes(b"#!/usr/bin/env run-singularity\n\0SIF_MAGIC\0")
    given = (
        Base(image="a:1", source=str(sif)),
        Base(image="b:1", source="debootstrap:trixie"),
        Base(image="other", source="/x"),
    )
    found = find_bases(["a:1", "b:1", "c:1", "a:1"], given, "http://mirror/debian")
    assert {image: one.header for image, one in found.items()} == {
        "a:1": ("Bootstrap: localimage", "From: base/0"),
        "b:1": ("Bootstrap: debootstrap", "OSVersion: trixie", "MirrorURL: http://mirror/debian"),
        "c:1": ("Bootstrap: docker", "From: c:1"),
    }
    for content, words in ((b"plain", "is neither a .sif nor an archive"), (None, "cannot be read")):
        file = tmp_path / "x"
        if content is None:
            file.unlink()
        else:
            file.write_bytes(content)
        with pytest.raises(ConfigError, match=words):
            find_bases(["a"], [Base(image="a", source=str(file))], None)
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError, match="is a folder, and no OCI layout"):
        find_bases(["a"], [Base(image="a", source=str(tmp_path / "folder"))], None)
    (tmp_path / "folder" / "oci-layout").write_text("{}")
    found = find_bases(["a"], [Base(image="a", source=str(tmp_path / "folder"))], None)
    assert found["a"].header == ("Bootstrap: oci", "From: base/0")


def test_bases_are_written_as_image_and_source() -> None:
    here = Path("/project")
    assert parse_base("a:1=x/y.tar", here) == Base(image="a:1", source="/project/x/y.tar")
    assert parse_base("a@sha256:1=debootstrap:trixie", here).source == "debootstrap:trixie"
    for word in ("a", "=x", "a=", "a=debootstrap:", "a=debootstrap:x y"):
        with pytest.raises(ValueError, match="write"):
            parse_base(word, here)


def profile(folder: Path, settings: str) -> Profile:
    (folder / "env").mkdir(exist_ok=True)
    (folder / "env" / ".env.base").write_text(f"IMAGE=a\nCODE_DIR=.\n{settings}")
    return load_profile(folder / "env", "base")


def test_a_profile_has_a_dockerfile_or_a_definition(tmp_path: Path) -> None:
    own = profile(tmp_path, "DEFINITION=image.def\n")
    assert (own.recipe_file, own.dockerfile) == (tmp_path / "image.def", None)
    assert own.is_built_by_apptainer
    assert not profile(tmp_path, "DOCKERFILE=Dockerfile\n").is_built_by_apptainer
    assert profile(tmp_path, "DOCKERFILE=Dockerfile\nBUILDER=apptainer\n").is_built_by_apptainer
    with pytest.raises(ConfigError, match=r"base:4: DEFINITION is set, and so is DOCKERFILE \(.*base:3\)"):
        profile(tmp_path, "DOCKERFILE=Dockerfile\nDEFINITION=image.def\n")
    with pytest.raises(ConfigError, match="DOCKERFILE is empty"):
        profile(tmp_path, "")
    with pytest.raises(ConfigError, match=r"BUILDER=kaniko: .*docker or apptainer"):
        profile(tmp_path, "DOCKERFILE=Dockerfile\nBUILDER=kaniko\n")
    with pytest.raises(ConfigError, match="BASES: 'a': write IMAGE=FILE"):
        profile(tmp_path, "DOCKERFILE=Dockerfile\nBASES=a\n")


OWN = """# A comment: with a colon
Bootstrap: localimage
From: base.sif   # a comment
Stage: one

%arguments
    WHERE=data
    LEVEL = 3

%files
    {{ WHERE }}/x /x
    "with space" /y
    # comment
    *.py /z

%files from one
    /not/here /x

%appfiles foo
    of-app

%post
    echo {{LEVEL}} {{ OTHER }}
    From: not a header
"""


def own(folder: Path, text: str = OWN) -> Path:
    for name in ("base.sif", "data/x/in", "data/x/.hidden", "with space", "a.py", "b.py", "of-app"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"{name}\n")
    (folder / "image.def").write_text(text)
    return folder / "image.def"


def definition_of(file: Path, memory: Path, **args: str) -> Definition:
    return from_file(file, "mine", PLATFORM, args, {"slipway.profile": "p"}, {"revision": "1"}, memory)


def test_a_users_definition_file_is_read(tmp_path: Path) -> None:
    found = parse_definition(OWN, {"UNUSED": "1"})
    assert [(one.line, one.name) for one in found.sources] == [
        (11, "data/x"),
        (12, "with space"),
        (14, "*.py"),
        (20, "of-app"),
    ]
    assert [(one.line, one.name) for one in found.bases] == [(3, "base.sif")]
    assert found.arguments == {"WHERE", "LEVEL", "OTHER"}
    (tmp_path / "f").mkdir()
    names = find_named(own(tmp_path / "f"), found)
    assert names == ["a.py", "b.py", "base.sif", "data/x/.hidden", "data/x/in", "of-app", "with space"]


def test_what_a_users_image_is_known_by(tmp_path: Path) -> None:
    folder = tmp_path / "f"
    folder.mkdir()
    file = own(folder)
    made = definition_of(file, tmp_path, OTHER="o", UNUSED="u")
    assert made.arguments == {"OTHER": "o"}
    assert made.text.startswith(OWN.rstrip())
    assert made.text.endswith(
        f"\n\n%labels\n    slipway.profile p\n    revision 1\n    slipway.inputs {made.inputs}\n"
        "    org.opencontainers.image.title mine\n"
        f"    org.opencontainers.image.version {made.config['Labels']['org.opencontainers.image.version']}\n"
    )
    same = definition_of(file, tmp_path, OTHER="o", UNUSED="other")
    assert same.inputs == made.inputs
    seen = {made.inputs, definition_of(file, tmp_path, OTHER="p").inputs}
    (folder / "nobody-copies-it").write_text("x\n")
    assert definition_of(file, tmp_path, OTHER="o").inputs == made.inputs
    (folder / "data" / "x" / "in").write_text("other\n")
    seen.add(definition_of(file, tmp_path, OTHER="o").inputs)
    (folder / "a.py").chmod(0o755)
    seen.add(definition_of(file, tmp_path, OTHER="o").inputs)
    file.write_text(f"{OWN}# more\n")
    seen.add(definition_of(file, tmp_path, OTHER="o").inputs)
    assert len(seen) == 5


def test_it_is_written_with_all_that_it_names(tmp_path: Path) -> None:
    folder = tmp_path / "f"
    folder.mkdir()
    made = definition_of(own(folder), tmp_path, OTHER="o")
    (tmp_path / "out").mkdir()
    old = os.umask(0o077)
    try:
        file = write_definition(made, tmp_path / "out")
    finally:
        os.umask(old)
    assert file.read_text() == made.text
    assert (tmp_path / "out" / "arguments").read_text() == "OTHER=o\n"
    assert (tmp_path / "out" / "data" / "x" / "in").stat().st_mode & 0o777 == 0o644
    assert not (tmp_path / "out" / "image.def").samefile(folder / "image.def")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("%files\n    /etc/passwd /x", ":3: /etc/passwd lies outside of this folder"),
        ("%files\n    ../x /x", ":3: ../x lies outside of this folder"),
        ("%files\n    missing /x", ":3: missing is not in "),
        ("%files\n    no-*-such /x", ":3: no-*-such is not in "),
        ("%setup\n    cp x y", ":2: %setup runs on the machine that builds"),
        ("%pre\n    true", ":2: %pre runs on the machine that builds"),
    ],
)
def test_what_a_definition_file_takes_from_elsewhere_is_refused(
    line: str, words: str, tmp_path: Path
) -> None:
    (tmp_path / "image.def").write_text(f"Bootstrap: docker\n{line}\n")
    with pytest.raises(ImageError) as raised:
        definition_of(tmp_path / "image.def", tmp_path)
    assert words in str(raised.value)


def test_links_that_go_round_are_told(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "again").symlink_to("../d")
    (tmp_path / "image.def").write_text("%files\n    d /d\n")
    with pytest.raises(ImageError, match=r"circle of links|Too many levels"):
        definition_of(tmp_path / "image.def", tmp_path)


def test_a_definition_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such definition file"):
        definition_of(tmp_path / "image.def", tmp_path)


def test_another_processor_is_refused(tmp_path: Path) -> None:
    (tmp_path / "image.def").write_text("Bootstrap: docker\nFrom: a\n")
    made = definition_of(tmp_path / "image.def", tmp_path)
    check_platform(made, "x86_64")
    with pytest.raises(ImageError, match=r"for linux/amd64 \(PLATFORM\), .* builds for linux/arm64"):
        check_platform(made, "aarch64")


def test_a_failure_names_the_line_of_the_last_command(tmp_path: Path) -> None:
    from slipway.errors import ConversionError

    (tmp_path / "image.def").write_text("x\n")
    made = definition_of(tmp_path / "image.def", tmp_path)
    error = ConversionError("it failed")
    lines = ["[image.def:3] RUN a", "output", "[image.def:7] RUN b", "[other] x"]
    assert str(explain_definition(error, lines, made)) == f"{tmp_path}/image.def:7: RUN b failed\nit failed"
    assert explain_definition(error, ["nothing"], made) is error


def test_instructions_that_nobody_knows_are_no_crash() -> None:
    with pytest.raises(ImageError, match="there is no FROM"):
        rendered("# nothing\n")
    with pytest.raises(ImageError, match="Dockerfile:1: RUN stands above the first FROM"):
        rendered("RUN a\nFROM b\n")
    with pytest.raises(UntranslatableError):
        expand("${", VALUES)


def test_apptainers_own_program_finds_the_programs() -> None:
    # What splits a runscript in singularity/convert.py is in what is rendered here.
    import importlib.util

    spec = importlib.util.spec_from_file_location("convert", ROOT / "singularity" / "convert.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    text = "#!/bin/sh\n\n" + "\n".join(_runscript(Program(entrypoint=("a",), command=("b c",))))
    head = script._HEAD.split(text)[0]
    said = subprocess.run(
        ["sh", "-c", script._TELL.partition("exec cat")[0], "sh", head],
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.split("\0")[:-1] == ["1", "a", "1", "b c"]


@pytest.mark.parametrize("name", CASES)
def test_the_dockerfiles_that_init_proposes(name: str, tmp_path: Path) -> None:
    files, found = CASES[name]
    for file, content in files.items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(content)
    (tmp_path / "Dockerfile").write_text(render_dockerfile(found))
    recipe = Recipe(name="mine", dockerfile=tmp_path / "Dockerfile", platform=PLATFORM)
    made = from_recipe(recipe, (), None, tmp_path / "memory")
    assert {one.place.rpartition("/")[2] for one in made.files} >= {Path(file).name for file in found.files}
    assert "Bootstrap: docker\nFrom: debian:trixie-slim\n" in made.text
    assert not made.notes
