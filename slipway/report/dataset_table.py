"""Datasets as values for JSON, and as the columns of a table. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from slipway.dataset.catalog import Dataset
from slipway.keep.age import age_words
from slipway.keep.survey import Item
from slipway.report.queue_table import Cell
from slipway.steps.datasets import Listing
from slipway.text.wording import counted, megabytes


def dataset_values(listing: Listing, now_s: float, *, only: str | None = None) -> list[dict[str, Any]]:
    """A value for each dataset: what is known, and where it lies.

    Args:
        listing: what there is.
        now_s: seconds since 1970.
        only: this one alone.
    """
    names = {*listing.known, *listing.here, *(listing.there or {}), *listing.packed}
    return [_values(listing, name, now_s) for name in sorted(names) if only in (None, name)]


def _values(listing: Listing, name: str, now_s: float) -> dict[str, Any]:
    there = None if listing.there is None else _place(listing.there.get(name), now_s)
    if versions := listing.packed.get(name):
        newest = _place(versions[0], now_s)
        there = {
            **(there or {}),
            "packed": {**(newest or {}), "file": versions[0].name, "versions": len(versions)},
        }
    here = _place(listing.here.get(name), now_s)
    if here is not None:
        here["path"] = str(listing.root / name)
        here["sequences"] = sorted(listing.fetched.get(name, ()))
    return {"name": name, "known": _known(listing.known.get(name)), "here": here, "there": there}


def _known(dataset: Dataset | None) -> dict[str, Any] | None:
    if dataset is None:
        return None
    sequences = {
        name: {
            "urls": [archive.url for archive in one.fetch],
            "folder": one.folder,
            "layout": one.layout or dataset.layout,
            "size_bytes": one.size_bytes,
        }
        for name, one in dataset.sequences.items()
    }
    return {
        **dataset.model_dump(mode="json", exclude={"name", "sequences"}),
        "usual": list(dataset.usual or dataset.sequences),
        "sequences": sequences,
    }


def _place(item: Item | None, now_s: float) -> dict[str, Any] | None:
    if item is None:
        return None
    age_s = max(0, int(now_s - item.written_s))
    return {"files": item.files, "size_bytes": item.size_bytes, "age_s": age_s, "owner": item.owner or None}


def dataset_columns(values: Sequence[dict[str, Any]], site: str | None) -> dict[str, list[Cell]]:
    """The table's columns by their titles."""
    columns: dict[str, list[Cell]] = {
        "DATASET": [[one["name"]] for one in values],
        "KNOWN": [_known_words(one["known"]) for one in values],
        "HERE": [_place_words(one["here"]) for one in values],
    }
    if site is not None:
        columns[site.upper()] = [_place_words(one["there"]) for one in values]
    return columns


def _known_words(known: dict[str, Any] | None) -> Cell:
    if known is None:
        return ["-"]
    if known["program"]:
        return ["made here"]
    return [counted(len(known["sequences"]), "sequence")]


def _place_words(place: dict[str, Any] | None) -> Cell:
    if place is None:
        return ["-"]
    if "packed" in place:
        packed = place["packed"]
        return ["packed,", megabytes(packed["size_bytes"]) + ",", age_words(packed["age_s"])]
    words = [counted(place["files"], "file") + ",", megabytes(place["size_bytes"]) + ","]
    words.append(age_words(place["age_s"]))
    count = len(place.get("sequences", ()))
    return [*([counted(count, "sequence") + ","] if count else []), *words]


def dataset_lines(value: dict[str, Any]) -> list[str]:
    """What is known of one dataset, as lines."""
    known = value["known"]
    if known is None:
        return [f"{value['name']} is in no cluster/datasets.yaml"]
    lines = [f"{value['name']}  {known['title']}", f"  layout    {known['layout']}"]
    lines += [f"  {key:<9} {known[key]}" for key in ("source", "licence") if known[key]]
    if known["arguments"]:
        lines.append(f"  arguments {' '.join(known['arguments'])}")
    here = set((value["here"] or {}).get("sequences", ()))
    figures = known["reference"]
    for reference in figures:
        lines.append(f"  reference {reference['what']}; {reference['source']}")
    for name in known["sequences"]:
        numbers = [f"{one['figures'][name]:g}" for one in figures if name in one["figures"]]
        where = {"usual": name in known["usual"], "here": name in here}
        marks = [*(word for word, holds in where.items() if holds), *numbers]
        lines.append(f"    {name}" + (f"  {', '.join(marks)}" if marks else ""))
    return lines
