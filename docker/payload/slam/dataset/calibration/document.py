"""YAML, XML and JSON as plain tables, with OpenCV's dialect of them, and numbers out of these."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from slam.errors import InputError

# Along a side of an image; more is no size.
MOST_PIXELS = 1_000_000
# cv::FileStorage begins files with `%YAML:1.0`, which YAML has not, and needs no space behind a key's colon.
_OPENCV = re.compile(r"\A\s*%YAML:1\.0")
_GLUED = re.compile(r"^(\s*[\w.]+):(?=[^\s:])", re.MULTILINE)


def parse_yaml(text: str) -> object:
    """What is in a YAML file; tags such as ``!!opencv-matrix`` are left out.

    Raises:
        ValueError: it is no YAML.
    """
    import yaml

    class Loader(yaml.SafeLoader):
        """Values of unknown tags are taken as they stand."""

    def plain(loader: yaml.SafeLoader, _tag: str, node: yaml.Node) -> object:
        if isinstance(node, yaml.MappingNode):
            return loader.construct_mapping(node, deep=True)
        if isinstance(node, yaml.SequenceNode):
            return loader.construct_sequence(node, deep=True)
        return node.value

    Loader.add_multi_constructor("", plain)
    if _OPENCV.match(text):
        text = _GLUED.sub(r"\1: ", _OPENCV.sub("", text))
    try:
        return yaml.load(text, Loader)  # noqa: S506 - it is a SafeLoader
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        raise ValueError(f"{where}{getattr(error, 'problem', None) or error}") from error


def parse_xml(text: str) -> object:
    """What is in an XML file of ``cv::FileStorage``; ``None`` where it is another's.

    Raises:
        ValueError: it is no XML.
    """
    try:
        root = ElementTree.fromstring(text)  # noqa: S314 - expat refuses entities that grow
    except ElementTree.ParseError as error:
        raise ValueError(str(error)) from error
    return _plain(root) if root.tag == "opencv_storage" else None


def _plain(element: ElementTree.Element) -> object:
    if len(element):
        return {child.tag: _plain(child) for child in element}
    return (element.text or "").strip().strip('"')


def parse_json(text: str) -> object:
    """What is in a JSON file.

    Raises:
        ValueError: it is no JSON.
    """
    value: object = json.loads(text)
    return value


PARSERS: Mapping[str, Callable[[str], object]] = {
    ".yaml": parse_yaml,
    ".yml": parse_yaml,
    ".xml": parse_xml,
    ".json": parse_json,
}


def to_numbers(value: object) -> tuple[float, ...] | None:
    """The numbers in a list, in lists in it, in a matrix's ``data`` or in a text; ``None`` if one is none."""
    if isinstance(value, Mapping):
        value = value.get("data")
    if isinstance(value, str):
        value = value.split()
    rows = value if isinstance(value, list) else [value]
    words: list[Any] = [word for row in rows for word in (row if isinstance(row, list) else [row])]
    try:
        # YAML 1.1 takes 1e-5 for a text.
        return tuple(map(float, words))
    except (TypeError, ValueError, OverflowError):
        return None


def read_numbers(
    table: Mapping[str, object], key: str, path: Path, *, is_optional: bool = False
) -> tuple[float, ...]:
    """The numbers behind a key; none where it is missing and ``is_optional``.

    Raises:
        InputError: there are none.
    """
    numbers = to_numbers(table.get(key))
    if not numbers and not (is_optional and table.get(key) in (None, [], "")):
        what = "is missing" if key not in table else f"holds no numbers but {table[key]!r}"
        raise InputError(f"{path}: {key} {what}; complete the file, or write a calib.txt")
    return numbers or ()


def read_matrix(numbers: tuple[float, ...], what: str) -> tuple[float, float, float, float]:
    """``fx fy cx cy`` of a camera matrix [3, 3] or [3, 4] by rows; ``what`` names it in messages.

    Raises:
        InputError: it is none.
    """
    columns = len(numbers) // 3
    if len(numbers) not in (9, 12):
        raise InputError(f"{what}: {len(numbers)} numbers; expected a matrix of three rows and columns")
    fx, skew, cx = numbers[:3]
    zero, fy, cy = numbers[columns : columns + 3]
    if (zero, *numbers[2 * columns : 2 * columns + 3]) != (0, 0, 0, 1):
        raise InputError(f"{what}: expected rows `fx 0 cx`, `0 fy cy` and `0 0 1`")
    if skew:
        raise InputError(f"{what}: the skew {skew:g} is not read; calibrate without it")
    return fx, fy, cx, cy


def read_size(table: Mapping[str, object], width: str, height: str) -> tuple[int, int] | None:
    """Width and height behind two keys, where they are there."""
    return to_size((*(to_numbers(table.get(width)) or ()), *(to_numbers(table.get(height)) or ())))


def to_size(numbers: tuple[float, ...] | None) -> tuple[int, int] | None:
    """Width and height of images, if that is what two numbers can be."""
    if not numbers or len(numbers) != 2 or not all(0 < number < MOST_PIXELS for number in numbers):
        return None
    return int(numbers[0]), int(numbers[1])
