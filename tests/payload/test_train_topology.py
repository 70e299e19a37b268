"""Which processes train together, from SLURM's variables."""

from __future__ import annotations

import socket
from dataclasses import replace

import pytest

from slam.errors import InputError, SlamError
from slam.train.hostlist import expand
from slam.train.launch import reserved
from slam.train.topology import find_topology

# As `scontrol show hostnames` expands them.
LISTS = {
    "node1": ["node1"],
    "127.0.0.1": ["127.0.0.1"],
    "a,b": ["a", "b"],
    "gpu[1-3]": ["gpu1", "gpu2", "gpu3"],
    "gpu[01-03,7]": ["gpu01", "gpu02", "gpu03", "gpu7"],
    "gpu[098-101]": ["gpu098", "gpu099", "gpu100", "gpu101"],
    "gpu[3,1]": ["gpu3", "gpu1"],
    "n[1-2]-ib,login": ["n1-ib", "n2-ib", "login"],
    "r[1-2]n[1-2]": ["r1n1", "r1n2", "r2n1", "r2n2"],
    "tux[0-1].site.edu": ["tux0.site.edu", "tux1.site.edu"],
}
BROKEN = ["", "gpu[", "gpu[]", "gpu]1[", "gpu[a-b]", "gpu[3-1]", "gpu[1-]", "gpu[1[2]]"]


@pytest.mark.parametrize("text", LISTS)
def test_a_list_of_hosts_is_expanded(text: str) -> None:
    assert expand(text) == LISTS[text]


@pytest.mark.parametrize("text", BROKEN)
def test_a_broken_list_is_told(text: str) -> None:
    with pytest.raises(InputError, match="not a list of hosts"):
        expand(text)


def test_one_machine_meets_on_a_port_that_is_kept_for_it() -> None:
    alone = find_topology({"SLURM_JOB_ID": "77", "SLURM_JOB_NUM_NODES": "1", "SLURM_JOB_NODELIST": "gpu7"}, 2)
    assert (alone.nodes, alone.node, alone.world, alone.host) == (1, 0, 2, "127.0.0.1")
    with reserved(alone) as topology:
        assert topology.port
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", topology.port))
        # As PyTorch's own listens, which reuses addresses.
        with socket.create_server(("", topology.port)) as listener:
            assert listener.getsockname()[1] == topology.port


def test_a_port_that_another_job_listens_at_is_told_at_once() -> None:
    with socket.create_server(("", 0)) as other:
        port = other.getsockname()[1]
        taken = replace(find_topology({**STEP, "SLURM_NODEID": "0"}, 4), port=port)
        with pytest.raises(SlamError, match=f"cannot meet at port {port} of gpu07"), reserved(taken):
            pass
        # The other nodes do not listen.
        with reserved(replace(taken, node=1)) as topology:
            assert topology.port == port


STEP = {
    "SLURM_JOB_ID": "4043210",
    "SLURM_JOB_NUM_NODES": "2",
    "SLURM_STEP_NUM_NODES": "2",
    "SLURM_STEP_NUM_TASKS": "2",
    "SLURM_STEP_NODELIST": "gpu[07-08]",
    "SLURM_NODEID": "1",
}


def test_nodes_meet_on_the_first_of_them_at_a_port_that_all_know() -> None:
    topology = find_topology(STEP, 4)
    assert topology.variables(2) == {
        "RANK": "6",
        "LOCAL_RANK": "2",
        "WORLD_SIZE": "8",
        "LOCAL_WORLD_SIZE": "4",
        "GROUP_RANK": "1",
        "GROUP_WORLD_SIZE": "2",
        "MASTER_ADDR": "gpu07",
        "MASTER_PORT": "13210",
    }


def test_a_job_of_several_nodes_without_srun_is_refused() -> None:
    with pytest.raises(InputError, match="started on one of them; start it with `srun"):
        find_topology({"SLURM_JOB_NUM_NODES": "2", "SLURM_JOB_NODELIST": "gpu[07-08]"}, 1)


def test_a_task_for_each_gpu_is_refused() -> None:
    with pytest.raises(InputError, match="more than once on a node"):
        find_topology({**STEP, "SLURM_STEP_NUM_TASKS": "8"}, 1)
