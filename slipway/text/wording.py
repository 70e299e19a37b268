"""Sizes, times, paths and lines of text as a person reads them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from slipway.progress import Amount, Transfer
from slipway.text.command_name import as_typed
from slipway.text.escapes import neutral

_BREAKS = re.compile(r"[\n\t]+")
_WORD = re.compile(r"(?:`[^`]+`|[^ \n])+")
_DIGEST = re.compile(r"(?:sha256:)?[0-9a-f]{40,}")


def clock(seconds: int | None) -> str:
    """Seconds as ``H:MM:SS``."""
    if seconds is None:
        return ""
    return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def moment(seconds: int, now: datetime) -> str:
    """A moment near ``now``, in seconds since 1970, as short as it can be: ``14:26``, ``Dec 1 14:26``."""
    then = datetime.fromtimestamp(seconds, now.tzinfo)
    day = "" if then.date() == now.date() else f"{then:%b} {then.day} "
    return f"{day}{then:%H:%M}"


def duration(seconds: float) -> str:
    """Seconds as a person says them: ``4.2 s``, ``1:12``, ``1:02:03``."""
    return f"{seconds:.1f} s" if seconds < 60 else clock(round(seconds)).removeprefix("0:").removeprefix("0")


def megabytes(size_bytes: int) -> str:
    """A size in MB, or in kB where it is small."""
    return f"{size_bytes / 1e6:,.1f} MB" if size_bytes >= 100_000 else f"{size_bytes / 1e3:,.1f} kB"


def counted(count: int, one: str) -> str:
    """``1 file``, ``2,000 files``."""
    return f"{count:,} {one}{'' if count == 1 else 's'}"


def sent(transfer: Transfer | None, size_bytes: int) -> str:
    """What sending a file of this size has cost, for the end of a line."""
    if transfer is None:
        return "there already, nothing sent"
    part = 100 * transfer.sent_bytes / size_bytes if size_bytes else 100.0
    took = "" if transfer.elapsed_s is None else f", {duration(transfer.elapsed_s)}"
    return f"{megabytes(transfer.sent_bytes)} sent ({part:.{1 if part < 10 else 0}f} %){took}"


def how_far(amount: Amount) -> str:
    """A transfer in one line: what is there, the rate and the time left, and what did not have to be sent."""
    percent = 100 * amount.done_bytes // amount.total_bytes if amount.total_bytes else 100
    words = [f"{amount.done_bytes / 1e6:,.1f} MB  {percent} %  {amount.rate_bytes_s / 1e6:,.1f} MB/s"]
    if amount.left_s is not None:
        words.append(f"{clock(round(amount.left_s))} left")
    if amount.saved_bytes > 100_000:
        words.append(f"{megabytes(amount.saved_bytes)} saved")
    return "  ".join(words)


def short(path: Path) -> str:
    """A path as one would type it here: relative where it is below the working directory."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def one_line(text: str, width: int) -> str:
    """Text on one line of at most so many columns, with nothing in it that a terminal would obey."""
    return cut(_BREAKS.sub(" ", neutral(text)).strip(), width)


def text_width(text: str) -> int:
    """How many columns of a terminal a text takes."""
    if text.isascii() and text.isprintable():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def cut(text: str, width: int) -> str:
    """Text of at most so many columns of a terminal, with ``…`` where its end is left out."""
    if text_width(text) <= width:
        return text
    from rich.cells import set_cell_size

    return set_cell_size(text, width - 1).rstrip() + "…"


def wrapped(line: str, width: int) -> str:
    """A line in pieces that fit, each but the first set in; its commands are as they are typed here."""
    shown = as_typed(line).expandtabs()
    (start, end), *more = cuts(shown, width, hang := hang_of(shown))
    return "\n".join([shown[start:end], *(" " * hang + shown[start:end] for start, end in more)])


def hang_of(line: str) -> int:
    """How many columns the further pieces of a line are set in."""
    return len(line) - len(line.lstrip(" ")) + 2


def cuts(line: str, width: int, hang: int) -> list[tuple[int, int]]:
    """Where the pieces of a line begin and end, which are cut between words.

    What stands in backticks is one word. A word that fits on no line is left to the terminal, from which it
    can be copied; but a digest, which nobody copies, is cut.

    Args:
        line: it has no tabs.
        width: how many columns of a terminal a piece may have.
        hang: how many of them stand free before each piece but the first.
    """
    found, start, end, room = [], 0, 0, width
    for begin, past in _parts(line, width - hang):
        if end and text_width(line[start:past]) > room:
            found.append((start, end))
            start, room = begin, width - hang
        end = past
    return [*found, (start, end)]


def _parts(line: str, room: int) -> Iterator[tuple[int, int]]:
    """What is not cut: words, and the letters of a digest that has no room."""
    for word in _WORD.finditer(line):
        if _DIGEST.fullmatch(word[0]) and 0 < room < len(word[0]):
            yield from ((place, place + 1) for place in range(*word.span()))
        else:
            yield word.span()
