"""The folder ``slipway/`` in a cluster's scratch: what lies where, and how things get there."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from slipway.code.snapshot import Snapshot
from slipway.errors import ConfigError, RemoteError, RemoteSpaceError, ScratchError, TransferOnlyError
from slipway.progress import Progress
from slipway.remote.link import Link
from slipway.remote.loginshell import login_command, parse_login
from slipway.site import Site, resolve_path
from slipway.transfer.carrier import choose_carrier


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


def open_depot(link: Link, site: Site, *, make: bool = True) -> Depot:
    """Find a site's scratch and, with ``make``, make Slipway's folders there.

    Raises:
        ConfigError: a variable in the site's paths is not set on the cluster.
        ScratchError: scratch is missing or not writable.
    """

    def lookup(names: Sequence[str]) -> Mapping[str, str]:
        script = 'for name; do printf "%s=%s\\0" "$name" "${!name-}"; done'
        try:
            output = parse_login(link.check(login_command(["bash", "-c", script, "slipway", *names])).stdout)
        except TransferOnlyError as error:
            raise ConfigError(
                f"{site.paths.scratch!r}, and {link.target} runs no commands for this account, so that "
                f"${names[0]} cannot be looked up there; write the path itself"
            ) from error
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
    why = _make_folders(link, folders)
    if why is not None:
        raise ScratchError(
            f"{link.target}: scratch is {scratch}, and Slipway's folder cannot be made there: "
            f"{why}; check paths.scratch in cluster/{site.name}.yaml"
        )
    return depot


def _make_folders(link: Link, folders: Sequence[PurePosixPath]) -> str | None:
    """Make folders, and say why where that fails."""
    try:
        made = link.run(["mkdir", "-p", "--", *(str(folder) for folder in folders)])
        # It says the same of each folder.
        return None if made.ok else "\n".join(dict.fromkeys(made.stderr.strip().splitlines()))
    except TransferOnlyError:
        try:
            for folder in folders:
                link.make_folder(folder)
        except RemoteSpaceError:
            raise
        except RemoteError as error:
            return str(error)
    return None


def send_code(link: Link, depot: Depot, snapshot: Snapshot, progress: Progress) -> PurePosixPath:
    """Send a snapshot, unless the same tree is there; returns its folder on the cluster."""
    path = depot.code / snapshot.tree
    if link.is_folder(path):
        return path
    progress.step(f"Sending the code ({snapshot.files} files, {snapshot.size_bytes / 1e6:.1f} MB)")
    # Two runs may send the same tree at once, each to a folder of its own.
    part = depot.code / f".{snapshot.tree}.{secrets.token_hex(4)}.part"
    choose_carrier(link, progress).send_tree(snapshot.folder, part, on_progress=progress.transfer)
    try:
        link.move(part, path)
    except RemoteError:
        # Another run may have sent the same tree in the meantime; then that one serves.
        if not link.is_folder(path):
            raise
        link.run(["rm", "-rf", "--", str(part)])
    _clear_away(link, depot)
    return path


def _clear_away(link: Link, depot: Depot) -> None:
    """Remove what attempts that were cut have left, after a day; what fails here is no matter."""
    stale = [
        "find",
        str(depot.code),
        "-mindepth",
        "1",
        "-maxdepth",
        "1",
        "-name",
        ".*.part",
        "-mmin",
        "+1440",
    ]
    if link.runs_commands:
        link.run([*stale, "-exec", "rm", "-rf", "--", "{}", "+"])
