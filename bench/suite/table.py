"""Results as Markdown. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.suite.figure import Figure, Goal, Result, find, ratio

# What a table has beside the seconds, where anything of it was measured: the head, the number, its unit.
_COLUMNS = (
    ("of a processor", "processor_s"),
    ("sent", "sent_bytes"),
    ("received", "received_bytes"),
    ("logins", "connections"),
    ("read here", "read_bytes"),
    ("memory, at most", "memory_bytes"),
    ("disk, at most", "disk_bytes"),
)


def render(results: Sequence[Result]) -> str:
    """All of it: the goals in one table, then a table for each row."""
    return "\n\n".join([render_goals(results), *map(render_result, results)]) + "\n"


def render_goals(results: Sequence[Result]) -> str:
    """Every goal beside what was measured."""
    rows = [
        [f"[{one.title}](#{anchor(one.title)})", goal.what, _limit(goal), _value(goal), _verdict(goal)]
        for one in results
        for goal in one.goals
    ]
    return _table(["work", "what counts", "goal", "measured", "met"], "lllll", rows)


def render_result(result: Result) -> str:
    """One row: what was done, its table, and what else was found."""
    facts = "; ".join(f"{name} {value}" for name, value in result.facts.items())
    parts = [f"## {result.title}", result.how, render_figures(result), *result.notes]
    if facts:
        parts.append(f"`invoke bench --only {result.name}`: {facts}.")
    return "\n\n".join(parts)


def render_figures(result: Result) -> str:
    """The table of one row: ways side by side within a case."""
    columns = [
        (head, name) for head, name in _COLUMNS if any(one.median(name) is not None for one in result.figures)
    ]
    cases = any(one.case for one in result.figures)
    heads = [*(["case"] if cases else []), "way", "time", "least to most", "times", "ratio"]
    rows = []
    for one in result.figures:
        ours = find(result.figures, one.case, result.ours)
        cells = [*([one.case] if cases else []), one.way, seconds(one.median_s), _spread(one)]
        cells += [str(len(one.taken)), f"{ratio(one, ours):.2f}" if ours else ""]
        rows.append([*cells, *(_cell(one, name) for _, name in columns)])
    return _table(
        heads + [head for head, _ in columns],
        ("l" if cases else "") + "l" + "r" * (len(heads) - (2 if cases else 1) + len(columns)),
        rows,
    )


def anchor(title: str) -> str:
    """The anchor that a heading gets."""
    return "".join(letter for letter in title.lower().replace(" ", "-") if letter.isalnum() or letter in "-_")


def seconds(value: float) -> str:
    """Seconds, with three digits that count or two decimals."""
    return f"{value:.0f} s" if value >= 100 else f"{value:.1f} s" if value >= 10 else f"{value:.2f} s"


def size(value: float) -> str:
    """Bytes, for people."""
    if value >= 1e9:
        return f"{value / 1e9:.2f} GB"
    if value >= 1e6:
        return f"{value / 1e6:.1f} MB"
    return f"{value / 1e3:.1f} kB"


def _spread(one: Figure) -> str:
    return f"{seconds(min(one.seconds))} to {seconds(max(one.seconds))}" if len(one.taken) > 1 else ""


def _cell(one: Figure, name: str) -> str:
    value = one.median(name)
    if value is not None and name in ("connections", "processor_s"):
        return seconds(value) if name == "processor_s" else f"{value:.0f}"
    peak = one.most(name) if name in ("memory_bytes", "disk_bytes") else one.median(name)
    return "" if peak is None else size(peak)


def _number(value: float, unit: str) -> str:
    if unit == "s":
        return seconds(value)
    if unit == "bytes":
        return size(value)
    digits = f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
    text = digits.rstrip("0").rstrip(".") if "." in digits else digits
    return f"{text} {unit}".strip() if unit != "%" else f"{text} %"


def _limit(goal: Goal) -> str:
    return f"{'≥' if goal.at_least else '≤'} {_number(goal.limit, goal.unit)}"


def _value(goal: Goal) -> str:
    return "not measured" if goal.value is None else _number(goal.value, goal.unit)


def _verdict(goal: Goal) -> str:
    if goal.is_met is None:
        return ""
    if goal.is_met:
        return "yes"
    if not goal.distance:
        return "no"
    if goal.distance < 1.1:
        return f"no, by {100 * goal.distance - 100:.0f} %"
    return f"no, by a factor of {goal.distance:.1f}"


def _table(heads: Sequence[str], sides: str, rows: Iterable[Sequence[str]]) -> str:
    lines = [
        "| " + " | ".join(heads) + " |",
        "|" + "|".join("--:" if one == "r" else "---" for one in sides) + "|",
    ]
    lines += ["| " + " | ".join(cells) + " |" for cells in rows]
    return "\n".join(lines)
