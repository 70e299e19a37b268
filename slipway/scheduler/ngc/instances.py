"""The instances that an ACE has, as partitions."""

from __future__ import annotations

from typing import Any

from slipway.errors import ParseError, RemoteError
from slipway.host.host import Host
from slipway.model import read_values
from slipway.scheduler.ngc.commands import JSON, PROGRAM
from slipway.scheduler.ngc.parse import explain, read_answer
from slipway.scheduler.ngc.query import ASK_S
from slipway.scheduler.queues import UNTYPED, ClusterQueues, QueueState
from slipway.site import Queue

_UNKNOWN = "how much of each is free now: the platform's own page, or `ngc ace usage ACE`, shows that"


def find_instances(host: Host) -> ClusterQueues:
    """The instances of all ACEs that the user may use.

    Raises:
        RemoteError: the platform could not be asked.
        ParseError: its answer is not of the documented form.
    """
    done = host.run_in_login_shell(aces_command(), timeout_s=ASK_S)
    if not done.ok:
        raise RemoteError(f"{host.target}: ngc ace list: {explain(done.stderr, done.exit_code)}")
    return ClusterQueues(queues=parse_instances(done.stdout), notes=[_UNKNOWN])


def aces_command() -> list[str]:
    """Ask for the ACEs, and what instances they have."""
    return [PROGRAM, "ace", "list", JSON]


def parse_instances(text: str) -> list[QueueState]:
    """Read what ``ngc ace list`` or ``ngc ace info`` printed.

    Raises:
        ParseError: it is not of the documented form.
    """
    answer = read_answer(text)
    aces = answer if isinstance(answer, list) else [answer]
    try:
        states = [_state(one) for ace in aces for one in ace.get("instances") or []]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ParseError(f"ngc printed an ACE of another form ({error!r}): {text[:200]}") from error
    return list({state.name: state for state in states}.values())


def _state(instance: dict[str, Any]) -> QueueState:
    gpus, memory_mib = int(instance.get("gpus") or 0), int(instance.get("systemMemory") or 0)
    values = {
        "max_nodes": 1,
        "max_cpus": int(instance.get("cpuCores") or 0) or None,
        "max_mem": f"{memory_mib}M" if memory_mib else None,
        "max_gpus": {_gpu_word(instance): gpus} if gpus else {},
    }
    # How many there are, and how many of them are free, is not said.
    return QueueState(name=str(instance["name"]), offer=read_values(Queue, values))


def _gpu_word(instance: dict[str, Any]) -> str:
    """The type of GPU by the instance's name: ``dgxa100.80g.1.norm`` has ``dgxa100``."""
    name = str(instance["name"]).partition(".")[0]
    return name if name[:1].isalpha() else UNTYPED
