"""What ``sinfo`` and ``scontrol`` say of partitions and of the nodes in them. Nothing here runs anything."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from slipway.errors import ParseError
from slipway.scheduler.queues import UNTYPED
from slipway.scheduler.slurm.rows import parse_number

# sinfo's --Format has no mark: rows are known by their width. Nothing is between two columns.
_COLUMNS = {
    "Partition": 80,
    "Time": 20,
    "Size": 30,
    "Nodes": 12,
    "CPUs": 12,
    "Memory": 20,
    "Gres": 300,
    "GresUsed": 300,
    "StateCompact": 20,
    "CPUsState": 60,
}
_WIDTH = sum(_COLUMNS.values())
# "30:00", "1-00:00:00"; "infinite" is none.
_TIME = re.compile(r"[0-9]{1,9}(:[0-9]{2}){0,2}|[0-9]{1,9}-[0-9]{1,2}(:[0-9]{2}){0,2}")
# MiB; no node has more.
_MOST_MB = 10**12
# "gpu:a100:4(S:0-1)", "gpu:2(IDX:0,3)"; what is in brackets may have commas.
_BRACKETS = re.compile(r"\([^()]*\)")
_GPU = re.compile(r"gpu:(?:([^:,=]+):)?([0-9]{1,9})")
# Nodes on which a job could begin: also those that sleep (`idle~`), but none that is promised to one that
# waits (`plnd`, `mix-`).
_IDLE = re.compile(r"idle[~#]?")
_PARTLY = re.compile(r"mix(ed)?")
_CPUS = re.compile(r"([0-9]{1,18})/([0-9]{1,18})/([0-9]{1,18})/([0-9]{1,18})")
_PAIR = re.compile(r"(?<!\S)([A-Za-z_]+)=(\S*)")
_ALL = {"", "ALL", "(null)"}


@dataclass(frozen=True, kw_only=True)
class NodeGroup:
    """Nodes of one partition that are alike, and in the same state.

    Attributes:
        partition: its name.
        is_default: jobs that name none go there.
        max_time: as SLURM writes it; ``None`` for no limit.
        max_nodes: for one job; ``None`` for no limit.
        nodes: how many.
        cpus: of each.
        memory_mb: of each, MiB.
        gpus: of each, by type.
        used_gpus: of each.
        is_idle: nothing runs there, and a job could begin.
        is_open: a job could begin there, also beside others.
        idle_cpus: of all of them.
    """

    partition: str
    is_default: bool
    max_time: str | None
    max_nodes: int | None
    nodes: int
    cpus: int
    memory_mb: int
    gpus: Mapping[str, int]
    used_gpus: int
    is_idle: bool
    is_open: bool
    idle_cpus: int


@dataclass(frozen=True, kw_only=True)
class PartitionRules:
    """Who may use a partition, and how.

    Attributes:
        is_up: jobs begin there.
        exclusive: a job has whole nodes.
        qos: the name of a QOS whose limits hold for all jobs.
        max_cpus: on each node, for all jobs of the partition.
        max_mem_mb: on each node, for one job.
        accounts: that alone may use it; ``None`` for all.
        denied_accounts: that may not.
        allowed_qos: that alone may be used; ``None`` for all.
        denied_qos: that may not.
    """

    is_up: bool = True
    exclusive: bool = False
    qos: str | None = None
    max_cpus: int | None = None
    max_mem_mb: int | None = None
    accounts: frozenset[str] | None = None
    denied_accounts: frozenset[str] = field(default_factory=frozenset)
    allowed_qos: frozenset[str] | None = None
    denied_qos: frozenset[str] = field(default_factory=frozenset)


def nodes_command() -> list[str]:
    """Ask ``sinfo`` for the nodes of all partitions that the user may see, in groups that are alike."""
    columns = ",".join(f"{name}:{width}" for name, width in _COLUMNS.items())
    return ["sinfo", "--noheader", "--exact", "--noconvert", f"--Format={columns}"]


def rules_command() -> list[str]:
    """Ask ``scontrol`` who may use which partition."""
    return ["scontrol", "--oneliner", "show", "partition"]


def waiting_command() -> list[str]:
    """Count the jobs that wait, by what partitions they name; an array counts once."""
    asked = "squeue --noheader --states=PENDING --format='slipway|%P'"
    return ["sh", "-c", f'rows=$({asked}) && printf "%s\\n" "$rows" | sort | uniq -c']


def settings_command() -> list[str]:
    """Ask ``scontrol`` how SLURM is set up, as far as it is of interest here."""
    names = "SLURM_VERSION|PrivateData|SelectType|GresTypes|AccountingStorageEnforce|ClusterName"
    return ["sh", "-c", f'all=$(scontrol show config) && printf "%s\\n" "$all" | grep -E "^({names}) "']


def parse_nodes(stdout: str) -> list[NodeGroup]:
    """Read the answer to :func:`nodes_command`.

    Raises:
        ParseError: there are words and no row of this width.
    """
    lines = [line for line in stdout.splitlines() if len(line) == _WIDTH]
    if not lines and stdout.strip():
        raise ParseError(f"sinfo printed {stdout.strip()[:200]!r}; expected rows of {_WIDTH} columns")
    return [group for line in lines if (group := _group(_cells(line))) is not None]


def _cells(line: str) -> dict[str, str]:
    cells, place = {}, 0
    for name, width in _COLUMNS.items():
        cells[name] = line[place : place + width].strip()
        place += width
    return cells


def _group(cells: Mapping[str, str]) -> NodeGroup | None:
    count, cpus, memory = (parse_number(cells[name]) for name in ("Nodes", "CPUs", "Memory"))
    name = cells["Partition"]
    if not name or count is None or cpus is None:
        return None
    state, shares = cells["StateCompact"], _CPUS.fullmatch(cells["CPUsState"])
    is_idle = _IDLE.fullmatch(state) is not None
    is_open = is_idle or _PARTLY.fullmatch(state) is not None
    return NodeGroup(
        partition=name.removesuffix("*"),
        is_default=name.endswith("*"),
        max_time=cells["Time"] if _TIME.fullmatch(cells["Time"]) else None,
        max_nodes=parse_number(cells["Size"].rpartition("-")[2]) or None,
        nodes=count,
        cpus=cpus,
        memory_mb=memory if memory and memory < _MOST_MB else 0,
        gpus=parse_gpus(cells["Gres"]),
        used_gpus=sum(parse_gpus(cells["GresUsed"]).values()),
        is_idle=is_idle,
        is_open=is_open,
        idle_cpus=int(shares[2]) if shares and is_open else 0,
    )


def parse_gpus(gres: str) -> dict[str, int]:
    """GPUs by type, of what SLURM writes of generic resources: ``gpu:a100:4(S:0-1),lustre:1``."""
    found: Counter[str] = Counter()
    for word in _BRACKETS.sub("", gres).split(","):
        if match := _GPU.fullmatch(word.strip()):
            found[match[1] or UNTYPED] += int(match[2])
    return {kind: count for kind, count in found.items() if count}


def parse_rules(stdout: str) -> dict[str, PartitionRules]:
    """Read the answer to :func:`rules_command`, by the partitions' names.

    Raises:
        ParseError: there are words and no partition.
    """
    found = {}
    for line in stdout.splitlines():
        fields = dict(_PAIR.findall(line))
        if name := fields.get("PartitionName"):
            found[name] = _rules(fields)
    if not found and stdout.strip():
        raise ParseError(f"scontrol printed {stdout.strip()[:200]!r}; expected PartitionName=")
    return found


def _rules(fields: Mapping[str, str]) -> PartitionRules:
    qos = fields.get("QoS", "N/A")
    return PartitionRules(
        is_up=fields.get("State", "UP") == "UP",
        exclusive=fields.get("OverSubscribe", "") == "EXCLUSIVE",
        qos=None if qos in ("N/A", *_ALL) else qos,
        max_cpus=parse_number(fields.get("MaxCPUsPerNode", "")),
        max_mem_mb=min(parse_number(fields.get("MaxMemPerNode", "")) or 0, _MOST_MB) or None,
        accounts=_names(fields.get("AllowAccounts", "")),
        denied_accounts=_names(fields.get("DenyAccounts", "")) or frozenset(),
        allowed_qos=_names(fields.get("AllowQos", "")),
        denied_qos=_names(fields.get("DenyQos", "")) or frozenset(),
    )


def _names(text: str) -> frozenset[str] | None:
    return None if text in _ALL else frozenset(text.split(","))


def parse_waiting(stdout: str) -> list[tuple[Sequence[str], int]]:
    """Read the answer to :func:`waiting_command`: partitions that are named together, and their jobs."""
    rows = (line.split(None, 1) for line in stdout.splitlines())
    marked = (row for row in rows if len(row) == 2 and row[1].startswith("slipway|"))
    return [(names.partition("|")[2].split(","), parse_number(count) or 0) for count, names in marked]


def parse_settings(stdout: str) -> dict[str, str]:
    """Read the answer to :func:`settings_command`."""
    pairs = (line.partition("=") for line in stdout.splitlines())
    return {name.strip(): value.strip() for name, equals, value in pairs if equals}
