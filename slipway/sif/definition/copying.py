"""COPY and ADD: what Apptainer copies before ``%post``, and the line there that puts it in its place. Pure.

Docker copies in the order of the lines, Apptainer before all commands. So what is copied lies in a folder of
the image, named by the line of the Dockerfile, until its turn.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping

from slipway.sif.definition.context import Context, Taken
from slipway.sif.definition.instruction import (
    Instruction,
    UntranslatableError,
    read_list,
)
from slipway.sif.definition.quoting import quote
from slipway.sif.definition.section import Program, Sections, StageCopy
from slipway.sif.definition.variable import Scope, Word, expand, expand_literal, shell

# Where all of it lies in the image meanwhile.
PLACE = "/.slipway"
_ADDRESS = re.compile(r"(https?|ftp|git|ssh)://|git@", re.I)
# Of a stage's paths, Apptainer's reader of %files takes these for something else.
_HOSTILE = re.compile(r"[\"'$`\\{}#\n]")
# Apptainer's own, which are no part of what a stage has made.
_OWN = (".singularity.d", ".exec", ".run", ".shell", ".test", "singularity", "environment")


class Copying:
    """What one stage copies."""

    def __init__(self, context: Context, stages: Mapping[str, str]) -> None:
        self._context, self._stages = context, stages
        self.folders: list[str] = []
        self.taken: list[Taken] = []
        self.copies: list[StageCopy] = []
        self._images: dict[str, str] = {}
        self.is_relative = False

    def images(self) -> list[Sections]:
        """Stages for the images that something is copied of, which the Dockerfile does not name otherwise."""
        return [_image_stage(name, ref) for ref, name in self._images.items()]

    def translate(self, one: Instruction, scope: Scope) -> list[str]:
        """The lines of ``%post`` for one instruction.

        Raises:
            UntranslatableError: it copies from an address, has an option without an equal, or names nothing.
        """
        flags, text = one.flags()
        words = read_list(text)
        words = text.split() if words is None else words
        if len(words) < 2:
            raise UntranslatableError(f"{one.keyword} needs at least one source and a destination")
        options = {name: expand_literal(value, scope) for name, value in flags}
        odd = sorted(set(options) - {"from", "chown", "chmod", "link"})
        if odd:
            raise UntranslatableError(f"{one.keyword} --{odd[0]} has nothing like it in a definition file")
        sources = [expand_literal(word, scope) for word in words[:-1]]
        if address := next((source for source in sources if _ADDRESS.match(source)), None):
            raise UntranslatableError(
                f"ADD {address}: Apptainer downloads no files; do that with RUN, by curl or git, and check "
                "its hash"
            )
        folder = str(one.line)
        unpacked = False
        if "from" in options:
            self._from_stage(options["from"], sources, folder, one.line)
        else:
            taken = self._context.take(sources, folder, unpack=one.keyword == "ADD")
            self.taken += taken
            unpacked = any(part.is_archive for part in taken)
            self.folders += sorted({part.place.split("/")[0] for part in taken})
        return [
            *self._lines(folder, options, expand(words[-1], scope), len(sources)),
            *(
                [f"slipway_unpack {PLACE}/{folder}.tar {self._destination(expand(words[-1], scope), 2)}"]
                if unpacked
                else []
            ),
        ]

    def _from_stage(self, named: str, sources: list[str], folder: str, line: int) -> None:
        stage = self._stages.get(named.lower(), "")
        if not stage:
            stage = self._images.setdefault(named, f"image-{line}")
        for number, source in enumerate(sources):
            if _HOSTILE.search(source):
                raise UntranslatableError(
                    f"{source!r}: Apptainer cannot copy a name with such a sign in it from a stage"
                )
            path = posixpath.normpath(f"/{source.lstrip('/')}")
            place = f"{PLACE}/{folder}/{number:04d}"
            self.copies.append(
                StageCopy(stage=stage, source=path, place=f"{place}/all" if path == "/" else f"{place}/")
            )

    def _lines(self, folder: str, options: Mapping[str, str], target: Word, count: int) -> list[str]:
        place = f"{PLACE}/{folder}"
        lines = []
        for part in self.taken:
            if part.place.split("/")[0] == folder:
                lines += [
                    f"mkdir -p {quote(posixpath.dirname(f'{PLACE}/{link}'))} && "
                    f"ln -s -- {quote(leads)} {quote(f'{PLACE}/{link}')}"
                    for link, leads in part.links
                ]
        if any(one.place == f"{place}/{0:04d}/all" for one in self.copies):
            lines.append(f"(cd {place}/0000/all && rm -rf {' '.join(_OWN)})")
        if options.get("chmod"):
            lines.append(f"chmod -R {quote(options['chmod'])} {place}")
        if options.get("chown"):
            lines.append(f"chown -Rh {_owner(options['chown'])} {place}")
        return [*lines, f"slipway_copy {place} {self._destination(target, count)}"]

    def _destination(self, target: Word, count: int) -> str:
        if not target:
            raise UntranslatableError("the destination is empty")
        first, last = target[0], target[-1]
        self.is_relative = isinstance(first, str) and not first.startswith("/")
        words: list[object] = list(target)
        if isinstance(first, str) and first.startswith("-"):
            words[0] = f"./{first}"
        is_folder = isinstance(last, str) and (last.endswith(("/", "/.")) or last in (".", ".."))
        if (is_folder or count > 1) and not (isinstance(last, str) and last.endswith("/")):
            words.append("/")
        return shell(_merge(words))


def _owner(text: str) -> str:
    """What chown is given, as a word of a shell: Docker takes a user's number for the group, too."""
    if ":" in text:
        return quote(text)
    if text.isdigit():
        return f"{text}:{text}"
    number = f"$(id -u {quote(text)})"
    return f'"{number}:{number}"'


def _merge(words: list[object]) -> Word:
    merged: list[object] = []
    for word in words:
        if isinstance(word, str) and merged and isinstance(merged[-1], str):
            merged[-1] = merged[-1] + word
        else:
            merged.append(word)
    return tuple(merged)  # type: ignore[arg-type]


def _image_stage(name: str, ref: str) -> Sections:
    return Sections(
        name=name,
        base=ref,
        parent="",
        folders=(),
        taken=(),
        copies=(),
        post=(),
        environment=(),
        labels={},
        program=Program(),
        sets_program=False,
    )
