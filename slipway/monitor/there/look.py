"""How elements stood at one moment, and what is told of it."""
# ruff: noqa: UP006, UP035, UP045 - Python 3.6 has no others

from collections import Counter
from typing import List, NamedTuple, Optional, Sequence, Tuple

from .failure import shown_end
from .run import Where
from .status import Status

OK, ON_ITS_WAY, FAILED, STOPPED = "ok", "on its way", "failed", "stopped"


class Seen(NamedTuple):
    """How one element stood.

    Attributes:
        label: how a person knows it.
        tries: where it was and, last, where it is.
        stands: for the monitor.
        status: of its last try.
        words: what is done about it, where it failed.
        state: what the next try asks for; ``None`` where there is none.
        exclude: nodes that the next try is kept from.
        log_end: the last that it printed, where it failed.
    """

    label: str
    tries: Tuple[Where, ...]
    stands: str
    status: Optional[Status] = None
    words: str = ""
    state: Optional[str] = None
    exclude: Tuple[str, ...] = ()
    log_end: str = ""


class Look(NamedTuple):
    """How all stood at one moment; which budget is spent, in words."""

    seen: Sequence[Seen]
    reached: Optional[str]

    @property
    def is_over(self) -> bool:
        """True where nothing is left to be done or to be waited for."""
        if self.reached and any(one.stands == FAILED for one in self.seen):
            return True
        return all(one.stands in (OK, STOPPED) for one in self.seen)

    @property
    def standing(self) -> object:
        """What has changed where this has."""
        return [(one.tries, one.stands, one.status and one.status.state) for one in self.seen]


def lines(look: Look, before: Optional[Look]) -> List[str]:
    """What is to be told of a look: what was decided since the one before, and how all stand."""
    known = {(one.tries, one.stands, one.words) for one in before.seen} if before else set()
    told: List[str] = []
    for one in look.seen:
        is_known = (one.tries, one.stands, one.words) in known
        if one.words and not is_known and not (look.reached and one.stands == FAILED):
            told.append(one.words)
            told += [f"    | {line}" for line in shown_end(one.log_end)] if one.stands == STOPPED else []
    counts = counts_line(look)
    return told if before is not None and counts == counts_line(before) else [*told, counts]


def counts_line(look: Look) -> str:
    """How many stand how: ``27 elements: 20 ok, 5 running, 2 stopped``."""
    counts = Counter(_word(one) for one in look.seen)
    words = ", ".join(f"{count:,} {word}" for word, count in counts.items())
    return f"{len(look.seen):,} element{'' if len(look.seen) == 1 else 's'}: {words}"


def _word(one: Seen) -> str:
    if one.stands == ON_ITS_WAY and one.status is not None and not one.status.is_over:
        return one.status.state.lower()
    return one.stands
