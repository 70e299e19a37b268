"""One program in a container on this machine, from its start to its end, as a job runs it on a node."""

from __future__ import annotations

import codecs
import queue
import signal
import tarfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from slipway.errors import HostError
from slipway.local.container import create, engine_errors
from slipway.local.spec import LocalContainer

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

ENTRY = ".slipway-entry-0"
# How long a program has to end that was told to: SLURM's KillWait.
KILL_WAIT_S = 30
# How soon another command's wish is seen.
_LOOK_S = 0.3
_MIB = 1 << 20
# As in cluster/job.sh: that the entry is gone shows that the program was reached. The engine would bring two
# outputs in any order.
_ENTER = """. "/out/$0" || exit
command -v "$1" >/dev/null || { echo "$1: there is no such program in the image" >&2; exit 127; }
rm -f "/out/$0" && exec "$@" 2>&1
"""
# The program is the child of the container's first process.
_CAUGHT = """
read -r pid _ </proc/1/task/1/children
while read -r key value; do if [ "$key" = SigCgt: ]; then echo "$value"; fi; done </proc/$pid/status
"""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a program may take; ``None`` is as much as there is.

    Attributes:
        time_s: seconds until it is ended.
        grace_s: so many seconds before, it is warned.
        cpus: processor cores.
        memory_mib: memory, in MiB.
    """

    time_s: float | None = None
    grace_s: float = 0
    cpus: int | None = None
    memory_mib: float | None = None


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How a program ended: its exit code and the reason, in the words of :class:`slipway.job.run.Reason`."""

    exit_code: int
    reason: str
    started_s: int
    ended_s: int


def entry_text(words: Sequence[str], settings: Mapping[str, str]) -> bytes:
    """What the container's shell reads before the program: its environment and arguments, in any bytes."""
    lines = [f"export {name}={_quote(value)}" for name, value in settings.items()]
    lines.append(" ".join(["set --", *map(_quote, words)]))
    return ("\n".join(lines) + "\n").encode("utf-8", "surrogateescape")


def unpack_code(archive: BinaryIO, folder: Path) -> None:
    """Make a tree of code of its archive.

    Raises:
        HostError: it cannot be written.
    """
    try:
        folder.mkdir(parents=True)
        with tarfile.open(fileobj=archive, mode="r:", errors="surrogateescape") as tar:
            # It is our own, and has links to wherever the code has them.
            tar.extractall(folder, filter="fully_trusted")  # noqa: S202
    except OSError as error:
        raise HostError(f"the code cannot be copied to {folder}: {error.strerror or error}") from error


class LocalJob:
    """A program in a container of its own, which is gone at its end.

    Args:
        client: the engine.
        wanted: its container.
        limits: what it may take.
        out: the folder that it sees as ``/out``, with the entry in it.
        is_to_end: whether another command wants it to end.

    Attributes:
        has_started: its program has been started; it may have written something.
    """

    def __init__(
        self,
        client: DockerClient,
        wanted: LocalContainer,
        limits: Limits,
        out: Path,
        is_to_end: Callable[[], bool] = lambda: False,
    ) -> None:
        self._client, self._wanted, self._limits, self._is_to_end = client, wanted, limits, is_to_end
        self._entry = out / ENTRY
        self._warned = self._too_long = self._cancelled = False
        self._is_over = threading.Event()
        self.has_started = False

    def run(self, log: Path, on_text: Callable[[str], None]) -> Ending:
        """Run it to its end, and hand over what it prints.

        The first Ctrl-C tells it to end, as `invoke cancel` does; another one kills it.

        Args:
            log: the file that gets all of that, too.
            on_text: is given each piece.

        Raises:
            EngineError: the engine does not start it.
        """
        with engine_errors(self._wanted.name):
            container = create(self._client, self._wanted, self._config())
        try:
            started = int(time.time())
            # The engine's own log would have other bytes where they are no UTF-8.
            stream = _attach(self._client, container)
            with engine_errors(self._wanted.name):
                container.start()
            self.has_started = True
            for watch in (self._watch, self._look_for_wish):
                threading.Thread(target=watch, args=(container,), daemon=True).start()
            with log.open("ab") as file:
                self._follow(container, stream, file, on_text)
            self._is_over.set()
            container.reload()
            state = container.attrs["State"]
            code = int(state["ExitCode"])
            reason = self._reason(code, out_of_memory=bool(state.get("OOMKilled")))
            return Ending(exit_code=code, reason=reason, started_s=started, ended_s=int(time.time()))
        finally:
            self._is_over.set()
            container.remove(force=True, v=True)
            self._entry.unlink(missing_ok=True)

    def _config(self) -> dict[str, Any]:
        config = self._wanted.config(["/bin/sh", "-c", _ENTER, ENTRY])
        host = {**config["HostConfig"], "LogConfig": {"Type": "none"}}
        if self._limits.cpus:
            host["NanoCpus"] = self._limits.cpus * 10**9
        if self._limits.memory_mib:
            host["Memory"] = host["MemorySwap"] = int(self._limits.memory_mib * _MIB)
        return {**config, "HostConfig": host}

    def _follow(
        self, container: Container, stream: Any, file: BinaryIO, on_text: Callable[[str], None]
    ) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")(errors="surrogateescape")
        pieces: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        # Ctrl-C would end what reads in the middle of it.
        threading.Thread(target=_read, args=(stream, pieces), daemon=True).start()
        piece: bytes | None = b""
        while piece is not None:
            try:
                piece = pieces.get()
                file.write(piece or b"")
                file.flush()
                self._show(on_text, decoder.decode(piece or b"", final=piece is None))
            except KeyboardInterrupt:
                self._cancel(container)
        container.wait()

    def _show(self, on_text: Callable[[str], None], text: str) -> None:
        try:
            on_text(text)
        except OSError:
            # A terminal that was closed has told it to end, and shows no more.
            if not self._cancelled:
                raise

    def _cancel(self, container: Container) -> None:
        self._signal(container, "SIGKILL" if self._cancelled else "SIGTERM")
        if not self._cancelled:
            self._cancelled = True
            threading.Thread(target=self._kill_later, args=(container,), daemon=True).start()

    def _look_for_wish(self, container: Container) -> None:
        while not self._is_over.wait(_LOOK_S):
            if self._is_to_end():
                self._cancel(container)
                return

    def _watch(self, container: Container) -> None:
        limit_s = self._limits.time_s
        if limit_s is None:
            return
        grace_s = min(self._limits.grace_s, limit_s / 2)
        if self._is_over.wait(limit_s - grace_s):
            return
        self._warn(container)
        if not self._is_over.wait(grace_s):
            self._too_long = True
            self._signal(container, "SIGTERM")
            self._kill_later(container)

    def _warn(self, container: Container) -> None:
        """Warn a program that has a handler for SIGUSR1; one without would be ended by it."""
        if self._entry.exists():
            return
        with suppress(Exception):
            caught: Any = container.exec_run(["/bin/sh", "-c", _CAUGHT], user="0").output
            if int(caught.split()[0], 16) >> (signal.SIGUSR1 - 1) & 1:
                self._warned = True
                container.kill("SIGUSR1")

    def _kill_later(self, container: Container) -> None:
        if not self._is_over.wait(KILL_WAIT_S):
            self._signal(container, "SIGKILL")

    def _signal(self, container: Container, name: str) -> None:
        # It may just have ended.
        with suppress(Exception):
            container.kill(name)

    def _reason(self, code: int, *, out_of_memory: bool) -> str:
        if self._warned or self._too_long:
            return "time-limit"
        if self._cancelled:
            return "cancelled"
        if code == 0:
            return "ok"
        if out_of_memory:
            return "out-of-memory"
        return "launch-failure" if self._entry.exists() else "program-error"


def _attach(client: DockerClient, container: Container) -> Any:
    """The container's outputs, from its first byte on."""
    api: Any = client.api
    stream = api.attach_socket(container.id, params={"stdout": 1, "stderr": 1, "stream": 1})
    # A program may print nothing for hours.
    getattr(stream, "_sock", stream).settimeout(None)
    return stream


def _read(stream: Any, pieces: queue.SimpleQueue[bytes | None]) -> None:
    from docker.utils.socket import frames_iter

    iterate: Any = frames_iter
    try:
        for _, piece in iterate(stream, tty=False):
            pieces.put(piece)
    finally:
        stream.close()
        pieces.put(None)


def _quote(word: str) -> str:
    return "'" + word.replace("'", "'\\''") + "'"
