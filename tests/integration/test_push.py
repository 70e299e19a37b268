"""Images sent to a real box, through a proxy that counts bytes and cuts connections."""

import functools
import hashlib
import os
import random
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.campaign import rounds
from tests.conftest import Tell
from tests.faults import Made
from tests.integration.push_box import Done, PushBox, changed, sif_name, start_push_box

LOST, REFUSED, INTERRUPTED = 82, 69, 130
# Of each cut: what was on its way and not written yet, what rsync says of the basis, and a login.
PER_CUT_BYTES = 3_000_000


@pytest.fixture(scope="module")
def pushes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PushBox]:
    with start_push_box(tmp_path_factory.mktemp("yard")) as pushes:
        yield pushes


@pytest.fixture(scope="module")
def large(pushes: PushBox) -> tuple[Path, Path]:
    """330 MB that are there, and a version with 300 KB changed that is not."""
    content = os.urandom(330_000_000)
    old = pushes.file("large-1", content)
    pushes.push(old, "large")
    return old, pushes.file("large-2", changed(content))


@functools.cache
def digest_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def hash_there(pushes: PushBox, name: str) -> str:
    return pushes.there('sha256sum -- "$1"', f"{pushes.images}/{name}").split()[0]


def newest(pushes: PushBox, name: str) -> str:
    return pushes.there('readlink -- "$1"', f"{pushes.images}/{name}.sif").strip()


def test_what_is_there_is_not_sent_again(pushes: PushBox, large: tuple[Path, Path]) -> None:
    stat = f'stat -c "%Y %Z" {pushes.images}/{newest(pushes, "large")}'
    before = pushes.there(stat)
    done = pushes.push(large[0], "large")
    assert done.transfer is None
    assert done.up_bytes + done.down_bytes < 30_000, done
    (step,) = done.stderr.splitlines()  # neither sent nor hashed there
    assert step.startswith("Logging in to there  ")
    assert pushes.there(stat) == before


@pytest.mark.long
@pytest.mark.fault("kills", "push, by chains of cuts and kills")
def test_chains_of_cuts(pushes: PushBox, large: tuple[Path, Path], tell: Tell, made: Made) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    dice = random.Random(seed)  # noqa: S311 - moments, not secrets
    old, new = large
    chains = [
        Chain(pushes, dice, "330 MB, 300 KB changed", "large", new, needed_bytes=400_000, cuts=rounds(8, 3)),
        Chain(
            pushes,
            dice,
            "60 MB, nothing there",
            "fresh",
            fresh(pushes),
            needed_bytes=60_000_000,
            cuts=rounds(7, 2),
        ),
        Chain(
            pushes,
            dice,
            "60 MB, half changed",
            "half",
            half(pushes),
            needed_bytes=30_000_000,
            cuts=rounds(7, 2),
        ),
    ]
    with pushes.proxy.slow(20_000_000):
        for chain in chains:
            chain.run()
    title = f"seed {seed}; MB that went up, of pushes that were cut and of those that came through"
    tell("\n".join([title, *(chain.row() for chain in chains)]))
    for chain in chains:
        for way, _ in chain.cut:
            made(way)
    assert sum(len(chain.cut) for chain in chains) >= rounds(20, 6)
    assert hash_there(pushes, sif_name("large", digest_of(old))) == digest_of(old)
    assert all(up < 0.01 * new.stat().st_size for up in chains[0].through)


@pytest.mark.long
def test_two_at_once_from_one_checkout(pushes: PushBox) -> None:
    path = pushes.file("twice-1", os.urandom(30_000_000))
    pushes.proxy.count()
    with pushes.proxy.slow(20_000_000):
        processes = [pushes.start(path, "twice"), pushes.start(path, "twice")]
        done = [pushes.finish(process) for process in processes]
    assert [one.code for one in done] == [0, 0], done
    assert sorted(one.transfer is None for one in done) == [False, True]
    assert "Waiting for another push of twice" in done[0].stderr + done[1].stderr
    assert pushes.proxy.up_bytes < 31_000_000
    check_one_good_image(pushes, "twice", path)


@pytest.mark.long
@pytest.mark.fault("cluster", "two laptops at once")
def test_two_at_once_from_two_checkouts(pushes: PushBox) -> None:
    path = pushes.file("both-1", os.urandom(30_000_000))
    pushes.proxy.count()
    with pushes.proxy.slow(20_000_000):
        processes = [pushes.start(path, "both", state=state) for state in ("state", "other")]
        done = [pushes.finish(process) for process in processes]
    assert [one.code for one in done] == [0, 0], done
    assert pushes.proxy.up_bytes > 59_000_000  # at once, indeed
    check_one_good_image(pushes, "both", path)


def check_one_good_image(pushes: PushBox, name: str, path: Path) -> None:
    assert hash_there(pushes, newest(pushes, name)) == digest_of(path)
    found = {one for one in pushes.listing() if one.startswith((f"{name}-", f"{name}.", f".{name}"))}
    image = sif_name(name, digest_of(path))
    assert found == {image, f"{name}.sif", image.replace(".sif", ".json")}


def test_what_others_have_left_goes_after_a_week(pushes: PushBox) -> None:
    pushes.there(
        f"cd {pushes.images} && for name in .a.11111111.part .b.22222222.part; do mkdir -p $name/0/basis-0"
        " && echo half >$name/0/.x.sif.abcdef; done && find .a.11111111.part -exec touch -d '8 days ago' {} +"
        " && chown -R researcher: .a.11111111.part .b.22222222.part"
    )
    pushes.push(pushes.file("week-1", os.urandom(1000)), "week")
    assert {name for name in pushes.listing() if re.match(r"\.\w\..*part", name)} == {".b.22222222.part"}
    pushes.there(f"rm -rf {pushes.images}/.b.22222222.part")


def test_what_a_cut_push_of_another_version_has_left_is_used(pushes: PushBox) -> None:
    content = os.urandom(20_000_000)
    first, second = pushes.file("new-1", content), pushes.file("new-2", changed(content))
    pushes.proxy.count()
    with pushes.proxy.slow(20_000_000):
        process = pushes.start(first, "new")
        pushes.proxy.when(15_000_000, pushes.proxy.reset)
        assert pushes.finish(process).code == LOST
    done = pushes.push(second, "new")
    assert done.up_bytes < 8_000_000, done
    check_one_good_image(pushes, "new", second)


def fresh(pushes: PushBox) -> Path:
    return pushes.file("fresh-1", os.urandom(60_000_000))


def half(pushes: PushBox) -> Path:
    content = os.urandom(60_000_000)
    pushes.push(pushes.file("half-1", content), "half")
    stretch = len(content) // 10
    parts = [
        content[at : at + stretch] if number % 2 else os.urandom(stretch)
        for number, at in enumerate(range(0, len(content), stretch))
    ]
    return pushes.file("half-2", b"".join(parts))


@dataclass
class Chain:
    """Pushes of one image that are cut, each in another way, until one comes through."""

    pushes: PushBox
    dice: random.Random
    title: str
    name: str
    path: Path
    needed_bytes: int
    cuts: int
    cut: list[tuple[str, int]] = field(default_factory=list)
    through: list[int] = field(default_factory=list)

    def run(self) -> None:
        ways, self.since = list(WAYS), 0
        self.dice.shuffle(ways)
        self.old = newest(self.pushes, self.name) if f"{self.name}.sif" in self.pushes.listing() else None
        while len(self.cut) < self.cuts:
            self.attempt(ways[len(self.cut) % len(ways)])
        self.succeed(self.pushes.push(self.path, self.name))
        limit = self.needed_bytes * len(self.through) + PER_CUT_BYTES * len(self.cut)
        assert sum(up for _, up in self.cut) + sum(self.through) < limit, self.row()

    def attempt(self, way: str) -> None:
        """One push that is cut: after a share of what there is to be sent, or after a moment."""
        pushes = self.pushes
        pushes.proxy.count()
        process = pushes.start(self.path, self.name)
        left_bytes = max(0, self.needed_bytes - sum(up for _, up in self.cut[self.since :]))
        share = left_bytes * self.dice.random() * 2 / (self.cuts - len(self.cut) + 1)
        wait_s = self.dice.random() * 2
        by_time = self.needed_bytes < 1_000_000

        def act() -> None:
            time.sleep(wait_s if by_time else 0)
            # It may have come to its end just now.
            with suppress(ProcessLookupError):
                WAYS[way][0](pushes, process)

        # By the first 6 kB it has logged in.
        pushes.proxy.when(6_000 + (0 if by_time else int(share)), act)
        done = pushes.finish(process)
        if done.code == 0:  # there was nothing to be cut any more
            self.succeed(done)
            self.old, self.since = newest(pushes, self.name), len(self.cut)
            more = changed(self.path.read_bytes(), 300_000 if by_time else self.needed_bytes)
            self.path = pushes.file(f"{self.path.stem}-{len(self.through)}", more)
            return
        assert done.code == WAYS[way][1], (way, done)
        hint = "the same command goes on where this one was"
        assert done.code not in (LOST, INTERRUPTED) or hint in " ".join(done.stderr.split()), done
        self.cut.append((way, done.up_bytes))
        self.check_nothing_changed()

    def check_nothing_changed(self) -> None:
        listing, new = self.pushes.listing(), sif_name(self.name, digest_of(self.path))
        assert new not in listing or hash_there(self.pushes, new) == digest_of(self.path)
        if self.old:
            # A cut after the very last step leaves the new one in its place.
            now = newest(self.pushes, self.name)
            assert now == self.old or (now == new and new in listing)
            assert self.old in listing

    def succeed(self, done: Done) -> None:
        new = sif_name(self.name, digest_of(self.path))
        assert newest(self.pushes, self.name) == new
        assert hash_there(self.pushes, new) == digest_of(self.path)
        assert not [name for name in self.pushes.listing() if name.startswith(".")]
        self.through.append(done.up_bytes)

    def row(self) -> str:
        cuts = ", ".join(f"{up / 1e6:.1f} {way}" for way, up in self.cut)
        through = ", ".join(f"{up / 1e6:.1f}" for up in self.through)
        total = sum(up for _, up in self.cut) + sum(self.through)
        return f"{self.title}: {cuts}; came through: {through}; in all {total / 1e6:.1f}"


def kill_rsync(pushes: PushBox, process: subprocess.Popen[str]) -> None:
    while process.poll() is None and not int(pushes.there("pkill -9 -fc '^rsync [-]-server' || true")):
        time.sleep(0.02)


def kill_session(pushes: PushBox, _: subprocess.Popen[str]) -> None:
    pushes.there("pkill -9 -u researcher '^sshd' || true")


# What is done, and the exit code of the push.
WAYS: dict[str, tuple[Callable[[PushBox, subprocess.Popen[str]], None], int]] = {
    "reset": (lambda pushes, process: pushes.proxy.reset(), LOST),
    "silence": (lambda pushes, process: pushes.proxy.silence(), LOST),
    "killed": (lambda pushes, process: process.kill(), -signal.SIGKILL),
    "Ctrl-C": (lambda pushes, process: os.killpg(process.pid, signal.SIGINT), INTERRUPTED),
    "sshd killed": (kill_session, LOST),
    "rsync killed": (kill_rsync, REFUSED),
}
