"""Images that the cluster builds by itself, from a definition file and what that copies."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath

from slipway.errors import ConversionError, RemoteError, RemoteSpaceError
from slipway.host.host import Host
from slipway.host.inventory import remove_all
from slipway.host.scratch import Scratch
from slipway.progress import Progress
from slipway.push.build_script import SentBase, explain_failure, parse_facts
from slipway.push.fromregistry import upload_dir
from slipway.push.pull_script import pull_command
from slipway.push.upload import PushedSif, parse_record
from slipway.resources import Resources
from slipway.scheduler.base import Scheduler
from slipway.sif.check import compare
from slipway.sif.definition.definition import Definition, write_definition
from slipway.sif.definition.make import LEAST_BYTES
from slipway.sif.kept import sha256
from slipway.transfer.large_file import LargeFile, send_large_file
from slipway.transfer.source import WholeFile

_FILES_FACTOR = 5
# The records of one name, of which one may be of the same inputs.
_RECORDS = """
cd -- "$1" || exit
for file in "$2"-????????????????.json; do
    grep -qF -e "$3" -- "$file" 2>/dev/null && printf '%s\\0' "$file" && cat -- "$file" && printf '\\0'
done
true
"""


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
        source=WholeFile(base.file),
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
        source=WholeFile(archive),
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
