"""The folder ``slipway/`` in a cluster's scratch: what lies where, and how things get there."""

from __future__ import annotations

import json
import os
import re
import secrets
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from slipway.errors import ConfigError, DataError, RemoteError
from slipway.link import Link
from slipway.loginshell import login_command, parse_login
from slipway.progress import Progress
from slipway.rsync import Transfer, remote, rsync
from slipway.sif import Sif
from slipway.site import Site, resolve_path
from slipway.snapshot import Snapshot

_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"


@dataclass(frozen=True, kw_only=True)
class Depot:
    """Where everything lies on one cluster."""

    root: PurePosixPath

    @property
    def images(self) -> PurePosixPath:
        """``<name>-<digest>.sif``, and ``<name>.sif`` that points to the newest."""
        return self.root / "images"

    @property
    def code(self) -> PurePosixPath:
        """One folder a snapshot, named by its content."""
        return self.root / "code"

    @property
    def data(self) -> PurePosixPath:
        """One folder a dataset."""
        return self.root / "data"

    @property
    def weights(self) -> PurePosixPath:
        """Weights of networks."""
        return self.root / "weights"

    @property
    def runs(self) -> PurePosixPath:
        """One folder a run."""
        return self.root / "runs"


@dataclass(frozen=True, kw_only=True)
class PushedSif:
    """A ``.sif`` on a cluster: its place, SHA-256, size in bytes and the Docker image that it came from."""

    path: PurePosixPath
    image_id: str
    sha256: str
    size_bytes: int


def open_depot(link: Link, site: Site, *, make: bool = True) -> Depot:
    """Find a site's scratch and, with ``make``, make Slipway's folders there.

    Raises:
        ConfigError: a variable in the site's paths is not set on the cluster.
        RemoteError: scratch is missing or not writable.
    """

    def lookup(names: Sequence[str]) -> Mapping[str, str]:
        script = 'for name; do printf "%s=%s\\0" "$name" "${!name-}"; done'
        output = parse_login(link.check(login_command(["bash", "-c", script, "slipway", *names])).stdout)
        pairs = (pair.partition("=") for pair in output.split("\0") if pair)
        return {name: value for name, _, value in pairs if value}

    try:
        scratch = resolve_path(site.paths.scratch, lookup)
    except ConfigError as error:
        raise ConfigError(f"cluster/{site.name}.yaml: paths.scratch is {error}") from error
    depot = Depot(root=scratch / "slipway")
    if not make:
        return depot
    folders = [depot.images, depot.code, depot.data, depot.weights, depot.runs]
    made = link.run(["mkdir", "-p", "--", *(str(folder) for folder in folders)])
    if not made.ok:
        raise RemoteError(
            f"{link.target}: scratch is {scratch}, and Slipway's folder cannot be made there: "
            f"{made.stderr.strip()}; check paths.scratch in cluster/{site.name}.yaml"
        )
    return depot


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
        part = depot.images / f".{sif.file_name}.part"
        progress.step(f"Sending {sif.path.name} ({sif.size_bytes / 1e6:.0f} MB)")
        link.check(
            ["bash", "-c", _SEED, "slipway", str(depot.images / f"{sif.name}.sif"), str(part)], timeout_s=3600
        )
        options = ["--times", "--partial", "--no-whole-file"]
        transfer = rsync(link, [str(sif.path)], remote(part), options=options, on_progress=progress.transfer)
        progress.step("Checking what arrived")
        _settle(link, part, path, sif)
    link.write(path.with_suffix(".json"), json.dumps({**asdict(pushed), "path": str(path)}).encode())
    _point(link, depot.images / f"{sif.name}.sif", path.name)
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


def send_code(link: Link, depot: Depot, snapshot: Snapshot, progress: Progress) -> PurePosixPath:
    """Send a snapshot, unless the same tree is there; returns its folder on the cluster."""
    path = depot.code / snapshot.tree
    if link.run(["test", "-d", str(path)]).ok:
        return path
    progress.step(f"Sending the code ({snapshot.files} files, {snapshot.size_bytes / 1e6:.1f} MB)")
    # Two runs may send the same tree at once, each to a folder of its own.
    part = depot.code / f".{snapshot.tree}.{secrets.token_hex(4)}.part"
    options = ["--recursive", "--links", "--perms", "--times", "--delete"]
    rsync(link, [f"{snapshot.folder}/"], remote(part, inside=True), options=options)
    moved = link.run(["mv", "-T", "--", str(part), str(path)])
    # Another run may have sent the same tree in the meantime; then that one serves.
    if not moved.ok and not link.run(["test", "-d", str(path)]).ok:
        raise RemoteError(f"{link.target}: {moved.explain()}")
    return path


def stage(
    link: Link, depot: Depot, source: Path, name: str, progress: Progress
) -> tuple[PurePosixPath, Transfer]:
    """Send a folder of data; jobs see it as ``/data/<name>``.

    A new dataset gets its name when all of it is there; in one that is there each file is replaced as a
    whole, and none is removed. Links that lead out of the folder are not followed and not sent; see
    :func:`left_out`. :func:`check_dataset` comes before.

    Raises:
        RemoteError: rsync failed.
    """
    path = depot.data / name
    part = depot.data / f".{name}.part"
    there = link.run(["test", "-d", str(path)]).ok
    progress.step(f"Sending {source} as {name}")
    options = [
        "--recursive",
        "--links",
        "--safe-links",
        "--times",
        "--chmod=Du=rwx,Fu=rw",
        "--partial",
        "--delay-updates",
    ]
    transfer = rsync(
        link,
        [f"{source.absolute()}/"],
        remote(path if there else part, inside=True),
        options=options,
        on_progress=progress.transfer,
    )
    if not there:
        link.check(["mv", "-T", "--", str(part), str(path)])
    return path, transfer


def check_dataset(source: Path, name: str) -> None:
    """Refuse what cannot be staged.

    Raises:
        DataError: there is no such folder, it is empty, or the name is no plain name.
    """
    if not source.parts:
        raise DataError(
            "the path is empty; stage takes the folder whose files a job reads (`.` for this one)"
        )
    if not source.is_dir():
        raise DataError(f"{source} is not a folder; stage takes the folder whose files a job reads")
    if not any(source.iterdir()):
        raise DataError(f"{source} is empty; there is nothing to stage")
    if not re.fullmatch(_NAME, name):
        raise DataError(f"--name {name!r}: a dataset's name has letters, digits, '.', '_' and '-' only")


def left_out(source: Path) -> list[str]:
    """What :func:`stage` does not send, relative: links that lead out, pipes, sockets and devices."""
    root = source.resolve()
    names = []
    for top, folders, files in os.walk(root):
        for path in (Path(top) / name for name in [*folders, *files]):
            leads_out = path.is_symlink() and not _stays(path, root)
            if leads_out or not (path.is_symlink() or path.is_file() or path.is_dir()):
                names.append(str(path.relative_to(root)))
    return sorted(names)


def _stays(link: Path, root: Path) -> bool:
    # As rsync has it: by what the link says, not by what is there.
    target = link.readlink()
    place = Path(os.path.normpath(link.parent / target))
    return not target.is_absolute() and place.is_relative_to(root)


# The newest image there is what rsync compares with, so that only what differs is sent. What an interrupted
# upload has left is further on than that.
_SEED = 'test -e "$2" || ! test -e "$1" || cp --reflink=auto -L -- "$1" "$2"'


def _is_there(link: Link, path: PurePosixPath, size_bytes: int) -> bool:
    # It got its name only after its content was checked, so the size is enough.
    return link.run(["stat", "-c", "%s", "--", str(path)]).stdout.strip() == str(size_bytes)


def _settle(link: Link, part: PurePosixPath, path: PurePosixPath, sif: Sif) -> None:
    hashed = link.run(["sha256sum", "-b", "--", str(part)], timeout_s=3600)
    if hashed.ok and hashed.stdout.split(" ")[0].lstrip("\\") != sif.sha256:
        link.run(["rm", "-f", "--", str(part)])
        raise RemoteError(
            f"{link.target}:{part}: what arrived has another hash than what was sent; "
            "it was removed there; push again"
        )
    moved = link.run(["mv", "-T", "--", str(part), str(path)]) if hashed.ok else hashed
    # Another push of the same image may have been faster; then its file serves.
    if not moved.ok and not _is_there(link, path, sif.size_bytes):
        raise RemoteError(f"{link.target}: {moved.explain()}")


def _point(link: Link, name: PurePosixPath, target: str) -> None:
    # A link is replaced in one step by renaming another one over it.
    fresh = f"{name}.new"
    words = shlex.join(["ln", "-sfn", "--", target, fresh]), shlex.join(["mv", "-T", "--", fresh, str(name)])
    link.check(["sh", "-c", " && ".join(words)])
