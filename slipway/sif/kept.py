"""The ``.sif`` files that are kept here: each with a record of what it is, and of what it was made."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, astuple, dataclass, replace
from pathlib import Path
from typing import Any

from slipway.errors import ImageError
from slipway.image.engine import Image
from slipway.jsontext import load_json
from slipway.lock import only_one
from slipway.progress import NullProgress, Progress
from slipway.project import Project
from slipway.sif.holes import SUFFIX, Piece, SparseFile, parse_piece
from slipway.sif.layers import LayerStore
from slipway.transfer.source import Source, WholeFile, sha256_of

_CHUNK = 1 << 20
COMPRESSIONS = ("zstd", "gzip")


class DamagedSifError(ImageError):
    """A file that is kept is not what was made."""


@dataclass(frozen=True, kw_only=True)
class Sif:
    """A converted image; or an archive of one, for sites that have another container runtime.

    Attributes:
        path: the file; where it has holes, that of the whole one, which is not there.
        name: the Docker image's name.
        image_id: the id of the Docker image that it came from, or ``definition:`` and the hash of what went
            into it.
        sha256: of the file, in hex.
        size_bytes: of the file.
        compression: of the squashfs in it: ``zstd`` or ``gzip``; of an archive, ``none``.
        holes: what of it is not written, as layers that are kept have it.
    """

    path: Path
    name: str
    image_id: str
    sha256: str
    size_bytes: int
    compression: str = "zstd"
    holes: tuple[Piece, ...] = ()

    @property
    def file(self) -> Path:
        """What is there: the whole file, or that with holes."""
        return self.path.with_suffix(SUFFIX) if self.holes else self.path

    @property
    def file_name(self) -> str:
        """The name that it has on clusters, which says what is in it."""
        return f"{self.name}-{self.sha256[:16]}{self.path.suffix}"


def find_sif(project: Project, image: Image, compression: str = "zstd") -> Sif | None:
    """What an earlier conversion of exactly this image left, or ``None``.

    The file is hashed only where its time or its place on the disk is not what it was when it was made.
    """
    path = kept_path(project, image, compression)
    try:
        record = load_json(_record(path).read_bytes())
        stamp = record.pop("stamp")
        holes = tuple(parse_piece(*row) for row in record.pop("holes", ()))
        sif = Sif(**{**record, "path": path, "holes": holes})
        if not (isinstance(sif.sha256, str) and isinstance(sif.name, str)):
            return None
        if (sif.name, sif.image_id, sif.compression) != (image.name, image.id, compression):
            return None
        if sif.file.stat().st_size != sif.size_bytes:
            return None
        if not has_layers(project, sif.compression, sif.holes):
            return None
        if stamp != _stamp(sif.file):
            if (sha256_of(source_of(project, sif)) if holes else sha256(path)) != sif.sha256:
                return None
            _keep(sif)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, ImageError):
        return None
    return sif


def source_of(project: Project, sif: Sif, progress: Progress | None = None) -> Source:
    """The bytes of a file that is kept; ``progress`` is told where all of it has to be written."""
    if not sif.holes:
        return WholeFile(sif.path)
    return SparseFile(
        path=sif.file,
        name=sif.path.name,
        size_bytes=sif.size_bytes,
        holes=sif.holes,
        layers=LayerStore.of(project, sif.compression).folder,
        write=lambda source: _written(project, sif, source, progress or NullProgress()),
    )


def _written(project: Project, sif: Sif, source: Source, progress: Progress) -> Path:
    """The whole file; somebody else may have written it meanwhile."""

    def wait() -> None:
        progress.step(f"Waiting for a conversion of {sif.name}")

    with only_one(lock_path(project, sif.name), wait):
        kept = find_by_hash(project, sif.sha256)
        if kept and not kept.holes:
            return kept.path
        progress.step(f"Writing {sif.path.name}")
        return make_whole(project, sif, source).path


def lock_path(project: Project, name: str) -> Path:
    """The lock that is held by whoever makes or writes a file of this name."""
    return project.state / "locks" / f"sif-{name.replace('/', '_')}"


def make_whole(project: Project, sif: Sif, source: Source | None = None) -> Sif:
    """Write a file that has holes as a whole, and keep that in its place.

    Args:
        project: where it is kept.
        sif: the file. The lock of its name is held.
        source: its bytes, where they are open already.

    Raises:
        DamagedSifError: its bytes are not what they were; it is removed.
        ImageError: it is gone, or one of its layers is.
        SpaceError: there is not enough room for it.
    """
    if not sif.holes:
        return sif
    from slipway.workspace import abandoned, check_space, workspace

    source, digest = source or source_of(project, sif), hashlib.sha256()
    for left in abandoned(project.state / "tmp"):
        shutil.rmtree(left, ignore_errors=True)
    check_space(project.state / "tmp", sif.size_bytes, f"writing {sif.path.name}")
    with workspace(project.state / "tmp") as folder:
        part = folder / sif.path.name
        with part.open("wb") as file:
            for chunk in source.read(0, sif.size_bytes):
                digest.update(chunk)
                file.write(chunk)
        if digest.hexdigest() != sif.sha256:
            sif.file.unlink(missing_ok=True)
            raise DamagedSifError(
                f"{sif.file}, or what is kept of its layers, is no longer what it was when it was made. It "
                "was removed here; give the same command again, which makes it anew"
            )
        part.chmod(0o755)
        part.replace(sif.path)
    whole = replace(sif, holes=())
    # The file with holes takes little, and somebody else may be sending it: it goes when a newer image comes.
    _keep(whole)
    return whole


def has_layers(project: Project, compression: str, holes: Sequence[Piece]) -> bool:
    """Whether all is kept that holes are filled with."""
    store = LayerStore.of(project, compression)
    return all(store.has(*name.split(" ")) for name in {one.layer for one in holes})


def find_by_hash(project: Project, sha256: str) -> Sif | None:
    """The file of this hash, where it is still kept."""
    for record in sorted((project.state / "sif").glob("*.json")):
        try:
            content = load_json(record.read_bytes())
            if content["sha256"] != sha256:
                continue
            image = Image(ref=f"{content['name']}:", id=content["image_id"], labels={}, size_bytes=0)
            # A name in a record leads to no other place.
            is_own = kept_path(project, image, content["compression"]) == record.with_suffix(".sif")
            found = find_sif(project, image, content["compression"]) if is_own else None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
        if found is not None and found.sha256 == sha256:
            return found
    return None


def find_newest(project: Project, name: str, compression: str, kind: str) -> Sif | None:
    """The newest file of a name whose image's id begins with ``kind``, or ``None``."""
    found: list[tuple[int, Sif]] = []
    for record, content in _records(project):
        if (content.get("name"), content.get("compression")) != (name, compression):
            continue
        image = Image(ref=f"{name}:", id=str(content.get("image_id")), labels={}, size_bytes=0)
        sif = find_sif(project, image, compression) if image.id.startswith(kind) else None
        if sif is not None:
            found.append((record.stat().st_mtime_ns, sif))
    return max(found, key=lambda one: one[0])[1] if found else None


def keep_made(
    made: Path,
    project: Project,
    image: Image,
    compression: str,
    *,
    known_sha256: str | None = None,
    as_newest: bool = True,
    holes: Sequence[Piece] = (),
) -> Sif:
    """Keep a file that was made and checked.

    Args:
        made: the file; it is moved.
        project: where it is kept.
        image: what it was made of.
        compression: of the squashfs in it.
        known_sha256: of the file, where it was hashed while it was written.
        as_newest: off for an older image: what is kept of newer ones stays.
        holes: what of it is not written, as layers that are kept have it.
    """
    sif = Sif(
        path=kept_path(project, image, compression),
        name=image.name,
        image_id=image.id,
        sha256=known_sha256 or sha256(made),
        size_bytes=made.stat().st_size,
        compression=compression,
        holes=tuple(holes),
    )
    sif.path.parent.mkdir(parents=True, exist_ok=True)
    made.replace(sif.file)
    _keep(sif)
    if holes:
        sif.path.unlink(missing_ok=True)
    if as_newest:
        _forget_older(sif)
    return sif


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def kept_path(project: Project, image: Image, compression: str) -> Path:
    """Where the file of an image is kept."""
    digest = image.id.rpartition(":")[2][:16]
    return project.state / "sif" / f"{image.name}-{digest}-{compression}.sif"


def _record(path: Path) -> Path:
    return path.with_suffix(".json")


def _stamp(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_ino, status.st_size, status.st_mtime_ns]


def _keep(sif: Sif) -> None:
    holes = [astuple(one) for one in sif.holes]
    record = {**asdict(sif), "path": sif.path.name, "holes": holes, "stamp": _stamp(sif.file)}
    part = sif.path.with_suffix(f".{secrets.token_hex(4)}.part")
    part.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    part.replace(_record(sif.path))


def _records(project: Project) -> Iterator[tuple[Path, dict[str, Any]]]:
    for record in sorted((project.state / "sif").glob("*.json")):
        try:
            content = load_json(record.read_bytes())
        except (OSError, ValueError):
            continue
        if isinstance(content, dict):
            yield record, content


def _forget_older(newest: Sif) -> None:
    # Research images have gigabytes: of each name and compression only the newest stays.
    for record in newest.path.parent.glob("*.json"):
        try:
            content = load_json(record.read_bytes())
            same = (content["name"], content.get("compression")) == (newest.name, newest.compression)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
        # Before compressions were told apart, records said nothing of them.
        old = content["name"] == newest.name and "compression" not in content
        if record != _record(newest.path) and (same or old):
            record.with_suffix(".sif").unlink(missing_ok=True)
            record.with_suffix(SUFFIX).unlink(missing_ok=True)
            record.unlink(missing_ok=True)
    # What a kill between a file and its record has left.
    own = re.compile(rf"{re.escape(newest.path.name.rpartition('-')[0].rpartition('-')[0])}-\w+-\w+")
    for path in newest.path.parent.glob(f"*{SUFFIX}"):
        if own.fullmatch(path.stem) and not _record(path).exists():
            path.unlink(missing_ok=True)
