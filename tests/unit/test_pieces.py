"""What files have in common, by the layers that they were put together of."""

import json
import os
import random
from pathlib import Path

import pytest

from slipway.sif.holes import Piece
from slipway.sif.pieces import PieceStore, find_parts
from slipway.transfer.delta import Part

OLD, NEW = "a" * 64, "b" * 64
LAYERS = {f"layer-{number}": os.urandom(5000) for number in range(4)}


def put_together(seed: int, front: bytes) -> tuple[bytes, list[Piece]]:
    """A file of what some layers have, with something of its own before, between and behind."""
    chance = random.Random(seed)  # noqa: S311 - contents, not secrets
    content, pieces = bytearray(front), []
    for layer in chance.choices(list(LAYERS), k=chance.randint(0, 6)):
        start = 0
        while (start := start + chance.randint(0, 900)) < 5000:
            size = min(chance.randint(1, 2500), 5000 - start)
            pieces.append(Piece(layer=layer, start=start, size_bytes=size, offset=len(content)))
            content += LAYERS[layer][start : start + size]
            start += size
    return bytes(content + os.urandom(chance.randint(0, 300))), pieces


@pytest.mark.parametrize("seed", range(200))
def test_a_file_is_made_of_another_and_what_is_new(seed: int) -> None:
    old, old_pieces = put_together(seed, b"old")
    new, new_pieces = put_together(seed + 1000, b"new one")
    parts = find_parts(old_pieces, new_pieces, len(new))
    made, at = bytearray(), 0
    for part in parts:
        source = old if part.is_there else new
        assert part.is_there or part.offset == at
        made += source[part.offset : part.offset + part.size_bytes]
        at += part.size_bytes
    assert bytes(made) == new
    layers = {piece.layer for piece in old_pieces} & {piece.layer for piece in new_pieces}
    if any(part.is_there for part in parts):
        assert layers


def test_of_the_same_file_hardly_anything_is_new() -> None:
    content, pieces = put_together(3, b"front")
    assert pieces
    new = [one for one in find_parts(pieces, pieces, len(content)) if not one.is_there]
    assert sum(one.size_bytes for one in new) == len(content) - sum(one.size_bytes for one in pieces)


def test_pieces_that_end_behind_their_file_say_nothing() -> None:
    pieces = [Piece(layer="one", start=0, size_bytes=100, offset=0)]
    assert find_parts(pieces, pieces, 99) == []
    assert find_parts(pieces, pieces, 100) == [Part(offset=0, size_bytes=100, is_there=True)]


def test_they_are_kept_by_hash(tmp_path: Path) -> None:
    store = PieceStore(folder=tmp_path / "pieces")
    pieces = [Piece(layer="one", start=0, size_bytes=100, offset=10)]
    store.keep(OLD, pieces)
    assert store.find(OLD) == pieces
    assert store.find(NEW) == []
    assert store.parts(OLD, NEW, 110) == []
    store.keep(NEW, pieces)
    new = Part(offset=0, size_bytes=10, is_there=False)
    assert store.parts(OLD, NEW, 110) == [new, Part(offset=10, size_bytes=100, is_there=True)]


@pytest.mark.parametrize(
    "content",
    ["", "{}", "[1]", '[["one", 0, 100]]', '[["one", 0, -1, 0]]', '[["one", 0, 1.5, 0]]', "[[1, 2, 3, 4]]"],
)
def test_what_is_no_list_of_pieces_says_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / f"{OLD}.json").write_text(content)
    assert PieceStore(folder=tmp_path).find(OLD) == []


def test_of_many_files_only_the_newest_are_known(tmp_path: Path) -> None:
    store = PieceStore(folder=tmp_path)
    for number in range(105):
        store.keep(f"{number:064}", [Piece(layer="one", start=0, size_bytes=1, offset=0)])
        os.utime(tmp_path / f"{number:064}.json", (number, number))
    store.keep(NEW, [Piece(layer="one", start=0, size_bytes=1, offset=0)])
    assert store.find(NEW)
    assert len(list(tmp_path.iterdir())) == 100
    assert not store.find(f"{0:064}")


def test_of_one_with_too_many_nothing_is_kept(tmp_path: Path) -> None:
    store = PieceStore(folder=tmp_path)
    many = [Piece(layer="one", start=number, size_bytes=1, offset=2 * number) for number in range(2001)]
    store.keep(OLD, many)
    assert not list(tmp_path.iterdir())
    store.keep(OLD, many[1:])
    assert len(json.loads((tmp_path / f"{OLD}.json").read_text())) == 2000
