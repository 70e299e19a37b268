"""One stage of a Dockerfile: what each of its instructions becomes. Pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from slipway.sif.definition.copying import Copying
from slipway.sif.definition.instruction import Instruction, UntranslatableError, read_list
from slipway.sif.definition.quoting import join, quote
from slipway.sif.definition.section import Note, Program, Sections
from slipway.sif.definition.stage import Stage, read_args
from slipway.sif.definition.variable import (
    Scope,
    Unknown,
    Word,
    expand,
    expand_literal,
    literal,
    shell,
    split_words,
)
from slipway.sif.environment import VARIABLE

_SHELL = ("/bin/sh", "-c")
_SHOWN = 60
_ROOT = ("root", "0", "0:0", "root:root")
# What a label cannot be in a definition file, where each has one line and quotes mean nothing.
_ODD_NAME = re.compile(r"[\s%#]|\A\Z")
_ODD_VALUE = re.compile(r"[\r\n]|\A\s|\s\Z|\{\{\s*\w+\s*\}\}")
_WITHOUT_EFFECT = {
    "EXPOSE": "a job has the ports of its node",
    "VOLUME": "the folder is in the image, and read-only",
    "STOPSIGNAL": "a job is ended by its scheduler's signals",
    "HEALTHCHECK": "Apptainer looks after no service",
    "ONBUILD": "it is about images that start from this one",
    "MAINTAINER": "a label says that: `LABEL org.opencontainers.image.authors=…`",
}


@dataclass(frozen=True, kw_only=True)
class Given:
    """What all stages of a Dockerfile share.

    Attributes:
        name: the Dockerfile's, for messages.
        args: values that the profile has for its arguments.
        above: those that ARG above the first stage says.
        escape: the character that escapes.
    """

    name: str
    args: Mapping[str, str]
    above: Mapping[str, str]
    escape: str


@dataclass(kw_only=True)
class State:
    """What one stage has come to; a stage that starts from it begins there."""

    values: dict[str, str | None] = field(default_factory=dict)
    shell: tuple[str, ...] = _SHELL
    user: str = "root"
    workdir: Word = ()
    program: Program = field(default_factory=Program)


class OneStage:
    """One stage, instruction by instruction."""

    def __init__(self, given: Given, stage: Stage, before: State, copying: Copying) -> None:
        self._given, self._stage, self.copying = given, stage, copying
        self.problems: list[tuple[int, str]] = []
        self.notes: list[Note] = []
        # What ARG says ends with its stage.
        self.state = State(
            values=dict(before.values),
            shell=before.shell,
            user=before.user,
            workdir=before.workdir,
            program=before.program,
        )
        self._values = dict(before.values)
        self._environment: list[tuple[str, Word]] = []
        self._labels: dict[str, str] = {}
        self._post: list[str] = [f"cd {shell(before.workdir)}"] if before.workdir else []
        self._sets_program = self._sets_command = False

    def run(self) -> None:
        """Translate all, and keep what cannot be."""
        for one in self._stage.instructions:
            handle = self._handlers().get(one.keyword)
            try:
                if one.keyword in _WITHOUT_EFFECT:
                    self._note(one, f"{one.keyword} has no effect in a .sif: {_WITHOUT_EFFECT[one.keyword]}")
                elif one.has_heredoc:
                    raise UntranslatableError(
                        "a here-document (<<) has nothing like it in a definition file; put its lines into "
                        "a file, and COPY that"
                    )
                elif handle is None:
                    raise UntranslatableError(f"{one.keyword} is no instruction that is known here")
                else:
                    handle(one)
            except UntranslatableError as error:
                self.problems.append((one.line, str(error)))

    def result(self) -> Sections:
        """What the stage has come to."""
        return Sections(
            name=self._stage.name,
            base=self._stage.base,
            parent=self._stage.parent,
            folders=tuple(self.copying.folders),
            taken=tuple(self.copying.taken),
            copies=tuple(self.copying.copies),
            post=tuple(self._post),
            environment=tuple(self._environment),
            labels=self._labels,
            program=self.state.program,
            sets_program=self._sets_program,
        )

    def _handlers(self) -> dict[str, Callable[[Instruction], None]]:
        return {
            "ADD": self._copy,
            "ARG": self._arg,
            "CMD": self._cmd,
            "COPY": self._copy,
            "ENTRYPOINT": self._entrypoint,
            "ENV": self._env,
            "LABEL": self._label,
            "RUN": self._run,
            "SHELL": self._shell,
            "USER": self._user,
            "WORKDIR": self._workdir,
        }

    @property
    def _scope(self) -> Scope:
        return Scope(values=self._values, escape=self._given.escape)

    def _note(self, one: Instruction, text: str) -> None:
        self.notes.append(Note(line=one.line, text=text))

    def _arg(self, one: Instruction) -> None:
        for name, written in read_args(one, self._given.escape):
            if name in self.state.values:
                continue  # ENV, also that of a stage before, is stronger
            default = expand(written, self._scope) if written is not None else None
            if name in self._given.args:
                default = (self._given.args[name],)
            elif written is None and name in self._given.above:
                default = (self._given.above[name],)
            if default is None:
                self._values[name] = ""
                continue
            self._values[name] = literal(default)
            if VARIABLE.match(name):
                self._post.append(f"export {name}={shell(default)}")

    def _env(self, one: Instruction) -> None:
        # All of them are of what was before the instruction.
        found = [(name, expand(written, self._scope)) for name, written in self._pairs(one)]
        for number, (name, value) in enumerate(found):
            set_before = {other for other, _ in found[:number]}
            if both := sorted(set_before & {piece.name for piece in value if isinstance(piece, Unknown)}):
                raise UntranslatableError(
                    f"{name} is made of {both[0]}, which the same ENV sets; write two of them"
                )
            self._environment.append((name, value))
            if VARIABLE.match(name):
                self._post.append(f"export {name}={shell(value)}")
        for name, value in found:
            self._values[name] = self.state.values[name] = literal(value)

    def _pairs(self, one: Instruction) -> list[tuple[str, str]]:
        words = split_words(one.text, self._given.escape)
        if not words:
            raise UntranslatableError(f"{one.keyword} names nothing")
        if "=" not in words[0]:
            return [(words[0], one.text.strip()[len(words[0]) :].strip())]
        if bare := next((word for word in words if "=" not in word), None):
            raise UntranslatableError(f"{bare!r} is not NAME=VALUE")
        pairs = (word.partition("=") for word in words)
        return [(expand_literal(name, self._scope), value) for name, _, value in pairs]

    def _label(self, one: Instruction) -> None:
        for name, written in self._pairs(one):
            value = expand_literal(written, self._scope)
            name = expand_literal(name, self._scope)
            if _ODD_NAME.search(name) or _ODD_VALUE.search(value):
                raise UntranslatableError(
                    f"the label {name!r}: in a definition file a label's name has no spaces, % or #, and its "
                    "value is one line without spaces around it and without {{NAME}}"
                )
            self._labels[name] = value

    def _run(self, one: Instruction) -> None:
        flags, text = one.flags()
        targets = [target for name, value in flags if (target := _mount_target(name, value))]
        words = read_list(text)
        argv = words if words is not None else [*self.state.shell, text]
        shown = " ".join(text.split())
        shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
        self._post.append(f"printf '%s\\n' {quote(f'[{self._given.name}:{one.line}] RUN {shown}')}")
        for number, target in enumerate(targets):
            self._post.append(f"slipway_mount {number} {shell(expand(target, self._scope))}")
        self._post.append(self._as_user(join(argv)))
        for number, target in reversed(list(enumerate(targets))):
            self._post.append(f"slipway_unmount {number} {shell(expand(target, self._scope))}")

    def _as_user(self, command: str) -> str:
        if self.state.user in _ROOT:
            return command
        user = self.state.user.partition(":")[0]
        if user.isdigit() or ":" in self.state.user:
            raise UntranslatableError(
                f"a RUN as USER {self.state.user}: only a user by name, without a group, can be taken here; "
                "on a cluster programs run as you, so USER may as well stand at the end"
            )
        # As for Docker, a HOME that is set counts, and else it is the user's.
        home = self.state.values.get("HOME")
        command = f"HOME={quote(home)} {command}" if home else command
        # Debian's su gives each user the umask 002.
        return f"su -s /bin/sh {quote(user)} -c {quote(f'umask 022; {command}')}"

    def _copy(self, one: Instruction) -> None:
        self._post += self.copying.translate(one, self._scope)
        if self.copying.is_relative and not self.state.workdir:
            self._note(one, f"{one.keyword} goes to a relative path before any WORKDIR, which is taken for /")

    def _workdir(self, one: Instruction) -> None:
        path = expand(one.text, self._scope)
        if not path:
            raise UntranslatableError("WORKDIR names nothing")
        is_whole = not isinstance(path[0], str) or path[0].startswith("/")
        before = self.state.workdir or ("/",)
        self.state.workdir = path if is_whole else _beside(before, path)
        where = shell(self.state.workdir)
        self._post.append(f"mkdir -p {where} && cd {where}")

    def _user(self, one: Instruction) -> None:
        self.state.user = expand_literal(one.text, self._scope)

    def _shell(self, one: Instruction) -> None:
        words = read_list(one.text)
        if not words:
            raise UntranslatableError('SHELL is written as ["PROGRAM", "ARGUMENT", …]')
        self.state.shell = tuple(words)

    def _entrypoint(self, one: Instruction) -> None:
        # A command of the image that the stage starts from is of that one's program.
        command = self.state.program.command if self._sets_command else ()
        self.state.program = Program(entrypoint=self._words(one), command=command)
        self._sets_program = True

    def _cmd(self, one: Instruction) -> None:
        self.state.program = Program(entrypoint=self.state.program.entrypoint, command=self._words(one))
        self._sets_program = self._sets_command = True

    def _words(self, one: Instruction) -> tuple[str, ...]:
        words = read_list(one.text)
        return tuple(words) if words is not None else (*self.state.shell, one.text)


def _beside(folder: Word, path: Word) -> Word:
    known = literal(folder)
    if known is not None and isinstance(path[0], str):
        head = posixpath.normpath(posixpath.join(known, path[0]))
        return (head if path[0] else known, *path[1:])
    return (*folder, "/", *path)


def _mount_target(name: str, value: str) -> str:
    """Where a mount of RUN is, which is an empty folder here for as long as the instruction lasts."""
    if (name, value) in (("network", "default"), ("security", "sandbox")):
        return ""
    pairs = dict(part.partition("=")[::2] for part in value.split(","))
    kind = pairs.get("type", "bind")
    if name != "mount" or kind not in ("cache", "tmpfs"):
        what = f"--mount=type={kind}" if name == "mount" else f"--{name}={value}"
        raise UntranslatableError(f"RUN {what} has nothing like it in a definition file")
    target = pairs.get("target") or pairs.get("dst") or pairs.get("destination")
    if not target or "from" in pairs:
        raise UntranslatableError(
            f"RUN --mount={value}: it needs a target, and takes nothing from elsewhere here"
        )
    return target
