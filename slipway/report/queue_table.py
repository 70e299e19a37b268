"""A site's partitions, and what a user may have of them, as values and as the rows of tables. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from slipway.quantity import mebibytes
from slipway.scheduler.queues import (
    ClusterQueues,
    OwnLimit,
    QueueState,
    differences,
    gpu_words,
    merge_queue,
)
from slipway.site import Queue, Site
from slipway.text.wording import cut, one_line, text_width

GAP = 2
_LONGEST, _SHORTEST = 30, 12
# A cell is words, of which each stands on one line, whatever the table's width is.
Cell = Sequence[str]


def queue_values(site: Site, there: ClusterQueues) -> dict[str, Any]:
    """What ``queues --json`` says: ``queues``, ``limits``, ``accounts`` and ``notes``.

    What a site's file says of a partition goes before what its scheduler does, and ``listed`` is whether it
    says anything. Memory is in MiB.
    """
    return {
        "site": site.name,
        "currency": site.currency,
        "queues": [_queue(queue, site.queues.get(queue.name)) for queue in there.queues],
        "accounts": {account: list(qos) for account, qos in there.accounts.items()},
        "limits": [_limit(limit) for limit in there.limits],
        "notes": [*there.notes, *differences(site, there.queues)],
    }


def _queue(state: QueueState, written: Queue | None) -> dict[str, Any]:
    queue = merge_queue(written, state.offer)
    return {
        "name": state.name,
        "default": state.is_default,
        "usable": state.refused is None,
        "refused": state.refused,
        "listed": written is not None,
        "auto": queue.auto,
        "max_time": queue.max_time,
        "max_nodes": queue.max_nodes,
        "max_cpus": queue.max_cpus,
        "max_mem_mib": None if queue.max_mem is None else round(mebibytes(queue.max_mem)),
        "max_gpus": None if queue.max_gpus is None else dict(queue.max_gpus),
        "exclusive": state.exclusive,
        "cost": queue.cost,
        "per": queue.per if queue.cost is not None else None,
        "note": queue.note,
        "qos": state.qos,
        "nodes": state.nodes,
        "idle_nodes": state.idle_nodes,
        "cpus": state.cpus,
        "idle_cpus": state.idle_cpus,
        "gpus": state.gpus,
        "idle_gpus": state.idle_gpus,
        "waiting": state.waiting,
    }


def _limit(limit: OwnLimit) -> dict[str, Any]:
    return {
        "kind": limit.kind,
        "name": limit.name,
        "jobs": limit.jobs,
        "submitted": limit.submitted,
        "time": limit.time,
        "resources": dict(limit.resources),
    }


def queue_cells(values: Mapping[str, Any]) -> dict[str, list[Cell]]:
    """The columns of the table of partitions, by their titles."""
    rows: Sequence[Mapping[str, Any]] = values["queues"]
    columns: dict[str, list[Cell]] = {
        "PARTITION": [[_name(row)] for row in rows],
        "NODES": [[_free(row, "nodes")] for row in rows],
        "CPUS": [[_free(row, "cpus")] for row in rows],
        "GPUS": [[_free(row, "gpus")] for row in rows],
        "WAIT": [["?" if row["waiting"] is None else f"{row['waiting']:,}"] for row in rows],
        "A JOB": [_job_words(row) for row in rows],
        "A NODE": [_node_words(row) for row in rows],
    }
    if any(row["cost"] is not None for row in rows):
        columns["COST"] = [_cost_words(row, values["currency"]) for row in rows]
    return columns


def queue_notes(values: Mapping[str, Any]) -> list[str]:
    """What is said of single partitions below their table, a line each."""
    rows: Sequence[Mapping[str, Any]] = values["queues"]
    refused = [f"! {row['name']}: {row['refused']}" for row in rows if row["refused"]]
    return [*refused, *(f"{row['name']}: {one_line(row['note'], 200)}" for row in rows if row["note"])]


def limit_cells(values: Mapping[str, Any]) -> dict[str, list[Cell]]:
    """The columns of the table of a user's own limits, by their titles."""
    rows: Sequence[Mapping[str, Any]] = values["limits"]
    return {
        "YOUR LIMITS": [[one_line(f"{row['kind']} {row['name']}", _LONGEST)] for row in rows],
        "RUNNING": [[_number(row["jobs"])] for row in rows],
        "IN ALL": [[_number(row["submitted"])] for row in rows],
        "TIME": [[row["time"] or ""] for row in rows],
        "RESOURCES": [
            [
                f"{whose} {word}" if place == 0 else word
                for whose, words in row["resources"].items()
                for place, word in enumerate(one_line(words, 400).split(","))
            ]
            for row in rows
        ],
    }


def table_rows(columns: Mapping[str, Sequence[Cell]], width: int | None) -> tuple[list[int], list[list[str]]]:
    """The lines of a table, with its titles, and how many columns of a terminal each of its columns has.

    Where the terminal is too narrow, cells of several words go on in further lines below.

    Args:
        columns: cells by titles; all have as many.
        width: how many columns the terminal has; ``None`` for no limit.
    """
    widths = _widths(columns, width)
    lines = [[*columns]]
    for cells in zip(*columns.values(), strict=True):
        pieces = [_wrapped(cell, wide) for cell, wide in zip(cells, widths, strict=True)]
        height = max(map(len, pieces))
        lines += [
            [piece[number] if number < len(piece) else "" for piece in pieces] for number in range(height)
        ]
    return widths, lines


def _widths(columns: Mapping[str, Sequence[Cell]], width: int | None) -> list[int]:
    whole = [
        max(map(text_width, (title, *(" ".join(cell) for cell in cells)))) for title, cells in columns.items()
    ]
    least = [
        max(map(text_width, (title, *(word for cell in cells for word in cell))))
        for title, cells in columns.items()
    ]
    over = sum(whole) + GAP * (len(whole) - 1) - width if width else 0
    while over > 0:
        # The widest of those that can gives way.
        widest = max(range(len(whole)), key=lambda place: (whole[place] > least[place]) * whole[place])
        if whole[widest] <= least[widest]:
            break
        whole[widest] -= 1
        over -= 1
    # Names of partitions are cut last, and not beyond recognition.
    whole[0] -= min(max(over, 0), max(whole[0] - _SHORTEST, 0))
    return whole


def _wrapped(cell: Cell, width: int) -> list[str]:
    # A word may have spaces in it that are no place for a break.
    text = " ".join(word.replace(" ", "\xa0") for word in cell)
    lines = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]
    return [cut(line.replace("\xa0", " "), width) for line in lines]


def _name(row: Mapping[str, Any]) -> str:
    mark = "*" if row["default"] else ""
    return cut(f"{'' if row['usable'] else '! '}{one_line(row['name'], 200)}{mark}", _LONGEST)


def _free(row: Mapping[str, Any], key: str) -> str:
    return f"{row[f'idle_{key}']}/{row[key]}" if row[key] else "-"


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _job_words(row: Mapping[str, Any]) -> list[str]:
    words = [row["max_time"] or "any time"]
    if row["max_nodes"]:
        words.append(f"{row['max_nodes']} {'node' if row['max_nodes'] == 1 else 'nodes'}")
    return [*words, "whole nodes"] if row["exclusive"] else words


def _node_words(row: Mapping[str, Any]) -> list[str]:
    words = [f"{row['max_cpus']} cpus"] if row["max_cpus"] else []
    if row["max_mem_mib"]:
        words.append(_memory(row["max_mem_mib"]))
    return [*words, *(gpu_words(row["max_gpus"]).split(",") if row["max_gpus"] else [])]


def _memory(mib: int) -> str:
    return f"{mib / 1024:,.0f} GiB" if mib >= 10 * 1024 else f"{mib / 1024:.1f} GiB"


def _cost_words(row: Mapping[str, Any], currency: str | None) -> list[str]:
    if row["cost"] is None:
        return []
    return [f"{row['cost']:g} {currency or ''}".rstrip(), f"a {row['per']}"]
