"""Results brought home: 1,000 files, and ten more."""

from __future__ import annotations

import shutil
from pathlib import Path

from bench.submit import make_code
from bench.suite.figure import Figure, Goal, Result, figure_of, ratio
from bench.suite.place import Place, expect
from bench.suite.process import run
from bench.suite.row import Row, Way, take_turns
from bench.suite.submission import SMALL, push_small

FILES, NEW, FILE_BYTES = 1000, 10, 20_000
_WRITE = 'cd "$1" && for i in $(seq "$2"); do head -c "$3" /dev/urandom >"$4-$i"; done'


class Pull:
    """One run on the box, its folder here, and what rsync makes of it."""

    def __init__(self, place: Place, files: int) -> None:
        self.place, self.files, self._turn = place, files, 0
        code = place.folder / "pull-code"
        make_code(code, 1)
        sets = [f"IMAGE={SMALL}", f"CODE_DIR={code}", "PROGRAM=true"]
        words = ["job", "--profile", "cpu", "--site", "box", *(w for one in sets for w in ("--set", one))]
        said = place.slipway_says(*words, "--time", "1", "--cpus", "1", "--mem", "100M", "--wait", "--")[1]
        self.run_id = place.newest_run()["run_id"]
        expect(self.run_id in said, f"{self.run_id} is not the run of {said}")
        self.there = f"{place.scratch}/slipway/runs/{self.run_id}"
        self.out = f"{self.there}/attempt-1/out"
        place.there(_WRITE, self.out, str(files), str(FILE_BYTES), "first")
        self.home, self.copy = place.folder / "results" / self.run_id, place.folder / "copy"

    def add(self) -> None:
        """Ten more files on the box."""
        self._turn += 1
        self.place.there(_WRITE, self.out, str(NEW), str(FILE_BYTES), f"turn{self._turn}")

    def empty(self) -> None:
        """Nothing is home."""
        for folder in (self.home, self.copy):
            shutil.rmtree(folder, ignore_errors=True)

    def ways(self) -> list[Way]:
        """`invoke pull`, and rsync."""
        rsync = ["rsync", "-rlt", "-e", " ".join(self.place.ssh), f"box:{self.there}/", f"{self.copy}/"]
        return [
            Way(
                name="Slipway",
                act=lambda: self.place.slipway("pull", "--run", self.run_id),
                check=lambda: self._check(self.home),
            ),
            Way(name="rsync", act=lambda: _nothing(run(rsync)), check=lambda: self._check(self.copy)),
        ]

    def _check(self, folder: Path) -> None:
        count = len([*(folder / "attempt-1" / "out").iterdir()])
        wanted = self.files + NEW * self._turn
        expect(count == wanted, f"{folder} has {count} files, and not {wanted}")


def measure(place: Place) -> Result:
    """All of a run's results, then ten new files, then nothing new."""
    push_small(place)
    pull = Pull(place, place.options.small(FILES, 50))
    figures: list[Figure] = []
    for delay_ms in place.delays(ROW.delays_ms):
        with place.slow(delay_ms):
            case = f"{delay_ms} ms"
            figures += take_turns(place, pull.ways(), case=f"{case}, all", each_turn=pull.empty)
            figures += take_turns(place, pull.ways(), case=f"{case}, {NEW} new", each_turn=pull.add)
            figures += take_turns(place, pull.ways(), case=f"{case}, none new")
    ours, none = (figure_of(figures, f"{case}, {which}", "Slipway") for which in (f"{NEW} new", "none new"))
    rsync = figure_of(figures, f"{case}, {NEW} new", "rsync")
    return Result(
        name=ROW.name,
        title=ROW.title,
        how=f"A run's {pull.files:,} files of {FILE_BYTES // 1000} kB are brought home, all of them, then "
        f"{NEW} that are new, then "
        f"none; {place.options.rate_mbit:g} Mbit/s. rsync brings the same folder over OpenSSH. `invoke pull` "
        "compares all files "
        "with those on the cluster by their SHA-256, too.",
        figures=tuple(figures),
        goals=(
            Goal(
                what="bytes received, beside the ten files",
                value=(ours.median("received_bytes") or 0) / (NEW * FILE_BYTES),
                limit=2,
                unit="times",
            ),
            Goal(what="time, beside that with nothing new", value=ratio(ours, none), limit=1.2, unit="times"),
            Goal(what="time, beside rsync", value=ratio(ours, rsync), limit=2, unit="times"),
        ),
    )


def _nothing(*_: object) -> None:
    return None


ROW = Row(name="pull", title="Pull 1,000 result files, ten new", measure=measure, delays_ms=(25,))
