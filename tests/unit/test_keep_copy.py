"""Copies on a cluster: the script that makes them, under a real bash."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parents[2]
SCRIPT = (ROOT / "cluster" / "keep.sh").read_text()
ODD = "a b\n$x'\\ü"


class Place:
    """Two folders in the place of scratch and home."""

    def __init__(self, folder: Path) -> None:
        self.scratch, self.home = folder / "scratch", folder / "home"
        self.scratch.mkdir()

    def copy(
        self, *names: str, back: bool = False, manifest: str = "", code: int = 0, prefix: str = ""
    ) -> dict[str, str]:
        ends = (self.home, self.scratch) if back else (self.scratch, self.home)
        sums = self.home / ".sha256" / names[0].replace("/", "-")
        words = [*ends, ends[1] / ".part" / "x", sums, manifest, *names]
        argv = ["bash", "-c", prefix + SCRIPT, "slipway", "T", *map(str, words)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
        assert done.returncode == code, done
        lines = [line.split(" ", 2) for line in done.stdout.splitlines() if line.startswith("T ")]
        self.said = done.stdout + done.stderr
        return {words[1]: words[2] for words in lines}

    def run(self, name: str = "k3f9") -> Path:
        folder = self.scratch / "runs" / name
        (folder / "attempt-1" / "out" / "empty").mkdir(parents=True)
        (folder / "run.json").write_text("{}")
        (folder / "job.sh").write_text("#!/bin/sh\n")
        (folder / "job.sh").chmod(0o700)
        (folder / "attempt-1" / "out" / ODD).write_text("odd")
        (folder / "attempt-1" / "out" / "link").symlink_to("nowhere\n else")
        (folder / "attempt-1" / "log").write_text("said\n")
        os.utime(folder / "run.json", (1e9, 1e9))
        return folder


def tree(folder: Path) -> dict[str, str]:
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        found[name] = (
            f"-> {path.readlink()}" if path.is_symlink() else path.read_text() if path.is_file() else "/"
        )
    return found


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_a_run_is_copied_whole_and_brought_back(place: Place) -> None:
    folder = place.run()
    whole = tree(folder)
    assert place.copy("runs/k3f9")["end"].split() == ["4", "20", "4", "20"]
    kept = place.home / "runs" / "k3f9"
    assert tree(kept) == whole
    assert kept.stat().st_mode & 0o777 == 0o700
    assert (kept / "job.sh").stat().st_mode & 0o777 == 0o700
    assert (kept / "run.json").stat().st_mtime == 1e9
    assert not (place.home / ".part" / "x").exists()
    subprocess.run(["rm", "-r", str(folder)], check=True)
    place.copy("runs/k3f9", back=True)
    assert tree(folder) == whole
    # Else the next purge would take it.
    assert time.time() - (folder / "run.json").stat().st_mtime < 600


def test_what_is_there_is_not_copied_again(place: Place) -> None:
    folder = place.run()
    place.copy("runs/k3f9")
    (folder / "attempt-1" / "log").write_text("more\n")
    (folder / "run.json").unlink()  # the purge took it
    before = (place.home / "runs" / "k3f9" / "job.sh").stat().st_ino
    assert place.copy("runs/k3f9")["end"].split()[0] == "1"
    kept = place.home / "runs" / "k3f9"
    assert (kept / "attempt-1" / "log").read_text() == "more\n"
    assert (kept / "job.sh").stat().st_ino == before
    # What is not in scratch any more stays, and is known to be right.
    assert (kept / "run.json").read_text() == "{}"
    place.copy("runs/k3f9", back=True)
    assert (folder / "run.json").read_text() == "{}"


def test_a_copy_that_was_cut_goes_on(place: Place) -> None:
    (place.scratch / "images").mkdir()
    image = place.scratch / "images" / "a.sif"
    content = os.urandom(1 << 20) * 70
    image.write_bytes(content)
    part = place.home / ".part" / "x" / "images"
    part.mkdir(parents=True)
    # 40 MB of it had come; `head` is told of each piece that is written now.
    (part / "a.sif").write_bytes(content[: 40 << 20])
    told = place.home / "told"
    place.copy("images/a.sif", prefix=f'head() {{ command head "$@" | tee {told}; }}\n')
    assert told.stat().st_size == 30 << 20
    assert (place.home / "images" / "a.sif").read_bytes() == content
    # What had come is something else: it is noticed, and not kept.
    (place.home / "images" / "a.sif").unlink()
    part.mkdir(parents=True)
    (part / "a.sif").write_bytes(b"x" * (40 << 20))
    assert place.copy("images/a.sif", code=9)["failed"] == "changed ./images/a.sif"
    assert not (place.home / "images" / "a.sif").exists()
    place.copy("images/a.sif")
    assert (place.home / "images" / "a.sif").read_bytes() == content


def test_what_is_damaged_at_home_is_not_brought_back(place: Place) -> None:
    folder = place.run()
    place.copy("runs/k3f9")
    (place.home / "runs" / "k3f9" / "attempt-1" / "log").write_text("SAID\n")
    subprocess.run(["rm", "-r", str(folder)], check=True)
    assert place.copy("runs/k3f9", back=True, code=9)["failed"] == "damaged ./runs/k3f9/attempt-1/log"
    assert not folder.exists()


def test_what_was_never_kept_whole_is_not_brought_back(place: Place) -> None:
    place.run()
    (place.home / "runs" / "k3f9").mkdir(parents=True)
    assert place.copy("runs/k3f9", back=True, code=9)["failed"].startswith("incomplete ")
    assert place.copy("runs/none", code=9)["failed"].startswith("gone ")


def test_a_file_that_cannot_be_read_is_named(place: Place) -> None:
    folder = place.run()
    (folder / "dead").symlink_to("/nowhere")
    # The tests may run as root, who reads everything: a file that goes away meanwhile is as bad.
    prefix = f'find() {{ command find "$@"; rm -f "{folder}/run.json"; }}\n'
    place.copy("runs/k3f9", code=123, prefix=prefix)
    assert "run.json: No such file" in place.said
    assert not (place.home / "runs" / "k3f9").exists()


def test_a_dataset_brings_its_manifest_last(place: Place) -> None:
    data = place.scratch / "data" / "photos"
    data.mkdir(parents=True)
    (data / "a.png").write_text("a")
    (data.parent / ".photos.sha256").write_text("manifest 1")
    place.copy("data/photos", manifest="data/.photos.sha256")
    (data / "a.png").write_text("b")
    (data.parent / ".photos.sha256").write_text("manifest 2")
    # Cut before it is placed: nobody believes what is there.
    place.copy("data/photos", manifest="data/.photos.sha256", code=1, prefix="mv() { return 1; }\n")
    kept = place.home / "data"
    assert not (kept / ".photos.sha256").exists()
    place.copy("data/photos", manifest="data/.photos.sha256")
    assert ((kept / ".photos.sha256").read_text(), (kept / "photos" / "a.png").read_text()) == (
        "manifest 2",
        "b",
    )


def test_nothing_is_written_through_a_link(place: Place, tmp_path: Path) -> None:
    folder = place.run()
    place.copy("runs/k3f9")
    (tmp_path / "elsewhere").mkdir()
    subprocess.run(["rm", "-r", str(folder / "attempt-1")], check=True)
    (folder / "attempt-1").symlink_to(tmp_path / "elsewhere")
    assert place.copy("runs/k3f9", back=True, code=9)["failed"].startswith("link ")
    assert tree(tmp_path / "elsewhere") == {}


def test_a_disk_without_room_is_noticed_before(place: Place) -> None:
    place.run()
    prefix = "df() { printf 'x\\nx 1 1 0 100%% /\\n'; }\n"
    assert place.copy("runs/k3f9", code=9, prefix=prefix)["failed"] == "room 0 20"
