"""The nodes of a job, and where the network has them."""

from __future__ import annotations

import re

from slipway.errors import RemoteError
from slipway.host.host import Host
from slipway.scheduler.base import Node

_NAME = re.compile(r"^NodeName=(\S+)", re.M)
_ADDRESS = re.compile(r"\bNodeAddr=(\S+)")


def nodes_command(nodes: str) -> list[str]:
    """Ask the controller for nodes.

    Args:
        nodes: a list of them as SLURM writes it: ``node[1-3]``.
    """
    ask = 'for one in $(scontrol show hostnames "$1"); do scontrol --oneliner show node "$one"; done'
    return ["sh", "-c", ask, "slipway", nodes]


def parse_nodes(stdout: str) -> list[Node]:
    """The nodes, in the job's order; one without an address is found by its name."""
    found = []
    for line in stdout.splitlines():
        if name := _NAME.search(line):
            address = _ADDRESS.search(line)
            found.append(Node(name=name[1], address=address[1] if address else name[1]))
    return found


def find_nodes(host: Host, nodes: str) -> list[Node]:
    """The nodes of a list; see :meth:`slipway.scheduler.base.Scheduler.nodes`."""
    result = host.run_in_login_shell(nodes_command(nodes))
    if found := parse_nodes(result.stdout):
        return found
    raise RemoteError(f"{host.target}: SLURM does not say where {nodes} is: {result.explain()}")
