"""A page shown by the browser of this machine, where somebody can see it."""

from __future__ import annotations

import os
import sys
import webbrowser
from collections.abc import Mapping
from pathlib import Path

_DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY")


def open_page(path: Path) -> bool:
    """Open a page in a browser; false where there is none that anybody sees, such as over SSH."""
    return open_address(path.absolute().as_uri())


def open_address(address: str) -> bool:
    """Open an address in a browser; false where there is none that anybody sees, such as over SSH."""
    if not has_display(os.environ, sys.platform):
        return False
    try:
        return webbrowser.open(address)
    except webbrowser.Error:
        return False


def has_display(environ: Mapping[str, str], platform: str) -> bool:
    """Whether a window would be seen by whoever is at this terminal."""
    if any(environ.get(name) for name in ("SSH_CONNECTION", "SSH_TTY")):
        # A display that SSH forwards shows a browser, too slowly to be of use.
        return False
    # Without one, webbrowser would start a browser for terminals, which takes the terminal over.
    return platform in ("darwin", "win32") or any(environ.get(name) for name in _DISPLAYS)
