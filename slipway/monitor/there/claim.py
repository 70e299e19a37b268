"""Claims, by the links and marks of slipway/monitor/claim.py: both kinds of monitors see each other's."""
# ruff: noqa: PTH115, UP006, UP035, UP045 - Python 3.6 has no others

import os
import re
import secrets
import time
from contextlib import suppress
from pathlib import Path
from typing import Dict, Iterable, List, Mapping, NamedTuple, Optional, Tuple

from .run import Where

FRESH_S = 120
_ID = r"\w[\w.+-]*"
_LINK = re.compile(r"(run|[0-9]{1,9})-([0-9]{1,9})")
_MARK = re.compile(rf"({_ID})\.(submitted|given-up)")


class Claim(NamedTuple):
    """A try that somebody has taken; whether it was submitted is ``None`` where that is not known."""

    number: int
    run_id: str
    age_s: float
    is_submitted: Optional[bool] = None


def read_claims(run_ids: Iterable[str]) -> Dict[Where, Claim]:
    """The last claims of the tasks of some runs."""
    claims: Dict[Where, Claim] = {}
    for run_id in run_ids:
        links, decided = _read(run_id)
        for task, (number, target, age_s) in links.items():
            claims[run_id, task] = Claim(number, target, age_s, decided.get(target))
    return claims


def file_clock(folder: Path) -> float:
    """The time by the clock of whoever serves the files of a folder: this machine's may be off by hours."""
    probe = folder / f".now-{secrets.token_hex(4)}"
    try:
        probe.touch()
        return probe.stat().st_mtime
    except OSError:
        return time.time()
    finally:
        with suppress(OSError):
            probe.unlink()


def _read(run_id: str) -> Tuple[Dict[Optional[int], Tuple[int, str, float]], Dict[str, bool]]:
    links: Dict[Optional[int], Tuple[int, str, float]] = {}
    decided: Dict[str, bool] = {}
    try:
        paths = [*Path("tries", run_id).iterdir()]
    except FileNotFoundError:
        return links, decided
    now_s = file_clock(Path("tries"))
    for path in paths:
        mark, link = _MARK.fullmatch(path.name), _LINK.fullmatch(path.name)
        if not path.is_symlink():
            continue
        if mark:
            # What was submitted was not given up, whatever somebody thought.
            decided[mark.group(1)] = decided.get(mark.group(1), False) or mark.group(2) == "submitted"
        elif link:
            task, number = (None if link.group(1) == "run" else int(link.group(1))), int(link.group(2))
            target = os.readlink(str(path))
            if re.fullmatch(_ID, target) and (task not in links or links[task][0] < number):
                links[task] = (number, target, now_s - path.lstat().st_mtime)
    return links, decided


def make_claims(run_id: str, wanted: Mapping[Optional[int], int], new_id: str) -> List[Optional[int]]:
    """Claim the next try of some tasks of a run: those that nobody else has claimed.

    Args:
        run_id: the run.
        wanted: the number of the claim of each task.
        new_id: the run that is to be submitted.
    """
    folder = Path("tries", run_id)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    mine = []
    for task, number in wanted.items():
        path = folder / f"{'run' if task is None else task}-{number}"
        with suppress(FileExistsError):
            path.symlink_to(new_id)
        if os.readlink(str(path)) == new_id:
            mine.append(task)
    return mine


def write_down(run_id: str, new_id: str, *, is_submitted: bool) -> None:
    """Write down what has become of a claim of a run."""
    word = "submitted" if is_submitted else "given-up"
    with suppress(FileExistsError):
        Path("tries", run_id, f"{new_id}.{word}").symlink_to(word)
