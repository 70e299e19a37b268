"""The text of a definition file, from its stages. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from slipway.errors import ImageError
from slipway.sif.check import OWN_VARIABLES
from slipway.sif.definition.base import BaseSource
from slipway.sif.definition.copying import PLACE
from slipway.sif.definition.quoting import join, quote
from slipway.sif.definition.section import Program, Sections
from slipway.sif.definition.variable import shell
from slipway.sif.environment import VARIABLE

# The folder of what is copied, beside the definition file.
COPIES = "copy"
# Behind this line the runscript starts what those before it name; singularity/convert.py looks for it.
RUN_MARK = "# slipway: what is started"
# Apptainer reads a file by pieces, and none may be longer.
_MOST_BYTES = 60_000
_BASE_PROGRAM = "/.singularity.d/slipway-entrypoint"
_HEAD = """\
# Made of {name} by Slipway, for those who build without Docker. What is to change, change there.
# In the folder of this file, `apptainer build --force IMAGE.sif image.def` builds it by hand.
"""
_BEGIN = """\
set +x
umask 022
# Apptainer's own, which a RUN of Docker's would not see.
LD_LIBRARY_PATH=${LD_LIBRARY_PATH%/.singularity.d/libs}
LD_LIBRARY_PATH=${LD_LIBRARY_PATH%:}
[ -n "$LD_LIBRARY_PATH" ] || unset LD_LIBRARY_PATH
unset PS1 PROMPT_COMMAND\
"""
_COPY = f"""\
# As COPY does: of a folder what is in it, of a file the file. It has waited in {PLACE} for its turn.
slipway_copy() {{
    for one in "$1"/*/* "$1"/*/.[!.]* "$1"/*/..?*; do
        if [ -L "$one" ] || [ -f "$one" ]; then
            case $2 in
                */) mkdir -p "$2" ;;
                *) mkdir -p "$(dirname "$2")" ;;
            esac
            cp -a "$one" "$2"
        elif [ -d "$one" ] && [ ! -e "$2" ] && [ ! -L "${{2%/}}" ]; then
            mkdir -p "$(dirname "${{2%/}}")"
            mv "$one" "${{2%/}}"
        elif [ -d "$one" ]; then
            cp -a "$one/." "$2/"
        fi
    done
    rm -rf "$1"
}}\
"""
_UNPACK = """\
# As ADD does with an archive.
slipway_unpack() {
    mkdir -p "$2"
    for one in "$1"/*/*; do tar -xf "$one" -C "$2"; done
    rm -rf "$1"
}\
"""
_MOUNT = f"""\
# A folder that is empty for one RUN, and nothing of the image.
slipway_mount() {{
    mkdir -p {PLACE}/mount
    if [ -e "$2" ]; then mv "$2" {PLACE}/mount/"$1"; fi
    mkdir -p "$2"
}}
slipway_unmount() {{
    rm -rf "$2"
    if [ -e {PLACE}/mount/"$1" ]; then mv {PLACE}/mount/"$1" "$2"; fi
}}\
"""
_KEEP_PROGRAM = (
    f"[ -e {_BASE_PROGRAM} ] || sed -n '/^OCI_ENTRYPOINT=/,/^OCI_CMD=/{{/^OCI_CMD=/!p;}}' "
    f"/.singularity.d/runscript >{_BASE_PROGRAM}"
)
_START = f"""
{RUN_MARK}
if [ $# = 0 ]; then eval "set -- $OCI_CMD"; fi
eval "set -- $OCI_ENTRYPOINT \\"\\$@\\""
if [ $# = 0 ]; then set -- /bin/sh; fi
exec "$@"\
"""


def render(
    stages: Sequence[Sections], name: str, bases: Mapping[str, BaseSource], labels: Mapping[str, str]
) -> str:
    """The text of a definition file.

    Args:
        stages: those that count, the image itself last.
        name: of the Dockerfile, for the reader.
        bases: where the images come from that stages start from.
        labels: those of Slipway, beside the Dockerfile's.

    Raises:
        ImageError: it would be longer than Apptainer reads.
    """
    parts = []
    for number, stage in enumerate(stages):
        is_last = number == len(stages) - 1
        own = {**stage.labels, **labels} if is_last else stage.labels
        parts.append("\n".join(_lines(stage, bases, own, is_last=is_last)))
    text = _HEAD.format(name=name) + "\n" + "\n\n\n".join(parts) + "\n"
    for part in text.split("\n%"):
        if len(part.encode("utf-8", "surrogateescape")) > _MOST_BYTES:
            raise ImageError(
                f"{name} makes a section %{part.split()[0]} of more than {_MOST_BYTES} bytes, which "
                "Apptainer does not read; move long commands into a script that is copied"
            )
    return text


def _lines(
    stage: Sections, bases: Mapping[str, BaseSource], labels: Mapping[str, str], *, is_last: bool
) -> Iterator[str]:
    yield from ["Bootstrap: scratch"] if stage.parent else bases[stage.base].header
    if not is_last:
        yield f"Stage: {stage.name}"
    yield from _files(stage)
    if post := list(_post(stage)):
        yield from _section("post", post)
    if environment := list(_environment(stage)):
        yield from _section("environment", environment)
    if labels:
        yield from _section("labels", [f"{name} {value}".rstrip() for name, value in labels.items()])
    if stage.sets_program:
        yield from _section("runscript", _runscript(stage.program))


def _section(name: str, lines: Sequence[str]) -> Iterator[str]:
    yield ""
    yield f"%{name}"
    yield from (line for text in lines for line in text.split("\n"))


def _files(stage: Sections) -> Iterator[str]:
    if stage.parent:
        yield from _section(f"files from {stage.parent}", ["/ /"])
    for other in dict.fromkeys(one.stage for one in stage.copies):
        lines = [f'"{one.source}" {one.place}' for one in stage.copies if one.stage == other]
        yield from _section(f"files from {other}", lines)
    if stage.folders:
        yield from _section("files", [f"{COPIES}/{name} {PLACE}/{name}" for name in stage.folders])


def _post(stage: Sections) -> Iterator[str]:
    needs_program = stage.sets_program and stage.program.entrypoint is None
    if not stage.post and not needs_program:
        return
    yield _BEGIN
    text = "\n".join(stage.post)
    for word, function in (("slipway_copy", _COPY), ("slipway_unpack", _UNPACK), ("slipway_mount", _MOUNT)):
        if any(line.startswith(f"{word} ") for line in text.split("\n")):
            yield function
    if needs_program:
        yield _KEEP_PROGRAM
    yield from stage.post
    yield f"cd / && rm -rf {PLACE}"


def _environment(stage: Sections) -> Iterator[str]:
    for name, value in stage.environment:
        # Apptainer leaves out what no shell can have, and has values of its own.
        if VARIABLE.match(name) and name not in OWN_VARIABLES:
            yield f"export {name}={shell(value)}"


def _runscript(program: Program) -> list[str]:
    if program.entrypoint is None:
        first = f"OCI_ENTRYPOINT=\n. {_BASE_PROGRAM}"
    else:
        first = f"OCI_ENTRYPOINT={quote(join(program.entrypoint))}"
    return [first, f"OCI_CMD={quote(join(program.command or ()))}", _START]
