"""The folder ``slipway/`` in a cluster's scratch: what lies where."""

from __future__ import annotations

import re
import secrets
import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePosixPath

from slipway.errors import ConfigError, RemoteError, RemoteSpaceError, ScratchError, TransferOnlyError
from slipway.host.files import NoFileTransferError
from slipway.host.host import Host
from slipway.site import Site, resolve_path, variables

# The names are a site file's, and nothing but letters, digits and _. sh reads no start file.
_LOOK_UP = 'for name; do eval "value=\\${$name-}"; printf "%s=%s\\0" "$name" "$value"; done'
# Whoever may write there could put another image in the place of one that a job runs.
_MAKE = r"""umask o-w
mkdir -p -- "$@" || exit
for folder; do
    if [ -n "$(find -H "$folder" -prune -perm -0002)" ]; then
        echo "everybody may write to $folder, and so to what jobs run: \`chmod o-w $folder\`" >&2
        exit 1
    fi
done
"""
# A path whose variables sh and this machine fill in alike, and what a shell there takes for a path.
_PLAIN = re.compile(r"(\$\{[A-Za-z_]\w*\}|\$[A-Za-z_]\w*|[\w/.@+-])+", re.ASCII)
_NOT_PLAIN = 90
_LOOKS_PLAIN = f"case $root in [!/]* | *[!A-Za-z0-9_/.@+-]*) exit {_NOT_PLAIN} ;; esac\n"


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


def open_scratch(
    host: Host, site: Site, *, make: bool = True, ahead: Sequence[Callable[[Scratch], Sequence[str]]] = ()
) -> Scratch:
    """Find a site's scratch and, with ``make``, make Slipway's folders there.

    Args:
        host: the connection.
        site: says where scratch is.
        make: whether the folders are made.
        ahead: commands that are about to run in the login shell, by the scratch: short questions without an
            input. They are asked in the same round trip, and the host has the answers then.

    Raises:
        ConfigError: a variable in the site's paths is not set on the cluster.
        ScratchError: scratch is missing or not writable.
    """
    if ahead:
        with suppress(TransferOnlyError):
            _ask_ahead(host, site.paths.scratch, [_make_command, *ahead] if make else ahead)
    folder = _resolve(host, site, "scratch", site.paths.scratch)
    scratch = Scratch(root=folder / "slipway")
    if not make:
        return scratch
    why = _make_folders(host, scratch)
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
            result = host.run_in_login_shell(_look_up_command(names))
        except TransferOnlyError as error:
            raise ConfigError(
                f"{written!r}, and ${names[0]} cannot be looked up there; without commands "
                f"write the path itself. {error}"
            ) from error
        if not result.ok:
            raise RemoteError(f"{host.target}: {result.explain()}")
        return _parse_values(result.stdout)

    try:
        return resolve_path(written, lookup)
    except ConfigError as error:
        raise ConfigError(f"{site.file_to_change}: paths.{key} is {error}") from error


def _ask_ahead(host: Host, written: str, commands: Sequence[Callable[[Scratch], Sequence[str]]]) -> None:
    """Have the host know what the variables of a path are there, and what commands for the scratch answer.

    The shell there fills in the variables by itself. Where that might give another path than here, or what is
    no path, it does not run the commands, and they are asked one by one.
    """
    names = variables(written)
    if not _PLAIN.fullmatch(written):
        return
    mark = f"<{secrets.token_hex(8)}>"
    are_set = "".join(f'[ -n "${{{name}-}}" ] || exit {_NOT_PLAIN}\n' for name in names)
    begin = f'{are_set}root="{written}/slipway"\n{_LOOKS_PLAIN}'
    scripts = [f"exec {shlex.join(_look_up_command(names))}"] if names else []
    for command in commands:
        words = command(Scratch(root=PurePosixPath(mark)))
        line = shlex.join(words).replace(mark, "'\"$root\"'")
        scripts.append(f"{begin}exec {line}")
    answers = host.run_scripts(scripts)
    if any(answer.exit_code == _NOT_PLAIN for answer in answers):
        return
    looked_up = answers.pop(0) if names else None
    values = _parse_values(looked_up.stdout) if looked_up else {}
    try:
        root = resolve_path(written, lambda _: values) / "slipway"
    except ConfigError:
        return
    if looked_up:
        host.expect(_look_up_command(names), looked_up)
    for command, answer in zip(commands, answers, strict=True):
        host.expect(command(Scratch(root=root)), answer)


def _make_command(scratch: Scratch) -> list[str]:
    folders = (scratch.images, scratch.code, scratch.data, scratch.weights, scratch.runs)
    return ["sh", "-c", _MAKE, "slipway", *map(str, (scratch.root, *folders))]


def _look_up_command(names: Sequence[str]) -> list[str]:
    return ["sh", "-c", _LOOK_UP, "slipway", *names]


def _parse_values(printed: str) -> Mapping[str, str]:
    pairs = (pair.partition("=") for pair in printed.split("\0") if pair)
    return {name: value for name, _, value in pairs if value}


def _make_folders(host: Host, scratch: Scratch) -> str | None:
    """Make Slipway's folders, and say why where that fails."""
    try:
        made = host.run_in_login_shell(_make_command(scratch))
        # It says the same of each folder.
        return None if made.ok else "\n".join(dict.fromkeys(made.stderr.strip().splitlines()))
    except TransferOnlyError:
        try:
            for folder in _make_command(scratch)[4:]:
                host.make_folder(PurePosixPath(folder))
        except (RemoteSpaceError, NoFileTransferError):
            raise
        except RemoteError as error:
            return str(error)
    return None
