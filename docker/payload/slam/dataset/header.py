"""What an image file says of itself before it is decoded."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Header:
    """What an image file says at its beginning.

    ``size`` is width and height of the upright image. ``is_turned`` says that the file's own rows are not the
    upright image's, ``is_deep`` that it is grey with more than 8 bits.
    """

    size: tuple[int, int]
    is_turned: bool
    is_deep: bool
