"""What a profile says of the images that its own one starts from, where no registry has them. Pure."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from slipway.tilde import expand

DEBOOTSTRAP = "debootstrap:"


@dataclass(frozen=True, kw_only=True)
class Base:
    """An image as FROM names it, and what to take for it: a path here, or ``debootstrap:SUITE``."""

    image: str
    source: str


def parse_base(word: str, folder: Path) -> Base:
    """Read ``IMAGE=FILE`` or ``IMAGE=debootstrap:SUITE``.

    Args:
        word: the word.
        folder: what a relative ``FILE`` starts from.

    Raises:
        ValueError: it is of another form.
    """
    image, equals, source = word.partition("=")
    if not equals or not image or not source:
        raise ValueError(f"{word!r:.200}: write IMAGE=FILE, such as debian:trixie-slim=images/trixie.tar")
    if not source.startswith(DEBOOTSTRAP):
        return Base(image=image, source=os.path.normpath(folder / expand(source)))
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", source.removeprefix(DEBOOTSTRAP)):
        raise ValueError(f"{word!r:.200}: write debootstrap:SUITE, such as debootstrap:trixie")
    return Base(image=image, source=source)
