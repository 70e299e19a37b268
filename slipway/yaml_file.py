"""Reading a YAML file that a person has written: what is wrong with it, by its file and line.

Nothing in a file makes an object that is no plain value, and what a file can cost has bounds: its size, its
depth, the values that its aliases make, the digits of a number.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from yaml.composer import ComposerError
from yaml.constructor import ConstructorError

from slipway.errors import ConfigError, UsageError

_MOST_BYTES = 8 << 20
_DEEPEST = 50
# Each counts as often as aliases name it. A sweep that is written out has some for each element.
_MOST_VALUES = 1_000_000
_MOST_DIGITS = 100
_MERGE, _INT = "tag:yaml.org,2002:merge", "tag:yaml.org,2002:int"
_SURROGATE = re.compile("[\ud800-\udfff]")


def read_keys(
    file: Path,
    expected: str,
    *,
    missing: str | None = None,
    as_text: bool = False,
    may_be_empty: bool = False,
) -> dict[Any, Any]:
    """The keys of a file.

    Args:
        file: the file.
        expected: what is said where it has no keys: what there should be, and where that is explained.
        missing: what is said where it is not there.
        as_text: every value is the text that stands there: ``1e-3`` stays that, and so do ``007``, ``yes``.
        may_be_empty: a file without a word, or with comments alone, has no keys, and that is all right.

    Raises:
        UsageError: it is not there, and ``missing`` says what then.
        ConfigError: it cannot be read, is not YAML, or has no keys.
    """
    try:
        content = load_yaml(_read(file), as_text=as_text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{file}:{line}: this is not YAML: {str(error.problem)[:400]}") from error
    except (OSError, ValueError, yaml.YAMLError) as error:
        if missing is not None and isinstance(error, FileNotFoundError):
            raise UsageError(missing) from error
        raise ConfigError(f"{file} cannot be read: {str(error)[:400]}") from error
    if content is None and may_be_empty:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"{file}: {expected}")
    return content


def as_json(file: Path, content: Mapping[Any, Any]) -> str:
    """What a file holds, with types as JSON has them: a list is a list, "yes" is no number, a date is text.

    Raises:
        ConfigError: a key is a date, or something else that is no name.
    """
    try:
        return json.dumps(content, default=str)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{file}: a key in it is no name; put it in quotes ({error})") from error


def load_yaml(text: str, *, as_text: bool = False) -> Any:
    """What a text holds: mappings, lists and plain values.

    Args:
        text: one document.
        as_text: see :func:`read_keys`.

    Raises:
        yaml.YAMLError: it is no YAML, has a key twice, or is beyond what is read here.
    """
    loader = _TextLoader(text) if as_text else _PlainLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _check(node)
        return loader.construct_document(node)
    finally:
        loader.dispose()


class _Depth:
    """How deeply what is read is nested."""

    level = 0

    def count(self, event: Any) -> Any:
        if isinstance(event, yaml.CollectionStartEvent):
            self.level += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            self.level -= 1
        if self.level > _DEEPEST:
            raise ComposerError(None, None, "it is nested too deeply", event.start_mark)
        return event


class _TextLoader(yaml.BaseLoader):
    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = _Depth()

    def get_event(self) -> Any:
        return self._depth.count(super().get_event())  # type: ignore[no-untyped-call]


class _PlainLoader(yaml.SafeLoader):
    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = _Depth()

    def get_event(self) -> Any:
        return self._depth.count(super().get_event())  # type: ignore[no-untyped-call]

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        if node.tag == _INT and len(str(node.value)) > _MOST_DIGITS:
            raise ConstructorError(None, None, "the number is too long", node.start_mark)
        try:
            return super().construct_object(node, deep=deep)
        # The 31st of February, 0x_, `!!bool maybe`.
        except (ValueError, OverflowError, TypeError, LookupError, AttributeError) as error:
            kind = node.tag.rpartition(":")[2]
            words = f"{str(node.value)[:40]!r} cannot be read as its kind, {kind}; put it in quotes"
            raise ConstructorError(None, None, words, node.start_mark) from error


def _check(root: yaml.Node) -> None:
    """Refuse what aliases make too large, keys that come twice, and halves of characters."""
    waiting, count, seen = [root], 0, set()
    while waiting:
        node = waiting.pop()
        count += 1
        if count + len(waiting) > _MOST_VALUES:
            words = f"it makes more than {_MOST_VALUES:,} values, as often as its aliases name them"
            raise ComposerError(None, None, words, node.start_mark)
        is_new = id(node) not in seen
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            if is_new:
                _check_keys(node)
            waiting += [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value
        elif _SURROGATE.search(node.value):
            raise ComposerError(None, None, "half of a character is none", node.start_mark)


def _check_keys(node: yaml.MappingNode) -> None:
    keys = set()
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE:
            if (key.tag, key.value) in keys:
                words = f"{key.value[:100]} is there twice; remove one of the two"
                raise ComposerError(None, None, words, key.start_mark)
            keys.add((key.tag, key.value))


def _read(file: Path) -> str:
    with file.open("rb") as content:
        found = content.read(_MOST_BYTES + 1)
    if len(found) > _MOST_BYTES:
        raise ValueError(f"it is larger than {_MOST_BYTES >> 20} MiB")
    return found.decode("utf-8")
