"""Sequences on the workers of a real Dask cluster on this machine, and as parcels between machines."""

import argparse
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from slam import parcel, spread
from slam.batch import run_each
from slam.dataset.catalog import Staged
from slam.errors import CrashError, InputError, OutputError
from tests.payload.datasets import make_tum


@dataclass(frozen=True)
class Counting:
    """Counts a sequence's files; some sequences fail, and some take their worker with them."""

    folder: Path

    def __call__(self, folder: Path, out: Path) -> None:
        raise AssertionError("this is done on workers")

    def at(self, root: Path, threads: int) -> Callable[[Path, Path], None]:
        def work(folder: Path, out: Path) -> None:
            if folder.name == "broken":
                raise InputError("broken: it is")
            if folder.name == "odd":
                raise ValueError("what is this")
            tries = self.folder / folder.name
            with tries.open("a") as file:
                file.write("try\n")
            count = tries.read_text().count("try")
            if folder.name == "deadly" or (folder.name == "once" and count == 1):
                os.kill(os.getpid(), signal.SIGKILL)
            (out / "sub").mkdir(parents=True)
            (out / "summary.json").write_text(f'{{"frames": {len(list(folder.iterdir()))}}}')
            (out / "sub" / "threads").write_text(f"{threads} {os.environ['OMP_NUM_THREADS']}")

        return work


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    distributed = pytest.importorskip("distributed", reason="slipway[dask] is not installed")
    import dask

    # A busy machine takes long to start a worker again, and the cluster would give it up.
    with (
        dask.config.set({"distributed.deploy.lost-worker-timeout": "300s"}),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=3, dashboard_address=None, memory_limit="1GB"
        ) as cluster,
    ):
        yield cluster


@pytest.fixture
def data(tmp_path: Path, cluster: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(spread.ADDRESS, cluster.scheduler_address)
    return tmp_path / "data"


def stage(data: Path, *names: str) -> list[Staged]:
    folders = [data / "set" / name for name in names]
    for place, folder in enumerate(folders):
        folder.mkdir(parents=True)
        for number in range(place + 1):
            (folder / f"{number}.png").write_text("image")
    return [Staged(name=folder.name, folder=folder) for folder in folders]


def run(data: Path, out: Path, tries: Path, staged: list[Staged]) -> tuple[dict[str, Any], list[Any]]:
    work = Counting(tries)
    rows, errors = run_each(
        staged,
        out,
        lambda one, folder: work(one.folder, folder),
        each=lambda waiting, count: spread.spread(waiting, out, work, data, count),
    )
    return {str(row["sequence"]): row for row in rows}, errors


@pytest.mark.filterwarnings("ignore")  # distributed's own, of sockets that a killed worker leaves
def test_a_worker_that_dies_costs_its_sequence_only(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tries := tmp_path / "tries").mkdir()
    out = tmp_path / "out"
    staged = stage(data, "a", "once", "broken", "b", "deadly", "odd", "c")
    rows, errors = run(data, out, tries, staged)
    assert [*rows] == [one.name for one in staged]
    assert {name: rows[name]["frames"] for name in ("a", "once", "b", "c")} == {
        "a": 1,
        "once": 2,
        "b": 4,
        "c": 7,
    }
    assert rows["broken"]["result"] == "broken: it is"
    assert rows["deadly"]["result"] == "3 workers have died while they worked on it"
    assert "ValueError" in str(rows["odd"]["result"])
    assert "what is this" in str(rows["odd"]["result"])
    assert {type(error) for error in errors} == {InputError, CrashError}
    counts = {file.name: file.read_text().count("try") for file in tries.iterdir()}
    assert counts == {"a": 1, "once": 2, "b": 1, "c": 1, "deadly": 3}
    assert (out / "c" / "sub" / "threads").read_text() == "3 3"
    assert [path.name for path in out.iterdir() if path.name.startswith(".")] == []
    printed = capsys.readouterr().out
    assert "lost       once on " in printed
    assert printed.count("lost       deadly on ") == 3


@pytest.mark.filterwarnings("ignore")
def test_a_worker_that_sees_neither_gets_the_sequence_and_gives_its_results(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    # All workers of this machine see all of it, so they are told that they do not.
    monkeypatch.setattr(spread._Spread, "_sees", lambda *_: (False, False))
    (tries := tmp_path / "tries").mkdir()
    # What is lost with one of the workers is the sequence that it was sent, too.
    rows, errors = run(data, tmp_path / "out", tries, stage(data, "a", "b", "broken", "once", "c"))
    assert [type(error) for error in errors] == [InputError]
    assert {name: rows[name]["frames"] for name in ("b", "once", "c")} == {"b": 2, "once": 4, "c": 5}
    assert (tries / "once").read_text().count("try") == 2
    assert (tmp_path / "out" / "b" / "sub" / "threads").exists()


def test_a_cluster_that_is_gone_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed", reason="slipway[dask] is not installed")
    monkeypatch.setattr(spread, "_CONNECT_S", 1)
    monkeypatch.setenv(spread.ADDRESS, "tcp://127.0.0.1:1")
    with pytest.raises(CrashError, match=r"tcp://127\.0\.0\.1:1 does not answer"):
        list(spread.spread([], tmp_path, Counting(tmp_path), tmp_path, 0))


def test_a_sequence_travels_with_what_lies_above_it(tmp_path: Path) -> None:
    root = tmp_path / "data"
    folder = root / "set" / "fr1" / "xyz"
    make_tum(folder)
    make_tum(root / "set" / "fr1" / "other")
    for name in ("set/calib.txt", "set/poses/xyz.txt", "set/fr1/camera.yaml", "elsewhere/calib.txt"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    (root / "set" / "movie.mp4").write_text("not this one's")
    strange = folder / os.fsdecode(b"\xff 'q'\n$x")
    strange.write_text("strange")
    (folder / "link").symlink_to(strange)
    parcel.unpack(parcel.pack_sequence(folder, root), there := tmp_path / "there")
    files = {str(path.relative_to(there)) for path in there.rglob("*") if path.is_file()}
    own = {str(path.relative_to(root)) for path in folder.rglob("*") if path.is_file()}
    assert files == own | {"set/calib.txt", "set/poses/xyz.txt", "set/fr1/camera.yaml"}
    assert not (there / "set/fr1/xyz/link").is_symlink()


def test_a_video_travels_with_what_lies_beside_it(tmp_path: Path) -> None:
    root = tmp_path / "data"
    (root / "films").mkdir(parents=True)
    for name in ("a.mp4", "b.mp4", "calib.txt"):
        (root / "films" / name).write_text(name)
    parcel.unpack(parcel.pack_sequence(root / "films" / "a.mp4", root), tmp_path / "there")
    assert {path.name for path in (tmp_path / "there").rglob("*.*")} == {"a.mp4", "calib.txt"}


def test_results_replace_a_folder_as_a_whole(tmp_path: Path) -> None:
    for name in ("a/old", "b/new"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "file").write_text(name)
    parcel.unpack_results(parcel.pack_results(tmp_path / "b"), tmp_path / "a")
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.glob("a/**/*")} == {"a/new", "a/new/file"}
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        parcel.unpack_results(parcel.pack_results(tmp_path / "b"), tmp_path / "file" / "x")


def test_work_can_be_sent_to_another_machine() -> None:
    """With Python's own pickle, what the command line makes of its arguments."""
    import pickle

    from slam.command import Inference

    one = Inference(arguments=argparse.Namespace(threads=8, data_root=Path("/data")), asked_threads=None)
    assert pickle.loads(pickle.dumps(one)) == one  # noqa: S301
