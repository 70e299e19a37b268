"""Consoles of rich, which are loaded only where something is to be printed on a terminal."""

from __future__ import annotations

from rich.console import Console


class _Console(Console):
    def on_broken_pipe(self) -> None:
        raise  # rich calls it where it has caught the error, and would end with 1


def open_console(*, stderr: bool = False) -> Console:
    """Standard output or standard error, as rich has it."""
    return _Console(highlight=False, stderr=stderr)
