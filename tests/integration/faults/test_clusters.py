"""A cluster that fails: its disk, its folders, its daemons, its clock; and two laptops at once."""

import random
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from itertools import product
from pathlib import Path

import pytest

from slipway.scheduler.base import State
from slipway.shell import LocalShell
from tests.campaign import rounds
from tests.faults import Made
from tests.integration import daemon
from tests.integration.faults import work
from tests.integration.faults.laptop import Laptop, site_options
from tests.integration.faults.mounts import HOME, SCRATCH, SmallDisk, small_disk
from tests.integration.faults.test_lines import sbatch
from tests.integration.faults.work import Work, each
from tests.integration.small_image import SmallImageBox
from tests.waiting import wait_until

FULL = (69, 71, 83, 84, 91)
FAKETIME = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))), None)


@pytest.fixture(scope="module")
def disk(yard: Laptop) -> Iterator[SmallDisk]:
    """Scratch is a disk of 120 MB, as long as the module; the model run is there."""
    work.Pull(yard, random.Random()).begin()  # noqa: S311
    yard.quiet()
    with small_disk(yard, "120m") as disk:
        yield disk


WRITES = [work.Push, work.Stage, work.Job, work.Sweep]
long = pytest.mark.long
kinds = each(*WRITES, short=[work.Job])


@pytest.mark.fault("cluster", "disk full, or quota, at every write")
@kinds
def test_a_full_disk(
    kind: type[Work], laptop: Laptop, disk: SmallDisk, dice: random.Random, made: Made
) -> None:
    some = kind(laptop, dice)
    # From no room at all: each one more lets a later write fail.
    for pages in range(rounds(12, 1)):
        some.begin()
        disk.fill(pages if pages < 10 else dice.randrange(10, 800))
        ended = laptop.finish(laptop.start(*some.words, argv=some.argv))
        made(f"in {some.title}")
        assert ended.code in (0, *FULL), ended
        assert not ended.code or is_full(ended.said), ended
        disk.free()
        some.check()
        again = laptop.finish(laptop.start(*some.words, argv=some.argv))
        assert again.code == 0, again
        some.check()
        some.finished()


def is_full(said: str) -> bool:
    return any(words in said for words in ("No space left", "no room", "is full", "free, and", "quota"))


@pytest.mark.fault("cluster", "disk that fills up in the middle")
@each(*WRITES[:2])
def test_a_disk_that_fills_up(
    kind: type[Work], laptop: Laptop, disk: SmallDisk, dice: random.Random, made: Made
) -> None:
    some = kind(laptop, dice)
    for _ in range(rounds(3, 1)):
        some.begin()
        laptop.proxy.count()
        laptop.proxy.when(dice.randrange(100_000, 1_500_000), disk.fill_up)
        with laptop.proxy.slow(2e6):
            ended = laptop.finish(laptop.start(*some.words, argv=some.argv))
        made(f"in {some.title}")
        assert ended.code in FULL, ended
        assert is_full(ended.said), ended
        disk.free()
        some.check()
        again = laptop.finish(laptop.start(*some.words, argv=some.argv))
        assert again.code == 0, again
        some.finished()


@pytest.mark.fault("cluster", "disk that a job fills up")
@long
def test_a_job_that_fills_the_disk(laptop: Laptop, disk: SmallDisk, made: Made) -> None:
    (laptop.code / "main.sh").write_text(
        "echo 1 >/out/good; cat /dev/zero >/out/large; code=$?; echo the disk; exit $code\n"
    )
    # A tmpfs is memory, and what a job writes there is its own.
    resources = ["--mem", "400M", "--cpus", "1", "--time", "5"]
    laptop.run("job", *site_options(laptop), *resources, "--no-push")
    run = laptop.store.newest(None)
    made("by a job")

    def over() -> bool:
        laptop.run("status", "--json")
        return laptop.runs()[run.run_id].state.is_over

    wait_until(over, lambda: laptop.small.situation(run))
    now = laptop.runs()[run.run_id]
    assert (now.state, now.status.reason, now.status.exit_code) == (State.FAILED, "program-error", 1), now
    laptop.run("pull", "--run", run.run_id, "--only", "good")
    assert (laptop.results / run.run_id / "attempt-1" / "out" / "good").read_text() == "1\n"
    laptop.there(f"rm -r {run.run_dir}")
    laptop.store.forget(run)


@pytest.mark.fault("cluster", "read-only scratch")
@each(*WRITES[:3])
@pytest.mark.parametrize("moment", ["before", "in the middle"])
def test_read_only(
    kind: type[Work], moment: str, laptop: Laptop, disk: SmallDisk, dice: random.Random, made: Made
) -> None:
    some = kind(laptop, dice)
    some.begin()
    laptop.proxy.count()
    if moment == "before":
        disk.refuse()
    else:
        laptop.proxy.when(6_000, disk.refuse)
    with laptop.proxy.slow(min(some.rate_bytes_s, 2e6)):
        ended = laptop.finish(laptop.start(*some.words, argv=some.argv))
    time.sleep(1.0)
    disk.accept()
    made(f"{moment} of {some.title}")
    assert ended.code in (0, *FULL), ended
    assert not ended.code or "ead-only file system" in ended.said or "cannot be written" in ended.said, ended
    some.check()
    again = laptop.finish(laptop.start(*some.words, argv=some.argv))
    assert again.code == 0, again
    some.finished()


def fit(some: Work) -> None:
    """Have it need no more room than the small disk has."""
    if isinstance(some, work.Keep):
        some.script = some.script.replace("150M", "30M")


# What somebody, or a purge, takes away in the middle of each.
GONE = {
    work.Push: "rm -rf {slipway}/images/.faults.*",
    work.Stage: "rm -rf {slipway}/data",
    work.Job: "rm -rf {slipway}/code",
    work.Keep: f"rm -rf {HOME}/slipway-kept",
}


@pytest.mark.fault("cluster", "folder deleted in between")
@each(*GONE)
def test_a_folder_that_goes(kind: type[Work], laptop: Laptop, dice: random.Random, made: Made) -> None:
    some = kind(laptop, dice)
    fit(some)
    for _ in range(rounds(4, 1)):
        some.begin()
        if isinstance(some, work.Stage):
            some.before = {}  # it is somebody else who has lost it
        laptop.proxy.count()
        script = GONE[kind].format(slipway=f"{SCRATCH}/slipway")
        wait_s = dice.uniform(0, 1.5)

        def act(script: str = script, wait_s: float = wait_s) -> None:
            time.sleep(wait_s)
            laptop.there(f"{script} || true")

        laptop.proxy.when(6_000, act)
        with laptop.proxy.slow(min(some.rate_bytes_s, 3e6)):
            ended = laptop.finish(laptop.start(*some.words, argv=some.argv))
        time.sleep(wait_s + 0.5)
        made(f"in {some.title}")
        assert ended.code == 0 or "error: " in ended.stderr, ended
        if not isinstance(some, work.Push):
            some.check()
        again = laptop.finish(laptop.start(*some.words, argv=some.argv))
        assert again.code == 0, again
        some.finished()


@pytest.mark.fault("cluster", "slurmctld down")
@pytest.mark.parametrize("moment", ["before", "in the middle"])
@long
def test_slurmctld_down(
    moment: str, laptop: Laptop, small: SmallImageBox, dice: random.Random, made: Made
) -> None:
    some = work.Job(laptop, dice)
    some.begin()
    laptop.proxy.count()
    if moment == "before":
        daemon.end(small, "slurmctld")
    else:
        laptop.proxy.when(6_000, lambda: daemon.end(small, "slurmctld"))
    try:
        ended = laptop.run(*some.words, code=None)
        during = laptop.run("status", code=None)
    finally:
        time.sleep(1.0)
        daemon.begin(small, "slurmctld")
    made(moment)
    assert ended.code == 0 or "error: " in ended.stderr, ended
    # Nothing is called failed because nobody answers.
    assert during.code in (0, 69), during
    some.check()
    laptop.run(*some.words)
    some.check()
    some.finished()


@pytest.mark.fault("cluster", "slurmdbd down")
@pytest.mark.parametrize("moment", ["all the time"])
@long
def test_slurmdbd_down(
    moment: str, laptop: Laptop, small: SmallImageBox, dice: random.Random, made: Made
) -> None:
    some = work.Job(laptop, dice)
    some.begin()
    daemon.end(small, "slurmdbd")
    try:
        laptop.run(*some.words)
        run = laptop.store.newest(None)

        def over() -> bool:
            laptop.run("status")
            return laptop.runs()[run.run_id].state.is_over

        wait_until(over, lambda: small.situation(run))
        assert laptop.runs()[run.run_id].state is State.COMPLETED
    finally:
        daemon.begin(small, "slurmdbd")
    made(moment)
    some.check()
    some.finished()


@contextmanager
def wrong_here(laptop: Laptop, offset: str) -> Iterator[None]:
    """The laptop's clock is off, for all that its commands start, too; the times of its files are not."""
    if FAKETIME is None:
        pytest.skip("libfaketime is not here")
    laptop.environment.update(
        LD_PRELOAD=str(FAKETIME), FAKETIME=offset, FAKETIME_DONT_FAKE_MONOTONIC="1", NO_FAKE_STAT="1"
    )
    shifted = [f"{key}={word}" for key, word in laptop.environment.items()]
    try:
        told = LocalShell().run(["env", *shifted, "date", "+%s"])
        assert abs(int(told.stdout) - time.time()) > 6 * 3600, told
        yield
    finally:
        laptop.environment.clear()


@contextmanager
def wrong_date(laptop: Laptop, offset: str) -> Iterator[None]:
    """`date` on the cluster is off, and so not that of its files: a server's clock that is off looks so."""
    script = f"#!/bin/sh\\nexec /usr/bin/date -d '{HOURS[offset]}' \"$@\"\\n"
    laptop.small.as_root("sh", "-c", f'printf %b "$1" >{DATE}; chmod 755 {DATE}', "sh", script)
    try:
        yield
    finally:
        laptop.small.as_root("rm", DATE)


@contextmanager
def wrong_times(laptop: Laptop, offset: str) -> Iterator[None]:
    """All files of Slipway's on the cluster were written hours from now."""
    laptop.there(
        f"find {SCRATCH}/slipway {HOME}/slipway-kept -mindepth 1 -exec touch -h -d '{HOURS[offset]}' {{}} + "
        "2>/dev/null || true"
    )
    yield


DATE = "/usr/local/bin/date"
HOURS = {"-7h": "7 hours ago", "+7h": "7 hours"}
ANYWAY = ("--not-home", "--yes")
# What is off, and how.
CLOCKS = {"laptop": wrong_here, "date on the cluster": wrong_date, "times of files": wrong_times}
WRONG = [*product(CLOCKS, HOURS), ("laptop", "-400d")]
CLOCK_WORK = (work.Job, work.Sweep, work.Stage, work.Pull, work.Keep)


@pytest.mark.fault("cluster", "clock off by hours")
@each(*CLOCK_WORK)
@pytest.mark.parametrize(("clock", "offset"), WRONG)
def test_a_clock_that_is_wrong(
    clock: str, offset: str, kind: type[Work], laptop: Laptop, dice: random.Random, made: Made
) -> None:
    """It is wrong while a command is killed, and right afterwards; and the other way around."""
    some = kind(laptop, dice)
    fit(some)
    for is_wrong_first in (True, False):
        some.begin()
        for is_first in (True, False):
            is_wrong = is_first is is_wrong_first
            with CLOCKS[clock](laptop, offset) if is_wrong else nullcontext():
                process = laptop.start(*some.words, argv=some.argv)
                if is_first:
                    time.sleep(dice.uniform(0.5, 2.5))
                    process.kill()
                ended = laptop.finish(process)
                assert ended.code == 0 or is_first, ended
                some.check()
        made(f"{clock} {offset}")
        some.finished()


@pytest.mark.fault("cluster", "clock off by hours")
@pytest.mark.parametrize("offset", HOURS)
@long
def test_a_submission_under_way(offset: str, laptop: Laptop, dice: random.Random, made: Made) -> None:
    """A run that is being submitted is not given up because a clock says that this began long ago."""
    some = work.Job(laptop, dice)
    some.begin()
    known = set(laptop.runs())
    with sbatch(laptop) as put, wrong_date(laptop, offset):
        put('sleep 10; exec /usr/bin/sbatch "$@"')
        process = laptop.start(*some.words)
        wait_until(lambda: set(laptop.runs()) - known, "the record")
        [new] = set(laptop.runs()) - known
        wait_until(lambda: laptop.there(f"readlink {work.RUNS}/{new}/claim || true"), "the claim")
        laptop.proxy.reset()
        ended = laptop.finish(process)
        assert "Do not submit it again" in ended.said, ended
        laptop.run("status")
        assert laptop.runs()[new].state is State.SUBMITTING
        made(f"date on the cluster {offset}")
        some.check()
    assert laptop.runs()[new].job_id is not None
    some.finished()


@pytest.mark.fault("cluster", "clock off by hours")
@long
def test_what_is_young_stays(laptop: Laptop, dice: random.Random, made: Made) -> None:
    some = work.Pull(laptop, dice)
    some.begin()
    with wrong_here(laptop, "+7h"):
        told = laptop.run(
            "runs.prune", "--site", "box", "--run", some.run.run_id, "--older-than", "2h", *ANYWAY
        )
    made("laptop +7h")
    assert "is younger than 2h" in told.said, told
    laptop.there(f"test -d {some.run.run_dir}/attempt-1/out")
    laptop.run(*some.words)
    some.finished()


@pytest.fixture(scope="module")
def second(yard: Laptop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laptop]:
    """Another laptop of the same user's."""
    laptop = Laptop(yard.small, tmp_path_factory.mktemp("second"), yard.proxy)
    yield laptop
    laptop.end_keepers()


@pytest.mark.fault("cluster", "two laptops at once")
@each(work.Job, work.Sweep, work.Stage, work.Keep, work.Pull, work.Login)
def test_two_laptops(
    kind: type[Work], laptop: Laptop, second: Laptop, dice: random.Random, made: Made
) -> None:
    both = [kind(one, dice) for one in (laptop, second)]
    fit(both[0])
    for _ in range(rounds(3, 1)):
        both[0].begin()
        same = {work.Stage: "faults-data", work.Keep: "state/runs", work.Pull: "state/runs"}.get(kind)
        if same:
            # The same data, or the same run.
            both[1].__dict__.update({**both[0].__dict__, "laptop": second})
            shutil.copytree(laptop.folder / same, second.folder / same, dirs_exist_ok=True)
            both[1].__dict__["folder"] = second.folder / same
        else:
            both[1].begin()
        started = []
        for some in both:
            started.append(some.laptop.start(*some.words, argv=some.argv))
            time.sleep(dice.uniform(0, 0.3))
        ended = [some.laptop.finish(one) for some, one in zip(both, started, strict=True)]
        made(kind.title)
        assert [one.code for one in ended] == [0, 0], ended
        if kind is work.Job:
            # Each knows its own jobs.
            others = {*laptop.runs(), *second.runs()}
            for some in both:
                assert isinstance(some, work.Job)
                some.others = some.others | (others - set(some.laptop.runs()))
        for some in both if kind is not work.Keep else both[:1]:
            if kind is not work.Job:
                some.check()
            some.finished()
