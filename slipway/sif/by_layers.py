"""Docker image to ``.sif`` by its layers: only those that no earlier image had are squashed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slipway.errors import ConversionError, EngineError
from slipway.image.engine import Image
from slipway.image.recipe import Recipe
from slipway.progress import Progress
from slipway.project import Project
from slipway.sif.assembly import Assembly
from slipway.sif.conversion import Conversion, convert, has_apptainer
from slipway.sif.engine_layers import find_layers
from slipway.sif.holes import Piece
from slipway.sif.layers import KeptLayer, LayerStore
from slipway.sif.layout import Layout, write_head
from slipway.sif.pieces import PieceStore

if TYPE_CHECKING:
    from docker import DockerClient

_HEAD = "head"


@dataclass(frozen=True, kw_only=True)
class Made:
    """A ``.sif`` that was made.

    Attributes:
        conversion: how.
        facts: what Apptainer found in it.
        sha256: of the file, in hex, where it is known.
        layers: what was made of layers on the way.
        pieces: what of it is of layers.
        holes: those of the pieces that were not written.
    """

    conversion: Conversion
    facts: Mapping[str, Any]
    sha256: str | None = None
    layers: list[KeptLayer] = field(default_factory=list)
    pieces: list[Piece] = field(default_factory=list)
    holes: list[Piece] = field(default_factory=list)


class ByLayers:
    """Makes the ``.sif`` of one image.

    Args:
        client: the engine that has the image.
        image: the image.
        project: where layers are kept.
        tools: the container that has Apptainer and mksquashfs.
        progress: is told what happens.
        sif: the file to make; its folder takes all else that is written.
        compression: ``zstd`` or ``gzip``.
        has_holes: whether the blocks of large layers need not be written.

    Attributes:
        why_not: why the last attempt failed.
    """

    def __init__(
        self,
        client: DockerClient,
        image: Image,
        project: Project,
        tools: Recipe,
        progress: Progress,
        sif: Path,
        compression: str,
        *,
        has_holes: bool,
    ) -> None:
        self._client = client
        self._image = image
        self._project = project
        self._tools = tools
        self._progress = progress
        self._layers = find_layers(client, image)
        self._has_holes = has_holes
        self.sif = sif
        self.store = LayerStore.of(project, compression)
        self.why_not = ""

    @property
    def folder(self) -> Path:
        """The folder of the file."""
        return self.sif.parent

    @property
    def can_do_without_archive(self) -> bool:
        """Whether the engine need not save the image: it has its layers as folders, or all are kept."""
        return not self._missing() or (self._layers.folders is not None and not has_apptainer())

    def make(self, layout: Layout | None = None) -> Made | None:
        """Make the file.

        Args:
            layout: the image, where the engine had to save it.

        Returns:
            ``None`` where it cannot be done in this way.

        Raises:
            SpaceError: the disk is full.
        """
        made = self._attempt(layout)
        damaged = self._damage()
        if made is None and damaged is not None:
            self._progress.note(f"A kept layer of {self._image.ref} was damaged; it is made anew.")
            self.store.forget(damaged)
            if layout is not None or self.can_do_without_archive:
                made = self._attempt(layout)
        return made

    def keep(self, made: Made, *, as_newest: bool) -> None:
        """Keep what was made of layers, and nothing more that only older versions of the image had."""
        is_used = as_newest and made.conversion.assembly is not None
        self.store.keep(made.layers, (self._image.name, self._layers.digests) if is_used else None)
        if made.sha256 is not None:
            PieceStore.of(self._project).keep(made.sha256, made.pieces)

    def _missing(self) -> list[str]:
        return [one for one in dict.fromkeys(self._layers.digests) if self.store.find(one) is None]

    def _attempt(self, layout: Layout | None) -> Made | None:
        missing = self._missing()
        places = self._layers.folders if layout is None else layout.layers
        if missing and (places is None or len(places) != len(self._layers.digests)):
            self.why_not = "the engine does not say where its layers are"
            return None
        found = dict(zip(self._layers.digests, places or (), strict=False))
        config = self._layers.config if layout is None else layout.config
        assembly = Assembly(
            store=self.store,
            digests=self._layers.digests,
            sources={digest: found[digest] for digest in missing},
            is_overlay=layout is None,
            architecture=str(config.get("architecture") or ""),
            identity=self._image.id,
            created=self._layers.created,
            has_holes=self._has_holes,
        )
        count = len(dict.fromkeys(self._layers.digests))
        self._progress.step(f"Putting {self._image.ref} together ({len(missing)} of {count} layers are new)")
        head = self.folder / f"{_HEAD}-{'archive' if layout else 'folders'}"
        conversion = Conversion(
            sif=self.sif,
            layout=self._head(config, head),
            assembly=assembly,
            compression=self.store.compression,
        )
        try:
            facts = convert(self._client, conversion, self._project, self._tools, self._progress)
            answer = assembly.read(self.folder)
        except ConversionError as error:
            self.why_not = str(error)
        except EngineError as error:
            # It may only have refused to show its folders; one that is gone says so again.
            if layout is not None:
                raise
            self.why_not = str(error)
        else:
            return Made(
                conversion=conversion,
                facts=facts,
                sha256=answer.sha256,
                layers=answer.layers,
                pieces=answer.pieces,
                holes=answer.holes,
            )
        self.sif.unlink(missing_ok=True)
        return None

    def _head(self, config: Mapping[str, Any], folder: Path) -> Layout:
        if folder.is_dir():
            return Layout(path=folder, config=config, size_bytes=0)
        return write_head(config, folder)

    def _damage(self) -> str | None:
        return Assembly.damage(self.folder)
