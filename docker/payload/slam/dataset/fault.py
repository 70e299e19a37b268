"""What is wrong with single files of a sequence, where all of it is looked for and not only the first."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from slam.dataset.header import Header
from slam.errors import InputError


@dataclass(kw_only=True)
class Faults:
    """Collects faults, each once.

    ``headers`` are those of images that were decoded; ``None`` where one could not be.
    """

    messages: dict[str, None] = field(default_factory=dict)
    headers: dict[Path, Header | None] = field(default_factory=dict)

    def add(self, message: object) -> None:
        """Note a fault."""
        self.messages.setdefault(str(message))

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Note an error of the block in the place of raising it."""
        try:
            yield
        except InputError as error:
            self.add(error)
