"""One byte that has changed, in all that Slipway relies on: it is noticed, and not used."""

import json
import os
import random
from pathlib import Path

import pytest

from slipway.scheduler.base import State
from slipway.sif.kept import sha256
from tests.campaign import rounds
from tests.faults import Made
from tests.integration.faults import work
from tests.integration.faults.laptop import Laptop, site_options, small_resources
from tests.integration.faults.work import DATA, SCRATCH
from tests.integration.push_box import sif_name
from tests.integration.small_image import IMAGE

long = pytest.mark.long
# Flips a bit of a file's byte; with a third word its time stays.
FLIP = (
    "use strict; my ($file, $at, $quiet) = @ARGV; my @was = stat $file; open my $f, '+<', $file or die $!;"
    "seek $f, $at, 0; read $f, my $byte, 1; seek $f, $at, 0; print $f chr(ord($byte) ^ 16); close $f;"
    "utime @was[8, 9], $file if $quiet;"
)


def flip(path: Path, at: int, *, quietly: bool) -> None:
    """Another bit in one byte of a file here, whose time may stay as it was."""
    status = path.stat()
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 16]))
    if quietly:
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def flip_there(laptop: Laptop, path: str, at: int, *, quietly: bool = False) -> None:
    """The same on the box."""
    laptop.there('perl -e "$@"', FLIP, path, str(at), "x" if quietly else "")


@long
@pytest.mark.fault("corruption", "a run's record here")
def test_a_record(laptop: Laptop, dice: random.Random, made: Made) -> None:
    laptop.run("job", *site_options(laptop), *small_resources(), "--no-push")
    laptop.quiet()
    laptop.run("status")
    run = laptop.store.newest(None)
    file = laptop.store.folder / f"{run.run_id}.json"
    for _ in range(rounds(20, 2)):
        before = file.read_bytes()
        flip(file, dice.randrange(60, len(before)), quietly=dice.random() < 0.5)
        told = laptop.run("status")
        made("byte")
        now = laptop.runs().get(run.run_id)
        assert now is None or (now.job_id, now.args, now.sif) == (run.job_id, run.args, run.sif)
        assert "left out" in told.said or now is not None, told
        laptop.run("status", run.run_id)
        assert laptop.runs()[run.run_id].job_id == run.job_id
        assert laptop.runs()[run.run_id].status.state is State.COMPLETED


@long
@pytest.mark.fault("corruption", "the index of records, and what is kept of their code")
def test_the_index(laptop: Laptop, dice: random.Random, made: Made) -> None:
    laptop.run("job", *site_options(laptop), *small_resources(), "--no-push")
    laptop.quiet()
    laptop.run("status")
    whole = json.loads(laptop.run("status", "--json", "--count", "1000").stdout)
    index = laptop.store.folder.with_name("runs.index")
    for _ in range(rounds(15, 1)):
        if index.exists() and index.stat().st_size:
            flip(index, dice.randrange(index.stat().st_size), quietly=dice.random() < 0.5)
            made("byte of the index")
        assert json.loads(laptop.run("status", "--json", "--count", "1000").stdout) == whole


@long
@pytest.mark.fault("corruption", "a converted image that is kept here")
@pytest.mark.parametrize("quietly", [False, True])
def test_a_kept_image(quietly: bool, laptop: Laptop, dice: random.Random, made: Made) -> None:
    some = work.Convert(laptop, dice)
    images = f"{SCRATCH}/slipway/images"
    for _ in range(rounds(3, 1)):
        some.begin()
        laptop.run(*some.words)
        [sif] = (laptop.state / "sif").glob("*.sif")
        good = sha256(sif)
        flip(sif, dice.randrange(100_000, sif.stat().st_size), quietly=quietly)
        made("byte, its time as before" if quietly else "byte")
        push = ["push", *some.image_options, "--site", "box"]
        first = laptop.run(*push, code=None)
        # Either it is made anew at once, or what has arrived is found to be something else.
        assert first.code == 0 or "push again, which makes it anew" in first.said, first
        if first.code:
            laptop.run(*push)
        [name] = laptop.there(f"readlink {images}/{work.IMAGE_OF_OURS}.sif").split()
        arrived = laptop.there(f"sha256sum {images}/{name}").split()[0]
        assert name == sif_name(work.IMAGE_OF_OURS, arrived)
        # An image that is made anew has other times in it.
        assert arrived == good or quietly or arrived == sha256(next((laptop.state / "sif").glob("*.sif")))
        some.finished()


@pytest.mark.fault("corruption", "an image on the cluster")
def test_a_pushed_image(laptop: Laptop, dice: random.Random, made: Made) -> None:
    images = f"{SCRATCH}/slipway/images"
    # The link of the image is the box's; a copy of it is changed.
    name = "slipway-small-flip"
    for _ in range(rounds(4, 1)):
        laptop.there(
            f"cd {images} && rm -f {name}* && f=$(readlink {IMAGE}.sif) && cp $f {name}-1.sif && "
            f"sleep 1.1 && cp ${{f%.sif}}.json {name}-1.json && ln -s {name}-1.sif {name}.sif"
        )
        words = ["job", *site_options(laptop), *small_resources(), "--set", f"IMAGE={name}"]
        laptop.run(*words)
        before = laptop.runs()
        size = int(laptop.there(f"stat -c %s {images}/{name}-1.sif"))
        laptop.there("sleep 1.1")
        flip_there(laptop, f"{images}/{name}-1.sif", dice.randrange(size))
        refused = laptop.run(*words, code=67)
        made("byte")
        assert "is not what was pushed" in refused.said, refused
        assert laptop.runs().keys() == before.keys()
    laptop.there(f"rm -f {images}/{name}*")


@long
@pytest.mark.fault("corruption", "an image on the cluster that is pushed again")
def test_a_changed_image_is_sent_again(laptop: Laptop, dice: random.Random, made: Made) -> None:
    some = work.Push(laptop, dice)
    for _ in range(rounds(4, 1)):
        some.begin()
        first = laptop.finish(laptop.start(*some.words, argv=some.argv))
        assert first.code == 0, first
        name = sif_name(some.name, some.digest)
        laptop.there("sleep 1.1")
        flip_there(laptop, f"{SCRATCH}/slipway/images/{name}", dice.randrange(some.size_bytes))
        made("byte")
        assert some.hash_there(name) != some.digest
        again = laptop.finish(laptop.start(*some.words, argv=some.argv))
        assert again.code == 0, again
        some.finished()


@long
@pytest.mark.fault("corruption", "a dataset on the cluster")
@pytest.mark.parametrize("quietly", [False, True])
def test_a_dataset(quietly: bool, laptop: Laptop, dice: random.Random, made: Made) -> None:
    """Where the time of a file says nothing either, only `--verify` reads all of them."""
    some = work.Stage(laptop, dice)
    for _ in range(rounds(5, 1)):
        some.begin()
        laptop.run(*some.words)
        laptop.there("sleep 1.1")
        name = dice.choice(sorted(some.after))
        size = (some.folder / name).stat().st_size
        flip_there(laptop, f"{DATA}/faults/{name}", dice.randrange(size), quietly=quietly)
        made("byte, its time as before" if quietly else "byte")
        assert some.there() != some.after
        laptop.run(*some.words, *(["--verify"] if quietly else []))
        some.finished()


@long
@pytest.mark.fault("corruption", "hashes of data that are remembered here")
def test_remembered_hashes(laptop: Laptop, dice: random.Random, made: Made) -> None:
    some = work.Stage(laptop, dice)
    some.begin()
    laptop.run(*some.words)
    for number in range(rounds(8, 1)):
        found = [path for path in (laptop.state / "digests").rglob("*") if path.is_file()]
        for path in found:
            flip(path, dice.randrange(path.stat().st_size), quietly=bool(number % 2))
            made("byte")
        (some.folder / "large").write_bytes(os.urandom(1000 + number))
        some.before = some.after
        some.after = work.content(some.folder)
        ended = laptop.run(*some.words, code=None)
        assert ended.code in (0, 69, 73, 91), ended
        some.check()
        if ended.code:
            laptop.run(*some.words, "--verify")
        some.finished()
