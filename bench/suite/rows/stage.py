"""Ten thousand files of data, for the first time."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import paramiko

from bench.suite.figure import Figure, Goal, Result, Taken, figure_of, ratio
from bench.suite.place import Place, expect
from bench.suite.process import run
from bench.suite.row import Row, Way, take_turns

_SIZES = """find "$1" -type f -printf '%s\n' | awk '{ sum += $1 } END { print NR, sum + 0 }'"""
FILES, FILE_BYTES, IN_TURN = 10_000, 20_000, 500


def measure(place: Place) -> Result:
    """Stage the folder under another name each time."""
    files = place.options.small(FILES, 300)
    part = min(IN_TURN, files)
    source = place.folder / "data"
    make(source, files)
    there = f"{place.scratch}/slipway/data/bench"

    def fresh(made: str = there) -> None:
        place.there('chmod -R u+w "$1" 2>/dev/null; rm -rf "$1" "$1".*; mkdir -p "$2"', there, made)
        # All of it is hashed again.
        shutil.rmtree(place.state / "digests", ignore_errors=True)

    def check(count: int) -> None:
        said = place.there(_SIZES, there).split()
        expect([*map(int, said)] == [count, count * FILE_BYTES], f"of {count} files there are {said}")

    slipway = ("stage", "--path", str(source), "--name", "bench", "--profile", "base", "--site", "box")
    ways = [
        Way(
            name="Slipway",
            before=lambda: fresh(place.scratch),
            act=lambda: place.slipway(*slipway),
            check=lambda: check(files),
        ),
        Way(
            name="rsync",
            before=fresh,
            act=lambda: _nothing(
                run(["rsync", "-rt", "-e", " ".join(place.ssh), f"{source}/", f"box:{there}"])
            ),
            check=lambda: check(files),
        ),
        Way(
            name=f"SFTP, one after the other ({part} files)",
            before=fresh,
            act=lambda: in_turn(place, source, there, part),
            check=lambda: check(part),
            scale=files / part,
        ),
    ]
    figures: list[Figure] = []
    for delay_ms in place.delays(ROW.delays_ms):
        with place.slow(delay_ms):
            figures += take_turns(place, ways, case=f"{delay_ms} ms")
    fresh(place.scratch)
    case = figures[-1].case
    ours, rsync, sftp = (figure_of(figures, case, way.name) for way in ways)
    rate = place.options.rate_mbit
    line_s = files * FILE_BYTES * 8 / 1e6 / rate if rate else 0
    return Result(
        name=ROW.name,
        title=ROW.title,
        how=f"{files:,} files of {FILE_BYTES // 1000} kB that do not shrink, {files * FILE_BYTES / 1e6:.0f} "
        "MB, are brought to the box "
        f"for the first time; {place.options.rate_mbit:g} Mbit/s, so that the line alone takes "
        f"{line_s:.0f} s. Slipway hashes them on both "
        f"sides. One after the other by SFTP is to open, write and close each; that was done with {part} "
        "files, without the "
        f"login, and counts {files / part:.0f} times.",
        figures=tuple(figures),
        goals=(
            Goal(
                what="time of SFTP, one after the other",
                value=ratio(sftp, ours),
                limit=30,
                at_least=True,
                unit="times ours",
            ),
            Goal(what="time of rsync", value=ratio(rsync, ours), limit=1, at_least=True, unit="times ours"),
        ),
    )


def make(folder: Path, files: int) -> None:
    """Files in a hundred folders."""
    for number in range(files):
        path = folder / f"{number % 100:02}" / f"{number:06}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(FILE_BYTES))


def in_turn(place: Place, source: Path, there: str, count: int) -> Taken:
    """Each file opened, written and closed, as simple programs do; after the login."""
    names = sorted(path.relative_to(source) for path in source.rglob("*") if path.is_file())[:count]
    user, port, key = place.login()
    with paramiko.SSHClient() as ssh:
        ssh.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        ssh.connect("127.0.0.1", port, user, key_filename=key, allow_agent=False, look_for_keys=False)
        client = ssh.open_sftp()
        began, made = time.perf_counter(), set[str]()
        for name in names:
            parent = f"{there}/{name.parent}"
            if parent not in made:
                client.mkdir(parent)
                made.add(parent)
            with client.open(f"{there}/{name}", "w") as file:
                file.write((source / name).read_bytes())
        return Taken(seconds=time.perf_counter() - began)


def _nothing(*_: object) -> None:
    return None


ROW = Row(name="stage", title="Stage 10,000 files of 20 kB", measure=measure, delays_ms=(25,))
