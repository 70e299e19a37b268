"""The folder ``slipway/`` in a cluster's scratch: what lies where, and how things get there."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from slipway.carrier import choose_carrier
from slipway.errors import ConfigError, RemoteError, ScratchError
from slipway.link import Link
from slipway.loginshell import login_command, parse_login
from slipway.progress import Progress
from slipway.site import Site, resolve_path
from slipway.snapshot import Snapshot


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
        raise ScratchError(
            f"{link.target}: scratch is {scratch}, and Slipway's folder cannot be made there: "
            f"{made.stderr.strip()}; check paths.scratch in cluster/{site.name}.yaml"
        )
    return depot


def send_code(link: Link, depot: Depot, snapshot: Snapshot, progress: Progress) -> PurePosixPath:
    """Send a snapshot, unless the same tree is there; returns its folder on the cluster."""
    path = depot.code / snapshot.tree
    if link.run(["test", "-d", str(path)]).ok:
        return path
    progress.step(f"Sending the code ({snapshot.files} files, {snapshot.size_bytes / 1e6:.1f} MB)")
    # Two runs may send the same tree at once, each to a folder of its own.
    part = depot.code / f".{snapshot.tree}.{secrets.token_hex(4)}.part"
    choose_carrier(link, progress).send_tree(snapshot.folder, part, on_progress=progress.transfer)
    moved = link.run(["mv", "-T", "--", str(part), str(path)])
    # Another run may have sent the same tree in the meantime; then that one serves.
    if not moved.ok and not link.run(["test", "-d", str(path)]).ok:
        raise RemoteError(f"{link.target}: {moved.explain()}")
    return path
