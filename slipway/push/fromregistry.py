"""Images that the cluster pulls from a registry by itself; each digest is converted there once."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import PurePosixPath

from slipway.errors import ParseError, RegistryError, RemoteError, RemoteSpaceError
from slipway.host.host import Host
from slipway.host.scratch import Scratch
from slipway.progress import Progress
from slipway.push.pull_script import Pull, pull_command
from slipway.push.upload import PushedSif, parse_record
from slipway.registry.client import Registry
from slipway.registry.credentials import docker_config, find_credentials
from slipway.registry.reference import Reference
from slipway.registry.refusal import explain_words
from slipway.resources import Resources
from slipway.scheduler.base import Scheduler

# An image is there as layers, unpacked, and as a .sif at once; layers are often a third of what is in them.
SPACE_FACTOR = {"docker": 6.0, "oras": 1.1}
NOT_FOUND = 127
_FULL = re.compile(r"no space left on device|disk quota exceeded", re.I)


def prepare_pull(
    name: str,
    reference: Reference,
    platform: str,
    progress: Progress,
    *,
    https: bool,
    compression: str = "zstd",
) -> Pull:
    """Find out what is to be pulled: the digest behind a tag, as it is now.

    Raises:
        RegistryError: there is no such image, or the registry does not answer here, and ``reference`` has no
            digest that would say all the same what is meant.
    """
    credentials = find_credentials(reference.host)
    progress.step(f"Asking {reference.host} for {reference}")
    manifest = None
    try:
        manifest = Registry(reference.host, credentials, https=https).resolve(reference, platform)
        reference = reference.at(manifest.digest)
    except RegistryError as error:
        if type(error) is not RegistryError:
            raise
        if reference.digest is None:
            raise RegistryError(
                f"{error}. Where only the cluster reaches it, name the image by its digest (…@sha256:…), "
                "which needs not be looked up here"
            ) from error
        progress.note(f"{error}\n  The cluster is asked to pull it all the same, since its digest is known")
    return Pull(
        name=name,
        reference=reference,
        manifest=manifest,
        credentials=credentials,
        https=https,
        compression=compression,
    )


def pull_image(
    host: Host,
    scratch: Scratch,
    pull: Pull,
    script: str,
    client: str,
    scheduler: Scheduler,
    progress: Progress,
    job: Resources | None = None,
) -> tuple[PushedSif, bool]:
    """Have the cluster pull an image, unless it has that digest, and point ``<name>.sif`` to it.

    Args:
        host: the connection.
        scratch: where images lie.
        pull: what is to be pulled.
        script: what :func:`render_pull` made for it.
        client: what sets this client apart from others, who may pull the same at once.
        scheduler: what gives it a node.
        progress: is told what happens, and what Apptainer says.
        job: what a job that pulls it asks for; ``None`` runs it on the login node.

    Returns:
        The image there, and whether it was pulled now.

    Raises:
        RegistryError: the cluster could not pull it; the subclasses say why.
        RemoteSpaceError: there is no room for it.
        RemoteError: something else failed there.
    """
    path = scratch.images / pull.file_name
    there = _find(host, path)
    if there is None:
        with upload_dir(host, scratch, f"{pull.name}.{client}") as folder:
            _check_room(host, folder, pull)
            host.write(folder / "pull.sh", script.encode())
            _run(host, pull_command(folder, scheduler, job), pull, progress)
            there = _settle(host, folder, path, pull)
        host.write(path.with_suffix(".json"), json.dumps({**asdict(there), "path": str(path)}).encode())
        pulled = True
    else:
        pulled = False
    host.point(scratch.images / f"{pull.name}.sif", path.name)
    return there, pulled


def _find(host: Host, path: PurePosixPath) -> PushedSif | None:
    record = host.read(path.with_suffix(".json"))
    try:
        known = parse_record(record, path) if record is not None else None
    except ParseError:
        return None  # it is written anew
    # It got its name only after it was checked, so the size is enough.
    return known if known and host.size(path) == known.size_bytes else None


@contextmanager
def upload_dir(host: Host, scratch: Scratch, owner: str) -> Iterator[PurePosixPath]:
    """A new folder there, removed at the end; what is left of earlier ones of this owner is removed first."""
    host.require_commands()
    # Each try has a folder of its own, since what is left of one that was cut may still be at work.
    folder = scratch.images / f".{owner}.{secrets.token_hex(4)}.part"
    script = 'cd -- "$1" && rm -rf -- ."$2".????????.part && mkdir -m 700 -- "$3"'
    host.check(["sh", "-c", script, "slipway", str(scratch.images), owner, folder.name], timeout_s=3600)
    try:
        yield folder
    finally:
        if host.is_open:
            host.run(["rm", "-rf", "--", str(folder)], timeout_s=3600)


def _check_room(host: Host, folder: PurePosixPath, pull: Pull) -> None:
    free = host.free_bytes(folder)
    if free is None or pull.manifest is None:
        return
    needed = pull.manifest.size_bytes * SPACE_FACTOR[pull.reference.kind]
    if free < needed:
        raise RemoteSpaceError(
            f"{host.target}:{folder.parent} has {free / 1e6:,.0f} MB free, and pulling {pull.reference} "
            f"can take {needed / 1e6:,.0f} MB; make room there"
        )


def _run(host: Host, argv: Sequence[str], pull: Pull, progress: Progress) -> None:
    progress.step(f"{host.target} pulls {pull.reference.uri}")
    lines: list[str] = []

    def listen(line: str) -> None:
        if line:
            lines.append(line)
            progress.line(line)

    code = host.stream(argv, listen, stdin=docker_config(pull.reference.host, pull.credentials))
    if code == 0:
        return
    # What Apptainer does is no reason; and what two attempts say is often the same.
    last = list(dict.fromkeys(line for line in lines if not line.startswith("INFO:")))[-8:]
    words = "\n".join(f"  {line}" for line in last) or "  it said nothing"
    if code == NOT_FOUND:
        raise RemoteError(f"{host.target}: the image could not be pulled there:\n{words}")
    # Apptainer's exit code is the same for all that can go wrong.
    if any(_FULL.search(line) for line in lines):
        raise RemoteSpaceError(f"{host.target}: there is not enough room; nothing was left there:\n{words}")
    error = explain_words(" ".join(last), pull.reference, silence=_explain_silence)
    if error is None:
        raise RemoteError(f"{host.target}: the image could not be pulled there (exit code {code}):\n{words}")
    raise type(error)(f"{host.target} could not pull the image. {error}")


def _explain_silence(host: str, words: str) -> str:
    return (
        f"{host}: the registry does not answer there, or went down in the middle ({words}). Once it does, "
        "the same command goes on with the layers that are missing. Nodes that jobs run on often reach "
        "nothing outside, and some login nodes neither: `invoke push` without --from-registry sends the "
        "image from here"
    )


def _settle(host: Host, folder: PurePosixPath, path: PurePosixPath, pull: Pull) -> PushedSif:
    part = folder / "image.sif"
    digest, size_bytes = (host.read(folder / "sha256") or b"").decode().strip(), host.size(part)
    if len(digest) != 64 or size_bytes is None:
        raise RemoteError(f"{host.target}:{part}: Apptainer reported no error, but the image is not there")
    manifest = pull.manifest
    # Layers are checked by Apptainer; a .sif is one layer, and its hash is known.
    known = {layer for layer, _ in manifest.layers} if manifest else set()
    if manifest and pull.reference.kind == "oras" and known != {f"sha256:{digest}"}:
        raise RemoteError(f"{host.target}: what was pulled from {pull.reference} has another hash; try again")
    image_id = manifest.image_id if manifest and manifest.image_id else str(pull.reference.digest)
    host.move(part, path)
    return PushedSif(path=path, image_id=image_id, sha256=digest, size_bytes=size_bytes)
