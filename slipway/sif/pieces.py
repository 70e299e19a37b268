"""What ``.sif`` files have in common: each is the blocks of its layers, and of most it is known which.

So a new version of an image can be made on the cluster of the one that is there and what is new.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass
from pathlib import Path

from slipway.errors import HostError
from slipway.jsontext import load_json
from slipway.project import Project
from slipway.sif.holes import Piece, parse_piece
from slipway.transfer.delta import Part
from slipway.whole_file import write_whole

_FOLDER = "pieces"
# Of so many files it is known; 100 kB each at most, and a few kB usually.
_MOST_FILES = 100
_MOST_PIECES = 2000


@dataclass(frozen=True, kw_only=True)
class PieceStore:
    """The pieces of files, by their SHA-256."""

    folder: Path

    @classmethod
    def of(cls, project: Project) -> PieceStore:
        """That of a project."""
        return cls(folder=project.state / _FOLDER)

    def keep(self, sha256: str, pieces: Sequence[Piece]) -> None:
        """Keep the pieces of a file, and forget those of the oldest."""
        if not 0 < len(pieces) <= _MOST_PIECES:
            return
        # Without them rsync compares. Another command may remove the oldest at the same time.
        with suppress(HostError, OSError):
            write_whole(self._path(sha256), json.dumps([astuple(one) for one in pieces]) + "\n")
            kept = sorted(self.folder.iterdir(), key=lambda path: path.stat().st_mtime_ns, reverse=True)
            for path in kept[_MOST_FILES:]:
                path.unlink()

    def find(self, sha256: str) -> list[Piece]:
        """The pieces of a file; none where they are not known."""
        try:
            rows = load_json(self._path(sha256).read_bytes())
            return [parse_piece(*row) for row in rows] if len(rows) <= _MOST_PIECES else []
        except (OSError, ValueError, TypeError):
            return []

    def parts(self, old_sha256: str, new_sha256: str, size_bytes: int) -> list[Part]:
        """What to make a new file of: of the old file, and of the new one, in order.

        Args:
            old_sha256: of the old file.
            new_sha256: of the new one.
            size_bytes: of the new one.

        Returns:
            Nothing where it is not known.
        """
        old, new = self.find(old_sha256), self.find(new_sha256)
        return find_parts(old, new, size_bytes) if old and new else []

    def _path(self, sha256: str) -> Path:
        return self.folder / f"{sha256}.json"


def find_parts(old: Iterable[Piece], new: Iterable[Piece], size_bytes: int) -> list[Part]:
    """What a file is made of, from its beginning to its end, where an old one has some of its pieces.

    Args:
        old: the pieces of the old file.
        new: those of the new one.
        size_bytes: its size.
    """
    there: dict[str, list[Piece]] = {}
    for piece in old:
        there.setdefault(piece.layer, []).append(piece)
    known: list[tuple[int, int, int]] = []
    for piece in new:
        for one in there.get(piece.layer, ()):
            start = max(piece.start, one.start)
            end = min(piece.start + piece.size_bytes, one.start + one.size_bytes)
            if start < end:
                offset = piece.offset + start - piece.start
                known.append((offset, end - start, one.offset + start - one.start))
    parts: list[Part] = []
    at = 0
    for offset, size, old_offset in sorted(known):
        # A layer that stands twice in the old file has the same bytes at two places.
        skipped = max(0, at - offset)
        if skipped >= size:
            continue
        if offset > at:
            parts.append(Part(offset=at, size_bytes=offset - at, is_there=False))
        parts.append(Part(offset=old_offset + skipped, size_bytes=size - skipped, is_there=True))
        at = offset + size
    if at > size_bytes:
        return []
    if at < size_bytes:
        parts.append(Part(offset=at, size_bytes=size_bytes - at, is_there=False))
    return parts
