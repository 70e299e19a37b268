"""What is in a folder on the cluster, as far down as is wanted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePosixPath

from slipway.sftp import fxp, wire
from slipway.sftp.channel_pool import ChannelPool, Tally, WorkQueue
from slipway.sftp.pipeline import Operation
from slipway.sftp.wire import NO_SUCH_FILE, Entry, RefusedError

# What is on its way lies here, in the folder that it goes to; rsync's folder for this has the same name.
PARTIAL = ".slipway-partial"
_AHEAD = 8  # questions for names at once: each brings about a hundred
_CHANNELS = 2
Listing = dict[str, Entry]


def list_tree(
    pool: ChannelPool,
    root: PurePosixPath,
    enters: Callable[[str], bool],
    *,
    missing_ok: bool = True,
    on_refused: Callable[[str, RefusedError], None] | None = None,
) -> Listing:
    """Files, folders and links below a folder, by their names relative to it; links are not followed.

    Args:
        pool: the channels.
        root: the folder.
        enters: whether to look into a folder.
        missing_ok: where it is missing, there is nothing in it; otherwise that is refused.
        on_refused: is told of folders in it that cannot be looked into; without it the first one ends all.
    """
    found: Listing = {}
    work = WorkQueue()

    def look(folder: str) -> Operation:
        try:
            entries = yield from list_folder(root / folder, missing_ok=missing_ok and not folder)
        except RefusedError as refusal:
            if on_refused is None or not folder:
                raise
            return on_refused(folder, refusal)
        for name, entry in entries:
            path = f"{folder}/{name}" if folder else name
            found[path] = entry
            if entry.is_folder and enters(path):
                work.add(look(path))

    work.add(look(""))
    pool.run(work, Tally(0, 0, None), most=_CHANNELS)
    for name in found:
        parent = name.rpartition("/")[0]
        if (
            parent and not found[parent].is_folder
        ):  # two of one name: what is in it would go where the link leads
            raise RefusedError(wire.FAILURE, f"the server has two of the name {parent!r}")
    return found


def list_folder(path: PurePosixPath, *, missing_ok: bool) -> Operation:
    """A conversation that returns the names in a folder, each with what it is.

    Names that lead to somewhere else, which no honest server has, are refused.
    """
    names = []
    try:
        (handle,) = yield [fxp.open_folder(path)]
        more = True
        while more:
            answers = yield [fxp.read_folder(handle) for _ in range(_AHEAD)]
            names += [pair for answer in answers for pair in answer]
            more = all(answers)
        yield [fxp.close(handle)]
    except RefusedError as refusal:
        if missing_ok and refusal.code == NO_SUCH_FILE:
            return []
        refusal.path = refusal.path or path
        raise
    for name, _ in names:
        if not name or "/" in name or "\0" in name:
            raise RefusedError(wire.FAILURE, f"the server has a file of the name {name!r}")
    return [pair for pair in names if pair[0] not in (".", "..")]
