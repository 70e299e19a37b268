"""Images that the cluster builds by itself, from a definition file and what that copies."""

from __future__ import annotations

import json
import re
import shlex
import tarfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from slipway.errors import ConversionError, ImageError, RemoteError, RemoteSpaceError
from slipway.host.host import Host
from slipway.host.inventory import remove_all
from slipway.host.scratch import Scratch
from slipway.jsontext import load_json
from slipway.progress import Progress
from slipway.push.fromregistry import upload_dir
from slipway.push.pull_script import fill_script, pull_command
from slipway.push.upload import PushedSif, parse_record
from slipway.resources import Resources
from slipway.scheduler.base import Scheduler
from slipway.sif.check import compare
from slipway.sif.definition.base import FOLDER
from slipway.sif.definition.definition import Definition, write_definition
from slipway.sif.definition.generated import hash_files
from slipway.sif.definition.make import LEAST_BYTES, explain_definition
from slipway.sif.kept import sha256
from slipway.site import Site
from slipway.transfer.large_file import LargeFile, send_large_file

_FILES_FACTOR = 5
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
_NOT_FOUND, _OTHER_MACHINE, _NO_NAMESPACE = 127, 65, 66
_FULL = re.compile(r"no space left on device|disk quota exceeded", re.I)
_UNREACHABLE = re.compile(r"dial tcp|no such host|i/o timeout|connection refused|Temporary failure", re.I)
_ONE_ID = re.compile(r"setgroups|seteuid|chown.*(Invalid argument|not permitted)", re.I)
_HERE = "`invoke sif --from-def` builds it on this machine, and `invoke push` sends it"
# The records of one name, of which one may be of the same inputs.
_RECORDS = """
cd -- "$1" || exit
for file in "$2"-????????????????.json; do
    grep -qF -e "$3" -- "$file" 2>/dev/null && printf '%s\\0' "$file" && cat -- "$file" && printf '\\0'
done
true
"""


@dataclass(frozen=True, kw_only=True)
class SentBase:
    """A file of an image that a definition starts from, which the cluster keeps for other builds.

    Attributes:
        file: the file here.
        place: where the definition has it, in the build's folder.
        sha256: of the file, in hex.
        path: where the cluster keeps it.
    """

    file: Path
    place: str
    sha256: str
    path: PurePosixPath


@dataclass(frozen=True, kw_only=True)
class RemoteBuild:
    """An image that a cluster is to build.

    Attributes:
        definition: what it is of.
        bases: what it starts from, where that is a file.
        script: that of :func:`render_build`.
        client: what sets this client apart from others.
        job: what a job that builds it asks for; ``None`` builds on the login node.
    """

    definition: Definition
    bases: Sequence[SentBase]
    script: str
    client: str
    job: Resources | None = None


def find_sent_bases(definition: Definition, scratch: Scratch, memory: Path) -> list[SentBase]:
    """The files of images that a definition starts from; ``memory`` is the folder of remembered hashes."""
    found = []
    for one in definition.files:
        if one.place.startswith(f"{FOLDER}/") and one.path is not None and one.path.is_file():
            digest = hash_files(one.path.parent, [one.path.name], memory)[one.path.name]
            path = scratch.root / "cache" / f"base-{digest[:16]}"
            found.append(SentBase(file=one.path, place=one.place, sha256=digest, path=path))
    return found


def render_build(
    site: Site,
    definition: Definition,
    bases: Sequence[SentBase],
    scratch: Scratch,
    compression: str,
    template: str,
) -> str:
    """The text of the script that builds.

    Raises:
        ConfigError: the template lacks one of its lines ``# @name@``.
    """
    machine = definition.platform.partition("/")[2]
    links = shlex.join(f"{one.place}={one.path}" for one in bases)
    settings = {
        "container": site.container.command,
        "cache": str(scratch.root / "cache"),
        "compression": compression,
        "machine": _MACHINES.get(machine, machine),
    }
    return fill_script(site, settings, [f"bases=({links})"], template, "cluster/build.sh")


def build_there(
    host: Host,
    scratch: Scratch,
    build: RemoteBuild,
    scheduler: Scheduler,
    folder: Path,
    progress: Progress,
    *,
    fresh: bool = False,
) -> tuple[PushedSif, bool]:
    """Have the cluster build an image, unless it has one of the same inputs, and point ``<name>.sif`` to it.

    Args:
        host: the connection.
        scratch: where images lie.
        build: what is to be built.
        scheduler: what gives it a node.
        folder: a folder here to work in.
        progress: is told what happens, and what Apptainer says.
        fresh: build in any case.

    Returns:
        The image there, and whether it was built now.

    Raises:
        ConversionError: Apptainer failed there, or what it made is not what it was to be.
        RemoteSpaceError: there is no room for it.
        RemoteError: the cluster cannot build; the message says why.
    """
    definition = build.definition
    there = None if fresh else find_built(host, scratch, definition)
    built = there is None
    if there is None:
        archive = _pack(build, folder)
        for base in build.bases:
            _send_base(host, base, build.client, progress)
        with upload_dir(host, scratch, f"{definition.name}.{build.client}") as place:
            _check_room(host, place, archive.stat().st_size)
            _send(host, archive, place, progress)
            host.write(place / "build.sh", build.script.encode())
            _run(host, pull_command(place, scheduler, build.job, "build"), definition, progress)
            there = _settle(host, scratch, place, definition, progress)
        record = json.dumps({**asdict(there), "path": str(there.path)}).encode()
        host.write(there.path.with_suffix(".json"), record)
    host.point(scratch.images / f"{definition.name}.sif", there.path.name)
    return there, built


def find_built(host: Host, scratch: Scratch, definition: Definition) -> PushedSif | None:
    """The image of these inputs that is there, whichever machine has built it; ``None`` without."""
    words = ["sh", "-c", _RECORDS, "slipway", str(scratch.images), definition.name, definition.image_id]
    parts = host.check(words).stdout.split("\0")
    for name, record in zip(parts[0::2], parts[1::2], strict=False):
        path = scratch.images / PurePosixPath(name).with_suffix(".sif")
        found = parse_record(record.encode("utf-8", "surrogateescape"), path)
        if found.image_id == definition.image_id and host.size(path) == found.size_bytes:
            return found
    return None


def _pack(build: RemoteBuild, folder: Path) -> Path:
    inside = folder / "build"
    inside.mkdir()
    sent = {one.place for one in build.bases}
    files = [one for one in build.definition.files if one.place not in sent]
    write_definition(replace(build.definition, files=files), inside)
    archive = folder / "build.tar"
    with tarfile.open(archive, "w") as tar:
        for path in sorted(inside.iterdir()):
            tar.add(path, path.name, filter=_anonymous)
    return archive


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def _check_room(host: Host, folder: PurePosixPath, size_bytes: int) -> None:
    free, needed = host.free_bytes(folder), LEAST_BYTES + _FILES_FACTOR * size_bytes
    if free is not None and free < needed:
        raise RemoteSpaceError(
            f"{host.target}:{folder.parent} has {free / 1e6:,.0f} MB free, and building there can take "
            f"{needed / 1e6:,.0f} MB; make room there"
        )


def _send_base(host: Host, base: SentBase, client: str, progress: Progress) -> None:
    size_bytes = base.file.stat().st_size
    # It got its name only after its content was checked, so the size is enough.
    if host.size(base.path) == size_bytes:
        return
    file = LargeFile(
        source=base.file,
        sha256=base.sha256,
        size_bytes=size_bytes,
        path=base.path,
        upload_dir=base.path.parent / f".{base.path.name}.{client}.part",
        newest=base.path.parent / "none",
        what="base image",
        again="give the same command again",
        make_room="make room there",
    )
    send_large_file(host, file, progress)
    remove_all(host, file.upload_dir)


def _send(host: Host, archive: Path, place: PurePosixPath, progress: Progress) -> None:
    file = LargeFile(
        source=archive,
        sha256=sha256(archive),
        size_bytes=archive.stat().st_size,
        path=place / "build.tar",
        upload_dir=place / "upload",
        newest=place / "none",
        what="sources",
        again="give the same command again",
        make_room="make room there",
    )
    send_large_file(host, file, progress)


def _run(host: Host, argv: Sequence[str], definition: Definition, progress: Progress) -> None:
    progress.step(f"{host.target} builds {definition.name} from {definition.source.name}")
    lines: list[str] = []

    def listen(line: str) -> None:
        if line:
            lines.append(line)
            progress.line(line)

    code = host.stream(argv, listen)
    if code:
        raise explain_failure(str(host.target), code, lines, definition)


def explain_failure(
    target: str, code: int, lines: Sequence[str], definition: Definition
) -> ConversionError | RemoteError | ImageError:
    """The error for a build that failed there, by its exit code and what it said."""
    last = list(dict.fromkeys(line for line in lines if not line.startswith("INFO:")))[-12:]
    words = "".join(f"\n  {line}" for line in last) or "\n  it said nothing"
    begun = f"{target} could not build {definition.name}, and nothing of it was left there"
    if code == _NOT_FOUND:
        return RemoteError(f"{begun}:{words}")
    if code == _OTHER_MACHINE:
        return ImageError(f"{begun}:{words}\nset PLATFORM in the profile")
    if code == _NO_NAMESPACE:
        return RemoteError(f"{begun}:{words}\nonly its administrators can change that; {_HERE}")
    text = "\n".join(lines)
    if _FULL.search(text):
        return RemoteSpaceError(f"{begun}, since there is not enough room:{words}")
    error = ConversionError(f"{begun} (exit code {code}):{words}")
    if _UNREACHABLE.search(text):
        error = ConversionError(
            f"{error}\nnodes that jobs run on often reach nothing outside: leave out --as-job, or name a "
            "file of the base image in BASES"
        )
    elif _ONE_ID.search(text):
        error = ConversionError(
            f"{error}\nthe build has one user id there, and nothing can be given to another user, which "
            f"packages often want: that takes a range of ids in its /etc/subuid, or the program "
            f"`fakeroot`; {_HERE}"
        )
    return explain_definition(error, list(lines), definition)


def _settle(
    host: Host, scratch: Scratch, place: PurePosixPath, definition: Definition, progress: Progress
) -> PushedSif:
    part = place / "image.sif"
    digest, size_bytes = (host.read(place / "sha256") or b"").decode().strip(), host.size(part)
    if len(digest) != 64 or size_bytes is None:
        raise RemoteError(f"{host.target}:{part}: Apptainer reported no error, but the image is not there")
    facts = parse_facts(host.read(place / "labels.json"), host.read(place / "environment"))
    findings = compare(definition.config, facts)
    if findings.mismatches:
        raise ConversionError(
            f"{host.target}: what was built is not what {definition.source} says, and was thrown away:"
            + "".join(f"\n  {line}" for line in findings.mismatches)
        )
    for note in (*definition.notes, *findings.notes):
        progress.note(note)
    path = scratch.images / f"{definition.name}-{digest[:16]}.sif"
    host.move(part, path)
    return PushedSif(path=path, image_id=definition.image_id, sha256=digest, size_bytes=size_bytes)


def parse_facts(inspected: bytes | None, environment: bytes | None) -> dict[str, Any]:
    """What was found in an image there, as :func:`slipway.sif.check.compare` takes it."""
    try:
        labels = load_json(inspected or b"")["data"]["attributes"]["labels"]
    except (ValueError, KeyError, TypeError):
        labels = None
    facts: dict[str, Any] = {"labels": labels, "runscript": "", "config": None, "attempt": "--fakeroot"}
    if environment is None:
        return {**facts, "environment": None, "why_not_run": "it did not start there"}
    words = environment.decode("utf-8", "surrogateescape").split("\0")
    return {**facts, "environment": [word for word in words if word]}
