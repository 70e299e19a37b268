"""SFTP in rsync's place: the same guarantees, but a file that has changed goes whole."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from slipway.errors import SlipwayError
from slipway.host.host import Host
from slipway.progress import OnProgress, Transfer
from slipway.sftp.channel_pool import ChannelPool, Tally, WorkQueue
from slipway.sftp.fxp import set_attributes
from slipway.sftp.listing import PARTIAL, list_tree
from slipway.skipped import Skipped
from slipway.transfer.letter_case import explain_clash, find_clashes, ignores_case
from slipway.transfer.sftp.download import Download
from slipway.transfer.sftp.journal import identity
from slipway.transfer.sftp.local_file import told
from slipway.transfer.sftp.upload import Upload
from slipway.transfer.sftp.upload_plan import Plan, plan_file, plan_source, plan_tree
from slipway.transfer.source import Source

# docs/transfer.md has the figures. sshd lets a connection have 10 sessions unless it is told otherwise.
CHANNELS = 4
# Another channel costs some round trips, and is worth it from here on.
_BYTES_A_CHANNEL = 4 << 20
_FILES_A_CHANNEL = 200


class Sftp:
    """SFTP as a :class:`~slipway.host.carrier.Carrier`, over several channels of the one connection."""

    def __init__(self, host: Host, channels: int = CHANNELS) -> None:
        self.host = host
        self.channels = channels

    def send_file(
        self,
        source: Path,
        folder: PurePosixPath,
        *,
        old: PurePosixPath | None = None,
        on_progress: OnProgress | None = None,
    ) -> Transfer:
        """See :meth:`slipway.host.carrier.Carrier.send_file`; ``old`` is of no use here."""
        return self._send(plan_file(source), folder, None, on_progress)

    def send_source(
        self, source: Source, folder: PurePosixPath, *, on_progress: OnProgress | None = None
    ) -> Transfer:
        """As :meth:`send_file`, for a file that need not be whole here."""
        return self._send(plan_source(source), folder, None, on_progress)

    @staticmethod
    def left_of(source: Source) -> set[str]:
        """The names, in that folder, of what :meth:`send_source` leaves of this version where it is cut."""
        (one,) = plan_source(source).files.values()
        part = f"{PARTIAL}/{identity(one.name, one.size_bytes, one.mtime_s)}"
        return {part, f"{part}.journal"}

    def send_tree(
        self,
        source: Path,
        target: PurePosixPath,
        *,
        names: Sequence[str] | None = None,
        old: PurePosixPath | None = None,
        partial: bool = False,
        on_progress: OnProgress | None = None,
    ) -> Transfer:
        """See :meth:`slipway.host.carrier.Carrier.send_tree`."""
        with told(source, reading=True):
            mtime_s = source.stat().st_mtime_ns // 10**9
        transfer = self._send(
            plan_tree(source, names, partial=partial), target, old, on_progress, partial=partial
        )
        if names is None:
            with self.host.pool(1) as pool:
                pool.sessions[0].ask(set_attributes(target, times_s=(time.time(), mtime_s)))
        return transfer

    def fetch_tree(
        self,
        source: PurePosixPath,
        target: Path,
        *,
        names: Sequence[str] | None = None,
        without: Sequence[str] = (),
        on_progress: OnProgress | None = None,
    ) -> Transfer:
        """See :meth:`slipway.host.carrier.Carrier.fetch_tree`."""
        chosen = None if names is None else _with_folders(names)

        def is_wanted(name: str) -> bool:
            if PARTIAL in name.split("/") or not (chosen is None or name in chosen):
                return False
            return not any(fnmatchcase(name.split("/")[0], pattern) for pattern in without)

        with told(target):
            target.mkdir(parents=True, exist_ok=True)
            is_tight = ignores_case(target)
        work = WorkQueue()
        skipped: dict[str, str] = {}
        with self.host.pool(self.channels) as pool:
            listed = list_tree(
                pool,
                source,
                is_wanted,
                missing_ok=False,
                on_refused=lambda name, refusal: skipped.update({name: refusal.reason}),
            )
            there = {name: entry for name, entry in listed.items() if is_wanted(name)}
            if is_tight:
                skipped |= {name: explain_clash(other) for name, other in find_clashes(there).items()}
            tally = Tally(0, 0, on_progress)
            down = Download(source, there, target, skipped=skipped, add=work.add, tell=tally.add)
            return self._fetch(pool, work, down, tally)

    def _fetch(self, pool: ChannelPool, work: WorkQueue, down: Download, tally: Tally) -> Transfer:
        down.make_folders()
        files = down.files
        new = {name: entry for name, entry in files.items() if not down.is_same(name)}
        tally.total_bytes = sum(entry.size_bytes for entry in files.values())
        left = sum(entry.size_bytes for entry in new.values())
        tally.add(tally.total_bytes - left)
        for operation, size_bytes in down.contents():
            work.add(operation, size_bytes)
        try:
            pool.run(work, tally, most=_channels_for(left, len(new)))
        finally:
            down.tidy()
        down.set_times()
        done = _transfer(pool, tally, len(new.keys() - down.skipped.keys()))
        return replace(done, skipped=_listed(down.skipped), left_out=down.left_out)

    def _send(
        self,
        plan: Plan,
        target: PurePosixPath,
        old: PurePosixPath | None,
        on_progress: OnProgress | None,
        *,
        partial: bool = False,
    ) -> Transfer:
        self.host.make_folder(target)
        work, up = WorkQueue(), None
        try:
            with self.host.pool(self.channels) as pool:
                there = list_tree(pool, target, plan.holds)
                earlier = (old, list_tree(pool, old, plan.holds)) if old is not None else None
                tally = Tally(plan.total_bytes, 0, on_progress)
                up = Upload(plan, target, there, add=work.add, tell=tally.add, old=earlier, partial=partial)
                return self._bring(pool, work, up, tally)
        except SlipwayError:
            self._tidy(up)
            raise

    def _tidy(self, up: Upload | None) -> None:
        """After a failure: what of large files has arrived is kept for the next attempt, and nothing else."""
        if up is not None and self.host.is_open:
            with suppress(SlipwayError), self.host.pool(1) as pool:
                pool.sessions[0].run_operation(up.tidy())

    def _bring(self, pool: ChannelPool, work: WorkQueue, up: Upload, tally: Tally) -> Transfer:
        new = up.to_send
        left = sum(one.size_bytes for one in new)
        tally.add(tally.total_bytes - left)
        for level in up.levels():
            pool.run(WorkQueue(level), tally, most=1)
        for operation, size_bytes in up.contents():
            work.add(operation, size_bytes)
        pool.run(work, tally, most=_channels_for(left, len(new)))
        pool.run(WorkQueue(up.times()), tally, most=1)
        pool.run(WorkQueue([up.tidy()]), tally, most=1)
        done = _transfer(pool, tally, len([one for one in new if one.name not in up.skipped]))
        return replace(done, skipped=_listed(up.skipped))


def _with_folders(names: Iterable[str]) -> set[str]:
    """Names, and the folders that they lie in."""
    found = set(names)
    for name in names:
        while (name := name.rpartition("/")[0]) and name not in found:
            found.add(name)
    return found


def _channels_for(size_bytes: int, files: int) -> int:
    return 1 + max(size_bytes // _BYTES_A_CHANNEL, files // _FILES_A_CHANNEL)


def _listed(skipped: Mapping[str, str]) -> list[Skipped]:
    return [Skipped(name=name, why=why) for name, why in sorted(skipped.items())]


def _transfer(pool: ChannelPool, tally: Tally, files: int) -> Transfer:
    sent, received = pool.moved_bytes
    return Transfer(sent_bytes=sent, received_bytes=received, total_bytes=tally.total_bytes, files=files)
