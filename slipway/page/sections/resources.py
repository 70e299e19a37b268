"""What was asked of the scheduler, and what of it was used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from slipway.page.markup import Html, element, join, table
from slipway.page.subject import Section, Subject
from slipway.report.advice import size_words
from slipway.report.run_details import wanted_resources
from slipway.report.usage import usage_values
from slipway.text.wording import clock, one_line

# What the rows above have.
_MEASURED = frozenset({"time", "cpus", "mem", "gpus"})
_MB = 1 << 20

_Row = tuple[str, str, str, Html | None]


def section(subject: Subject) -> Section | None:
    """Resources against what was asked, and what would have been enough."""
    values = usage_values(subject.run)
    wanted = wanted_resources(subject.run)
    rows = [*_measured(values, wanted), *_others(values, wanted)]
    if not rows:
        return None
    advice = [element("p", f"Advice: {line}.", class_="remark") for line in values["advice"]]
    body = join(table(("", "asked for", "used", ""), rows, label="resources"), *advice)
    return Section(key="resources", title="Resources", body=body)


def _measured(values: Mapping[str, Any], wanted: Mapping[str, str]) -> Iterator[_Row]:
    if values["limit_s"] or values["longest_s"]:
        limit = clock(values["limit_s"]) if values["limit_s"] else wanted.get("time", "")
        yield "time", limit, clock(values["longest_s"]), meter(values["time_percent"])
    if values["cpus"]:
        used = values["cores_used"]
        yield (
            "processor cores",
            f"{values['cpus']}",
            "" if used is None else f"{used} on average",
            meter(values["cpu_percent"]),
        )
    if values["asked_memory_bytes"] or values["peak_memory_bytes"]:
        asked, used = values["asked_memory_bytes"], values["peak_memory_bytes"]
        yield (
            "memory on a node",
            _size(asked),
            f"{_size(used)} at most" if used else "",
            meter(values["memory_percent"]),
        )


def _others(values: Mapping[str, Any], wanted: Mapping[str, str]) -> Iterator[_Row]:
    if values["gpus"]:
        yield "GPUs", wanted.get("gpus", str(values["gpus"])), "", None
    for use in values["gpu_use"]:
        memory = size_words(use["peak_memory_mb"] * _MB)
        percent = use["mean_utilization_percent"]
        node = "" if use["node"] is None else f"node {use['node']}, "
        yield f"{node}GPU {use['gpu']}", "", f"{percent:.0f} % on average, {memory} at most", meter(percent)
    if values["energy_j"] is not None:
        yield "energy", "", f"{values['energy_j'] / 3.6e6:.2f} kWh", None
    for key, value in wanted.items():
        if key not in _MEASURED and value not in ("", "False"):
            yield key.replace("_", " "), one_line(value, 200), "", None


def _size(size_bytes: float | None) -> str:
    return size_words(size_bytes) if size_bytes else ""


def meter(percent: float | None) -> Html | None:
    """A bar for the part that was used, which its words say, too."""
    if percent is None or not 0 <= percent < 1e6:
        return None
    return join(
        element(
            "svg",
            element("rect", width="100%", height=8, rx=4, class_="wait"),
            element("rect", width=f"{min(100.0, percent):.1f}%", height=8, rx=4, class_="part"),
            class_="meter",
            width=120,
            height=8,
            aria_hidden="true",
        ),
        element("span", f"{percent:.0f} %"),
    )
