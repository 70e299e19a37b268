"""Checkpoints of PyTorch, looked at without PyTorch: whether one is whole, and holds tensors only."""

from __future__ import annotations

import pickle
import pickletools
import re
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from slipway.errors import DataError

# What tensors are made of; all else that a pickle may call is a program that somebody else has written.
_TENSORS = re.compile(
    r"collections OrderedDict"
    r"|torch\._utils _rebuild_(tensor|tensor_v2|parameter|parameter_with_state)"
    r"|torch (\w+Storage|Size|u?int\d+|float\d+|bfloat16|bool|complex\d+)"
    r"|torch\.nn\.parameter Parameter"
    r"|torch\.storage UntypedStorage"
)
# PyTorch's own reader for weights knows no other way to name what is called.
_CALLS = {"GLOBAL"}
_REFUSED = {"STACK_GLOBAL", "INST", "OBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4"}
_REBUILDS = "torch._utils _rebuild_"
# What a file that is something else can lead to; the last two are those of other archives, and locked ones.
_NO_CHECKPOINT = (
    ValueError,
    OSError,
    EOFError,
    zipfile.BadZipFile,
    pickle.UnpicklingError,
    zlib.error,
    RuntimeError,
    # It says that it holds a text of so many bytes.
    MemoryError,
    OverflowError,
)
# PyTorch before 1.6 wrote five pickles, and then the bytes.
_OLD_MAGIC, _OLD_PICKLES = 0x1950A86A20F9469CFC6C, 5


def check_checkpoint(path: Path, shown: str | None = None) -> None:
    """Refuse a file that ``torch.load(…, weights_only=True)`` would not read, as far as that can be told.

    Args:
        path: the file.
        shown: what the user calls it.

    Raises:
        DataError: it is no checkpoint, it is damaged, or it holds something else than tensors.
    """
    shown = shown or str(path)
    try:
        # Python has a word to say on a backslash in a text of it.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            names = list(_names(path))
    except _NO_CHECKPOINT as error:
        raise DataError(
            f"{shown} is no checkpoint of PyTorch, or only a part of one: {str(error)[:400]}"
        ) from error
    odd = sorted({name.replace(" ", ".") for name in names if not _TENSORS.fullmatch(name)})
    if odd:
        called = ", ".join(odd[:3])[:400]
        raise DataError(
            f"{shown} holds more than tensors: to load it is to run {called}. Weights from a "
            "place that you trust can be saved anew with `torch.save(model.state_dict(), …)`"
        )
    if not any(name.startswith(_REBUILDS) for name in names):
        raise DataError(f"{shown} holds no tensors")


def _names(path: Path) -> Iterator[str]:
    with path.open("rb") as file:
        if zipfile.is_zipfile(file):
            yield from _names_in_zip(file)
            return
        file.seek(0)
        first = pickletools.genops(file)
        if not any(argument == _OLD_MAGIC for _, argument, _ in first):
            raise ValueError("it begins with something else")
        for _ in range(_OLD_PICKLES - 1):
            yield from _called(file)


def _names_in_zip(file: IO[bytes]) -> Iterator[str]:
    with zipfile.ZipFile(file) as archive:
        damaged = archive.testzip()
        if damaged:
            raise ValueError(f"{damaged} in it is damaged")
        entries = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if len(entries) != 1:
            raise ValueError("it is another kind of archive")
        with archive.open(entries[0]) as content:
            yield from _called(content)


def _called(file: IO[bytes]) -> Iterator[str]:
    for operation, argument, _ in pickletools.genops(file):
        if operation.name in _REFUSED:
            yield f"pickle {operation.name}"
        if operation.name in _CALLS:
            yield str(argument)
