"""Names that differ only in their letters' case, where a disk here does not tell them apart."""

from __future__ import annotations

import secrets
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from slipway.skipped import show_name


def ignores_case(folder: Path) -> bool:
    """True where the disk of a folder takes ``a`` and ``A`` for one name; found out by trying.

    Raises:
        OSError: nothing can be written there.
    """
    probe = folder / f".slipway-case-{secrets.token_hex(4)}"
    probe.touch()
    try:
        return probe.with_name(probe.name.upper()).exists()
    finally:
        probe.unlink()


def find_clashes(names: Iterable[str]) -> dict[str, str]:
    """The names that would go into the place of another one, and which; the first by its bytes stays.

    Of a folder that clashes only the folder itself is named.
    """
    kept: dict[str, str] = {}
    clashes: dict[str, str] = {}
    for name in sorted(names):
        parts = name.split("/")
        if any("/".join(parts[:depth]) in clashes for depth in range(1, len(parts))):
            continue
        # As disks do it that ignore case; most of them also take composed and decomposed letters for one.
        other = kept.setdefault(unicodedata.normalize("NFD", name).casefold(), name)
        if other != name:
            clashes[name] = other
    return clashes


def explain_clash(other: str) -> str:
    """Why one of the two is not brought."""
    return f"this disk does not tell it apart from {show_name(other)}"
