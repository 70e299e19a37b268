"""The folder ``slipway/`` in a cluster's scratch: what lies where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from slipway.errors import ConfigError, RemoteError, RemoteSpaceError, ScratchError, TransferOnlyError
from slipway.host.files import NoFileTransferError
from slipway.host.host import Host
from slipway.site import Site, resolve_path

# The names are a site file's, and nothing but letters, digits and _. sh reads no start file.
_LOOK_UP = 'for name; do eval "value=\\${$name-}"; printf "%s=%s\\0" "$name" "$value"; done'


@dataclass(frozen=True, kw_only=True)
class Scratch:
    """Where everything lies on one cluster."""

    root: PurePosixPath

    @classmethod
    def of_run(cls, folder: PurePosixPath) -> Scratch:
        """The scratch that a run's folder lies in."""
        return cls(root=folder.parent.parent)

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
    def packed(self) -> PurePosixPath:
        """``<dataset>-<digest>.sqsh``, and ``<dataset>.sqsh`` that points to the newest."""
        return self.root / "packed"

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
    folder = _resolve(host, site, "scratch", site.paths.scratch)
    scratch = Scratch(root=folder / "slipway")
    if not make:
        return scratch
    folders = [scratch.images, scratch.code, scratch.data, scratch.weights, scratch.runs]
    why = _make_folders(host, folders)
    if why is not None:
        raise ScratchError(
            f"{host.target}: scratch is {folder}, and Slipway's folder cannot be made there: "
            f"{why}; check paths.scratch in {site.file_to_change}"
        )
    return scratch


def kept_folder(host: Host, site: Site) -> PurePosixPath:
    """The folder in the home folder there that `invoke keep` copies to; it need not be there yet.

    Raises:
        ConfigError: a variable in ``paths.home`` is not set on the cluster.
    """
    return _resolve(host, site, "home", site.paths.home) / "slipway-kept"


def _resolve(host: Host, site: Site, key: str, written: str) -> PurePosixPath:
    def lookup(names: Sequence[str]) -> Mapping[str, str]:
        try:
            result = host.run_in_login_shell(["sh", "-c", _LOOK_UP, "slipway", *names])
        except TransferOnlyError as error:
            raise ConfigError(
                f"{written!r}, and ${names[0]} cannot be looked up there; without commands "
                f"write the path itself. {error}"
            ) from error
        if not result.ok:
            raise RemoteError(f"{host.target}: {result.explain()}")
        pairs = (pair.partition("=") for pair in result.stdout.split("\0") if pair)
        return {name: value for name, _, value in pairs if value}

    try:
        return resolve_path(written, lookup)
    except ConfigError as error:
        raise ConfigError(f"{site.file_to_change}: paths.{key} is {error}") from error


def _make_folders(host: Host, folders: Sequence[PurePosixPath]) -> str | None:
    """Make folders, and say why where that fails."""
    try:
        made = host.run_in_login_shell(["mkdir", "-p", "--", *(str(folder) for folder in folders)])
        # It says the same of each folder.
        return None if made.ok else "\n".join(dict.fromkeys(made.stderr.strip().splitlines()))
    except TransferOnlyError:
        try:
            for folder in folders:
                host.make_folder(folder)
        except (RemoteSpaceError, NoFileTransferError):
            raise
        except RemoteError as error:
            return str(error)
    return None
