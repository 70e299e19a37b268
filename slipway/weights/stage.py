"""Weights of networks: fetched, looked at, and brought to where jobs find them."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from slipway.download import download
from slipway.errors import ConfigError, DataError, DownloadError, RemoteError, UsageError
from slipway.host.host import Host
from slipway.host.inventory import remove_all
from slipway.host.scratch import Scratch
from slipway.image.engine import Image, run_container
from slipway.jsontext import load_json
from slipway.progress import Progress, Transfer
from slipway.sif.kept import sha256
from slipway.transfer.checksum import hash_remote
from slipway.transfer.choice import choose_carrier
from slipway.web import hide_password
from slipway.weights.checkpoint import check_checkpoint

if TYPE_CHECKING:
    from docker import DockerClient

_SHA256 = re.compile(r"[0-9a-f]{64}")
_NO_TORCH = 3
_LOAD = f"""
import sys
try:
    import torch
except ImportError:
    sys.exit({_NO_TORCH})
torch.load(sys.argv[1], map_location="cpu", weights_only=True)
"""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where weights come from, and what is known of them beforehand; ``env/weights.json`` lists them.

    Attributes:
        name: the file's name.
        url: ``None`` for weights of one's own.
        sha256: in hex; ``None`` where nobody has written it down yet.
        least_bytes: smaller files are something else.
        most_bytes: and so are larger ones.
    """

    name: str
    url: str | None = None
    sha256: str | None = None
    least_bytes: int = 1
    most_bytes: int = 1 << 40


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Weights that are here, and were looked at."""

    path: Path
    sha256: str
    size_bytes: int

    @property
    def name(self) -> str:
        """By which jobs find them: ``/weights/<name>``."""
        return self.path.name


def find_source(file: Path, name: str) -> Source:
    """What is known of weights of this name, which may be nothing.

    Raises:
        UsageError: it is no name of a file.
        ConfigError: what ``file`` says of it is not what it should be.
    """
    if not name or Path(name).name != name or name.startswith(".") or not name.isprintable():
        raise UsageError(f"--name {name!r}: write the name of a file, such as droid.pth")
    try:
        source = _checked(Source(name=name, **load_json(file.read_bytes()).get(name, {})))
    except (OSError, ValueError, TypeError, AttributeError) as error:
        why = f"cannot be understood: {str(error)[:400]}"
        raise ConfigError(f"{file}: what it says of {name:.200} {why}") from error
    if source.sha256 is not None and not _SHA256.fullmatch(source.sha256):
        raise ConfigError(f"{file}: the sha256 of {name} is no hash; write 64 digits of 0-9 and a-f")
    return source


def _checked(source: Source) -> Source:
    for value in (source.url, source.sha256):
        if not isinstance(value, str | None):
            raise TypeError(f"{value!r:.50} is no text")
    for size_bytes in (source.least_bytes, source.most_bytes):
        if type(size_bytes) is not int:
            raise TypeError(f"{size_bytes!r:.50} is no number of bytes")
    return source


def fetch_weights(
    folder: Path, source: Source, progress: Progress, *, replace: bool = False
) -> tuple[Weights, bool]:
    """Fetch weights, unless they are here.

    Args:
        folder: where they are kept.
        source: where they come from.
        progress: is told how far it is.
        replace: fetch them although some are here, and take others than those.

    Returns:
        The weights, and whether they were fetched now.

    Raises:
        DownloadError: they cannot be fetched; the message says how to bring them by hand.
        DataError: what came is something else.
    """
    there = None if replace else _kept(folder, source)
    if there:
        return there, False
    if source.url is None:
        raise UsageError(
            f"nobody has said where {source.name} comes from; add --url, or --file with a file of yours"
        )
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".{source.name}.part"
    progress.step(f"Fetching {source.name}")
    try:
        download(source.url, part, progress.transfer)
    except DownloadError as error:
        raise DownloadError(
            f"{error}\n  By hand: fetch it with a browser, on any machine, and `invoke weights --file PATH`"
        ) from error
    try:
        return _take(folder, part, source, replace=replace), True
    except DataError:
        part.unlink(missing_ok=True)
        raise


def take_weights(folder: Path, file: Path, source: Source, *, replace: bool = False) -> Weights:
    """Take weights from a file of the user's.

    Raises:
        UsageError: there is no such file.
        DataError: it is something else than weights, or than those that are known by this name.
    """
    if not file.is_file():
        raise UsageError(f"--file {file}: there is no such file")
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".{source.name}.copy"
    try:
        shutil.copyfile(file, part)
        return _take(folder, part, source, shown=file, replace=replace)
    finally:
        part.unlink(missing_ok=True)


def load_in_image(client: DockerClient, image: Image, weights: Weights) -> bool:
    """Load weights with the image's own PyTorch, tensors only.

    Returns:
        False where the image has no PyTorch.

    Raises:
        DataError: PyTorch does not load them.
    """
    said: list[str] = []
    place = f"/weights/{weights.name}"
    code = run_container(
        client,
        image,
        ["python3", "-c", _LOAD, place],
        mounts={weights.path: place},
        listen=said.append,
    )
    if code not in (0, _NO_TORCH):
        last = "".join(said).strip().splitlines()[-1:] or ["it said nothing"]
        raise DataError(f"{weights.path}: PyTorch in {image.ref} does not load it: {last[0]}")
    return code == 0


def stage_weights(
    host: Host, scratch: Scratch, weights: Weights, client: str, progress: Progress
) -> Transfer | None:
    """Send weights, unless the same are there; jobs have them at ``/weights/<name>``, read-only.

    Args:
        host: the connection.
        scratch: where weights lie.
        weights: which.
        client: what sets this client apart from others who send to the same place.
        progress: is told what happens.

    Returns:
        What was sent; ``None`` where they were there.

    Raises:
        RemoteError: what arrived is not what was sent.
    """
    if hash_remote(host, scratch.weights, [weights.name]).get(weights.name) == weights.sha256:
        return None
    part = scratch.weights / f".{weights.name}.{client}.part"
    host.make_folder(part)
    progress.step(f"Sending {weights.name} ({weights.size_bytes / 1e6:,.1f} MB)")
    sent = choose_carrier(host, progress).send_file(weights.path, part, on_progress=progress.transfer)
    if hash_remote(host, part, [weights.name]).get(weights.name) != weights.sha256:
        host.remove(part / weights.name)
        raise RemoteError(
            f"{host.target}:{part}: what arrived has another hash; it was removed there; try again"
        )
    host.move(part / weights.name, scratch.weights / weights.name)
    remove_all(host, part)
    return sent


def _kept(folder: Path, source: Source) -> Weights | None:
    path = folder / source.name
    known = _record(path)
    if known is None or not path.is_file() or source.sha256 not in (None, known):
        return None
    digest = sha256(path)
    return Weights(path=path, sha256=digest, size_bytes=path.stat().st_size) if digest == known else None


def _take(
    folder: Path, part: Path, source: Source, *, shown: Path | None = None, replace: bool = False
) -> Weights:
    size_bytes, origin = part.stat().st_size, shown or hide_password(str(source.url))
    if not source.least_bytes <= size_bytes <= source.most_bytes:
        raise DataError(
            f"{origin} has {size_bytes / 1e6:,.1f} MB; {source.name} has {source.least_bytes / 1e6:,.0f} to "
            f"{source.most_bytes / 1e6:,.0f} MB, so this is something else"
        )
    digest, path = sha256(part), folder / source.name
    # What nobody has written down is believed the first time.
    known = source.sha256 or (None if replace else _record(path))
    if known not in (None, digest):
        raise DataError(
            f"{origin}: its SHA-256 is {digest}, and that of {source.name} is {known}, by "
            + ("env/weights.json" if source.sha256 else f"{_note(path)}; --replace takes it all the same")
        )
    check_checkpoint(part, str(origin))
    part.replace(path)
    weights = Weights(path=path, sha256=digest, size_bytes=size_bytes)
    record = {**asdict(weights), "path": path.name, "from": str(origin)}
    _note(path).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return weights


def _note(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _record(path: Path) -> str | None:
    try:
        return str(load_json(_note(path).read_bytes())["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
