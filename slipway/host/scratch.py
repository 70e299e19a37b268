"""The folder ``slipway/`` in a cluster's scratch: what lies where, and how things get there."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from slipway.code.snapshot import Snapshot
from slipway.errors import ConfigError, RemoteError, RemoteSpaceError, ScratchError, TransferOnlyError
from slipway.host.host import Host
from slipway.host.login_shell import login_command, parse_login
from slipway.progress import Progress
from slipway.site import Site, resolve_path
from slipway.transfer.carrier import choose_carrier


@dataclass(frozen=True, kw_only=True)
class Scratch:
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


def open_scratch(host: Host, site: Site, *, make: bool = True) -> Scratch:
    """Find a site's scratch and, with ``make``, make Slipway's folders there.

    Raises:
        ConfigError: a variable in the site's paths is not set on the cluster.
        ScratchError: scratch is missing or not writable.
    """

    def lookup(names: Sequence[str]) -> Mapping[str, str]:
        script = 'for name; do printf "%s=%s\\0" "$name" "${!name-}"; done'
        try:
            output = parse_login(host.check(login_command(["bash", "-c", script, "slipway", *names])).stdout)
        except TransferOnlyError as error:
            raise ConfigError(
                f"{site.paths.scratch!r}, and {host.target} runs no commands for this account, so that "
                f"${names[0]} cannot be looked up there; write the path itself"
            ) from error
        pairs = (pair.partition("=") for pair in output.split("\0") if pair)
        return {name: value for name, _, value in pairs if value}

    try:
        folder = resolve_path(site.paths.scratch, lookup)
    except ConfigError as error:
        raise ConfigError(f"cluster/{site.name}.yaml: paths.scratch is {error}") from error
    scratch = Scratch(root=folder / "slipway")
    if not make:
        return scratch
    folders = [scratch.images, scratch.code, scratch.data, scratch.weights, scratch.runs]
    why = _make_folders(host, folders)
    if why is not None:
        raise ScratchError(
            f"{host.target}: scratch is {folder}, and Slipway's folder cannot be made there: "
            f"{why}; check paths.scratch in cluster/{site.name}.yaml"
        )
    return scratch


def _make_folders(host: Host, folders: Sequence[PurePosixPath]) -> str | None:
    """Make folders, and say why where that fails."""
    try:
        made = host.run(["mkdir", "-p", "--", *(str(folder) for folder in folders)])
        # It says the same of each folder.
        return None if made.ok else "\n".join(dict.fromkeys(made.stderr.strip().splitlines()))
    except TransferOnlyError:
        try:
            for folder in folders:
                host.make_folder(folder)
        except RemoteSpaceError:
            raise
        except RemoteError as error:
            return str(error)
    return None


def send_code(host: Host, scratch: Scratch, snapshot: Snapshot, progress: Progress) -> PurePosixPath:
    """Send a snapshot, unless the same tree is there; returns its folder on the cluster."""
    path = scratch.code / snapshot.tree
    if host.is_folder(path):
        return path
    progress.step(f"Sending the code ({snapshot.files} files, {snapshot.size_bytes / 1e6:.1f} MB)")
    # Two runs may send the same tree at once, each to a folder of its own.
    part = scratch.code / f".{snapshot.tree}.{secrets.token_hex(4)}.part"
    choose_carrier(host, progress).send_tree(snapshot.folder, part, on_progress=progress.transfer)
    try:
        host.move(part, path)
    except RemoteError:
        # Another run may have sent the same tree in the meantime; then that one serves.
        if not host.is_folder(path):
            raise
        host.run(["rm", "-rf", "--", str(part)])
    _clear_away(host, scratch)
    return path


def _clear_away(host: Host, scratch: Scratch) -> None:
    """Remove what attempts that were cut have left, after a day; what fails here is no matter."""
    stale = [
        "find",
        str(scratch.code),
        "-mindepth",
        "1",
        "-maxdepth",
        "1",
        "-name",
        ".*.part",
        "-mmin",
        "+1440",
    ]
    if host.runs_commands:
        host.run([*stale, "-exec", "rm", "-rf", "--", "{}", "+"])
