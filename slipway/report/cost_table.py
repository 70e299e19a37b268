"""What lies at a site and here as a table, and what would be removed as lines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from slipway.job.run import Run
from slipway.keep.age import EDGES_D, age_column, age_words
from slipway.keep.decision import Decision
from slipway.keep.survey import KINDS, Item
from slipway.text.wording import megabytes, one_line

_BETWEEN = (f"{least}-{most}d" for least, most in pairwise(EDGES_D))
AGES = (f"<{EDGES_D[0]}d", *_BETWEEN, f">{EDGES_D[-1]}d")
TITLES = ("WHERE", "WHAT", "COUNT", "FILES", "SIZE", *AGES)
_WORDS = {
    "runs": ("run", "runs"),
    "code": ("code snapshot", "code snapshots"),
    "cache": ("cache", "caches"),
    "data": ("dataset", "datasets"),
    "packed": ("packed dataset", "packed datasets"),
    "weights": ("file of weights", "files of weights"),
    "images": ("image", "images"),
    "results": ("run's results here", "runs' results here"),
}
_NAMED = 5


def cost_rows(places: Mapping[str, Iterable[Item]], now_s: float) -> list[tuple[str, ...]]:
    """A row for each place and kind: how many, how many files and bytes, and the bytes by age.

    Args:
        places: what lies at each place, by the place's name.
        now_s: seconds since 1970.
    """
    rows = []
    for place, items in places.items():
        by_kind: dict[str, list[Item]] = {}
        for item in items:
            by_kind.setdefault(item.kind, []).append(item)
        for kind in sorted(by_kind, key=_order):
            rows.append((place, kind, *_costs(by_kind[kind], now_s)))
    return rows


def removal_lines(decision: Decision, runs: Mapping[str, Run], now_s: float) -> list[str]:
    """What would go, a line each, and why the rest stays, a line for each reason."""
    lines = [_line(item, runs.get(item.name), now_s) for item in decision.remove]
    for why, items in decision.stay.items():
        paths = (item.name if item.kind == "runs" else item.path for item in items[:_NAMED])
        names = ", ".join(one_line(path, 60) for path in paths)
        more = f" and {len(items) - _NAMED:,} more" if len(items) > _NAMED else ""
        lines.append(f"  stays: {names}{more}: {why}")
    return lines


def total(items: Sequence[Item]) -> str:
    """How many of each kind, and what they cost together: ``3 runs, 1 code snapshot: 12 files, 1.2 MB``."""
    kinds = sorted({item.kind for item in items}, key=_order)
    counts = [(sum(item.kind == kind for item in items), _WORDS[kind]) for kind in kinds]
    words = ", ".join(f"{count:,} {one if count == 1 else many}" for count, (one, many) in counts)
    files, size_bytes = sum(item.files for item in items), sum(item.size_bytes for item in items)
    return f"{words}: {_files(files)}, {_size(size_bytes)}"


def _line(item: Item, run: Run | None, now_s: float) -> str:
    words = [_WORDS[item.kind][0], item.name]
    if run is not None:
        words += [f"({run.name})"] if run.name else []
        words += [run.state.value]
    cost = f"{age_words(now_s - item.written_s)} old, {_files(item.files)}, {_size(item.size_bytes)}"
    return f"  goes: {one_line(' '.join(words), 200)}: {cost}"


def _costs(items: Sequence[Item], now_s: float) -> tuple[str, ...]:
    ages = [0] * len(AGES)
    for item in items:
        ages[age_column(now_s - item.written_s)] += item.size_bytes
    files, size_bytes = sum(item.files for item in items), sum(item.size_bytes for item in items)
    return (f"{len(items):,}", f"{files:,}", _size(size_bytes), *(_size(one) if one else "" for one in ages))


def _files(count: int) -> str:
    return f"{count:,} {'file' if count == 1 else 'files'}"


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:,.1f} GB" if size_bytes >= 1e9 else megabytes(size_bytes)


def _order(kind: str) -> int:
    order = (*KINDS, "results", "records")
    return order.index(kind) if kind in order else len(order)
