"""A dataset here beside the same one on a cluster: what has to be sent, made, and removed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from slipway.dataset.manifest import File, Manifest, parents
from slipway.host.inventory import Entry, Kind


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """How a dataset there differs from what it is here; all names are relative to it.

    Attributes:
        send: files and links that are not there as they are here.
        make: folders that are not there.
        blocking: files and links there in the place of which there are folders here.
        blocking_folders: folders there in the place of which files or links are here, and those in them.
        blocked: files and links in those folders.
        surplus: files, links and others that are there and not here, ``blocked`` among them.
        unread: files and links there of which there is something here that could not be sent; they stay.
        surplus_folders: folders that are there and nothing of their name here.
    """

    send: frozenset[str]
    make: frozenset[str]
    blocking: frozenset[str]
    blocking_folders: frozenset[str]
    blocked: frozenset[str]
    surplus: frozenset[str]
    unread: frozenset[str]
    surplus_folders: frozenset[str]

    @property
    def listed_surplus(self) -> list[str]:
        """What to tell the user of: what is there and not here, without the folders that it lies in."""
        filled = parents([*self.surplus, *self.surplus_folders])
        return sorted([*self.surplus, *(self.surplus_folders - filled)])


def compare(
    here: Manifest, there: Mapping[str, Entry], digests: Mapping[str, str], skipped: Collection[str] = ()
) -> Comparison:
    """Find what differs.

    Args:
        here: the dataset.
        there: what is in its folder on the cluster.
        digests: the SHA-256 of files there, as far as they are known.
        skipped: what is here and could not be sent; nobody knows what is in a folder among it.
    """
    leaves = {*here.files, *here.links}
    folders = here.all_folders()
    folders_there = {name for name, entry in there.items() if entry.kind is Kind.FOLDER}
    same = {name for name in here.files if is_same_file(here.files[name], there.get(name), digests.get(name))}
    same |= {name for name, target in here.links.items() if name in there and there[name].target == target}
    in_the_way = folders_there & leaves
    below = {name for name in there if in_the_way & parents([name])} if in_the_way else set()
    surplus = there.keys() - folders_there - leaves - folders - below
    unknown = set(skipped)
    unread = {name for name in there if unknown and not unknown.isdisjoint([name, *parents([name])])}
    return Comparison(
        send=frozenset(leaves - same),
        make=frozenset(folders - folders_there),
        blocking=frozenset(folders & (there.keys() - folders_there)),
        blocking_folders=frozenset(in_the_way | (below & folders_there)),
        blocked=frozenset(below - folders_there),
        surplus=frozenset((surplus - unread) | (below - folders_there)),
        unread=frozenset(surplus & unread),
        surplus_folders=frozenset(folders_there - folders - in_the_way - unread - parents(unknown)),
    )


def is_same_file(file: File, entry: Entry | None, digest: str | None) -> bool:
    """True where a file there is the one that is here."""
    return (
        entry is not None
        and entry.kind is Kind.FILE
        and (entry.size_bytes, entry.executable) == (file.size_bytes, file.executable)
        and digest == file.sha256
    )


def believed(old: Manifest, there: Mapping[str, Entry]) -> dict[str, str]:
    """The hashes of those files that are still there as the manifest has them, by size and time."""
    return {
        name: file.sha256
        for name, file in old.files.items()
        if name in there
        and there[name].kind is Kind.FILE
        and (there[name].size_bytes, there[name].mtime_s) == (file.size_bytes, file.mtime_s)
    }
