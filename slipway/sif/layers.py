"""What is kept here of images' layers: the squashfs of each, for all images that have the layer."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slipway.jsontext import load_json
from slipway.lock import only_one
from slipway.project import Project
from slipway.whole_file import write_whole

_FOLDER = "layers"
_USES = "images"
# A name, and no path.
NAME = re.compile(r"\w+-\w+\.squashfs")


@dataclass(frozen=True, kw_only=True)
class KeptLayer:
    """A layer's squashfs.

    Attributes:
        path: the file.
        crc32: of its bytes, by which damage is noticed when they are copied.
        is_overlay: whether it was made of a folder of overlayfs, whose whiteouts are devices.
    """

    path: Path
    crc32: int
    is_overlay: bool


@dataclass(frozen=True, kw_only=True)
class LayerStore:
    """The layers that are kept for one compression.

    Attributes:
        folder: where they are.
        compression: ``zstd`` or ``gzip``.
    """

    folder: Path
    compression: str

    @classmethod
    def of(cls, project: Project, compression: str) -> LayerStore:
        """The store of a project."""
        return cls(folder=project.state / _FOLDER, compression=compression)

    def name(self, digest: str) -> str:
        """The name of a layer's file; ``digest`` is the layer's, as the image's configuration has it."""
        return f"{digest.rpartition(':')[2]}-{self.compression}.squashfs"

    def find(self, digest: str) -> KeptLayer | None:
        """What is kept of a layer, or ``None``. Damage within it is noticed only where it is used."""
        return self._read(self.folder / self.name(digest))

    def has(self, name: str, crc32: str) -> bool:
        """Whether a file is kept, by its name and its checksum in hexadecimal digits."""
        kept = self._read(self.folder / name) if NAME.fullmatch(name) else None
        return kept is not None and f"{kept.crc32:08x}" == crc32

    def _read(self, path: Path) -> KeptLayer | None:
        try:
            record = load_json(_record(path).read_bytes())
            kept = KeptLayer(path=path, crc32=int(record["crc32"]), is_overlay=record["is_overlay"] is True)
            return kept if path.stat().st_size == record["size_bytes"] else None
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def keep(self, made: Iterable[KeptLayer], uses: tuple[str, Sequence[str]] | None = None) -> None:
        """Keep files that were made; they are moved, unless another command was quicker.

        Args:
            made: the files.
            uses: what :meth:`use` is told, in the same step, so that nobody takes them for unused.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._alone():
            for layer in made:
                path = self.folder / layer.path.name
                if self._read(path) is not None:
                    layer.path.unlink()
                    continue
                record = {"crc32": layer.crc32, "is_overlay": layer.is_overlay}
                record["size_bytes"] = layer.path.stat().st_size
                _record(path).unlink(missing_ok=True)
                layer.path.replace(path)
                write_whole(_record(path), json.dumps(record) + "\n")
            if uses is not None:
                self._use(*uses)

    def forget(self, name: str) -> None:
        """Remove a file, by its name: it is damaged."""
        with self._alone():
            _record(self.folder / name).unlink(missing_ok=True)
            (self.folder / name).unlink(missing_ok=True)

    def use(self, image: str, digests: Sequence[str]) -> None:
        """Note what the newest version of an image is made of, and remove what none is made of any more."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._alone():
            self._use(image, digests)

    def _use(self, image: str, digests: Sequence[str]) -> None:
        uses = self.folder / _USES
        mine = uses / f"{image.replace('/', '_')}-{self.compression}.json"
        write_whole(mine, json.dumps({"layers": sorted({self.name(one) for one in digests})}) + "\n")
        used: set[str] = set()
        for path in uses.glob("*.json"):
            try:
                used.update(load_json(path.read_bytes())["layers"])
            except (OSError, ValueError, TypeError, KeyError):
                # Whose layers it names is not known, so all stay.
                return
        for path in self.folder.glob("*.squashfs"):
            if path.name not in used:
                _record(path).unlink(missing_ok=True)
                path.unlink(missing_ok=True)

    def _alone(self) -> Any:
        return only_one(self.folder / "lock", lambda: None)


def _record(path: Path) -> Path:
    return path.with_suffix(".json")
