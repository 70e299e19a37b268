"""What :mod:`slipway.sif.layered` is told to put together of layers; it works where mksquashfs is."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slipway.errors import ConversionError
from slipway.jsontext import load_json
from slipway.sif.holes import Piece
from slipway.sif.layers import NAME, KeptLayer, LayerStore

# Where they are in the tools container.
_PACKAGE = "/slipway/layered"
_KEPT = "/layers"
_HERE = Path(__file__).parent / "layered"
_SOURCES = "/layer"
_ORDER = "order.json"
_HEAD = "head.sif"
_MADE = "layers"
# Smaller layers are written: that of the base has what a program needs which looks into the file.
HOLE_BYTES = 64 << 20


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What was put together.

    Attributes:
        sha256: of the ``.sif``, in hex.
        layers: what was made of layers on the way.
        pieces: of the ``.sif``.
        holes: those of the pieces that were not written.
    """

    sha256: str
    layers: list[KeptLayer]
    pieces: list[Piece]
    holes: list[Piece]


@dataclass(frozen=True, kw_only=True)
class Assembly:
    """An image, as layers.

    Attributes:
        store: where what was made of layers is kept.
        digests: the layers of the image, the lowest first.
        sources: of those that are not kept, by digest: a folder of the engine, or an archive in the
            conversion's folder.
        is_overlay: whether the sources are folders of overlayfs.
        architecture: of the image, as its configuration says.
        identity: of the image.
        created: when it was made, in seconds since 1970.
        has_holes: whether the blocks of large layers need not be written.
    """

    store: LayerStore
    digests: tuple[str, ...]
    sources: Mapping[str, Path]
    is_overlay: bool
    architecture: str
    identity: str
    created: int
    has_holes: bool = False

    def mounts(self) -> dict[Path, str]:
        """What the tools container has to see of this machine, and where; it only reads there."""
        found = {_HERE: _PACKAGE}
        if self.store.folder.is_dir():
            found[self.store.folder] = _KEPT
        if self.is_overlay:
            found |= {path: f"{_SOURCES}/{number}" for number, path in enumerate(self.sources.values())}
        return found

    def options(self, folder: str, *, in_container: bool) -> list[str]:
        """The options of ``singularity/convert.py`` for it, where the conversion's folder is ``folder``."""
        package = Path(_PACKAGE) if in_container else _HERE
        return ["--order", f"{folder}/{_ORDER}", "--assembler", str(package)]

    def write(self, sif: Path, folder: str, *, in_container: bool) -> None:
        """Write the order for it into the folder of the file, which is ``folder`` there."""
        there = self._places(sif.parent, folder, in_container=in_container)
        (sif.parent / _MADE).mkdir(exist_ok=True)
        order = {
            "layers": [self._layer(digest, sif.parent, there) for digest in self.digests],
            "head": f"{folder}/{_HEAD}",
            "sif": f"{folder}/{sif.name}",
            "compression": self.store.compression,
            "architecture": self.architecture,
            "identity": self.identity,
            "created": self.created,
            "hole_bytes": HOLE_BYTES if self.has_holes else None,
        }
        self._answer(sif.parent).unlink(missing_ok=True)
        (sif.parent / _ORDER).write_text(json.dumps(order), encoding="ascii")

    def read(self, folder: Path) -> Answer:
        """What was answered; what was made of layers is in ``folder``.

        Raises:
            ConversionError: the answer is missing, or is none.
        """
        try:
            answer = load_json(self._answer(folder).read_bytes())
            checksums = {str(name): int(crc32) for name, crc32 in answer["crc32"].items()}
            made = [
                KeptLayer(
                    path=folder / _MADE / self.store.name(digest),
                    crc32=checksums[self.store.name(digest)],
                    is_overlay=self.is_overlay,
                )
                for digest in dict.fromkeys(self.digests)
                if digest in self.sources
            ]
            pieces, holes = (
                [
                    Piece(
                        layer=f"{name} {checksums[name]:08x}",
                        start=int(start),
                        size_bytes=int(size),
                        offset=int(offset),
                    )
                    for name, start, size, offset in answer[kind]
                ]
                for kind in ("pieces", "holes")
            )
            return Answer(sha256=str(answer["sha256"]), layers=made, pieces=pieces, holes=holes)
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise ConversionError(f"what was said of its layers cannot be read: {error}") from error

    @staticmethod
    def damage(folder: Path) -> str | None:
        """The name of a file that was found damaged, of those that are kept; or ``None``."""
        try:
            answer = load_json(Assembly._answer(folder).read_bytes())
            name = str(answer["damaged"])
        except (OSError, ValueError, TypeError, KeyError):
            return None
        # It is about to be removed.
        return name if NAME.fullmatch(name) else None

    @staticmethod
    def _answer(folder: Path) -> Path:
        return (folder / _ORDER).with_suffix(".answer.json")

    def _layer(self, digest: str, folder: Path, there: Callable[[Path], str]) -> dict[str, Any]:
        source = self.sources.get(digest)
        if source is not None:
            file = folder / _MADE / self.store.name(digest)
            place = there(source)
            return {"squashfs": there(file), "source": place, "is_overlay": self.is_overlay, "crc32": 0}
        kept = self.store.find(digest)
        if kept is None:
            # It went in this moment; what reads the order says so.
            kept = KeptLayer(path=self.store.folder / self.store.name(digest), crc32=0, is_overlay=False)
        is_overlay = kept.is_overlay
        return {"squashfs": there(kept.path), "source": None, "is_overlay": is_overlay, "crc32": kept.crc32}

    def _places(self, here: Path, folder: str, *, in_container: bool) -> Callable[[Path], str]:
        known = {here: folder, **(self.mounts() if in_container else {})}

        def there(path: Path) -> str:
            for place, name in known.items():
                if path.is_relative_to(place):
                    return f"{name}/{path.relative_to(place).as_posix()}".removesuffix("/.")
            return str(path)

        return there
