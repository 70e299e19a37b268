"""Published results to lay ours beside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from slam.dataset import tum
from slam.dataset.catalog import Staged, match
from slam.errors import InputError
from slam.evaluate import table
from slam.evaluate.table import Row
from slam.output.results import write_json
from slam.progress import say

JSON = "benchmark.json"


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """Sequences of a dataset, and somebody's absolute trajectory error (rmse after sim3, metres) on each.

    ``settings`` are what DROID-SLAM is set to for them, ``mean`` is the mean that they give, and ``source``
    says whose figures these are and where they stand.
    """

    dataset: str
    settings: Mapping[str, object]
    figures: Mapping[str, float]
    mean: float
    source: str


TUM = Benchmark(
    dataset="tum",
    settings=tum.SETTINGS,
    figures={
        "freiburg1_360": 0.111,
        "freiburg1_desk": 0.018,
        "freiburg1_desk2": 0.042,
        "freiburg1_floor": 0.021,
        "freiburg1_plant": 0.016,
        "freiburg1_room": 0.049,
        "freiburg1_rpy": 0.026,
        "freiburg1_teddy": 0.048,
        "freiburg1_xyz": 0.012,
    },
    mean=0.038,
    source=(
        "the paper's: Teed and Deng, DROID-SLAM (arXiv 2108.10869), table 4, TUM-RGBD, monocular, every "
        "second image at 320x240"
    ),
)
BENCHMARKS = {"tum": TUM}


def choose_sequences(
    benchmark: Benchmark, staged: Sequence[Staged]
) -> tuple[tuple[Staged, ...], tuple[str, ...]]:
    """The benchmark's sequences among what there is, in its order, and the names of those that are missing.

    Raises:
        InputError: none is there, or several may be the same one.
    """
    names = tuple(one.name for one in staged)
    fitting = {name: match(name, names) for name in benchmark.figures}
    if several := next(((name, fit) for name, fit in fitting.items() if len(fit) > 1), None):
        raise InputError(f"{several[0]} may be {', '.join(several[1])}; name one of them")
    found = tuple(next(one for one in staged if one.name == fit[0]) for fit in fitting.values() if fit)
    if not found:
        raise InputError(
            f"none of the benchmark's sequences is there: {', '.join(benchmark.figures)}; there "
            f"{'is' if len(names) == 1 else 'are'} {', '.join(names[:20]) or 'nothing'}; stage them from "
            "https://cvg.cit.tum.de/data/datasets/rgbd-dataset/download"
        )
    return found, tuple(name for name, fit in fitting.items() if not fit)


def lay_beside(benchmark: Benchmark, rows: Sequence[Row]) -> list[Row]:
    """Ours and the published figure of each sequence, and of the mean where all of ours are there.

    ``rows`` have ``sequence`` and, where it was measured, ``ate_rmse``.
    """
    names = tuple(str(row["sequence"]) for row in rows)
    beside: list[Row] = []
    for name, published in benchmark.figures.items():
        fit = match(name, names)
        row = next((row for row in rows if fit and row["sequence"] == fit[0]), {})
        beside.append(_compare(name, row.get("ate_rmse"), published))
    ours = [value for row in beside if isinstance(value := row["ours"], float)]
    mean = sum(ours) / len(ours) if len(ours) == len(benchmark.figures) else None
    return [*beside, _compare("mean", mean, benchmark.mean)]


def _compare(name: str, ours: object, published: float) -> Row:
    difference = ours - published if isinstance(ours, float) else None
    return {"sequence": name, "ours": ours, "published": published, "difference": difference}


def tell(benchmark: Benchmark, rows: Sequence[Row], out: Path, *, changed: Sequence[str]) -> None:
    """Print and write ours beside the published figures; ``changed`` are options that make ours others."""
    beside = lay_beside(benchmark, rows)
    values = {
        "source": benchmark.source,
        "changed_options": list(changed),
        "rows": [dict(row) for row in beside],
    }
    write_json(out / JSON, values)
    say(f"ATE rmse in metres after sim3 alignment; published are {benchmark.source}")
    if changed:
        say(f"note       these options differ from the benchmark's settings: {', '.join(changed)}")
    table.say_table(beside)
