"""Decisions: what is done about each element that failed, by the rules and the budget. Pure."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from slipway.errors import ParseError
from slipway.job.run import Status
from slipway.monitor.rule import Action, Failure, Rule, Rules, Rung
from slipway.quantity import mebibytes, minutes
from slipway.scheduler.base import State
from slipway.site import Queue

MOST_TRIES = 3
# Failures that may be a node's fault.
OF_A_NODE = (Failure.NODE_FAILURE, Failure.LAUNCH_FAILURE, Failure.FILE_SYSTEM)
# Those of which it is said on which node.
NAMES_NODE = (*OF_A_NODE, Failure.PREEMPTED)
_NODE = re.compile(r"[\w.-]+")


@dataclass(frozen=True, kw_only=True)
class Case:
    """One element that failed, and what is known of its last try.

    Attributes:
        label: how a person knows it.
        failure: why it failed.
        status: how it ended.
        tries: how often it was tried.
        resources: what its last try asked for, as its run's record has it.
        given_mebibytes: the memory that it was given on each node, as far as that is known.
    """

    label: str
    failure: Failure
    status: Status
    tries: int
    resources: Mapping[str, Any]
    given_mebibytes: float | None = None


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What is done about one element.

    Attributes:
        words: all of it, for a person.
        again: whether it is submitted again; else the monitor leaves it as it is.
        changes: what the next try asks for otherwise, by the names of resources.
        exclude: nodes that it is kept from.
    """

    words: str
    again: bool
    changes: Mapping[str, str] = field(default_factory=dict)
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Next:
    """What follows a failure.

    Attributes:
        words: for a person.
        again: whether it is submitted again.
        changes: what is asked for otherwise.
        is_rule: whether a rule says ``stop``.
    """

    words: str
    again: bool
    changes: Mapping[str, str] = field(default_factory=dict)
    is_rule: bool = False


@dataclass(frozen=True, kw_only=True)
class _Change:
    """What an action comes to: other resources, or why it cannot be."""

    words: str
    changes: Mapping[str, str] = field(default_factory=dict)
    is_possible: bool = True


def decide(
    case: Case,
    rules: Rules,
    queues: Mapping[str, Queue],
    *,
    most_tries: int = MOST_TRIES,
    bad_nodes: Mapping[str, int] | None = None,
    nodes: Collection[str] = (),
) -> Decision:
    """What is done about an element that failed.

    Args:
        case: the element.
        rules: the site's.
        queues: what its partitions offer.
        most_tries: how often an element is tried.
        bad_nodes: on which nodes how many tries have failed in a way that may be the node's fault.
        nodes: all nodes on which there was a try.
    """
    head = f"{case.label}: {describe(case.failure, case.status, case.resources)}"
    following = find_next(case, rules, queues)
    if case.tries >= most_tries and not following.is_rule:
        return Decision(words=f"{head} → stop: try {case.tries} of {most_tries} was the last", again=False)
    if not following.again:
        return Decision(words=f"{head} → {following.words}", again=False)
    exclude = _excluded(rules.of(case.failure), bad_nodes or {}, nodes)
    words = [following.words, *([f"not on {','.join(exclude)}"] if exclude else [])]
    count = f"try {case.tries + 1} of {most_tries}"
    return Decision(
        words=f"{head} → {', '.join([*words, count])}", again=True, changes=following.changes, exclude=exclude
    )


def find_next(case: Case, rules: Rules, queues: Mapping[str, Queue]) -> Next:
    """What follows a failure by the rules alone, however often the element was tried and wherever."""
    rule = rules.of(case.failure)
    if rule.action is Action.STOP:
        return Next(words=f"stop{_why_stop(case.failure)}", again=False, is_rule=True)
    change = _change(case, rule, rules.gpu_ladder, _queue(case.resources, queues))
    if not change.is_possible:
        return Next(words=f"stop: {change.words}", again=False)
    return Next(words=change.words, again=True, changes=change.changes)


def count_bad_nodes(failed: Iterable[tuple[Failure, str | None]]) -> dict[str, int]:
    """On which nodes how many tries have failed in a way that may be the node's fault."""
    nodes = (node for failure, node in failed if failure in OF_A_NODE and node)
    return dict(Counter(node for node in nodes if _NODE.fullmatch(node)))


def describe(failure: Failure, status: Status, resources: Mapping[str, Any]) -> str:
    """Why an element failed, in words, with what it had of what was short."""
    had = {
        Failure.OUT_OF_MEMORY: f" with {resources['mem']}" if resources.get("mem") else "",
        Failure.OUT_OF_GPU_MEMORY: f" on {resources['gpus']}" if resources.get("gpus") else "",
        Failure.TIME_LIMIT: f" of {resources['time']}" if resources.get("time") else "",
    }
    where = f" on {status.node}" if status.node and failure in NAMES_NODE else ""
    code = f", exit code {status.exit_code}" if failure is Failure.PROGRAM_ERROR and status.exit_code else ""
    return f"{_NAMES[failure]}{had.get(failure, '')}{where}{code}"


_NAMES = {
    Failure.OUT_OF_MEMORY: "out of memory",
    Failure.OUT_OF_GPU_MEMORY: "out of GPU memory",
    Failure.TIME_LIMIT: "ended by its time limit",
    Failure.PREEMPTED: "preempted",
    Failure.NODE_FAILURE: "its node failed",
    Failure.LAUNCH_FAILURE: "it ended before its program began",
    Failure.FILE_SYSTEM: "the file system failed",
    Failure.PROGRAM_ERROR: "the program failed",
    Failure.CANCELLED: "cancelled",
    Failure.UNKNOWN: "nobody knows how it ended",
}


def _why_stop(failure: Failure) -> str:
    return {
        Failure.PROGRAM_ERROR: ": the same program would fail again",
        Failure.CANCELLED: ": somebody wanted it so",
        Failure.UNKNOWN: ": it may have ended well",
    }.get(failure, ": the site's rule says so")


def _queue(resources: Mapping[str, Any], queues: Mapping[str, Queue]) -> Queue:
    return queues.get(str(resources.get("partition")), Queue())


def _excluded(rule: Rule, bad_nodes: Mapping[str, int], nodes: Collection[str]) -> tuple[str, ...]:
    most = rule.exclude_node_after or math.inf
    bad = sorted(node for node, count in bad_nodes.items() if count >= most)
    # What happens wherever there was a try is no node's fault.
    return () if len(bad) > 1 and set(nodes) <= set(bad) else tuple(bad)


def _change(case: Case, rule: Rule, ladder: Sequence[Rung], queue: Queue) -> _Change:
    if case.failure is Failure.TIME_LIMIT and case.status.elapsed_s == 0:
        # It shared a job, whose limit came first.
        return _Change(words="again, since it had not begun")
    if rule.action is Action.MORE_MEMORY:
        return _more_memory(case, rule, queue)
    if rule.action is Action.NEXT_GPU:
        return _next_gpu(case, ladder)
    if rule.action is Action.LONGER:
        return _longer(case, rule, queue)
    if rule.action is Action.CONTINUE:
        return _continue(case, rule, queue)
    return _Change(words="again")


def _more_memory(case: Case, rule: Rule, queue: Queue) -> _Change:
    had = _size(case.resources.get("mem")) or case.given_mebibytes
    if had is None:
        return _Change(words="what memory it had is not known; write mem for it", is_possible=False)
    most = min(_size(rule.up_to) or math.inf, _size(queue.max_mem) or math.inf)
    wanted = min(math.ceil(had * rule.times), most)
    if wanted <= had:
        return _Change(words=f"it had {_memory(had)}, and there is no more to be had", is_possible=False)
    memory = _memory(math.floor(wanted))
    return _Change(words=f"with {memory} of memory", changes={"mem": memory})


def _next_gpu(case: Case, ladder: Sequence[Rung]) -> _Change:
    if not ladder:
        return _Change(words="the site's file has no gpu_ladder", is_possible=False)
    had = str(case.resources.get("gpus") or "")
    place = _place(had, ladder)
    if place + 1 >= len(ladder):
        return _Change(words=f"{had} is the last of gpu_ladder", is_possible=False)
    rung = ladder[place + 1]
    changes = {"gpus": rung.gpus, **({"partition": rung.partition} if rung.partition else {})}
    where = f" in {rung.partition}" if rung.partition else ""
    return _Change(words=f"on {rung.gpus}{where}", changes=changes)


def _place(gpus: str, ladder: Sequence[Rung]) -> int:
    """The rung that a job stood on; -1 where it stood on none."""
    words = [rung.gpus for rung in ladder]
    if gpus in words:
        return words.index(gpus)
    types = [rung.type for rung in ladder]
    kind = gpus.partition(":")[0]
    return len(types) - 1 - types[::-1].index(kind) if kind in types else -1


def _longer(case: Case, rule: Rule, queue: Queue) -> _Change:
    had = _minutes(case.resources.get("time")) or (case.status.limit_s or 0) / 60 or None
    if had is None:
        return _Change(words="what time it had is not known; write time for it", is_possible=False)
    most = min(_minutes(rule.up_to) or math.inf, _minutes(queue.max_time) or math.inf)
    wanted = min(had * rule.times, most)
    if wanted <= had:
        return _Change(words=f"it had {_time(had)}, and there is no more to be had", is_possible=False)
    time = _time(wanted)
    return _Change(words=f"with {time} of time", changes={"time": time})


def _continue(case: Case, rule: Rule, queue: Queue) -> _Change:
    """What saved and stopped goes on as it was; what was killed at its limit gets more time, if there is."""
    has_saved = case.failure is not Failure.TIME_LIMIT or case.status.state is State.COMPLETED
    longer = None if has_saved else _longer(case, rule, queue)
    if longer is None or not longer.is_possible:
        return _Change(words="goes on from what it wrote")
    return _Change(words=f"goes on from what it wrote, {longer.words}", changes=longer.changes)


def _size(memory: object) -> float | None:
    try:
        return mebibytes(memory) or None if isinstance(memory, str) else None
    except ParseError:
        return None


def _minutes(time: object) -> float | None:
    try:
        return minutes(time) if isinstance(time, str) else None
    except ParseError:
        return None


def _memory(size: float) -> str:
    whole = int(size)
    return f"{whole // 1024}G" if whole % 1024 == 0 else f"{whole}M"


def _time(wanted: float) -> str:
    whole = max(math.floor(wanted), 1) if wanted >= 1 else 1
    days, rest = divmod(whole, 1440)
    return f"{days}-{rest // 60:02}:{rest % 60:02}:00" if days else f"{rest // 60}:{rest % 60:02}:00"
