"""What SLURM's accounting says of jobs that are over. The rows were recorded from SLURM 24.11."""

import pytest

from slipway.errors import ParseError
from slipway.scheduler.slurm.usage import parse_usage, usage_command
from slipway.scheduler.usage import Usage

MULTI = """\
3|COMPLETED|9|10|billing=2,cpu=2,gres/gpu:a100=2,gres/gpu=2,mem=1000M,node=2|2|00:02.341||||0|1795954454|multi
3.batch|COMPLETED|9||cpu=1,mem=500M,node=1|1|00:00.013|cpu=00:00:00,energy=0|11567104|1|0|1795954454|batch
3.0|COMPLETED|9||cpu=2,mem=1000M,node=2|2|00:02.328|cpu=00:00:02,energy=0|221671424|2|0|1795954454|bash
"""
ARRAY = """\
2_0|COMPLETED|9|10|billing=1,cpu=1,mem=500M,node=1|1|00:01.007|||||1795954445|arr
2_0.batch|COMPLETED|9||cpu=1,mem=500M,node=1|1|00:01.007|cpu=00:00:00|221483008|1|0|1795954445|batch
2_1|COMPLETED|9|10|billing=1,cpu=1,mem=500M,node=1|1|00:01.010|||||1795954445|arr
2_1.batch|COMPLETED|9||cpu=1,mem=500M,node=1|1|00:01.010|cpu=00:00:00|221638656|1|0|1795954445|batch
"""
REQUEUED = """\
5|REQUEUED|3|5|billing=1,cpu=1,mem=700M,node=1|1|00:00.003|||||1795962355|req
5.batch|CANCELLED|4||cpu=1,mem=700M,node=1|1|00:00.003|cpu=00:00:03|221536256|1|0|1795962356|batch
6|TIMEOUT|83|1|billing=1,cpu=1,mem=700M,node=1|1|00:00.001|||||1795962435|tl
6.batch|CANCELLED|83||cpu=1,mem=700M,node=1|1|00:00.001|cpu=00:00:00|4104192|1|0|1795962435|batch
5|COMPLETED|8|5|billing=1,cpu=1,mem=700M,node=1|1|00:01.157|||||1795962366|req
5.batch|COMPLETED|8||cpu=1,mem=700M,node=1|1|00:01.157|cpu=00:00:01|221745152|1|0|1795962366|batch
"""
MB = 1 << 20


def test_the_command_asks_for_steps_and_attempts() -> None:
    fields = (
        "JobID,State,ElapsedRaw,TimelimitRaw,AllocTRES,NNodes,TotalCPU,TRESUsageInTot,MaxRSS,NTasks,"
        "ConsumedEnergyRaw,End,JobName"
    )
    assert usage_command(["a", "b"], "2026-01-31") == [
        "sacct",
        "--noheader",
        "--parsable2",
        "--noconvert",
        "--duplicates",
        "--starttime=2026-01-31",
        "--name=a,b",
        f"--format={fields}",
    ]


def test_several_nodes_have_one_tasks_peak_each() -> None:
    assert parse_usage(MULTI) == [
        (
            ("multi", None),
            Usage(
                elapsed_s=9,
                longest_s=9,
                limit_s=600,
                nodes=2,
                cpus=2,
                cpu_s=2.341,
                core_s=18.0,
                peak_memory_bytes=221671424,
                asked_memory_bytes=500 * MB,
                gpus=2,
            ),
        )
    ]


def test_several_tasks_on_a_node_add_up_as_in_seff() -> None:
    # Four tasks on two nodes.
    ((_, usage),) = parse_usage(MULTI.replace("|221671424|2|", "|221671424|4|"))
    assert usage.peak_memory_bytes == 2 * 221671424


def test_arrays_are_read_by_task() -> None:
    found = dict(parse_usage(ARRAY))
    assert {key: usage.peak_memory_bytes for key, usage in found.items()} == {
        ("arr", 0): 221483008,
        ("arr", 1): 221638656,
    }
    assert found["arr", 0].cpu_s == 1.007


def test_attempts_are_added_up_and_killed_steps_have_what_was_seen_of_them() -> None:
    found = dict(parse_usage(REQUEUED))
    again = found["req", None]
    assert (again.attempts, again.elapsed_s, again.longest_s) == (2, 11, 8)
    assert (again.cpu_s, again.core_s) == (pytest.approx(3 + 1.157), 11.0)
    assert (found["tl", None].limit_s, found["tl", None].cpu_s) == (60, 0.001)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (REQUEUED.replace("|1795962366|req", "|Unknown|req"), "its end is not accounted"),
        (REQUEUED.replace("|1795962366|batch", "|Unknown|batch"), "nor is that of its step"),
        ("\n".join(REQUEUED.splitlines()[:-1]), "there is no step yet"),
        ("\n".join(REQUEUED.splitlines()[:-2]), "the next attempt is not accounted"),
    ],
)
def test_what_is_not_whole_yet_is_left_out(text: str, why: str) -> None:
    assert [name for (name, _), _ in parse_usage(text)] == ["tl"], why


def test_jobs_without_steps_that_will_have_none() -> None:
    rows = """\
7_[0-1]|CANCELLED by 1000|0|10||1|00:00:00||||0|1795962358|canc
8|NODE_FAIL|30|10|billing=1,cpu=1,mem=500M,node=1|1|00:00:00|||||1795962358|lost
"""
    found = dict(parse_usage(rows))
    assert found["canc", 1] == Usage(limit_s=600)
    lost = found["lost", None]
    assert (lost.elapsed_s, lost.cpu_s, lost.core_s, lost.peak_memory_bytes) == (30, None, None, None)


def test_units_energy_and_limits_as_other_sites_have_them() -> None:
    rows = """\
Welcome to the cluster
9|COMPLETED|60|UNLIMITED|cpu=4,gres/gpu:a100=1,gres/gpu:v100=2,mem=1.50G,node=1|1|1-00:02:03||||\
18446744073709551614|17|a|b
9.batch|COMPLETED|60||cpu=4,mem=1536M|1|1-00:02:03|cpu=00:00:00|216448K|1|350000|17|batch
9.0|COMPLETED|60||cpu=4,mem=1536M|1|00:00.5|cpu=00:00:00|1.25M||4294967294|17|step
"""
    ((key, usage),) = parse_usage(rows)
    assert key == ("ab", None)
    assert (usage.limit_s, usage.gpus, usage.energy_j) == (None, 3, 350000)
    assert usage.cpu_s == pytest.approx(86400 + 123 + 0.5)
    assert (usage.asked_memory_bytes, usage.peak_memory_bytes) == (1536 * MB, 216448 * 1024)


def test_no_jobs_and_other_words() -> None:
    assert parse_usage("") == []
    with pytest.raises(ParseError, match="sacct printed"):
        parse_usage("Slurm accounting storage is disabled\n")
