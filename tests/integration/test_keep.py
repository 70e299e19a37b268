"""What is kept of scratch, and what is removed from it, on the box with a real SLURM."""

import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, cast

import pytest

from slipway.errors import IncompleteError, RemoteSpaceError
from slipway.host.host import Host
from slipway.image.engine import engine
from slipway.job.run import Run
from slipway.keep.copy import Copied, Copy, make_copy
from slipway.keep.decision import Criteria, Decision
from slipway.progress import Amount, NullProgress
from slipway.scheduler.base import State
from slipway.scheduler.slurm.resources import SlurmResources
from slipway.steps import keep
from slipway.steps.prune import Costs, Pruned, prune
from slipway.steps.pull import pull
from slipway.steps.purge import purge_warnings
from slipway.steps.refresh import refresh
from tests.integration.inside import end_inside, run_inside
from tests.integration.small_image import IMAGE, SmallImageBox
from tests.waiting import wait_until

ROOT = "$SCRATCH/slipway"
ROOT_HERE = Path(__file__).parents[2]


def yes(costs: Costs, decision: Decision) -> bool:
    return True


def finish(small: SmallImageBox, *argv: str, wanted: SlurmResources | None = None) -> Run:
    """A run that is over."""
    with small.connect() as remote:
        run = small.submit(remote, *argv, wanted=wanted)
        return wait_for(small, remote, run, lambda run: run.state.is_over)


def wait_for(small: SmallImageBox, remote: Host, run: Run, done: Callable[[Run], bool]) -> Run:
    def look() -> Run | None:
        (now,) = refresh(small.session, remote, [run])
        return now if done(now) else None

    found = wait_until(look, lambda: small.situation(run))
    assert found is not None
    return found


def write(text: str) -> tuple[str, ...]:
    return ("sh", "-c", f"echo {text} >/out/said")


def there(small: SmallImageBox, kind: str) -> set[str]:
    return set(small.on_box(f"ls -A {ROOT}/{kind}").split())


def remove(small: SmallImageBox, **wanted: object) -> Pruned:
    return prune(small.session, small.choice.site, Criteria(**wanted), yes)  # type: ignore[arg-type]


def moved(small: SmallImageBox, *words: str, back: bool = False) -> list[keep.Moved]:
    done: list[keep.Moved] = []
    keep.keep_runs(small.session, words, done.append, back=back)
    return done


def names(pruned: Pruned, kind: str = "runs") -> set[str]:
    return {item.name for item in pruned.gone if item.kind == kind}


def test_what_a_job_uses_stays(small: SmallImageBox) -> None:
    over = finish(small, *write("over"))
    with small.connect() as remote:
        running = small.submit(remote, "sleep", "600")
        running = wait_for(small, remote, running, lambda run: run.state is State.RUNNING)
        waiting = small.submit(remote, "true", wanted=SlurmResources(sbatch=("--begin=now+1hour",)))
    try:
        small.on_box(f"find {ROOT}/runs -name run.json -exec touch -d '1 day ago' {{}} +")
        done = remove(small, keep_last=0, not_home=True)
        assert over.run_id in names(done)
        assert {running.run_id, waiting.run_id} <= there(small, "runs")
        assert over.run_id not in there(small, "runs")
        assert running.code in there(small, "code")
        # Without a job that needs them, they go: the code with its last run.
    finally:
        small.on_box(f"scancel {running.job_id} {waiting.job_id}")
    with small.connect() as remote:
        for run in (running, waiting):
            wait_for(small, remote, run, lambda run: run.state.is_over)
    small.on_box(f"touch -c -d '2 hours ago' {ROOT}/runs/*/run.json")
    done = remove(small, keep_last=0, not_home=True)
    assert names(done) == {running.run_id, waiting.run_id}
    # It has just come, as far as anybody can tell who looks only at the folder.
    assert running.code in there(small, "code")
    record = small.session.store.find(over.run_id)
    assert record.state is State.COMPLETED
    assert record.removed_s is not None
    assert abs(record.removed_s - time.time()) < 600


def test_results_that_are_not_home_stay(small: SmallImageBox) -> None:
    at_home, away, second = (finish(small, *write(word)) for word in ("home", "away", "second"))
    pull(small.session, at_home.run_id)
    small.on_box(f"touch -d '40 days ago' {at_home.run_dir}/run.json; find {at_home.run_dir} {away.run_dir} "
                 "-exec touch -h -d '40 days ago' {} +")  # fmt: skip
    seen: list[Decision] = []

    def look(costs: Costs, decision: Decision) -> bool:
        seen.append(decision)
        return False

    criteria = Criteria(older_than_s=30 * 24 * 3600)
    prune(small.session, small.choice.site, criteria, look)
    assert {item.name for item in seen[0].remove} == {at_home.run_id}
    why = {item.name: reason for reason, items in seen[0].stay.items() for item in items}
    assert why[away.run_id] == "has results that are not home; --not-home removes it, too"
    assert why[second.run_id] == "is younger than 30d"
    assert names(prune(small.session, small.choice.site, criteria, yes)) == {at_home.run_id}
    # What is kept in the home folder there is safe, too.
    moved(small, away.run_id)
    assert names(prune(small.session, small.choice.site, criteria, yes)) == {away.run_id}


@pytest.mark.long
def test_what_cannot_be_removed_stops_nothing_else(small: SmallImageBox) -> None:
    bad, good = finish(small, *write("bad")), finish(small, *write("good"))
    small.as_root("sh", "-c", f"mkdir {bad.run_dir}/theirs && touch {bad.run_dir}/theirs/file")
    small.on_box(f"mkdir -p {good.run_dir}/closed/in && chmod 500 {good.run_dir}/closed")
    done = remove(small, runs=frozenset({bad.run_id, good.run_id}), not_home=True)
    assert names(done) == {good.run_id}
    with pytest.raises(IncompleteError, match=f"{bad.run_id}: .*theirs.*Permission denied"):
        done.check()
    # What a removal was cut in before it began to remove it is shown again; this one it had begun.
    cut = finish(small, *write("cut"))
    hidden = f"{cut.run_dir.rpartition('/')[0]}/.{cut.run_id}.gone"
    small.on_box(f"mv {cut.run_dir} {hidden}")
    remove(small, runs=frozenset({cut.run_id}))
    small.on_box(f"test -d {cut.run_dir} && test ! -e {hidden} && test ! -e {bad.run_dir}")
    # It is no run any more, and goes with the next removal that can.
    assert small.session.store.find(bad.run_id).removed_s is not None
    small.as_root("rm", "-r", small.on_box(f"echo {ROOT}/runs/.{bad.run_id}.gone").strip() + "/theirs")
    assert names(remove(small, runs=frozenset({bad.run_id}))) == {bad.run_id}


def test_runs_of_others_are_not_touched(small: SmallImageBox) -> None:
    small.on_box(f"mkdir -p {ROOT}/runs/zzzz-cpu-20200101-000000/attempt-1")
    assert "zzzz-cpu-20200101-000000" not in names(remove(small, keep_last=0, not_home=True))
    named = remove(small, runs=frozenset({"zzzz-cpu-20200101-000000"}), not_home=True)
    assert names(named) == {"zzzz-cpu-20200101-000000"}


def test_a_purge_takes_nothing_that_is_kept(small: SmallImageBox) -> None:
    run = finish(small, *write("precious"))
    small.on_box(f"mkdir -p {ROOT}/data/photos && echo a >{ROOT}/data/photos/a.png")
    [kept] = moved(small, run.run_id)
    assert kept.copied.files >= kept.copied.all_files - 1 > 4  # its code may be kept already
    assert small.session.store.find(run.run_id).kept == str(kept.path)
    assert "/slipway-kept/runs/" in str(kept.path)
    [again] = moved(small, run.run_id)
    assert again.copied.files == 0
    site = small.choice.site
    data = keep.keep_data(small.session, site, "photos")
    assert data.copied.files == 1
    image = keep.keep_image(small.session, site, IMAGE)
    assert re.fullmatch(rf"{IMAGE}-[0-9a-f]{{16}}\.sif", image.name)
    # What the site removes: files, folders stay.
    small.on_box(f"find {run.run_dir} {ROOT}/data/photos {ROOT}/code {run.sif} -type f -delete")
    pulled = pull(small.session, run.run_id)
    assert (pulled.results.home / "out" / "said").read_text() == "precious\n"
    small.on_box(f"rm -rf {run.run_dir} {ROOT}/data/photos {ROOT}/code/* {run.sif}")
    [back] = moved(small, run.run_id, back=True)
    assert str(back.path) == run.run_dir
    assert small.on_box(f"cat {run.run_dir}/attempt-1/out/said") == "precious\n"
    keep.keep_data(small.session, site, "photos", back=True)
    assert keep.keep_image(small.session, site, IMAGE, back=True).name == image.name
    # A job with that image, which reads the data; its code came back with the run.
    reader = finish(small, "sh", "-c", "cat /data/photos/a.png /code/file >/out/said")
    assert reader.state is State.COMPLETED
    assert small.on_box(f"cat {reader.run_dir}/attempt-1/out/said") == "a\ncode\n"
    assert reader.sif == run.sif


def test_what_is_about_to_be_purged_is_named(small: SmallImageBox, tmp_path: Path) -> None:
    session = small.session
    run = finish(small, *write("old"))
    photo = f"{ROOT}/data/old/a.png"
    small.on_box(f"mkdir -p {ROOT}/data/old && echo a >{photo}")
    small.on_box(f"touch -d '57 days ago' {run.run_dir}/attempt-1/out/said {photo}")
    (tmp_path / "cluster").mkdir()
    text = (ROOT_HERE / "cluster" / "box.yaml").read_text()
    (tmp_path / "cluster" / "box.yaml").write_text(text + "scratch_purge_days: 60\n")
    state = session.project.state
    project = replace(session.project, root=tmp_path, results=tmp_path / "results")
    mine = replace(session, project=project)
    with mine.connect(small.choice.site) as remote:
        refresh(mine, remote, [run])

        def ask() -> list[str]:
            memory = state / "purge" / "box.json"
            if memory.exists():
                os.utime(memory, (memory.stat().st_mtime - 400,) * 2)
            refresh(mine, remote, [run])
            return purge_warnings(mine)

        said = wait_until(ask, "warnings of a purge", pause_s=0.5)
    assert f"1 run is about to be purged at box: {run.run_id} (in 2 d)" in said[0]
    assert "1 dataset is about to be purged at box: old (in 2 d)" in said[1]
    done: list[keep.Moved] = []
    keep.keep_runs(mine, [run.run_id], done.append)
    assert purge_warnings(mine) == []
    (state / "purge" / "box.json").unlink(missing_ok=True)


@pytest.mark.long
@pytest.mark.fault("kills", "keep")
def test_a_copy_that_is_stopped_goes_on(small: SmallImageBox) -> None:
    folder = f"{ROOT}/data/large"
    small.on_box(f"mkdir -p {folder} && head -c 600M /dev/zero >{folder}/zero && echo a >{folder}/a")
    told: list[int] = []

    class Stopping(NullProgress):
        def transfer(self, amount: Amount) -> None:
            told.append(amount.done_bytes)
            if len(told) == 2:
                raise KeyboardInterrupt

    stopping = replace(small.session, progress=Stopping())
    with pytest.raises(KeyboardInterrupt, match="the same command goes on with it"):
        keep.keep_data(stopping, small.choice.site, "large")
    home = "~/slipway-kept"
    assert small.on_box(f"ls {home}/data 2>/dev/null | grep -x large || true") == ""
    done = keep.keep_data(stopping, small.choice.site, "large")
    assert len(told) <= 4  # from the beginning it would be three pieces, and the small file
    assert done.copied.all_bytes == (600 << 20) + 2
    assert small.on_box(f"cmp {folder}/zero {home}/data/large/zero && ls -A {home}/.part") == ""
    small.on_box(f"rm -r {folder} {home}/data/large")


class Container:
    """A container in the place of a cluster, for disks that are full: the box has none."""

    target = "there"

    def __init__(self, container: Any) -> None:
        self.container = container

    def stream(self, argv: Sequence[str], on_line: Callable[[str], None]) -> int:
        done = run_inside(self.container, *argv)
        for line in done.output.decode().splitlines():
            on_line(line)
        return done.exit_code


@pytest.mark.fault("cluster", "disk full, or quota, at every write")
def test_a_home_without_room(small: SmallImageBox) -> None:
    client = engine()
    container = client.containers.run(
        IMAGE,
        ["sleep", "600"],
        tmpfs={"/blocks": "size=1m", "/inodes": "size=20m,nr_inodes=30"},
        init=True,
        detach=True,
    )
    host, script = cast(Host, Container(container)), (ROOT_HERE / "cluster" / "keep.sh").read_text()
    make = "mkdir -p /scratch/runs/k3f9; cd /scratch/runs/k3f9; seq 60 | while read i; do seq 10000 >$i; done"

    def copy(home: str) -> Copied:
        target = PurePosixPath(home)
        wanted = Copy(
            source=PurePosixPath("/scratch"),
            target=target,
            part=target / ".part" / "x",
            sums=target / ".sha256" / "runs-k3f9",
            names=["runs/k3f9"],
        )
        return make_copy(host, script, wanted, NullProgress())

    try:
        assert end_inside(container, "sh", "-c", make) == 0
        with pytest.raises(RemoteSpaceError, match=r"/blocks has 1\.0 MB free, and 2\.9 MB are to be copied"):
            copy("/blocks")
        # As with a quota of files: the disk itself has room.
        with pytest.raises(RemoteSpaceError, match="the disk is full, or your quota is reached") as full:
            copy("/inodes")
        assert "What was copied is in /inodes/.part/x: the same command goes on" in str(full.value)
    finally:
        container.remove(force=True, v=True)
        client.close()


@pytest.mark.long
def test_ten_thousand_runs_take_one_round_trip(small: SmallImageBox, monkeypatch: pytest.MonkeyPatch) -> None:
    small.on_box(
        f"cd {ROOT}/runs && seq -f 'many-%05.0f' 10000 | xargs mkdir && for run in many-*; do "
        'printf \'{\\n "sif": "/x/none.sif",\\n "code": "none"\\n}\\n\' >$run/run.json; done'
    )
    started: list[str] = []
    start = Host.start

    @contextmanager
    def counting(self: Host, argv: list[str], **options: bool) -> Iterator[object]:
        started.append(argv[0])
        with start(self, argv, **options) as program:
            yield program

    monkeypatch.setattr(Host, "start", counting)
    seen: list[Costs] = []

    def look(costs: Costs, decision: Decision) -> bool:
        seen.append(costs)
        return False

    began = time.monotonic()
    try:
        prune(small.session, small.choice.site, Criteria(older_than_s=3600), look)
        took = time.monotonic() - began
    finally:
        small.on_box(f"cd {ROOT}/runs && find . -maxdepth 1 -name 'many-*' -exec rm -r {{}} +")
    assert sum(item.name.startswith("many-") for item in seen[0].survey.scratch) == 10_000
    # The login shell that stays open, the first command, and the survey.
    assert len(started) <= 3, started
    print(f"10,000 runs: {took:.1f} s")
