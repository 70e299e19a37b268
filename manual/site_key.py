"""The page of all keys of a site's file, from ``cluster/example.yaml`` and the models that read it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, get_args, get_type_hints

from manual.kind import kind
from manual.table import code, plain, table
from slipway.model import Model
from slipway.monitor.rule import Rule
from slipway.scheduler.find import find_site_kind
from slipway.share import share_folder
from slipway.site import Queue
from slipway.text.command_name import NAME, as_typed

EXAMPLE = share_folder() / "cluster" / "example.yaml"
# What is behind `# ` is a key that is left out, and no sentence.
_LINE = re.compile(r"( *)(?:([a-z_]+):(?: .*)?|# ([a-z_]+): \S+)\Z")
# A job's own, which a site cannot set.
_OF_A_JOB = ("defaults.array", "defaults.dependency")


@dataclass(frozen=True, kw_only=True)
class Key:
    """One key by its full name, such as ``login.host``."""

    name: str
    value: str
    default: str

    @property
    def anchor(self) -> str:
        """Where the page explains it."""
        return anchor(self.name)


def anchor(name: str) -> str:
    """Where the page explains the key of this name."""
    return re.sub(r"[<>]", "", name.replace(".", "-"))


def keys(scheduler: str = "slurm") -> list[Key]:
    """All keys of a site with this scheduler."""
    return [key for key in _walk(find_site_kind(scheduler), "") if key.name not in _OF_A_JOB]


@dataclass(frozen=True, kw_only=True)
class Comment:
    """What the example says of a key: words of its own, or the key above whose words are for both."""

    words: str
    shared: str = ""

    def __str__(self) -> str:
        if self.words or not self.shared:
            return plain(self.words)
        return f"With [{code(self.shared)}](#{anchor(self.shared)})."


def comments() -> dict[str, Comment]:
    """What the example says of each key."""
    found: dict[str, Comment] = {}
    parents: list[str] = []
    words: list[str] = []
    above = ""
    for line in EXAMPLE.read_text(encoding="utf-8").splitlines():
        key = _LINE.match(line)
        if key:
            depth = len(key[1]) // 2
            parents = [*parents[:depth], "<partition>" if parents[:depth] == ["queues"] else key[2] or key[3]]
            name = ".".join(parents)
            found.setdefault(name, Comment(words=" ".join(words), shared=above))
            above, words = (name if words else above), []
        elif line.lstrip().startswith("#"):
            words.append(line.strip().removeprefix("#").strip())
        elif not line.strip():
            above, words = "", []
    return found


def page() -> str:
    """The page, as Markdown."""
    lead = re.match(r"(?:#.*\n)+", EXAMPLE.read_text(encoding="utf-8"))
    text = "# Keys of a site\n\n" + plain(re.sub(r"(?m)^# ?", "", lead[0] if lead else "").strip()) + "\n"
    said = comments()
    groups: dict[str, list[Key]] = {}
    for key in keys():
        groups.setdefault(key.name.partition(".")[0], []).append(key)
    alone = [group[0] for group in groups.values() if len(group) == 1]
    text += "\n" + _table(alone, said)
    for name, group in groups.items():
        if len(group) > 1:
            text += f"\n## `{name}` {{#{name}}}\n\n{said[name]}\n\n{_table(group, said)}"
    return as_typed(text, NAME)


def _table(group: list[Key], said: Mapping[str, Comment]) -> str:
    rows = [(_name(key), str(said[key.name]), plain(key.value), key.default) for key in group]
    return table(("key", "what it says", "value", "default"), rows)


def _name(key: Key) -> str:
    return f'<span id="{key.anchor}"></span>{code(key.name)}'


def _walk(model: type[Model], prefix: str) -> Iterator[Key]:
    hints: dict[str, Any] = get_type_hints(model)
    for field in fields(model):  # type: ignore[arg-type]  # each model is a dataclass
        name = field.name
        if (not prefix and name == "name") or not field.init:
            continue
        inner = _model(hints[name])
        if name in ("hosts", "gpu_ladder"):
            yield Key(name=prefix + name, value="a list", default="")
        elif isinstance(field.default, Rule):
            yield Key(name=prefix + name, value="a rule", default=code(field.default.do))
        elif inner is not None:
            yield from _walk(inner, f"{prefix}{name}.{'<partition>.' if inner is Queue else ''}")
        else:
            is_required = field.default is MISSING and field.default_factory is MISSING
            default = "required" if is_required else code(_shown(field.default))
            yield Key(name=prefix + name, value=kind(model, name, strict=True), default=default)


def _model(annotation: Any) -> type[Model] | None:
    """The model that a field holds, or a mapping of names to such."""
    for one in (annotation, *get_args(annotation)):
        if isinstance(one, type) and issubclass(one, Model):
            return one
    return None


def _shown(default: Any) -> str:
    if default is None or default == ():
        return ""
    return "true" if default is True else "false" if default is False else str(default)
