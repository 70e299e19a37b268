"""Adding keys to the text of a YAML file, which else stays as it is: comments, order, quotes, line ends.

What was added is read again, and compared with what was to come of it. So a file that is written in a way
that this does not know is told to be one, and not damaged.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from slipway.yaml_file import load_yaml

Entries = Mapping[str, Mapping[str, Any]]


class UnknownFormError(ValueError):
    """A file is written in a way that keys cannot be added to."""


def add_entries(text: str, section: str, entries: Entries) -> str:
    """A text with entries added to one of its mappings of mappings; what is there is not touched.

    Args:
        text: the file, a mapping.
        section: the key of the mapping that they belong to; it need not be there.
        entries: keys with their own keys and values; those that are there keep theirs.

    Raises:
        UnknownFormError: it cannot be done without touching anything else.
    """
    try:
        old = load_yaml(text)
    except yaml.YAMLError as error:
        raise UnknownFormError("it is no YAML") from error
    if not isinstance(old, dict):
        raise UnknownFormError("it is no mapping")
    wanted = _merged(old, section, entries)
    if not entries or wanted == old:
        return text
    new = _added(text, section, entries)
    try:
        found = load_yaml(new)
    except yaml.YAMLError as error:
        raise UnknownFormError("it is written in a form that is not known here") from error
    if found != wanted:
        raise UnknownFormError("it is written in a form that is not known here")
    return new


def entry_lines(entries: Entries) -> list[str]:
    """Entries as lines of YAML, one for each, without indentation."""
    return [f"{flow(name)}: {flow(values)}" for name, values in entries.items()]


def flow(value: object) -> str:
    """A value in one line of YAML: ``{max_time: "1:00:00", max_gpus: {a100: 4}}``."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{flow(key)}: {flow(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, str):
        plain = yaml.safe_dump(value, width=10_000, allow_unicode=True).split("\n")[0]
        is_plain = plain == value and ":" not in value and not set(value) & set("{}[],#&*?|<>=!%@`'\"\\")
        return value if is_plain else '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return yaml.safe_dump(value, default_flow_style=True).split("\n")[0]


def _merged(old: Mapping[str, Any], section: str, entries: Entries) -> dict[str, Any]:
    there = old.get(section) or {}
    if not isinstance(there, dict):
        raise UnknownFormError(f"{section} is no mapping")
    merged = dict(there)
    for name, values in entries.items():
        mine = merged.get(name) or {}
        if not isinstance(mine, dict):
            raise UnknownFormError(f"{section}.{name} is no mapping")
        merged[name] = {**values, **mine}
    return {**old, section: merged}


def _added(text: str, section: str, entries: Entries) -> str:
    end = "\r\n" if 2 * text.count("\r\n") > text.count("\n") else "\n"
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    node = _find(root, section)
    if node is None:
        lines = [f"{section}:", *(f"  {line}" for line in entry_lines(entries))]
        return _lined(text, end) + "".join(line + end for line in lines)
    new = {name: values for name, values in entries.items() if _find(node, name) is None}
    places: list[tuple[int, str]] = []
    for name, values in entries.items():
        if (inner := _find(node, name)) is not None:
            missing = {key: value for key, value in values.items() if _find(inner, key) is None}
            places += _insertions(text, inner, missing, end)
    places += _insertions(text, node, new, end)
    # From the last to the first, so that the places stay right. At one place, the inner's comes first.
    places.sort(key=lambda place: place[0])
    for index, added in reversed(places):
        text = text[:index] + added + text[index:]
    return text


def _find(node: yaml.Node | None, key: str) -> yaml.Node | None:
    if not isinstance(node, yaml.MappingNode):
        return None
    return next((value for name, value in node.value if name.value == key), None)


def _insertions(text: str, node: yaml.Node, values: Mapping[str, Any], end: str) -> list[tuple[int, str]]:
    """Where in a text what is to be inserted, so that a mapping has more keys."""
    if not values:
        return []
    if not isinstance(node, yaml.MappingNode):
        raise UnknownFormError("it is written in a form that is not known here")
    if node.flow_style:
        inside = flow(values)[1:-1]
        if node.value:
            return [(node.value[-1][1].end_mark.index, f", {inside}")]
        return [(node.end_mark.index - 1, inside)]
    indent = " " * node.value[0][0].start_mark.column
    added = "".join(f"{indent}{line}{end}" for line in entry_lines(values))
    place = _line_end(text, _last_index(node))
    # The last line of a file need not have an end.
    return [(place, added if text[:place].endswith("\n") else end + added)]


def _last_index(node: yaml.Node) -> int:
    """Where the content of a node ends: that of a block would count comments behind it, too."""
    if isinstance(node, (yaml.MappingNode, yaml.SequenceNode)) and not node.flow_style and node.value:
        last = node.value[-1]
        return _last_index(last[1] if isinstance(last, tuple) else last)
    is_block_text = isinstance(node, yaml.ScalarNode) and node.style in ("|", ">")
    index: int = node.end_mark.index
    return index - 1 if is_block_text else index


def _line_end(text: str, index: int) -> int:
    """The index behind the end of a line."""
    found = text.find("\n", index)
    return len(text) if found < 0 else found + 1


def _lined(text: str, end: str) -> str:
    return text if not text or text.endswith("\n") else text + end
