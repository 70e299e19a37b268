"""A folder here to one squashfs file there, which jobs see as the same folder."""

from __future__ import annotations

from pathlib import Path

from slipway.dataset.packed import PackedThere, find_version, older_versions, send_packed, use_version
from slipway.dataset.packing import PackedFile, Packer, content_hash, packed_name
from slipway.dataset.stage import Found, look_here
from slipway.dataset.staging import Staged
from slipway.errors import DataError
from slipway.host.host import Host
from slipway.host.scratch import Scratch
from slipway.progress import Progress
from slipway.skipped import some_of
from slipway.transfer.checksum import hash_remote
from slipway.transfer.rclone import Via

_TRIES = 2


def stage_packed(
    host: Host,
    scratch: Scratch,
    source: Path,
    name: str,
    client: str,
    progress: Progress,
    packer: Packer,
    *,
    memory: Path,
    verify: bool = False,
    via: Via | None = None,
) -> Staged:
    """Have a folder of data on the cluster as one file; jobs see it as ``/data/<name>``.

    The file is named by what is in it. So what has not changed is neither packed nor sent, and a job that
    waits or runs keeps the version that it was submitted with. What cannot be read here is in the answer's
    ``skipped``. :func:`slipway.dataset.stage.check_dataset` and
    :func:`slipway.dataset.packing.check_packed_name` come before.

    Args:
        host: the connection.
        scratch: where packed data lie on the cluster.
        source: the folder here, or a single file.
        name: the dataset's name. Nobody else of this client may stage to it meanwhile.
        client: what sets this client apart from others who stage to the same place.
        progress: is told each step.
        packer: makes the file.
        memory: a folder of Slipway's own, where the hashes of files here are remembered.
        verify: believe no hash that was computed before, here or there.
        via: the intermediary that the file goes by way of.

    Raises:
        DataError: nothing here can be read, or it cannot be packed.
        SpaceError: there is not enough room here.
        RemoteSpaceError: there is not enough room on the cluster.
        RemoteError: a command on the cluster failed.
    """
    host.make_folder(scratch.packed)
    found = look_here(source, memory, progress, verify=verify)
    there = _find(host, scratch, name, found, verify=verify)
    sent_bytes = 0
    if there is None:
        if via:
            progress.step(f"Looking for {via.remote.name}, here and on {host.target.host}")
            via.check()
        found, file = _pack(packer, source, name, found, memory, progress)
        there = _describe(scratch, found, file)
        sent_bytes = send_packed(host, scratch, file, there, client, progress, via=via).sent_bytes
        packer.forget(file)
        sent = there.files
    else:
        sent = 0
    use_version(host, scratch, there)
    return Staged(
        name=name,
        path=there.path,
        files=there.files,
        size_bytes=there.content_bytes,
        sent_files=sent,
        sent_bytes=sent_bytes,
        surplus=(),
        removed=False,
        left_out=found.left_out,
        skipped=found.skipped,
        packed_bytes=there.size_bytes,
        older=older_versions(host, scratch, there),
        has_folder=host.is_folder(scratch.data / name),
    )


def _find(host: Host, scratch: Scratch, name: str, found: Found, *, verify: bool) -> PackedThere | None:
    """The file of what is here, where it is there."""
    content = content_hash(found.here)
    there = find_version(host, scratch.packed / packed_name(name, content))
    if there is None or there.content != content:
        return None
    if verify and hash_remote(host, scratch.packed, [there.path.name]).get(there.path.name) != there.sha256:
        return None
    return there


def _pack(
    packer: Packer, source: Path, name: str, found: Found, memory: Path, progress: Progress
) -> tuple[Found, PackedFile]:
    """The file of what is here, made now unless an attempt that was cut has left it."""
    changed: list[str] = []
    for _ in range(_TRIES):
        file_name = packed_name(name, content_hash(found.here))
        file = packer.find(file_name)
        if file is None:
            file, names = packer.pack(found.here, found.root, file_name)
            changed = [*names]
        if file is not None:
            return found, file
        progress.step(f"Looking at {source} again, which has changed meanwhile")
        found = look_here(source, memory, progress, verify=True)
    raise DataError(
        f"{source}: changed while it was packed, twice: {some_of(changed)}; stage again once nothing writes "
        "to it"
    )


def _describe(scratch: Scratch, found: Found, file: PackedFile) -> PackedThere:
    return PackedThere(
        path=scratch.packed / file.path.name,
        content=content_hash(found.here),
        sha256=file.sha256,
        size_bytes=file.size_bytes,
        files=len(found.here.files) + len(found.here.links),
        content_bytes=sum(one.size_bytes for one in found.here.files.values()),
    )
