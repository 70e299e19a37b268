"""Running ``singularity/convert.py``: where this machine has Apptainer there, else in the tools container."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slipway.errors import ConversionError, EngineError, SpaceError
from slipway.image.build import build_image, find_proxies
from slipway.image.engine import Image, container_user, explain_folders, is_podman, run_configured
from slipway.image.recipe import Recipe
from slipway.progress import Progress
from slipway.project import Project
from slipway.shell import LocalShell
from slipway.sif.assembly import Assembly
from slipway.sif.layout import Layout

if TYPE_CHECKING:
    from docker import DockerClient

# A container that Slipway converts in; the label's value is the folder that it works in.
LABEL = "slipway.conversion"
_THERE = "/image"
_CACHE = "/cache"
_FACTS = "facts.json"
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_NO_SPACE = re.compile(r"no space left on device|disk quota exceeded", re.I)

# What Apptainer says, the usual cause of it and the remedy. For words only: that it failed says its exit
# code.
_REMEDIES = {
    r"not listed in /etc/subuid|no mapping entry found in /etc/subuid": (
        "this user has no range of user ids: `sudo usermod --add-subuids 100000-165535 --add-subgids "
        "100000-165535 "
        "$USER`, and log in anew"
    ),
    r"user namespace|root-mapped namespace": (
        "this machine does not let users make namespaces: `sudo sysctl -w "
        "user.max_user_namespaces=15000`, on Debian "
        "`kernel.unprivileged_userns_clone=1`, on Ubuntu 23.10 and later "
        "`kernel.apparmor_restrict_unprivileged_userns=0`"
    ),
    r"setgroups|seteuid|chown.*Invalid argument": (
        "the build has one user id, and nothing can be given to another user: with a range of ids "
        "(`sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $USER`), or with the "
        "program `fakeroot`, the same commands work"
    ),
    r"newuidmap|newgidmap|[ug]id_map": (
        "newuidmap and newgidmap have to be installed with setuid or file capabilities: "
        "`sudo apt install --reinstall uidmap`"
    ),
    r"'noexec' mount option": (
        "Apptainer cannot unpack where the disk is mounted noexec: set SLIPWAY_STATE to a folder elsewhere"
    ),
    r"fuse: device not found|fuse device not found|/dev/fuse": "there is no /dev/fuse: `sudo modprobe fuse`",
    r"unknown flag: --mksquashfs-args": (
        "this Apptainer is older than 1.3 and makes gzip images only: `invoke push --compression gzip`, or "
        "`compression: gzip` below `container:` in the site's file"
    ),
    r"zstd\W+is not supported|invalid compressor|unrecognised compressor": (
        "the mksquashfs here knows no zstd: `invoke push --compression gzip`, or a newer squashfs-tools"
    ),
    r"mksquashfs.*(not found|no such file)|unable to find mksquashfs": (
        "mksquashfs is missing: `sudo apt install squashfs-tools`"
    ),
    r"No module named .?spython": "start Slipway with ./run, which installs spython",
}


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """What to convert, where, and how.

    Attributes:
        sif: the file to make.
        layout: the image, in the folder of the file; with ``assembly`` one without files.
        assembly: the layers that the file is put together of.
        definition: in the place of an image, a definition file that Apptainer builds; below that folder.
        arguments: a file with values for what the definition leaves open, beside it.
        cache: the folder of what is downloaded for it, where something is.
        compression: of the squashfs in the file: ``zstd`` or ``gzip``.
    """

    sif: Path
    layout: Layout | None = None
    assembly: Assembly | None = None
    definition: Path | None = None
    arguments: Path | None = None
    cache: Path | None = None
    compression: str = "zstd"

    @property
    def folder(self) -> Path:
        """Where everything is that a conversion reads and writes."""
        return self.sif.parent


def convert(
    client: DockerClient | None, conversion: Conversion, project: Project, tools: Recipe, progress: Progress
) -> dict[str, Any]:
    """Make a ``.sif`` from an OCI layout, or from a definition file.

    Args:
        client: an engine; it is only needed where this machine has no Apptainer.
        conversion: what to convert.
        project: where ``singularity/convert.py`` is.
        tools: the container that has Apptainer; it is built where it is needed.
        progress: is given Apptainer's lines while they come.

    Returns:
        What Apptainer found in the file; :mod:`slipway.sif.check` compares it with the image.

    Raises:
        ConversionError: Apptainer failed.
        SpaceError: it ran out of room.
        EngineError: the engine does not run the container, or ended meanwhile.
    """
    script = project.share / "singularity" / "convert.py"
    lines: list[str] = []
    listen = _by_lines(lines, progress)
    if has_apptainer():
        where = "on this machine"
        if conversion.assembly is not None:
            conversion.assembly.write(conversion.sif, str(conversion.folder), in_container=False)
        done = LocalShell().stream(_host_command(script, conversion), on_output=listen)
        listen(done.stderr)
        code = done.exit_code
    else:
        assert client is not None  # noqa: S101 - whoever has no Apptainer has an engine
        where = f"in {tools.name}"
        code = _run_in_tools(client, conversion, script, build_image(client, tools, progress)[0], listen)
    listen("\n")
    facts = conversion.folder / _FACTS
    if code or not conversion.sif.is_file() or not facts.is_file():
        raise explain_failure(conversion.sif.name, where, code, lines)
    found: dict[str, Any] = json.loads(facts.read_text(encoding="ascii"))
    return {**found, "remedies": find_remedies(lines)}


def has_apptainer() -> bool:
    """True where this machine can convert by itself."""
    return any(shutil.which(program) for program in ("apptainer", "singularity"))


def convert_command(python: str, script: str, folder: str, conversion: Conversion) -> list[str]:
    """The argv that runs ``singularity/convert.py``, where the conversion's folder is ``folder``."""
    return [
        python,
        script,
        *_source_options(folder, conversion),
        "--sif",
        f"{folder}/{conversion.sif.name}",
        "--facts",
        f"{folder}/{_FACTS}",
        "--tmp",
        folder,
        "--compression",
        conversion.compression,
    ]


def _source_options(folder: str, conversion: Conversion) -> list[str]:
    if conversion.layout is not None:
        words = ["--layout", f"{folder}/{conversion.layout.path.name}"]
        in_container = folder != str(conversion.folder)
        if conversion.assembly is not None:
            words += conversion.assembly.options(folder, in_container=in_container)
        return words
    parts = {"definition": conversion.definition, "arguments": conversion.arguments}
    words = []
    for name, path in parts.items():
        if path is not None:
            words += [f"--{name}", f"{folder}/{path.relative_to(conversion.folder).as_posix()}"]
    if conversion.cache is not None:
        words += ["--cache", str(conversion.cache) if folder == str(conversion.folder) else _CACHE]
    return words


def explain_failure(name: str, where: str, code: int, lines: Sequence[str]) -> ConversionError | SpaceError:
    """The error for a conversion that failed: Apptainer's last words, and what usually helps."""
    text = "\n".join(lines)
    words = "".join(f"\n  {line}" for line in lines[-12:]) or " and said nothing"
    message = f"Apptainer {where} could not make {name} (exit code {code}):{words}"
    if _NO_SPACE.search(text):
        return SpaceError(f"{message}\nmake room, or set SLIPWAY_STATE to a folder on a larger disk")
    return ConversionError("\n".join([message, *find_remedies(lines)]))


def find_remedies(lines: Sequence[str]) -> list[str]:
    """What usually helps, by what Apptainer said."""
    text = "\n".join(lines)
    return [remedy for pattern, remedy in _REMEDIES.items() if re.search(pattern, text, re.I)]


def container_config(
    image: Image,
    command: Sequence[str],
    mounts: Mapping[Path, str],
    folder: Path,
    *,
    read_only: Mapping[Path, str] | None = None,
    capabilities: Sequence[str] = (),
    has_network: bool = False,
    is_podman: bool = False,
) -> dict[str, Any]:
    """What the tools container is created with, as the engine's own API says it.

    No option makes it privileged, and it has no network unless it builds a definition. To run the image
    that it has made, Apptainer needs what it needs in the box: /dev/fuse, and a container without
    seccomp, AppArmor and masked paths. For the last Podman has a word of its own.
    """
    unmasked = ["unmask=ALL"] if is_podman else []
    fuse = {"PathOnHost": "/dev/fuse", "PathInContainer": "/dev/fuse", "CgroupPermissions": "rwm"}
    network: dict[str, str] = {} if has_network else {"NetworkMode": "none"}
    proxies = find_proxies() if has_network else {}
    return {
        "Image": image.id,
        "Entrypoint": list(command),
        "Env": [f"{name}={value}" for name, value in proxies.items()],
        "Labels": {LABEL: str(folder)},
        "HostConfig": {
            # Not Binds, which cannot take a path with a colon.
            "Mounts": [
                *({"Type": "bind", "Source": str(here), "Target": there} for here, there in mounts.items()),
                *(
                    {"Type": "bind", "Source": str(here), "Target": there, "ReadOnly": True}
                    for here, there in (read_only or {}).items()
                ),
            ],
            **network,
            # Docker lets root make device nodes, Podman does not.
            "CapAdd": ["MKNOD", *capabilities],
            "SecurityOpt": ["seccomp=unconfined", "apparmor=unconfined", "label=disable", *unmasked],
            "MaskedPaths": [],
            "ReadonlyPaths": [],
            "Devices": [fuse],
        },
    }


def _run_in_tools(
    client: DockerClient, conversion: Conversion, script: Path, tools: Image, listen: Callable[[str], None]
) -> int:
    import docker.errors
    import requests
    import urllib3

    try:
        config = _tools_config(client, conversion, script, tools)
        if conversion.definition is not None:
            # Without what it is created with, no command of the definition could run.
            return _run_definition(client, config, tools, listen)
        plain = {key: config["HostConfig"][key] for key in ("Mounts", "NetworkMode", "CapAdd")}
        try:
            return run_configured(client, config, listen)
        except docker.errors.APIError:
            # An engine without /dev/fuse, say. What needs it is only the look into the .sif afterwards.
            return run_configured(client, {**config, "HostConfig": plain}, listen)
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        said = str(getattr(error, "explanation", None) or error)
        why = explain_folders(said) or "; is it still running?"
        raise EngineError(f"the Docker engine did not bring {tools.name} to its end: {said}{why}") from error


def _tools_config(client: DockerClient, conversion: Conversion, script: Path, tools: Image) -> dict[str, Any]:
    command = [*convert_command("python3", "/convert.py", _THERE, conversion), "--userns"]
    if owner := container_user(client):
        command += ["--owner", owner]
    mounts = {script: "/convert.py", conversion.folder: _THERE}
    if conversion.cache is not None:
        mounts[conversion.cache] = _CACHE
    assembly = conversion.assembly
    if assembly is not None:
        assembly.write(conversion.sif, _THERE, in_container=True)
    return container_config(
        tools,
        command,
        mounts,
        conversion.folder,
        read_only=assembly.mounts() if assembly is not None else None,
        # Without it overlayfs does not say which folders hide what lower layers have in them. It is given up
        # before anything of the image is run.
        capabilities=["SYS_ADMIN"] if assembly is not None and assembly.is_overlay else [],
        has_network=conversion.definition is not None,
        is_podman=is_podman(client),
    )


def _run_definition(
    client: DockerClient, config: Mapping[str, Any], tools: Image, listen: Callable[[str], None]
) -> int:
    import docker.errors

    try:
        return run_configured(client, config, listen)
    except docker.errors.APIError as error:
        raise EngineError(
            f"the Docker engine does not start {tools.name} as a build needs it, with /dev/fuse and without "
            f"seccomp: {error.explanation or error}; Apptainer on this machine, or `invoke sif "
            "--remote-build`, does without"
        ) from error


def _host_command(script: Path, conversion: Conversion) -> list[str]:
    return convert_command(sys.executable, str(script), str(conversion.folder), conversion)


def _by_lines(lines: list[str], progress: Progress) -> Callable[[str], None]:
    rest = ""

    def listen(text: str) -> None:
        nonlocal rest
        *whole, rest = (rest + _COLOUR.sub("", text)).split("\n")
        for line in whole:
            if line.strip():
                lines.append(line.rstrip())
                progress.line(line.rstrip())

    return listen
