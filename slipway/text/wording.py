"""Sizes, times, paths and lines of text as a person reads them."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

from slipway.progress import Amount, Transfer
from slipway.text.escapes import neutral

_BREAKS = re.compile(r"[\n\t]+")


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
    from rich.cells import cell_len

    return cell_len(text)


def cut(text: str, width: int) -> str:
    """Text of at most so many columns of a terminal, with ``…`` where its end is left out."""
    from rich.cells import set_cell_size

    return text if text_width(text) <= width else set_cell_size(text, width - 1).rstrip() + "…"


def wrapped(line: str, width: int) -> str:
    """A line in pieces that fit, each but the first set in; what stands in backticks is never cut."""
    import textwrap

    indent = line[: len(line) - len(line.lstrip())]
    # `textwrap` takes no-break spaces for letters.
    kept = re.sub(r"`[^`]+`", lambda match: match[0].replace(" ", "\xa0"), line.lstrip())
    pieces = textwrap.wrap(
        kept,
        width,
        initial_indent=indent,
        subsequent_indent=f"{indent}  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(pieces).replace("\xa0", " ")
