"""What serves files on this machine: OpenSSH's ``sftp-server``, and paramiko's where that is not installed.

No sshd is needed for either. Paramiko's knows no names that are not UTF-8.
"""

from __future__ import annotations

import os
import shutil
import socket
import stat
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from paramiko import SFTPAttributes

# Debian, Fedora, Arch, SUSE, macOS.
_PLACES = (
    "/usr/lib/openssh/sftp-server",
    "/usr/libexec/openssh/sftp-server",
    "/usr/lib/ssh/sftp-server",
    "/usr/libexec/ssh/sftp-server",
    "/usr/libexec/sftp-server",
)


def find_file_server() -> str | None:
    """OpenSSH's server for files, or ``None``."""
    return next((place for place in _PLACES if os.access(place, os.X_OK)), shutil.which("sftp-server"))


def serve_files(source: socket.socket, sink: socket.socket) -> None:
    """Answer SFTP until the other side ends it.

    Args:
        source: what the other side sends.
        sink: what goes to it.
    """
    import paramiko

    line = _Line(source, sink)
    server: Any = paramiko.SFTPServer(line, "sftp", None, _file_interface())  # type: ignore[arg-type]
    with source, sink, suppress(OSError, EOFError, paramiko.SSHException):
        server.start_subsystem("sftp", line, line)


class _Line:
    """What paramiko's server uses of a channel, and of its connection."""

    def __init__(self, source: socket.socket, sink: socket.socket) -> None:
        self._source, self._sink = source, sink

    def recv(self, size_bytes: int) -> bytes:
        return self._source.recv(size_bytes)

    def send(self, content: bytes) -> int:
        return self._sink.send(content)

    def get_transport(self) -> _Line:
        return self

    def get_log_channel(self) -> str:
        return "slipway.files"

    def get_name(self) -> str:
        return "this machine"

    def get_hexdump(self) -> bool:
        return False


def _file_interface() -> Any:
    """The class by which paramiko's server does what it is asked to."""
    from paramiko import SFTPAttributes, SFTPHandle, SFTPServer, SFTPServerInterface
    from paramiko.sftp import SFTP_OK

    def attempt(act: Callable[[], Any]) -> int:
        """SFTP's code for what came of it."""
        try:
            act()
        except OSError as error:
            return int(SFTPServer.convert_errno(error.errno or 0))
        return int(SFTP_OK)

    def look(path: str, *, follow: bool) -> Any:
        try:
            return SFTPAttributes.from_stat(Path(path).stat(follow_symlinks=follow))
        except OSError as error:
            return SFTPServer.convert_errno(error.errno or 0)

    class Handle(SFTPHandle):
        def __init__(self, flags: int, file: BinaryIO) -> None:
            super().__init__(flags)
            self.readfile = self.writefile = file

        def stat(self) -> Any:
            return SFTPAttributes.from_stat(os.fstat(self.readfile.fileno()))

        def chattr(self, attr: SFTPAttributes) -> int:
            return attempt(partial(_change, self.readfile.fileno(), attr))

    class Files(SFTPServerInterface):
        def list_folder(self, path: str) -> Any:
            try:
                found = [_entry(entry) for entry in os.scandir(path)]
            except OSError as error:
                return SFTPServer.convert_errno(error.errno or 0)
            return found

        def stat(self, path: str) -> Any:
            return look(path, follow=True)

        def lstat(self, path: str) -> Any:
            return look(path, follow=False)

        def open(self, path: str, flags: int, attr: SFTPAttributes) -> Any:
            mode = attr.st_mode if attr.st_mode is not None else 0o666
            try:
                file: Any = os.fdopen(os.open(path, flags, mode), _mode(flags), buffering=0)
            except OSError as error:
                return SFTPServer.convert_errno(error.errno or 0)
            return Handle(flags, file)

        def remove(self, path: str) -> int:
            return attempt(partial(os.remove, path))

        def rename(self, oldpath: str, newpath: str) -> int:
            return attempt(partial(os.rename, oldpath, newpath))

        def posix_rename(self, oldpath: str, newpath: str) -> int:
            return attempt(partial(os.replace, oldpath, newpath))

        def mkdir(self, path: str, attr: SFTPAttributes) -> int:
            return attempt(partial(os.mkdir, path, attr.st_mode if attr.st_mode is not None else 0o777))

        def rmdir(self, path: str) -> int:
            return attempt(partial(os.rmdir, path))

        def chattr(self, path: str, attr: SFTPAttributes) -> int:
            return attempt(partial(_change, path, attr))

        def symlink(self, target_path: str, path: str) -> int:
            return attempt(partial(os.symlink, target_path, path))

        def readlink(self, path: str) -> Any:
            try:
                return os.readlink(path)  # noqa: PTH115 - as it is written, a slash at its end too
            except OSError as error:
                return SFTPServer.convert_errno(error.errno or 0)

    return Files


def _entry(entry: os.DirEntry[str]) -> SFTPAttributes:
    from paramiko import SFTPAttributes

    return SFTPAttributes.from_stat(entry.stat(follow_symlinks=False), entry.name)


def _change(place: str | int, attributes: SFTPAttributes) -> None:
    if attributes.st_mode is not None:
        os.chmod(place, stat.S_IMODE(attributes.st_mode))  # noqa: PTH101 - may be an open file
    if attributes.st_size is not None:
        os.truncate(place, attributes.st_size)
    if attributes.st_atime is not None and attributes.st_mtime is not None:
        os.utime(place, (attributes.st_atime, attributes.st_mtime))


def _mode(flags: int) -> str:
    if flags & os.O_RDWR:
        return "rb+"
    return "wb" if flags & os.O_WRONLY else "rb"
