"""Scalars of TensorBoard's event files, without TensorBoard.

A file is a row of TFRecords, each a length and bytes with a checksum of both. The bytes are an ``Event`` of
protobuf, of which four messages and a few fields matter here. TensorBoard itself brings numpy, grpc and a web
server, for what is a page of code.

https://github.com/tensorflow/tensorboard/blob/master/tensorboard/compat/proto/event.proto and summary.proto;
https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from random import Random

from slipway.page.found import open_regular

_MOST_BYTES = 256 << 20
# Scalars are of some hundred bytes. What is larger is a picture or a graph, and passed over.
_LARGEST_RECORD = 16 << 10
_MOST_TAGS = 200
_CUT, _WRONG = "it ends in the midst of a record", "a record's checksum is not right"
_FLOAT, _DOUBLE = 1, 2


@dataclass(kw_only=True)
class Curve:
    """A scalar over the steps of a training."""

    steps: array[float] = field(default_factory=lambda: array("d"))
    values: array[float] = field(default_factory=lambda: array("d"))


def read_events(path: Path, curves: dict[str, Curve], most: int = 100_000) -> str | None:
    """Add a file's scalars to what there is of each tag; returns what is wrong with it, if anything is.

    Of more than ``most`` records so many are taken by chance: every tenth, say, may all be of one tag.

    Raises:
        OSError: it cannot be read.
    """
    with open_regular(path) as file:
        view = memoryview(file.read(_MOST_BYTES))
    places: list[tuple[int, int]] = []
    try:
        places.extend(_records(view))
        problem = None
    except ValueError as error:
        problem = str(error)
    if len(places) > most:
        problem = problem or f"{most:,} of its {len(places):,} values"
        places = [places[index] for index in sorted(Random(0).sample(range(len(places)), most))]  # noqa: S311
    try:
        for start, length in places:
            for step, tag, value in _scalars(_record(view, start, length)):
                if tag in curves or len(curves) < _MOST_TAGS:
                    curve = curves.setdefault(tag, Curve())
                    curve.steps.append(step)
                    curve.values.append(value)
    except ValueError as error:
        problem = str(error)
    return problem


def _records(view: memoryview) -> Iterator[tuple[int, int]]:
    """Where each record's bytes are, and how many, but for those that are too large for a scalar."""
    place = 0
    while place < len(view):
        if place + 12 > len(view):
            raise ValueError(_CUT)
        length, check = struct.unpack_from("<QI", view, place)
        if check != masked_crc(view[place : place + 8]):
            raise ValueError(_WRONG)
        start, place = place + 12, place + 16 + length
        if place > len(view):
            raise ValueError(_CUT)
        if length <= _LARGEST_RECORD:
            yield start, length


def _record(view: memoryview, start: int, length: int) -> bytes:
    record = view[start : start + length]
    if struct.unpack_from("<I", view, start + length)[0] != masked_crc(record):
        raise ValueError(_WRONG)
    return bytes(record)


def masked_crc(content: bytes | memoryview) -> int:
    """CRC-32C as TFRecords have it."""
    table, crc = _table(), 0xFFFFFFFF
    for byte in content:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


@cache
def _table() -> list[int]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


def _scalars(event: bytes) -> Iterator[tuple[float, str, float]]:
    fields = list(_fields(event))
    step = next((int(value) for number, value in fields if number == 2 and isinstance(value, int)), 0)
    # Steps are int64, and protobuf's varints unsigned.
    step -= (step >> 63) << 64
    for number, summary in fields:
        if number == 5 and isinstance(summary, bytes):
            for inner, value in _fields(summary):
                if inner == 1 and isinstance(value, bytes):
                    yield from _scalar(float(step), value)


def _scalar(step: float, message: bytes) -> Iterator[tuple[float, str, float]]:
    tag, number = "", None
    for field_number, value in _fields(message):
        if field_number == 1 and isinstance(value, bytes):
            tag = value[:200].decode("utf-8", "replace")
        elif field_number == 2 and isinstance(value, bytes) and len(value) == 4:
            number = float(struct.unpack("<f", value)[0])
        elif field_number == 8 and isinstance(value, bytes):
            number = _tensor(value)
    if number is not None:
        yield step, tag, number


def _tensor(message: bytes) -> float | None:
    """The one number of a tensor that has one."""
    kind, content = 0, b""
    for number, value in _fields(message):
        if number == 1 and isinstance(value, int):
            kind = value
        elif number in (4, 5, 6) and isinstance(value, bytes):
            content = value
    form = {_FLOAT: "<f", _DOUBLE: "<d"}.get(kind)
    if form is None or len(content) != struct.calcsize(form):
        return None
    return float(struct.unpack(form, content)[0])


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a protobuf message: varints as numbers, all else as bytes."""
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        kind = key & 7
        if kind == 0:
            value, place = _varint(message, place)
            yield key >> 3, value
            continue
        if kind not in (1, 2, 5):
            raise ValueError("it has a field of a kind that event files do not have")
        size, place = _varint(message, place) if kind == 2 else ({1: 8, 5: 4}[kind], place)
        if place + size > len(message):
            raise ValueError("a field is longer than its message")
        yield key >> 3, message[place : place + size]
        place += size


def _varint(message: bytes, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(message):
            break
        byte = message[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, place
    raise ValueError("a number does not end")
