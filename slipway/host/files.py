"""Files on a host: small ones read and written, names moved and made, channels for those who move more."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from slipway.errors import ParseError, RemoteError, RemoteSpaceError, TransferOnlyError
from slipway.host.command_line import START_FILES, quote_text
from slipway.host.connection import CHANNEL_PATIENCE_S, Connection
from slipway.sftp import fxp, small_file, wire
from slipway.sftp.wire import Entry, MalformedError, RefusedError, Request, Room
from slipway.ssh.target import Target
from slipway.ssh.transport import refused_error, ssh_error

if TYPE_CHECKING:
    from slipway.host.connection import LogIn
    from slipway.sftp.channel_pool import ChannelPool
    from slipway.sftp.listing import Listing
    from slipway.sftp.pipeline import Operation
    from slipway.sftp.session import Session
    from slipway.ssh.transport import Transport

FILES_TIMEOUT_S = 120
_FULL_BYTES = 1 << 20
_CHANNELS = 2


class Files(Connection):
    """A connection that reads and writes files, over one channel that stays open."""

    def __init__(
        self, target: Target, transports: Sequence[Transport], log_in_again: LogIn | None = None
    ) -> None:
        super().__init__(target, transports, log_in_again)
        self._session: Session | None = None

    def write(self, path: PurePosixPath, content: bytes) -> None:
        """Write a small file as a whole: under a temporary name, then renamed.

        Raises:
            RemoteError: the file cannot be written.
        """
        # Two who write it at once have a name each.
        part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
        with self._files(path) as session:
            session.run_operation(small_file.write(path, part, content))

    def read(self, path: PurePosixPath, offset: int = 0, most_bytes: int | None = None) -> bytes | None:
        """The bytes of a file from ``offset`` on, at most so many; ``None`` where there is no such file."""
        try:
            with self._files(path) as session:
                content: bytes = session.run_operation(small_file.read(path, offset, most_bytes))
                return content
        except _NoSuchFileError:
            return None

    def list(self, folder: PurePosixPath) -> Sequence[str]:
        """The names in a folder, in no order; none where there is no such folder."""
        from slipway.sftp.listing import list_folder

        with self._files(folder) as session:
            return [name for name, _ in session.run_operation(list_folder(folder, missing_ok=True))]

    def entries(self, folder: PurePosixPath) -> Listing:
        """What is in a folder, as far down as it goes, by name, and the folder itself as ``""``.

        Returns:
            Nothing where there is no such folder, and one entry where it is a file or a link.
            No link is followed.
        """
        from slipway.sftp.listing import list_tree

        top = self._look(folder, follow=False)
        if top is None or not top.is_folder:
            return {} if top is None else {"": top}
        with self.pool(_CHANNELS) as pool:
            return {"": top, **list_tree(pool, folder, lambda _: True)}

    def read_links(self, folder: PurePosixPath, names: Sequence[str]) -> Sequence[str]:
        """What links in a folder say, in the order of their names."""
        with self._files(folder) as session:
            answers: Sequence[str] = session.run_operation(
                _together(fxp.read_link(folder / name) for name in names)
            )
            return answers

    def size(self, path: PurePosixPath) -> int | None:
        """The size in bytes of a file, or of what a link leads to; ``None`` where there is none."""
        entry = self._look(path)
        return entry.size_bytes if entry is not None else None

    def is_newer(self, path: PurePosixPath, other: PurePosixPath) -> bool:
        """True where both are there, and the first was written in a later second than the other."""
        if (entry := self._look(path)) is None or (old := self._look(other)) is None:
            return False
        return entry.mtime_s > old.mtime_s

    def free_bytes(self, folder: PurePosixPath) -> int | None:
        """The room on the disk of a folder, without regard to quotas; ``None`` where it cannot be asked."""
        room = self._room(folder)
        return room.free_bytes if room is not None else None

    def make_folder(self, path: PurePosixPath) -> None:
        """Make a folder, and those that it lies in; it may be there already.

        Raises:
            RemoteError: it cannot be made.
        """
        if self.is_folder(path):
            return
        if path.parent != path:
            self.make_folder(path.parent)
        try:
            with self._files(path) as session:
                session.ask(fxp.make_folder(path))
        except RemoteError:
            if not self.is_folder(path):  # made by somebody else in the meantime
                raise

    def is_folder(self, path: PurePosixPath) -> bool:
        """True where there is a folder of this name, or a link that leads to one."""
        entry = self._look(path)
        return entry is not None and entry.is_folder

    def move(self, old: PurePosixPath, new: PurePosixPath) -> None:
        """Rename in one step; a file or link that has the new name is replaced, a folder only if it is empty.

        Raises:
            RemoteError: that is not possible.
        """
        with self._files(old) as session:
            session.ask(fxp.rename(old, new))

    def move_all(self, old: PurePosixPath, new: PurePosixPath, names: Sequence[str]) -> None:
        """Move files and links from one folder to the same names in another, each in one step.

        Raises:
            RemoteError: that is not possible for one of them.
        """
        with self._files(new) as session:
            session.run_operation(_together(fxp.rename(old / name, new / name) for name in names))

    def remove_all(self, folder: PurePosixPath, names: Sequence[str]) -> None:
        """Remove files and links in a folder; those that are gone already are no trouble."""
        with suppress(_NoSuchFileError), self._files(folder) as session:
            session.run_operation(_together(fxp.remove(folder / name) for name in names))

    def remove_folder(self, path: PurePosixPath) -> None:
        """Remove an empty folder, if it is there.

        Raises:
            RemoteError: it cannot be removed, as where something is in it.
        """
        with suppress(_NoSuchFileError), self._files(path) as session:
            session.ask(fxp.remove_folder(path))

    def remove(self, path: PurePosixPath) -> None:
        """Remove a file or link, if it is there."""
        with suppress(_NoSuchFileError), self._files(path) as session:
            session.ask(fxp.remove(path))

    def point(self, name: PurePosixPath, target: str) -> None:
        """Make ``name`` a link to ``target``, or switch it there, in one step."""
        # Two who do this at once have a name each.
        fresh = name.with_name(f".{name.name}.{secrets.token_hex(4)}")
        with self._files(name) as session:
            session.ask(fxp.make_link(fresh, target))
        try:
            self.move(fresh, name)
        except RemoteError:
            self.remove(fresh)
            raise

    def _look(self, path: PurePosixPath, *, follow: bool = True) -> Entry | None:
        try:
            with self._files(path) as session:
                entry: Entry = session.ask(fxp.look(path, follow=follow))
                return entry
        except _NoSuchFileError:
            return None

    def _room(self, folder: PurePosixPath) -> Room | None:
        """How full a disk is; ``None`` where the server cannot tell."""
        with self.translated():
            for place in (folder, *folder.parents):
                try:
                    room: Room = self._own_session().ask(fxp.ask_room(place))
                    return room
                except RefusedError as refusal:
                    if refusal.code != wire.NO_SUCH_FILE:
                        return None
                except MalformedError:
                    return None
        return None

    @contextmanager
    def translated(self) -> Iterator[None]:
        """See :meth:`slipway.host.connection.Connection.translated`.

        Raises:
            ParseError: the server for files sent something that is no message of it.
        """
        try:
            with super().translated():
                yield
        except MalformedError as error:
            raise ParseError(f"{self.target}: {error}; try again, and ask the site if it stays") from error

    @contextmanager
    def pool(self, most: int) -> Iterator[ChannelPool]:
        """Up to so many channels for files; fewer where the server lets this connection have no more.

        Raises:
            RemoteError: the server refused something.
            ConnectionLostError: the connection was lost.
        """
        from slipway.sftp.channel_pool import ChannelPool

        with self.translated():
            pool = ChannelPool(self._own_session(), self._another_session, most)
            self._session = None  # it is theirs for now
            try:
                yield pool
            except RefusedError as refusal:
                pool.close()
                raise self._explained(refusal, refusal.path) from refusal
            except BaseException:
                pool.close()
                raise
            self._session = pool.keep_first()

    def spare_channel(self) -> None:
        """Give up the channel for files; the next use opens another."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def say_why_no_files(self) -> None:
        """Raise what a user has to know where no file transfer begins, if that is something else."""

    @contextmanager
    def _files(self, path: PurePosixPath) -> Iterator[Session]:
        with self.translated():
            session = self._own_session()
            try:
                yield session
            except RefusedError as refusal:
                raise self._explained(refusal, path) from refusal
            finally:
                if not session.is_clean:
                    session.close()
                    self._session = None

    def _explained(self, refusal: RefusedError, path: PurePosixPath | None) -> RemoteError:
        where = f"{self.target}:{path}" if path is not None else str(self.target)
        if refusal.code == wire.NO_SUCH_FILE:
            return _NoSuchFileError(f"{where}: there is no such file or folder")
        if refusal.code == wire.PERMISSION_DENIED:
            return RemoteError(f"{where}: permission denied; {self.target.user} may not do that there")
        if refusal.code == wire.FAILURE and refusal.changes and path is not None:
            room = self._room(path.parent)
            if room is not None and room.is_read_only:
                return RemoteError(
                    f"{where}: it is on a read-only file system, so nothing can be written there now; the "
                    "cluster's support can say why, and until when"
                )
            if room is not None and (room.free_bytes < _FULL_BYTES or not room.free_names):
                free = f"{room.free_bytes / 1e6:.1f} MB and {room.free_names} files are free"
                return RemoteSpaceError(f"{where}: the disk is full ({free}); make room there and try again")
            if refusal.writes:
                return RemoteSpaceError(
                    f"{where}: the server takes no more, and does not say why. The disk has room, so it is "
                    "most likely your quota: the site's documentation says how to see it. Make room"
                )
        words = refusal.words or f"SFTP's code {refusal.code}"
        return RemoteError(f"{where}: the server will not do that, and says only: {words}")

    def _own_session(self) -> Session:
        if self._session is None:
            self._session = self._open_session()
        return self._session

    def _another_session(self) -> Session | None:
        try:
            return self._open_session(patience_s=0)
        except ssh_error():
            # Of several that are refused at once, paramiko gives only one the reason.
            if not self.is_open:
                raise
            return None

    def _open_session(self, patience_s: float = CHANNEL_PATIENCE_S) -> Session:
        from slipway.sftp.session import NoGreetingError, Session

        channel = self.open_channel(patience_s)
        try:
            channel.settimeout(FILES_TIMEOUT_S)
            channel.invoke_subsystem("sftp")
            return Session(channel)
        except refused_error():
            channel.close()
            raise
        except NoGreetingError as error:
            channel.close()
            if not self.is_open:
                raise
            raise self._explain_no_files(error, error.text) from error
        except (ssh_error(), EOFError, OSError) as error:
            text = channel.recv(1 << 10) if channel.recv_ready() else b""
            channel.close()
            if not self.is_open or isinstance(error, TimeoutError):
                raise
            raise self._explain_no_files(error, text) from error

    def _explain_no_files(self, error: Exception, text: bytes) -> NoFileTransferError:
        """Why no file transfer begins, where a text came in its place, or nothing."""
        with suppress(*[TransferOnlyError] if text else []):
            self.say_why_no_files()
        if not text:
            return NoFileTransferError(
                f"{self.target}: this host has no file transfer (SFTP), which Slipway needs ({error}); ask "
                "the site to turn on sshd's `Subsystem sftp`, or for another host"
            )
        return NoFileTransferError(
            f"{self.target}: instead of file transfer (SFTP) came the text {quote_text(text)}: {error}. "
            f"A start file of the login shell ({START_FILES}) prints that there, and then ends, waits or "
            "starts another program. Let it do so in interactive shells only, as by `[ -t 1 ] || return` in "
            "its first line"
        )


class NoFileTransferError(RemoteError):
    """The host has no file transfer, or what its login shell prints is in the way."""


class _NoSuchFileError(RemoteError):
    pass


def _together(requests: Iterable[Request]) -> Operation:
    """Ask many things without waiting for the answer to each; all are asked, whatever is refused."""
    return (yield requests)
