"""Partitions as SLURM has them now: all of its programs are asked in one round trip."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from slipway.errors import RemoteError
from slipway.host.host import Host
from slipway.scheduler.queues import ClusterQueues, QueueState, with_waiting
from slipway.scheduler.slurm.answers import Answers, run_all
from slipway.scheduler.slurm.limits import (
    Association,
    own_associations_command,
    own_limits,
    parse_own_associations,
    parse_qos_limits,
    qos_limits_command,
)
from slipway.scheduler.slurm.nodes import (
    NodeGroup,
    PartitionRules,
    nodes_command,
    parse_nodes,
    parse_rules,
    parse_settings,
    parse_waiting,
    rules_command,
    settings_command,
    waiting_command,
)
from slipway.site import Queue


def find_queues(host: Host) -> ClusterQueues:
    """The partitions that the user may see. What else cannot be asked is told in its notes.

    Raises:
        RemoteError: ``sinfo`` cannot be asked.
        ParseError: the answers were cut off.
        SshError: the connection was lost.
    """
    nodes, rules = Answers("sinfo", parse_nodes), Answers("scontrol", lambda text: parse_rules(text).items())
    waiting = Answers("squeue", parse_waiting)
    settings = Answers("scontrol", lambda text: parse_settings(text).items())
    mine, qos = Answers("sacctmgr", parse_own_associations), Answers("sacctmgr", parse_qos_limits)
    asked: list[tuple[Answers[Any], list[str]]] = [
        (nodes, nodes_command()),
        (rules, rules_command()),
        (waiting, waiting_command()),
        (settings, settings_command()),
        (mine, own_associations_command()),
        (qos, qos_limits_command()),
    ]
    results = run_all(host, [command for _, command in asked])
    for (answers, _), result in zip(asked, results, strict=True):
        answers.add(result)
    if nodes.problem or not nodes.rows:
        raise RemoteError(f"{host.target}: {nodes.problem or 'sinfo shows no partition to you'}")
    known = dict(settings.rows)
    states = _states(
        nodes.rows, dict(rules.rows), mine.rows, whole=known.get("SelectType") == "select/linear"
    )
    counted = None if waiting.problem else _count(waiting.rows)
    return ClusterQueues(
        queues=[with_waiting(state, counted) for state in states],
        limits=own_limits(mine.rows, qos.rows, (state.qos for state in states if state.qos)),
        accounts=_accounts(mine.rows),
        notes=_notes(known, [rules.problem, waiting.problem, mine.problem or qos.problem]),
    )


def _states(
    groups: Sequence[NodeGroup],
    rules: Mapping[str, PartitionRules],
    mine: Sequence[Association],
    *,
    whole: bool,
) -> list[QueueState]:
    by_name: dict[str, list[NodeGroup]] = {}
    for group in groups:
        by_name.setdefault(group.partition, []).append(group)
    return [_state(some, rules.get(name), mine, whole=whole) for name, some in by_name.items()]


def _state(
    groups: Sequence[NodeGroup], rules: PartitionRules | None, mine: Sequence[Association], *, whole: bool
) -> QueueState:
    first = groups[0]
    return QueueState(
        name=first.partition,
        offer=_offer(groups, rules or PartitionRules()),
        is_default=first.is_default,
        exclusive=True if whole else None if rules is None else rules.exclusive,
        nodes=sum(group.nodes for group in groups),
        idle_nodes=sum(group.nodes for group in groups if group.is_idle),
        cpus=sum(group.nodes * group.cpus for group in groups),
        idle_cpus=sum(group.idle_cpus for group in groups),
        gpus=sum(group.nodes * sum(group.gpus.values()) for group in groups),
        idle_gpus=sum(
            group.nodes * max(sum(group.gpus.values()) - group.used_gpus, 0)
            for group in groups
            if group.is_open
        ),
        qos=rules.qos if rules else None,
        refused=None if rules is None else find_refusal(first.partition, rules, mine),
    )


def _offer(groups: Sequence[NodeGroup], rules: PartitionRules) -> Queue:
    """What it offers: of each resource, that of the node that has most of it."""
    gpus: dict[str, int] = {}
    for group in groups:
        for kind, count in group.gpus.items():
            gpus[kind] = max(count, gpus.get(kind, 0))
    cpus = [max(group.cpus for group in groups), rules.max_cpus]
    memory = [max(group.memory_mb for group in groups), rules.max_mem_mb]
    most_cpus, most_memory = (min(filter(None, some), default=None) for some in (cpus, memory))
    return Queue(
        max_time=groups[0].max_time,
        max_nodes=groups[0].max_nodes,
        max_cpus=most_cpus,
        max_mem=f"{most_memory}M" if most_memory else None,
        max_gpus=dict(sorted(gpus.items())),
    )


def find_refusal(name: str, rules: PartitionRules, mine: Sequence[Association]) -> str | None:
    """Why a user may not use a partition; ``None`` where they may, or where that is not known."""
    if not rules.is_up:
        return "it is not up"
    if not mine:
        return None
    own = [association for association in mine if association.partition in (None, name)]
    if not own:
        return "none of your accounts is for it"
    accounts = {association.account for association in own}
    if rules.accounts is not None and not accounts & rules.accounts:
        return f"only for accounts {_some(rules.accounts)}"
    if accounts <= rules.denied_accounts:
        return f"not for accounts {_some(rules.denied_accounts & accounts)}"
    qos = {one for association in own for one in association.qos}
    if rules.allowed_qos is not None and qos and not qos & rules.allowed_qos:
        return f"only with qos {_some(rules.allowed_qos)}"
    if qos and qos <= rules.denied_qos:
        return f"not with qos {_some(rules.denied_qos & qos)}"
    return None


def _some(names: frozenset[str] | set[str]) -> str:
    shown = sorted(names)[:5]
    return ", ".join(shown) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _count(rows: Sequence[tuple[Sequence[str], int]]) -> dict[str, int]:
    counted: Counter[str] = Counter()
    for names, jobs in rows:
        for name in names:
            counted[name] += jobs
    return dict(counted)


def _accounts(mine: Sequence[Association]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for association in mine:
        found[association.account] = tuple(
            dict.fromkeys([*found.get(association.account, ()), *association.qos])
        )
    return found


def _notes(settings: Mapping[str, str], problems: Sequence[str | None]) -> list[str]:
    notes = [problem for problem in problems if problem]
    if "jobs" in settings.get("PrivateData", "").split(","):
        notes.append(
            "this cluster does not show what others do (PrivateData): waiting jobs are your own alone"
        )
    return notes
