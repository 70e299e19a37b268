"""What a parser is for the campaign, and ways to hand a text to one."""

from __future__ import annotations

import atexit
import shutil
import tempfile
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cache
from pathlib import Path

from slipway.errors import SlipwayError
from slipway.shell import Result
from tests.fuzz.samples import files, literals

NOW = datetime(2026, 1, 31, tzinfo=timezone.utc)
ROOT = Path(__file__).parents[3]
# A message of more letters says nothing any more.
LONGEST_MESSAGE = 4000


def place_of(error: BaseException) -> str:
    """Where an error comes from, of our own code if possible."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "/slipway/" in frame.filename] or frames
    return f"{ours[-1].filename.rpartition('/slipway/')[2]}:{ours[-1].lineno}, in {ours[-1].name}"


@dataclass(frozen=True, kw_only=True)
class Parser:
    """One parser.

    Attributes:
        name: a short name, by what it reads.
        source: whose text it is.
        read: hands a text to it.
        samples: texts that it takes.
        errors: errors that it may raise.
        words: what else means something to it.
        share: how many inputs it gets, beside one that has 1.
    """

    name: str
    source: str
    read: Callable[[str], object]
    samples: Callable[[], Sequence[str]]
    errors: tuple[type[Exception], ...] = (SlipwayError,)
    words: Sequence[str] = ()
    share: float = 1.0


def from_tests(*modules: str, more: Sequence[str] = ()) -> Callable[[], Sequence[str]]:
    return lambda: (*literals(*modules), *more)


def from_data(*patterns: str) -> Callable[[], Sequence[str]]:
    return lambda: [text for pattern in patterns for text in files(pattern)]


def of(*found: str) -> Callable[[], Sequence[str]]:
    return lambda: found


def each(
    *readers: Callable[[str], object], errors: tuple[type[Exception], ...] = (SlipwayError,)
) -> Callable[[str], object]:
    """The same text to several parsers; it is refused where all refuse it."""

    def read(text: str) -> None:
        refused: list[Exception] = []
        for reader in readers:
            try:
                reader(text)
            except errors as error:
                length = len(str(error).strip())
                if not 0 < length <= LONGEST_MESSAGE:
                    raise AssertionError(f"a message of {length} letters: {place_of(error)}") from error
                refused.append(error)
        if len(refused) == len(readers):
            raise refused[-1]

    return read


@cache
def folder() -> Path:
    # A folder of this process, on a disk in memory where there is one.
    place = Path("/dev/shm")
    made = Path(tempfile.mkdtemp(prefix="slipway-fuzz-", dir=place if place.is_dir() else None))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


def as_bytes(text: str) -> bytes:
    """A text as a file has it; a lone surrogate is a byte that is no UTF-8."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def latin(text: str) -> bytes:
    """A letter for each byte."""
    return text.encode("latin-1", "replace")


def as_file(
    reader: Callable[[Path], object], name: str, encode: Callable[[str], bytes] = as_bytes
) -> Callable[[str], object]:
    """The text as a file of this name."""

    def read(text: str) -> object:
        file = folder() / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(encode(text))
        return reader(file)

    return read


def as_binary(reader: Callable[[bytes], object]) -> Callable[[str], object]:
    """The text with a letter for each byte."""
    return lambda text: reader(latin(text))


def fresh_folder(name: str) -> Path:
    """An empty folder of this name."""
    place = folder() / name
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    return place


def result(text: str) -> Result:
    out, _, rest = text.partition("\x1e")
    return Result(argv=("x",), exit_code=len(text) % 3, stdout=out, stderr=rest)


TOKEN = "7f7f"  # noqa: S105 - a mark of lines


def two(text: str) -> tuple[str, str]:
    one, _, other = text.partition("\x1e")
    return one, other


def three(text: str) -> tuple[str, str, str]:
    one, _, rest = text.partition("\x1e")
    other, _, third = rest.partition("\x1e")
    return one, other or one, third or one
