"""Point clouds in PLY files, thinned to what a screen can show and quantised. http://paulbourke.net/dataformats/ply/."""

from __future__ import annotations

import mmap
import re
import struct
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from operator import itemgetter
from pathlib import Path
from random import Random
from typing import IO

from slipway.page.found import open_regular

_MOST_HEADER = 64 << 10
_MOST_ASCII = 512 << 20
_TYPES = {
    **dict.fromkeys(("char", "int8"), "b"),
    **dict.fromkeys(("uchar", "uint8"), "B"),
    **dict.fromkeys(("short", "int16"), "h"),
    **dict.fromkeys(("ushort", "uint16"), "H"),
    **dict.fromkeys(("int", "int32"), "i"),
    **dict.fromkeys(("uint", "uint32"), "I"),
    **dict.fromkeys(("float", "float32"), "f"),
    **dict.fromkeys(("double", "float64"), "d"),
}
_ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">", "ascii": ""}
_COLOURS = (("red", "green", "blue"), ("diffuse_red", "diffuse_green", "diffuse_blue"), ("r", "g", "b"))
# Of points: those outermost on each axis do not say how large the cloud is.
_OUTER = 0.005
_LEVELS = 65535

Row = tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """Points of a cloud file.

    Attributes:
        count: how many the file has.
        low: the corner from which ``points`` count.
        step: the size of one of their units.
        points: [3n] whole numbers from 0 to 65535.
        colours: [3n] red, green, blue; ``None`` where the file has none.
        error: [n] from 0 to 65535 over ``error_range``, where the file has errors.
        error_name: the property that these are.
        outside: how many points lie far out and are left out.
        notes: what else is wrong with the file.
    """

    count: int
    low: tuple[float, float, float]
    step: float
    points: array[int]
    colours: bytes | None
    error: array[int] | None
    error_name: str | None
    error_range: tuple[float, float]
    outside: int
    notes: Sequence[str]

    def __len__(self) -> int:
        return len(self.points) // 3


@dataclass(frozen=True, kw_only=True)
class _Header:
    order: str
    count: int
    names: Sequence[str]
    kinds: str
    size_bytes: int


def read_ply(path: Path, most: int) -> Cloud:
    """At most so many points of a file, evenly taken from all of it.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no cloud that can be read; says why.
    """
    with open_regular(path) as file:
        header = _read_header(file)
        if not {"x", "y", "z"} <= set(header.names):
            raise ValueError("its vertices have no x, y and z")
        if header.order:
            rows, count = _binary_rows(file, header, most)
        else:
            rows, count = _ascii_rows(file, header, most)
    notes = []
    if count < header.count:
        notes.append(f"its header says {header.count:,} points, and {count:,} are there")
    return _quantised(header, rows, count, notes)


def _read_header(file: IO[bytes]) -> _Header:
    lines = _header_lines(file)
    if next(lines, "") != "ply":
        raise ValueError("it is no PLY file")
    order, count, elements = None, 0, 0
    names: list[str] = []
    kinds = ""
    for line in lines:
        words = line.split()
        match words:
            case ["format", name, _] if name in _ORDERS:
                order = _ORDERS[name]
            case ["element", name, number]:
                elements += 1
                if elements == 1:
                    count = _vertex_count(name, number)
            case ["property", kind, name] if elements == 1 and kind in _TYPES:
                names.append(name)
                kinds += _TYPES[kind]
            case ["property", *_] if elements == 1:
                raise ValueError(f"its vertices have a property of a kind that is not known: {line[:60]}")
    if order is None:
        raise ValueError("its header names no format that is known")
    return _Header(order=order, count=count, names=names, kinds=kinds, size_bytes=file.tell())


def _vertex_count(name: str, number: str) -> int:
    if name != "vertex" or not re.fullmatch(r"[0-9]{1,18}", number):
        raise ValueError("its first element is no list of vertices")
    return int(number)


def _header_lines(file: IO[bytes]) -> Iterator[str]:
    left = _MOST_HEADER
    while left > 0:
        line = file.readline(min(left, 4096))
        left -= len(line)
        text = line.decode("ascii", "replace").strip()
        if text == "end_header":
            return
        if not line.endswith(b"\n"):
            break
        yield text
    raise ValueError("its header has no end")


def _binary_rows(file: IO[bytes], header: _Header, most: int) -> tuple[list[Row], int]:
    form = struct.Struct(header.order + header.kinds)
    file.seek(0, 2)
    count = min(header.count, (file.tell() - header.size_bytes) // form.size)
    if not count:
        return [], 0
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        begin, size = header.size_bytes, form.size
        if count <= most:
            return [*form.iter_unpack(content[begin : begin + count * size])], count
        unpack = form.unpack_from
        return [unpack(content, begin + index * count // most * size) for index in range(most)], count


def _ascii_rows(file: IO[bytes], header: _Header, most: int) -> tuple[list[Row], int]:
    # By the header's count, so that one reading will do; a header that says too much gives fewer points.
    every = max(1, -(-header.count // most))
    rows: list[Row] = []
    count, left, width = 0, _MOST_ASCII, len(header.names)
    while count < header.count and left > 0 and len(rows) < most:
        line = file.readline(1 << 16)
        if not line:
            break
        left -= len(line)
        if count % every == 0 and (row := _ascii_row(line.split(), width)):
            rows.append(row)
        count += 1
    return rows, count if left > 0 else header.count


def _ascii_row(words: list[bytes], width: int) -> Row | None:
    try:
        return tuple(float(word) for word in words) if len(words) == width else None
    except ValueError:
        return None


def _quantised(header: _Header, rows: list[Row], count: int, notes: list[str]) -> Cloud:
    xyz = itemgetter(*(header.names.index(name) for name in "xyz"))
    # Not a number minus itself is not 0, and neither is the infinite.
    finite = [row for row in rows if isfinite(sum(xyz(row)))]
    if len(finite) < len(rows):
        notes.append("points with coordinates that are no numbers are left out")
    low, high = _bulk([xyz(row) for row in finite])
    kept = [
        row for row in finite if all(a <= value <= b for a, value, b in zip(low, xyz(row), high, strict=True))
    ]
    # In no order: a viewer that has no time for all of them takes the first.
    Random(0).shuffle(kept)  # noqa: S311 - nothing is to be secret
    points = [xyz(row) for row in kept]
    least = tuple(min((point[axis] for point in points), default=0.0) for axis in range(3))
    most = tuple(max((point[axis] for point in points), default=0.0) for axis in range(3))
    step = max((b - a for a, b in zip(least, most, strict=True)), default=0.0) / _LEVELS or 1.0
    x0, y0, z0 = least
    units = array("H")
    for x, y, z in points:
        units.extend((int((x - x0) / step), int((y - y0) / step), int((z - z0) / step)))
    error_name, error, error_range = _errors(header, kept)
    return Cloud(
        count=count,
        low=(x0, y0, z0),
        step=step,
        points=units,
        colours=_colours(header, kept),
        error=error,
        error_name=error_name,
        error_range=error_range,
        outside=len(finite) - len(kept),
        notes=notes,
    )


def _bulk(points: list[Row]) -> tuple[Row, Row]:
    """The corners of the box in which nearly all points lie, and twice its size around it."""
    low, high = [], []
    for axis in range(3):
        values = sorted(point[axis] for point in points)
        if not values:
            return (0.0, 0.0, 0.0), (0.0, 0.0, 0.0)
        outer = int(len(values) * _OUTER)
        first, last = values[outer], values[-1 - outer]
        size = last - first
        low.append(first - 2 * size)
        high.append(last + 2 * size)
    return tuple(low), tuple(high)


def _colours(header: _Header, rows: list[Row]) -> bytes | None:
    for names in _COLOURS:
        if all(name in header.names for name in names):
            places = [header.names.index(name) for name in names]
            kinds = {header.kinds[place] for place in places}
            get = itemgetter(*places)
            if kinds == {"B"} and header.order:
                return bytes(value for row in rows for value in get(row))
            # Real numbers are from 0 to 1, and bytes written as text are read as real numbers.
            scale = 1.0 if kinds == {"B"} else 255.0
            scale = 255 / _LEVELS if kinds == {"H"} else scale
            return bytes(_byte(value * scale) for row in rows for value in get(row))
    return None


def _byte(value: float) -> int:
    return int(min(255.0, max(0.0, value))) if isfinite(value) else 0


def _errors(header: _Header, rows: list[Row]) -> tuple[str | None, array[int] | None, tuple[float, float]]:
    name = next((one for one in header.names if "err" in one.lower() or "uncert" in one.lower()), None)
    if name is None or not rows:
        return None, None, (0.0, 0.0)
    place = header.names.index(name)
    values = [row[place] if isfinite(row[place]) else 0.0 for row in rows]
    ordered = sorted(values)
    # A few large errors would make all others look alike.
    low, high = ordered[0], ordered[int(0.98 * (len(ordered) - 1))]
    scale = _LEVELS / (high - low) if high > low else 0.0
    level: Callable[[float], int] = lambda value: int(min(_LEVELS, max(0.0, (value - low) * scale)))  # noqa: E731
    return name, array("H", map(level, values)), (low, high)
