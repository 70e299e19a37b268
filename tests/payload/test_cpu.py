import os

import pytest

from slam.cpu import bind_threads, thread_limit


@pytest.mark.parametrize(
    ("environment", "cores", "limit"),
    [
        ({}, 8, 8),
        ({"SLURM_CPUS_PER_TASK": "4"}, 64, 4),
        ({"SLURM_CPUS_PER_TASK": "64"}, 8, 8),
        ({"SLURM_CPUS_PER_TASK": "4", "OMP_NUM_THREADS": "2"}, 8, 2),
        ({"OMP_NUM_THREADS": "3,1"}, 8, 3),
        ({"OMP_NUM_THREADS": "many", "SLURM_CPUS_PER_TASK": ""}, 8, 8),
        ({"OMP_NUM_THREADS": "0"}, 8, 8),
        ({"OMP_NUM_THREADS": "-2"}, 8, 8),
        ({"SLURM_CPUS_PER_TASK": "1"}, 1, 1),
    ],
)
def test_a_job_uses_no_more_than_it_was_given(environment: dict[str, str], cores: int, limit: int) -> None:
    assert thread_limit(environment, cores) == limit


def test_libraries_are_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "9")
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "9")
    bind_threads(2)
    assert (os.environ["OMP_NUM_THREADS"], os.environ["OPENBLAS_NUM_THREADS"]) == ("2", "2")
