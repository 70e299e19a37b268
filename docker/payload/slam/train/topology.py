"""How many processes train together, and where they meet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from slam.errors import DeviceError, InputError, UsageError
from slam.train.hostlist import expand

# Below the ports that systems hand out by themselves (from 32768 on).
_FIRST_PORT, _PORTS = 10_000, 20_000


@dataclass(frozen=True, kw_only=True)
class Topology:
    """``nodes`` machines with ``processes`` each; this one is number ``node``.

    All meet at ``host``:``port``, where the first process listens; port 0 is any that is free. These are what
    torchrun calls nnodes, nproc-per-node, node-rank, master-addr and master-port.
    """

    nodes: int
    node: int
    processes: int
    host: str
    port: int

    @property
    def world(self) -> int:
        """All processes on all machines."""
        return self.nodes * self.processes

    def variables(self, local: int) -> dict[str, str]:
        """What torchrun would tell the ``local``-th process of this machine in its environment."""
        return {
            "RANK": str(self.node * self.processes + local),
            "LOCAL_RANK": str(local),
            "WORLD_SIZE": str(self.world),
            "LOCAL_WORLD_SIZE": str(self.processes),
            "GROUP_RANK": str(self.node),
            "GROUP_WORLD_SIZE": str(self.nodes),
            "MASTER_ADDR": self.host,
            "MASTER_PORT": str(self.port),
        }


def find_topology(environment: Mapping[str, str], processes: int) -> Topology:
    """Read SLURM's variables; without them, one machine trains alone.

    Args:
        environment: ``SLURM_STEP_…`` and ``SLURM_NODEID`` are srun's, ``SLURM_JOB_…`` the job's.
        processes: how many there are on each machine.

    Raises:
        InputError: the job has several nodes and was not started once on each of them, or the list of its
            hosts cannot be read.
    """
    nodes = _count(environment, "SLURM_STEP_NUM_NODES")
    given = _count(environment, "SLURM_JOB_NUM_NODES")
    if nodes == 1 and given > 1:
        raise InputError(
            f"the job has {given} nodes, but the program was started on one of them; start it with "
            "`srun --ntasks-per-node=1`, as `invoke job --nodes` does"
        )
    if _count(environment, "SLURM_STEP_NUM_TASKS") > nodes:
        raise InputError(
            "srun started the program more than once on a node; start it with --ntasks-per-node=1: it starts "
            "a process for each GPU itself"
        )
    if nodes == 1:
        return Topology(nodes=1, node=0, processes=processes, host="127.0.0.1", port=0)
    hosts = expand(environment.get("SLURM_STEP_NODELIST") or environment.get("SLURM_JOB_NODELIST", ""))
    return Topology(
        nodes=nodes,
        node=int(environment.get("SLURM_NODEID", "0")),
        processes=processes,
        host=hosts[0],
        port=_FIRST_PORT + int(environment.get("SLURM_JOB_ID", "0")) % _PORTS,
    )


def _count(environment: Mapping[str, str], name: str) -> int:
    value = environment.get(name, "1")
    return int(value) if value.isdecimal() and int(value) else 1


def count_processes(environment: Mapping[str, str], asked: int | None, *, device: str) -> int:
    """How many processes to start on this machine: as asked, else one for each GPU of the job.

    Raises:
        DeviceError: there is no GPU.
        UsageError: more are asked for than there are.
    """
    if device == "cpu":
        return asked or 1
    there = count_gpus(environment)
    if there == 0:
        raise DeviceError(
            "there is no GPU that CUDA can use here; ask for one (`invoke job --gpus 1`), or try it out with "
            "--device cpu, which is very slow"
        )
    if asked is not None and asked > there:
        raise UsageError(
            f"--gpus {asked}, but there are {there} here; ask for as many (`invoke job --gpus {asked}`)"
        )
    return asked or there


def count_gpus(environment: Mapping[str, str]) -> int:
    """The GPUs of this machine that the job may use; ``SLURM_GPUS_ON_NODE`` may say fewer than CUDA sees."""
    import torch

    there: int = torch.cuda.device_count() if torch.cuda.is_available() else 0
    told = environment.get("SLURM_GPUS_ON_NODE", "")
    return min(there, int(told)) if told.isdecimal() and int(told) else there
