"""Where a run is, and where the network has its nodes, from what SLURM prints (recorded with 24.11)."""

from slipway.scheduler.base import Node
from slipway.scheduler.slurm.interactive import join_command
from slipway.scheduler.slurm.node import nodes_command, parse_nodes

SHOWN = """\
NodeName=node2 Arch=x86_64 CoresPerSocket=1  CPUAlloc=0 CPUEfctv=2 CPUTot=2 CPULoad=24.39 \
Gres=gpu:a100:1,gpu:v100:1 NodeAddr=127.0.0.1 NodeHostName=login Port=17001 Version=24.11.5 \
OS=Linux 6.18.44 #1 SMP PREEMPT_DYNAMIC @0  RealMemory=6026 State=IDLE ThreadsPerCore=1 Partitions=debug
"""


def test_a_node_has_the_address_that_slurm_uses() -> None:
    lines = f"A wrapper's remark\n{SHOWN}NodeName=gpu7 Arch=x86_64 State=MIXED\n"
    assert parse_nodes(lines) == [Node(name="node2", address="127.0.0.1"), Node(name="gpu7", address="gpu7")]
    assert parse_nodes("slurm_load_node error: Unable to contact slurm controller\n") == []


def test_a_list_of_nodes_is_one_word() -> None:
    assert nodes_command("node[1-3]; x")[-1] == "node[1-3]; x"


def test_what_carries_bytes_is_not_buffered() -> None:
    argv = join_command("12", ["cat"], node="node2", unbuffered=True)
    assert argv[-4:] == ["--chdir=/", "--nodelist=node2", "--unbuffered", "cat"]
    assert "--unbuffered" not in join_command("12", ["cat"], terminal=True)
