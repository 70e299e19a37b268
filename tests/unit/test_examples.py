"""The examples' programs, as far as they need no image; the integration tests run them in jobs."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def load(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{Path(path).stem}", EXAMPLES / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Where dataclasses look for what their fields' types mean.
    sys.modules[module.__name__] = module
    spec.loader.exec_module(module)
    return module


launch = load("dask/launch.py")


def test_a_worker_has_what_the_job_has_on_its_node() -> None:
    slurm = {
        "SLURM_NODEID": "2",
        "SLURM_NNODES": "3",
        "SLURM_CPUS_PER_TASK": "8",
        "SLURM_MEM_PER_NODE": "4000",
    }
    node = launch.Node.of(slurm)
    assert (node.index, node.nodes) == (2, 3)
    words = launch.worker_command(Path("/out/scheduler.json"), node)
    options = dict(zip(words[2::2], words[3::2], strict=False))
    assert options["--name"].endswith("-2")
    assert words[words.index("--nthreads") + 1] == "8"
    assert words[words.index("--memory-limit") + 1] == "4000MiB"
    alone = launch.Node.of({})
    assert (alone.index, alone.nodes, alone.memory_mib) == (0, 1, None)


def test_the_tunnel_leads_to_the_schedulers_node() -> None:
    told = launch.tunnel_command("tcp://10.0.0.7:39999", 41234)
    assert told == "ssh -N -L 8787:10.0.0.7:41234 LOGIN_NODE"


@pytest.mark.parametrize("name", ["dask", "own-video", "train-pytorch"])
def test_an_example_is_a_repository_of_its_own(name: str) -> None:
    from slipway.profile import load_profile
    from slipway.project import find_root

    folder = EXAMPLES / name
    assert find_root(folder) == folder
    profile = load_profile(folder / "env", "base")
    assert profile.dockerfile == folder / "Dockerfile"
    assert profile.code_dir == folder
    assert {"/.slipway/", "/results/"} <= set((folder / ".gitignore").read_text().splitlines())
