"""Measures what the pieces of work cost, beside other ways of doing them: invoke bench.

Each row does one piece of work by several ways, which take turns on one machine and over one line. What is
printed are tables in Markdown. It needs Docker, rsync and OpenSSH, and starts a box of its own.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.suite import document, machine, record
from bench.suite.figure import Result
from bench.suite.place import ROOT, Options, Place
from bench.suite.row import Row, WrongError
from bench.suite.rows import ROWS
from bench.suite.table import render

PAGE = ROOT / "docs" / "performance.md"
FIGURES = ROOT / "bench" / "figures.json"


def main() -> int:
    """Do what was asked for."""
    options = parse(sys.argv[1:])
    # So that the box is ended all the same.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    file = options.json or (FIGURES if options.write_docs else None)
    results = [] if options.write_docs and not options.only else measure(options, file)
    if options.write_docs:
        assert file is not None  # noqa: S101 - it has a default
        document.write(PAGE, record.read(file))
    if results:
        print(render(results))
    return 0


def parse(words: Sequence[str]) -> argparse.Namespace:
    """What was asked for."""
    names = [row.name for row in ROWS]
    parser = argparse.ArgumentParser(prog="invoke bench", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=names, default=[], metavar="ROW", help=", ".join(names))
    parser.add_argument("--times", type=_count, help="how often each way is measured; default: 5")
    parser.add_argument(
        "--delays", type=int, nargs="+", help="round trips in ms, in the place of each row's own"
    )
    parser.add_argument("--rate-mbit", type=float, default=100, help="the rate of the line; 0 has no limit")
    parser.add_argument("--base", default="slipway-cpu", help="the Docker image that is changed")
    parser.add_argument("--large-gb", type=float, default=5.5, help="the size of the large image")
    parser.add_argument(
        "--json", type=Path, help="a file that gets the results; rows in it that are not measured stay"
    )
    parser.add_argument(
        "--short", action="store_true", help="everything small and once, to see that it works"
    )
    parser.add_argument(
        "--write-docs",
        action="store_true",
        help="write what --json (default: bench/figures.json) has to docs/performance.md; measure --only",
    )
    return parser.parse_args(words)


def _count(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("it is at least 1")
    return number


def chosen(options: argparse.Namespace) -> list[Row]:
    """The rows that are measured, in their order."""
    return [
        row
        for row in ROWS
        if (row.name in options.only if options.only else not (options.short and row.is_long))
    ]


def measure(options: argparse.Namespace, file: Path | None) -> list[Result]:
    """Measure rows; what is there of them is written after each."""
    asked = Options(
        times=options.times or (1 if options.short else 5),
        delays_ms=tuple(options.delays) if options.delays is not None else ((25,) if options.short else None),
        rate_mbit=options.rate_mbit,
        base=options.base,
        large_gb=options.large_gb,
        short=options.short,
    )
    results: list[Result] = []
    for row in chosen(options):
        print(f"{row.title}:", file=sys.stderr, flush=True)
        (ROOT / ".slipway").mkdir(exist_ok=True)
        # A row has a box of its own, so that none depends on another.
        place = Place(Path(tempfile.mkdtemp(prefix="bench-", dir=ROOT / ".slipway")), asked)
        try:
            results.append(replace(row.measure(place), facts=machine.facts(ROOT)))
        except WrongError as error:
            raise SystemExit(f"{row.name}: {error}") from error
        finally:
            place.close()
        if file:
            record.write(file, record.merge(record.read(file), results, [one.name for one in ROWS]))
    return results


if __name__ == "__main__":
    sys.exit(main())
