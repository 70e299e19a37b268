"""A laptop that fails: its disk, its temporary folders, its engine; put to sleep; two commands at once."""

import os
import random
import shlex
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from slipway.image.endpoint import find_endpoint
from tests.campaign import LONG, rounds
from tests.faults import Made
from tests.integration.faults import work
from tests.integration.faults.laptop import LOST, Laptop
from tests.integration.faults.mounts import fill_here, free_here, small_disk_here
from tests.integration.faults.test_lines import BROKEN
from tests.integration.faults.work import Work, each

SLEEP_S = 100.0 if LONG else 3.0
FULL = (66, 67, 75, 91)


@pytest.fixture(scope="module")
def tight(yard: Laptop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laptop]:
    """A laptop all of whose folders are on a disk of 60 MB."""
    folder = tmp_path_factory.mktemp("tight")
    with small_disk_here(folder, "60m"):
        laptop = Laptop(yard.small, folder / "laptop", yard.proxy)
        laptop.environment["TMPDIR"] = str(folder)
        yield laptop
        laptop.end_keepers()


@pytest.mark.fault("laptop", "disk full")
@each(work.Job, work.Sweep, work.Pull, work.Stage, work.Login)
def test_a_full_disk(kind: type[Work], tight: Laptop, dice: random.Random, made: Made) -> None:
    tight.proxy.count()
    some = kind(tight, dice)
    some.begin()
    for number in range(rounds(10, 1)):
        fill_here(tight.folder, number if number < 8 else dice.randrange(8, 500))
        ended = tight.finish(tight.start(*some.words, argv=some.argv))
        free_here(tight.folder)
        made(f"in {some.title}")
        assert ended.code in (0, *FULL), ended
        assert not ended.code or "No space left" in ended.said or "is full" in ended.said, ended
        some.check()
        again = tight.finish(tight.start(*some.words, argv=some.argv))
        assert again.code == 0, again
        some.check()
        some.finished()
        some.begin()


# All that Python takes for a folder of temporary files is read-only, but for the current folder.
NO_TEMPORARY = (
    "for f in /tmp /var/tmp; do mount --rbind $f $f; done; mount --bind {folder} {folder}; "
    'for f in /tmp /var/tmp; do mount -o remount,bind,ro $f; done; exec "$@"'
)


@pytest.mark.fault("laptop", "no temporary folder")
@each(work.Job, work.Stage, work.Pull, work.Keep, work.Login)
def test_no_temporary_folder(kind: type[Work], laptop: Laptop, dice: random.Random, made: Made) -> None:
    if os.geteuid():
        pytest.skip("only root has a name space in which /tmp is read-only")
    some = kind(laptop, dice)
    laptop.environment["TMPDIR"] = "/none"
    try:
        some.begin()
        script = NO_TEMPORARY.format(folder=shlex.quote(str(laptop.folder)))
        argv = ["unshare", "-m", "sh", "-euc", script, "sh", *some.argv]
        ended = laptop.finish(laptop.start(*some.words, argv=argv))
    finally:
        del laptop.environment["TMPDIR"]
    made(f"in {some.title}")
    assert ended.code == 0, ended
    some.check()
    some.finished()


class EngineLine:
    """A socket in the place of the engine's, which can be cut: what is seen of an engine that restarts."""

    def __init__(self, path: Path) -> None:
        endpoint = find_endpoint()
        self.target = str(endpoint.address).removeprefix("unix://")
        self.is_there = True
        self._open: list[socket.socket] = []
        self._ended: list[socket.socket] = []
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        self._server.listen(16)
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, seconds: float) -> None:
        self.is_there = False
        some, self._open = self._open, []
        for one in some:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        # They are closed once nobody reads them any more.
        self._ended += some
        time.sleep(seconds)
        self.is_there = True

    def close(self) -> None:
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self.cut(0.0)
        for one in self._ended:
            one.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                here, _ = self._server.accept()
                if not self.is_there:
                    here.close()
                    continue
                there = socket.socket(socket.AF_UNIX)
                there.connect(self.target)
                self._open += [here, there]
                for pair in ((here, there), (there, here)):
                    threading.Thread(target=self._carry, args=pair, daemon=True).start()

    @staticmethod
    def _carry(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while content := source.recv(1 << 16):
                target.sendall(content)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)


@pytest.mark.fault("laptop", "engine gone in the middle, as when Docker is restarted")
@each(work.Build, work.Convert)
def test_the_engine_goes(
    kind: type[Work], laptop: Laptop, dice: random.Random, made: Made, open_folder: Path
) -> None:
    line = EngineLine(open_folder / "engine.sock")
    some = kind(laptop, dice)
    laptop.environment["DOCKER_HOST"] = f"unix://{open_folder}/engine.sock"
    try:
        for _ in range(rounds(5, 1)):
            some.begin()
            process = laptop.start(*some.words)
            time.sleep(dice.uniform(0.7, 3.0))
            line.cut(1.0)
            ended = laptop.finish(process)
            made(f"in {some.title}")
            assert ended.code == 0 or "engine" in ended.said.lower() or "docker" in ended.said.lower(), ended
            some.check()
            laptop.run(*some.words)
            some.check()
            some.finished()
    finally:
        del laptop.environment["DOCKER_HOST"]
        line.close()


@pytest.mark.fault("laptop", "two commands at once in one folder")
@each(
    work.Build,
    work.Convert,
    work.Push,
    work.PushOfLayers,
    work.Stage,
    work.Job,
    work.Sweep,
    work.Pull,
    work.Keep,
    work.Login,
)
def test_two_at_once(kind: type[Work], laptop: Laptop, dice: random.Random, made: Made) -> None:
    some = kind(laptop, dice)
    for _ in range(rounds(2, 1)):
        some.begin()
        processes = []
        for _ in range(2):
            processes.append(laptop.start(*some.words, argv=some.argv))
            time.sleep(dice.uniform(0, 0.4))
        ended = [laptop.finish(process) for process in processes]
        made(kind.title)
        assert [one.code for one in ended] == [0, 0], ended
        some.check()
        some.finished()


@pytest.mark.fault("laptop", "suspended (SIGSTOP), for 100 s")
@each(work.Stage, work.Job, work.Pull, work.Push)
def test_suspended(kind: type[Work], laptop: Laptop, dice: random.Random, made: Made) -> None:
    some = kind(laptop, dice)
    some.begin()
    with laptop.proxy.slow(min(some.rate_bytes_s, 3e6)):
        process = laptop.start(*some.words, argv=some.argv)
        time.sleep(dice.uniform(1.0, 2.5))
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGSTOP)
            time.sleep(SLEEP_S)
            os.killpg(process.pid, signal.SIGCONT)
        ended = laptop.finish(process)
    made(f"in {some.title}")
    # The server may have given it up meanwhile.
    assert ended.code in {0, LOST, *BROKEN}, ended
    some.check()
    again = laptop.finish(laptop.start(*some.words, argv=some.argv))
    assert again.code == 0, again
    some.check()
    some.finished()
