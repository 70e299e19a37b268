"""A dataset's sequences, fetched by a cluster's login node itself, with ``cluster/fetch.sh``."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from slipway.dataset.catalog import Dataset, SequenceEntry
from slipway.dataset.comparison import believed
from slipway.dataset.fetch import Fetched
from slipway.dataset.manifest import File, Manifest, format_manifest, manifest_path, parents, parse_manifest
from slipway.errors import DownloadError, ParseError, RemoteError, RemoteSpaceError, SlipwayError
from slipway.host.host import Host
from slipway.host.inventory import Entry, Kind, read_text, take_inventory, write_text
from slipway.host.scratch import Scratch
from slipway.progress import Progress
from slipway.text.wording import counted, megabytes
from slipway.transfer.checksum import hash_remote
from slipway.web import hide_password

_NO_ROOM = re.compile(r"No space left on device|Disk quota exceeded|disk full", re.I)


class _NoNetworkError(RemoteError):
    """The login node does not reach the server; no other sequence would be fetched either."""


@dataclass
class _Said:
    """What the script has said so far."""

    token: str
    progress: Progress
    words: dict[str, str] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)
    shown: str = ""

    def listen(self, line: str) -> None:
        token, _, rest = line.partition(" ")
        word, _, value = rest.partition(" ")
        if token != self.token:
            self.others.append(line)
        elif word == "step":
            self.progress.step(f"{self.shown}: the login node {value}")
        elif word == "at" and re.fullmatch("[0-9]{1,18}", value):
            self.progress.line(f"{megabytes(int(value))} have arrived there")
        else:
            self.words[word] = value


@dataclass(frozen=True, kw_only=True)
class FetchThere:
    """Has a login node fetch sequences of a dataset.

    Attributes:
        host: the connection.
        scratch: where datasets are there.
        script: the text of ``cluster/fetch.sh``.
        dataset: what is fetched.
        progress: is told each step.
        by_hand: what a person can do where the node has no network.
    """

    host: Host
    scratch: Scratch
    script: str
    dataset: Dataset
    progress: Progress
    by_hand: str

    @property
    def path(self) -> PurePosixPath:
        """The dataset's folder there."""
        return self.scratch.data / self.dataset.name

    def run(self, names: Sequence[str]) -> Fetched:
        """Fetch sequences, unless they are there; one that fails stops no other.

        After each one the manifest beside the dataset has its files, so that they are as if staged.

        Raises:
            RemoteError: the login node does not reach a server.
            RemoteSpaceError: there is no room there.
            RemoteError: the dataset's folder is a link, or cannot be read.
            SshError: the connection was lost; the same again goes on.
        """
        self.host.require_commands()
        self.progress.step(f"Looking at what is there of {self.dataset.name}")
        entries = take_inventory(self.host, self.path) or {}
        manifest = self._manifest()
        new, there, unknown = [], [], []
        failed: list[tuple[str, SlipwayError]] = []
        for place, name in enumerate(names, 1):
            entry = self.dataset.sequences[name]
            known = _below(manifest.files, entry.folder)
            if known and known <= believed(manifest, entries).keys():
                there.append(name)
                continue
            if not known and _below(entries, entry.folder):
                unknown.append(name)
                continue
            try:
                self._fetch(name, entry, f"{name} ({place} of {len(names)})" if len(names) > 1 else name)
            except (DownloadError, RemoteError) as error:
                if isinstance(error, _NoNetworkError | RemoteSpaceError):
                    raise
                failed.append((name, error))
                continue
            new.append(name)
            entries = take_inventory(self.host, self.path) or {}
            manifest = self._describe(manifest, entries, entry.folder)
        return Fetched(new=new, there=there, unknown=unknown, failed=failed)

    def _manifest(self) -> Manifest:
        try:
            text = read_text(self.host, manifest_path(self.path))
            return parse_manifest(text) if text else Manifest()
        except ParseError:
            return Manifest()

    def _describe(self, old: Manifest, entries: Mapping[str, Entry], folder: str) -> Manifest:
        """Write the manifest of what is there: what it had and still is so, and the folder that came."""
        came = sorted(name for name in _below(entries, folder) if entries[name].kind is Kind.FILE)
        self.progress.step(f"Hashing {counted(len(came), 'file')} there")
        digests = hash_remote(self.host, self.path, came)
        files = {name: old.files[name] for name in believed(old, entries)}
        files |= {
            name: File(
                sha256=digests[name],
                size_bytes=entries[name].size_bytes,
                mtime_s=entries[name].mtime_s,
                executable=entries[name].executable,
            )
            for name in came
            if name in digests
        }
        links = {name: entry.target for name, entry in entries.items() if entry.target is not None}
        folders = {name for name, entry in entries.items() if entry.kind is Kind.FOLDER}
        empty = frozenset(folders - parents(list(entries)))
        manifest = Manifest(files=files, links=links, folders=empty)
        write_text(self.host, manifest_path(self.path), format_manifest(manifest, self.dataset.name))
        return manifest

    def _fetch(self, name: str, entry: SequenceEntry, shown: str) -> None:
        if not entry.fetch:
            raise DownloadError(
                f"{self.dataset.file} does not say where {name} is fetched from; {self.by_hand}"
            )
        said = _Said(token=secrets.token_hex(8), progress=self.progress, shown=shown)
        words = (self.scratch.data, self.dataset.name, name, entry.folder, (entry.calibration or "").strip())
        archives = [
            word for one in entry.fetch for word in (one.url, one.file_name, one.sha256 or "", one.md5 or "")
        ]
        # A login shell: its start files often name a proxy, which alone leads out.
        argv = ["bash", "-l", "-c", self.script, "slipway", said.token, *map(str, words), *archives]
        code = self.host.stream(argv, said.listen)
        if code or "end" not in said.words:
            raise self._explain(name, entry, said, code)

    def _explain(self, name: str, entry: SequenceEntry, said: _Said, code: int) -> SlipwayError:
        lines = "\n  ".join(line for line in said.others[-6:] if line.strip())
        why, _, what = said.words.get("failed", "").partition(" ")
        target = self.host.target
        servers = ", ".join(sorted({urlsplit(one.url).hostname or "?" for one in entry.fetch}))
        if _NO_ROOM.search(lines):
            return RemoteSpaceError(
                f"{target}:{self.path}: the disk is full, or your quota is reached:\n  {lines}\n"
                "  What has arrived is kept; make room there, then the same command goes on"
            )
        if why == "network":
            return _NoNetworkError(
                f"{target} does not reach {servers} (exit code {what} of what fetches there). {self.by_hand}"
            )
        if why in ("refused", "cut", "page", "hash", "unpack", "odd", "empty"):
            urls = ", ".join(hide_password(one.url) for one in entry.fetch)
            words = {
                "refused": f"the server does not give it (exit code {what} of what fetches there)",
                "cut": "the line was cut; what has arrived is kept, and the same command goes on there",
                "page": "the server gives a web page in place of the file",
                "hash": _hash_words(what, self.dataset),
                "unpack": f"{what} cannot be unpacked there; it may be damaged, or unzip and python3 missing",
                "odd": "something in it is no file, or a link that leads out; it was removed",
                "empty": "there is no file in what was fetched",
            }[why]
            return DownloadError(f"{urls}: {words}" + (f":\n  {lines}" if lines else ""))
        words = {
            "busy": f"another command fetches {name} there just now; try again later",
            "program": f"there is none of curl, wget and python3 there. {self.by_hand}",
            "write": f"{self.path.parent} cannot be written to",
        }.get(why, f"the script there ended with exit code {code}")
        return RemoteError(f"{target}: {words}" + (f":\n  {lines}" if lines else ""))


def _hash_words(what: str, dataset: Dataset) -> str:
    kind, _, digests = what.partition(" ")
    found, _, wanted = digests.partition(" ")
    return f"its {kind} is {found}, and {wanted} by {dataset.file}; it was removed there"


def _below(names: Mapping[str, object], folder: str) -> set[str]:
    return {name for name in names if name.startswith(f"{folder}/")}
