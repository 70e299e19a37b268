"""What sections ask for: a run, what was found of it, and what its files hold, each read once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from slipway.job.run import Run
from slipway.page.found import Found, look
from slipway.page.markup import Html
from slipway.page.read.figures import Figures, read_figures
from slipway.page.scene import Scene, find_scenes


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of a page.

    Attributes:
        key: its anchor.
        title: its heading.
        body: what it shows.
    """

    key: str
    title: str
    body: Html


@dataclass(frozen=True)
class Subject:
    """A run that a page shows."""

    found: Found

    @classmethod
    def of(cls, run: Run, folder: Path) -> Subject:
        """A run, and its folder among the results, which need not be there."""
        return cls(look(run, folder))

    @property
    def run(self) -> Run:
        """Its record."""
        return self.found.run

    @property
    def name(self) -> str:
        """How it is called to a person."""
        return self.run.name or self.run.run_id

    @cached_property
    def figures(self) -> list[Figures]:
        """What its JSON files hold."""
        return read_figures(self.found.with_ending(".json"), self.found.notes)

    @cached_property
    def scenes(self) -> list[Scene]:
        """Its trajectories and clouds, by folder."""
        return find_scenes(self.found, self.figures)
