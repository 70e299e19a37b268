"""What the monitor says: decisions, how all stand, and the summary. Pure."""

from __future__ import annotations

from slipway.monitor.failure import shown_end
from slipway.monitor.rule import Action, Rule
from slipway.steps.monitored import Look, Seen, Stands, Target
from slipway.text.wording import one_line

# Elements that the summary names one by one.
_NAMED = 20


def counts_line(look: Look) -> str:
    """How many stand how: ``27 elements: 20 ok, 5 running, 2 stopped``."""
    words = ", ".join(f"{count:,} {word}" for word, count in look.counts.items())
    return f"{_count(len(look.seen), 'element')}: {words or 'none was submitted'}"


def decision_lines(look: Look, before: Look | None) -> list[str]:
    """What was decided since the look before, with the last lines of the logs of what is stopped."""
    known = {_key(one) for one in before.seen} if before else set()
    lines: list[str] = []
    for one in look.seen:
        if one.decision is None or _key(one) in known or (look.reached and one.stands is Stands.FAILED):
            continue
        lines += _with_end(one) if one.stands is Stands.STOPPED else [one.decision.words]
    return lines


def explain_lines(look: Look) -> list[str]:
    """Of each element that failed, what would be done and why, with the last of its log."""
    failed = [one for one in look.seen if one.decision is not None]
    lines = [counts_line(look)]
    for one in failed:
        lines += _with_end(one)
    return lines


def rule_lines(target: Target) -> list[str]:
    """The rules of a site, as they count: a line each."""
    rules = target.site.monitor
    lines = [f"rules of {target.site.name} (monitor in {target.site.file}):"]
    lines += [f"  {key}: {_rule(rule)}" for key, rule in rules if key != "gpu_ladder"]
    rungs = [f"{rung.gpus}{f' in {rung.partition}' if rung.partition else ''}" for rung in rules.gpu_ladder]
    return [*lines, f"  gpu_ladder: {', '.join(rungs) or 'none'}"]


def summary_lines(target: Target, look: Look) -> list[str]:
    """How all stood in the end, what it has cost, and what is left."""
    lines = [counts_line(look), f"spent: {_spent(target, look)}"]
    if look.reached and any(one.stands is Stands.FAILED for one in look.seen):
        left = sum(one.stands is Stands.ON_ITS_WAY for one in look.seen)
        goes_on = f"; what is on the way goes on: {_count(left, 'element')}" if left else ""
        lines.append(f"{look.reached}: nothing more is submitted{goes_on}")
    if target.not_submitted:
        lines.append(
            f"{_count(target.not_submitted, 'element')} of the sweep not submitted yet; `invoke sweep` with "
            "the same file submits them"
        )
    bad = [one for one in look.seen if one.stands in (Stands.STOPPED, Stands.FAILED)]
    lines += [f"  {_left(one)}" for one in bad[:_NAMED]]
    return [*lines, *([f"  and {len(bad) - _NAMED:,} more"] if len(bad) > _NAMED else [])]


def _key(one: Seen) -> object:
    return (one.watched.tries, one.stands, one.decision.words if one.decision else None)


def _with_end(one: Seen) -> list[str]:
    words = one.decision.words if one.decision else one.watched.label
    return [words, *(f"    | {line}" for line in shown_end(one.log_end))]


def _left(one: Seen) -> str:
    words = one.decision.words if one.decision else one.watched.label
    run_id, task = one.watched.place
    return f"{one_line(words, 300)} ({run_id}{'' if task is None else f' task {task}'})"


def _rule(rule: Rule) -> str:
    grows = rule.action in (Action.MORE_MEMORY, Action.LONGER, Action.CONTINUE)
    words = [f"times {rule.times:g}"] if grows else []
    words += [f"up to {rule.up_to}"] if rule.up_to else []
    if rule.exclude_node_after:
        words.append(f"not on a node on which {rule.exclude_node_after} have failed so")
    return ", ".join([rule.do, *words])


def _spent(target: Target, look: Look) -> str:
    cost = f", {look.spent.cost:,.2f} {target.site.currency or ''}".rstrip() if look.spent.cost else ""
    return f"{look.spent.gpu_hours:,.2f} GPU-hours{cost}"


def _count(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"
