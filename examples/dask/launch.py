"""A Dask cluster on the nodes of one SLURM job, for as long as one program runs.

``python3 launch.py PROGRAM ARGUMENT …``, started once on each node. The first runs Dask's scheduler and the
program, which gets at it by ``dask.distributed.Client()``; each of the others runs a worker. All of it ends
with the program, and with its exit code.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

# How long nodes wait for each other.
PATIENCE_S = 300
SHUT_DOWN = """
from distributed import Client
client = Client(timeout=30)
client.retire_workers(close_workers=True)
client.shutdown()
"""
SETTINGS = {
    # The job's log is the program's.
    "DASK_LOGGING__DISTRIBUTED": "warning",
    # Programs are started in /code, which is read-only; this is the node's own.
    "DASK_TEMPORARY_DIRECTORY": "/tmp",  # noqa: S108
}


@dataclass(frozen=True, kw_only=True)
class Node:
    """One node of the job: its place among them, from 0, and what the job has of it."""

    index: int
    nodes: int
    name: str
    cpus: int
    memory_mib: int | None

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Node:
        """This node, by SLURM's variables. Outside of a job, this machine is the only one."""
        memory = environment.get("SLURM_MEM_PER_NODE")
        return cls(
            index=int(environment.get("SLURM_NODEID", "0")),
            nodes=int(environment.get("SLURM_NNODES", "1")),
            name=f"{socket.gethostname()}-{environment.get('SLURM_NODEID', '0')}",
            cpus=int(environment.get("SLURM_CPUS_PER_TASK") or os.cpu_count() or 1),
            memory_mib=int(memory) if memory else None,
        )


def scheduler_command(file: Path) -> list[str]:
    """Dask's scheduler, which writes its address to a file. Any ports will do: a node may have two jobs."""
    return ["dask", "scheduler", "--scheduler-file", str(file), "--port", "0", "--dashboard-address", ":0"]


def worker_command(file: Path, node: Node) -> list[str]:
    """A worker with all that the job has on a node, and a nanny, which starts it again when it dies."""
    memory = f"{node.memory_mib}MiB" if node.memory_mib else "auto"
    size = ["--nworkers", "1", "--nthreads", str(node.cpus), "--memory-limit", memory]
    told = ["--scheduler-file", str(file), "--death-timeout", str(PATIENCE_S)]
    return ["dask", "worker", "--name", node.name, "--no-dashboard", *size, *told]


def tunnel_command(address: str, port: int) -> str:
    """What one types at home to reach the dashboard at a port of the scheduler's node."""
    return f"ssh -N -L 8787:{urlsplit(address).hostname}:{port} LOGIN_NODE"


def wait_for(file: Path, writer: subprocess.Popen[bytes] | None = None) -> None:
    """Wait until a file is there, while what writes it is alive."""
    deadline = time.monotonic() + PATIENCE_S
    while not file.exists():
        if time.monotonic() > deadline or (writer is not None and writer.poll() is not None):
            raise SystemExit(f"launch.py: Dask's scheduler did not start: there is no {file}")
        time.sleep(0.1)


def end(process: subprocess.Popen[bytes]) -> None:
    """Wait for a process that has been told to end, but not for ever."""
    try:
        process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def lead(file: Path, node: Node, program: list[str]) -> int:
    """The first node's part; returns the program's exit code."""
    scheduler = subprocess.Popen(scheduler_command(file))
    wait_for(file, scheduler)
    told = json.loads(file.read_text(encoding="utf-8"))
    os.environ["DASK_SCHEDULER_ADDRESS"] = told["address"]
    print(f"Dask's dashboard: {tunnel_command(told['address'], told['services']['dashboard'])}", flush=True)
    print("and then http://localhost:8787/status", flush=True)
    # A job of one node has its worker there, too.
    started = [scheduler]
    if node.nodes == 1:
        started.append(subprocess.Popen(worker_command(file, node)))
    code = subprocess.run(program, check=False).returncode
    # Workers on other nodes then end with 0. One that failed would end the job in the program's place.
    subprocess.run([sys.executable, "-c", SHUT_DOWN], check=False)
    for process in started:
        end(process)
    # As a shell has it where a signal has killed the program.
    return code if code >= 0 else 128 - code


def main(program: list[str]) -> int:
    """Do this node's part; returns its exit code."""
    os.environ.update(SETTINGS)
    node = Node.of(os.environ)
    # All nodes of a job share its output folder.
    out = Path(os.environ.get("SLIPWAY_OUT", "out"))
    out.mkdir(parents=True, exist_ok=True)
    file = out / "scheduler.json"
    if node.index == 0:
        return lead(file, node, program)
    wait_for(file)
    return subprocess.run(worker_command(file, node), check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
