"""Images on a cluster: sent, checked, and given a name that says what is in them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath

from slipway.carrier import choose_carrier
from slipway.checksum import hash_remote
from slipway.depot import Depot
from slipway.errors import RemoteError
from slipway.link import Link
from slipway.progress import Progress
from slipway.sif import Sif
from slipway.transfer import Transfer


@dataclass(frozen=True, kw_only=True)
class PushedSif:
    """A ``.sif`` on a cluster: its place, SHA-256, size in bytes and the Docker image that it came from."""

    path: PurePosixPath
    image_id: str
    sha256: str
    size_bytes: int


def push_sif(link: Link, depot: Depot, sif: Sif, progress: Progress) -> tuple[PushedSif, Transfer | None]:
    """Send a ``.sif``, unless the same content is there, and point ``<name>.sif`` to it.

    It is uploaded under another name, checked by its hash, and only then given its own, which says what is in
    it. So a job that waits or runs keeps the image that it was submitted with.

    Returns:
        The image there, and what was sent; ``None`` where it was there already.

    Raises:
        RemoteError: what arrived is not what was sent, or a command failed.
    """
    path = depot.images / sif.file_name
    pushed = PushedSif(path=path, image_id=sif.image_id, sha256=sif.sha256, size_bytes=sif.size_bytes)
    transfer = None
    if not _is_there(link, path, sif.size_bytes):
        folder = depot.images / f".{sif.file_name}.part"
        link.make_folder(folder)
        carrier = choose_carrier(link, progress)
        progress.step(f"Sending {sif.path.name} ({sif.size_bytes / 1e6:.0f} MB)")
        old = depot.images / f"{sif.name}.sif"
        transfer = carrier.send_file(sif.path, folder, old=old, on_progress=progress.transfer)
        progress.step("Checking what arrived")
        _settle(link, folder / sif.path.name, path, sif)
    link.write(path.with_suffix(".json"), json.dumps({**asdict(pushed), "path": str(path)}).encode())
    link.point(depot.images / f"{sif.name}.sif", path.name)
    return pushed, transfer


def find_pushed(link: Link, depot: Depot, name: str) -> PushedSif | None:
    """The newest ``.sif`` of a name on the cluster, or ``None`` where none was pushed."""
    target = link.run(["readlink", "-e", "--", str(depot.images / f"{name}.sif")]).stdout.strip()
    if not target:
        return None
    record = link.read(PurePosixPath(target).with_suffix(".json"))
    if record is None:
        return None
    return PushedSif(**{**json.loads(record), "path": PurePosixPath(target)})


def _is_there(link: Link, path: PurePosixPath, size_bytes: int) -> bool:
    # It got its name only after its content was checked, so the size is enough.
    return link.size(path) == size_bytes


def _settle(link: Link, part: PurePosixPath, path: PurePosixPath, sif: Sif) -> None:
    digest = hash_remote(link, part.parent, [part.name]).get(part.name)
    if digest != sif.sha256:
        link.remove(part)
        raise RemoteError(
            f"{link.target}:{part}: what arrived has another hash than what was sent; "
            "it was removed there; push again"
        )
    link.move(part, path)
