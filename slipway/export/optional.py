"""Libraries that Slipway goes without: what is said where one is missing, and what an export has done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from slipway.errors import HostError


@dataclass(frozen=True, kw_only=True)
class Done:
    """What an export has done: how many elements are new there, have changed, and are as they were."""

    new: int = 0
    changed: int = 0
    unchanged: int = 0

    def __str__(self) -> str:
        """For people."""
        total = self.new + self.changed + self.unchanged
        parts = [f"{self.new} new", f"{self.changed} changed", f"{self.unchanged} as before"]
        return f"{total} {'element' if total == 1 else 'elements'} ({', '.join(parts)})"


@contextmanager
def needed(option: str, extra: str) -> Iterator[None]:
    """Within it, a library is imported.

    Raises:
        HostError: it is not installed, or does not load; the message says which extra has it.
    """
    try:
        yield
    except ImportError as error:
        raise HostError(
            f"{option}: the Python that runs Slipway has no {extra} that loads ({error}); "
            f"`pip install 'slipway[{extra}]'` installs it, into the same environment"
        ) from error
