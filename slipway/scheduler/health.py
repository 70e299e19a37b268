"""Whether a scheduler works for this user, and what it lets them ask for: neutral values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from slipway.site import Queue


@dataclass(frozen=True, kw_only=True)
class OpenPartition:
    """A partition, and who may use it.

    ``accounts``, ``qos`` and ``groups`` are those that may, ``None`` for all; ``no_accounts`` and ``no_qos``
    those that may not.
    """

    name: str
    is_default: bool
    state: str
    queue: Queue
    accounts: Sequence[str] | None = None
    qos: Sequence[str] | None = None
    groups: Sequence[str] | None = None
    no_accounts: Sequence[str] = ()
    no_qos: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What the scheduler says of a job that it was only asked about.

    Attributes:
        expected: when and where it would begin, in the scheduler's words.
        refusal: why it would not be taken.
    """

    expected: str | None = None
    refusal: str | None = None


class Health(Protocol):
    """What one scheduler is asked, in a login shell; what was printed is of both outputs."""

    def commands(self, options: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """The questions: ``queue``, ``history``, ``partitions``, ``accounts`` and ``trial``.

        Args:
            options: those of a submission that is only tried.
        """

    def read_partitions(self, printed: str) -> Sequence[OpenPartition]:
        """The partitions.

        Raises:
            ParseError: that is not what was printed.
        """

    def read_accounts(self, printed: str) -> Mapping[str, Sequence[str]]:
        """The user's accounts, and the QOS of each; none where nobody keeps accounts.

        Raises:
            ParseError: that is not what was printed.
        """

    def read_trial(self, exit_code: int, printed: str) -> Trial:
        """What came of the trial."""
