"""What ``docker save`` writes, put down as the OCI layout that Apptainer reads fastest.

The engine's archive comes in three forms: Docker's own (before Engine 25), an OCI layout (from Engine 25 on)
and an OCI layout with compressed layers (the containerd image store). All three hold a ``manifest.json``, by
which the layers are found, so no version is asked for. The archive itself is never on the disk: its files are
written under the names of their hashes while they come.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import posixpath
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slipway.errors import ConversionError, SpaceError
from slipway.jsontext import load_json
from slipway.sif.environment import environment_layer, is_hard

_CHUNK = 1 << 20
# The end of an archive, and so all of one without files.
_EMPTY = bytes(1024)
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"
# The first bytes of compressed layers (RFC 1952, RFC 8878).
_SUFFIXES = {b"\x1f\x8b": "+gzip", b"\x28\xb5\x2f\xfd": "+zstd"}


@dataclass(frozen=True, kw_only=True)
class Layout:
    """An OCI layout with one image.

    Attributes:
        path: its folder.
        config: the image's configuration, an OCI image config (``config``, ``rootfs``, ``architecture``, …).
        size_bytes: what its layers take.
        layers: their archives, the lowest first.
    """

    path: Path
    config: Mapping[str, Any]
    size_bytes: int
    layers: tuple[Path, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Blob:
    digest: str
    size_bytes: int


def write_layout(chunks: Iterable[bytes], folder: Path) -> Layout:
    """Write a layout from an archive, and check it against the hashes that the archive names.

    Args:
        chunks: the archive, as ``docker save`` gives it.
        folder: the folder to make.

    Raises:
        ConversionError: the archive is cut, damaged, or nothing that an engine writes.
        SpaceError: the disk is full.
    """
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    try:
        found = _write_blobs(chunks, blobs)
        return _describe(found, folder)
    except (tarfile.TarError, EOFError) as error:
        raise ConversionError(
            f"what the Docker engine saved is no whole archive: {error}; try again"
        ) from error
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise ConversionError(
            "what the Docker engine saved cannot be understood: its manifest.json does not name one "
            "image and "
            f"its layers ({type(error).__name__}: {error}); try again, or update Docker"
        ) from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise SpaceError(f"{folder.parent} is full: {error.strerror}; make room there") from error
        raise


def write_head(config: Mapping[str, Any], folder: Path) -> Layout:
    """Write the layout of an image that has a configuration and no files, but what carries its ENV.

    Args:
        config: the image's configuration, as :class:`Layout` has it; which layers it has does not matter.
        folder: the folder to make.
    """
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    empty = _write_blob(io.BytesIO(_EMPTY), blobs)
    diff_ids = [f"sha256:{empty.digest}"]
    content = {**config, "rootfs": {"type": "layers", "diff_ids": diff_ids}, "history": []}
    blob, extra = _carry_environment(blobs, _put(blobs, content), content)
    return _finish(folder, blob, [_descriptor(_LAYER, empty), *extra], content)


def _write_blobs(chunks: Iterable[bytes], blobs: Path) -> dict[str, _Blob]:
    found: dict[str, _Blob] = {}
    links: dict[str, str] = {}
    stream = io.BufferedReader(_Stream(iter(chunks)), _CHUNK)
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        for member in archive:
            name = posixpath.normpath(member.name)
            if member.issym():
                # Docker's own form writes a layer that comes twice only once.
                links[name] = posixpath.normpath(posixpath.join(posixpath.dirname(name), member.linkname))
            elif member.isfile() and (file := archive.extractfile(member)):
                found[name] = _write_blob(file, blobs)
    for name, target in links.items():
        if target in found:
            found[name] = found[target]
    return found


def _write_blob(file: io.BufferedIOBase | Any, blobs: Path) -> _Blob:
    part, digest, size = blobs / "part", hashlib.sha256(), 0
    with part.open("wb") as copy:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            size += copy.write(chunk)
    part.rename(blobs / digest.hexdigest())
    return _Blob(digest=digest.hexdigest(), size_bytes=size)


def _describe(found: Mapping[str, _Blob], folder: Path) -> Layout:
    blobs = folder / "blobs" / "sha256"
    (image,) = load_json(_read(blobs, found["manifest.json"]))
    config = found[posixpath.normpath(image["Config"])]
    content: dict[str, Any] = load_json(_read(blobs, config))
    names = [posixpath.normpath(name) for name in image["Layers"]]
    layers = [_layer(blobs, name, found[name]) for name in names]
    _check(names, layers, content["rootfs"]["diff_ids"])
    config, extra = _carry_environment(blobs, config, content)
    return _finish(folder, config, [*layers, *extra], content)


def _finish(folder: Path, config: _Blob, layers: list[dict[str, Any]], content: Mapping[str, Any]) -> Layout:
    blobs = folder / "blobs" / "sha256"
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": _descriptor(_CONFIG, config),
        "layers": layers,
    }
    entry = _descriptor(_MANIFEST, _put(blobs, manifest))
    _write_json(folder / "index.json", {"schemaVersion": 2, "manifests": [entry]})
    _write_json(folder / "oci-layout", {"imageLayoutVersion": "1.0.0"})
    # A layer may come twice; its file does not.
    sizes = {layer["digest"]: layer["size"] for layer in layers}
    files = [blobs / layer["digest"].rpartition(":")[2] for layer in layers]
    # Of a layer that carries the ENV the image knows nothing.
    own = len(content["rootfs"]["diff_ids"])
    return Layout(path=folder, config=content, size_bytes=sum(sizes.values()), layers=tuple(files[:own]))


def _carry_environment(
    blobs: Path, config: _Blob, content: dict[str, Any]
) -> tuple[_Blob, list[dict[str, Any]]]:
    """What of the ENV Apptainer would change goes from the configuration to a layer of its own."""
    pairs = content.get("config", {}).get("Env") or []
    hard = [pair for pair in pairs if is_hard(pair)]
    if not hard:
        return config, []
    layer = _write_blob(io.BytesIO(environment_layer(hard)), blobs)
    changed = {
        **content,
        "config": {**content["config"], "Env": [pair for pair in pairs if pair not in hard]},
        "rootfs": {
            **content["rootfs"],
            "diff_ids": [*content["rootfs"]["diff_ids"], f"sha256:{layer.digest}"],
        },
        # It names the layers one by one, and is optional.
        "history": [],
    }
    return _put(blobs, changed), [_descriptor(_LAYER, layer)]


def _layer(blobs: Path, name: str, blob: _Blob) -> dict[str, Any]:
    with (blobs / blob.digest).open("rb") as file:
        head = file.read(4)
    suffix = next((suffix for magic, suffix in _SUFFIXES.items() if head.startswith(magic)), "")
    return _descriptor(_LAYER + suffix, blob)


def _check(names: list[str], layers: list[dict[str, Any]], diff_ids: list[str]) -> None:
    # Apptainer takes a layer as it is, whatever its hash.
    for name, layer, diff_id in zip(names, layers, diff_ids, strict=True):
        wanted = diff_id if layer["mediaType"] == _LAYER else f"sha256:{posixpath.basename(name)}"
        if layer["digest"] != wanted:
            raise ConversionError(
                f"the Docker engine saved a damaged layer: {name} should be {wanted}, and is "
                f"{layer['digest']}; "
                "build the image anew with `invoke build --fresh`"
            )


def _descriptor(media_type: str, blob: _Blob) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": f"sha256:{blob.digest}", "size": blob.size_bytes}


def _put(blobs: Path, content: Mapping[str, Any]) -> _Blob:
    return _write_blob(io.BytesIO(json.dumps(content).encode()), blobs)


def _read(blobs: Path, blob: _Blob) -> bytes:
    return (blobs / blob.digest).read_bytes()


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")


class _Stream(io.RawIOBase):
    """Chunks of bytes, read like a file."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = chunk
        size = min(len(buffer), len(self._rest))
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        return size
