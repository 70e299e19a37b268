"""Parsers of what a scheduler's programs print: they give values or their own error, for anything."""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from slipway.errors import ParseError, UsageError
from slipway.init.cluster import parse_facts
from slipway.job.submission_lock import parse_answer
from slipway.quantity import MOST_TASKS, mebibytes, minutes, parse_array
from slipway.scheduler.choose import parse_resources
from slipway.scheduler.slurm import parse
from slipway.scheduler.slurm.array_limit import parse_array_size
from slipway.scheduler.slurm.limits import parse_own_associations, parse_qos_limits
from slipway.scheduler.slurm.nodes import (
    _COLUMNS,
    PartitionRules,
    parse_nodes,
    parse_rules,
    parse_settings,
    parse_waiting,
)
from slipway.scheduler.slurm.partitions import parse_associations, parse_partitions, parse_qos
from slipway.scheduler.slurm.queues import _states
from slipway.scheduler.slurm.resources import SlurmResources
from slipway.scheduler.slurm.trial import parse_now, parse_trial
from slipway.shell import Result

# What rows are made of, and what is easily taken for it: digits that are no numbers, numbers without an end.
PIECES = [
    *("|", "\n", "\r", "\0", " ", "_", "[", "]", "-", ":", ",", ";", "%", "...", "=", "*", "+"),
    *(
        "slipway|",
        "JOBID",
        "JobId=7 JobName=a JobState=FAILED ExitCode=",
        "ArrayJobId=7 ArrayTaskId=",
        "RunTime=",
        "StartTime=",
    ),
    *("0", "7", "²", "٣", "-1", "9" * 5000, "0-99999999999", "0-9:0", "9-0", "inf", "nan", "1e999"),
    *("RUNNING", "CANCELLED by 1000", "infinite", "1-00:00:00", "(null)", "gpu:a100:4"),
]
TEXTS = st.text() | st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=40).map("".join)


def row(fields: int, mark: str = "") -> st.SearchStrategy[str]:
    """Lines that have as many fields as a parser expects."""
    field = st.sampled_from(PIECES) | st.text(max_size=5)
    return st.lists(field, min_size=fields, max_size=fields).map(lambda some: mark + "|".join(some))


@given(TEXTS | row(8, "slipway|"))
@example("slipway|7_[0-99999999999]|a|RUNNING|0:05|5:00|17|node1|None")
@example("slipway|7_[0-9:0]|a|RUNNING|0:05|5:00|17|node1|None")
@example(f"slipway|{'9' * 5000}|a|RUNNING|0:05|5:00|17|node1|None")
@example(f"slipway|7|a|RUNNING|{'9' * 5000}:05|5:00|17|node1|None")
def test_squeue(text: str) -> None:
    with suppress(ParseError):
        parse.parse_queue(text)


@given(TEXTS | row(9))
@example("7|a|COMPLETED|²:²|²|²|²|²|²")
@example(f"7_[{'0-99999,' * 5000}1]|a|COMPLETED|0:0|1|1:00|1|2|node1")
def test_sacct(text: str) -> None:
    with suppress(ParseError):
        parse.parse_accounting(text)


@given(TEXTS)
@example("JobId=7 ArrayJobId=7 ArrayTaskId=² JobName=a JobState=FAILED ExitCode=²:0")
def test_scontrol(text: str) -> None:
    with suppress(ParseError):
        parse.parse_shown(text)


@given(st.integers(), TEXTS, TEXTS)
@example(0, "²\n", "")
def test_sbatch(code: int, stdout: str, stderr: str) -> None:
    submission = parse.parse_submission(code, stdout, stderr)
    assert submission.job_id is None or submission.job_id.isascii()


@given(TEXTS | row(8, "slipway|"))
@example("slipway|p*|1:2:3:4|1-²|3|2|6026|(null)|(null)")
@example(f"slipway|p|{'9' * 5000}|{'9' * 5000}|3|2|6026|(null)|(null)")
def test_sinfo(text: str) -> None:
    with suppress(ParseError):
        parse_partitions(text)


@given(TEXTS | row(2) | row(3))
def test_sacctmgr(text: str) -> None:
    for read in (parse_associations, parse_qos):
        with suppress(ParseError):
            read(text)


def columns(text: str) -> str:
    """A line of sinfo's --Format that has these words, one a column."""
    words = text.split("|")[: len(_COLUMNS)]
    words += [""] * (len(_COLUMNS) - len(words))
    return "".join(word[:wide].ljust(wide) for word, wide in zip(words, _COLUMNS.values(), strict=True))


@given((TEXTS | row(len(_COLUMNS))).map(columns) | TEXTS)
@example(columns("p*|1-123|1-²|3|2|999999999999999999|gpu:a:9,gpu:a:99999999999|gpu|idle|1/²/3/4"))
@example(columns("p|9-99:99:99|1|3|0|0|gpu:1(S:0,1),gpu:٣|(null)|mix|0/9/9/9"))
def test_sinfo_by_columns(text: str) -> None:
    with suppress(ParseError):
        _states(parse_nodes(text), {"p": PartitionRules(max_cpus=0, max_mem_mb=0)}, [], whole=False)


@given(TEXTS | row(9) | row(7))
@example("PartitionName=p MaxMemPerNode=999999999999999999 MaxCPUsPerNode=² QoS= State=")
@example("      ² slipway|p\n 99999999999999999999 slipway|")
def test_partitions_and_limits(text: str) -> None:
    readers = (parse_rules, parse_waiting, parse_settings, parse_own_associations, parse_qos_limits)
    for read in (*readers, parse_array_size):
        with suppress(ParseError):
            read(text)


@given(TEXTS)
@example("Job 7 to start at " + "9" * 5000)
@example("Job 7 to start at ²")
@example("Job 7 to start at 2026-02-31T99:99:99")
def test_sbatch_test_only(text: str) -> None:
    answer = Result(argv=("sbatch",), exit_code=0, stdout="", stderr=text)
    start = parse_trial(answer, 0, datetime(2026, 1, 31, tzinfo=timezone.utc))
    assert (start.in_s is None) != (start.refusal is None)
    with suppress(ParseError):
        parse_now(text)


@given(TEXTS, TEXTS, TEXTS)
@example("slipway|kernel|" + "9" * 5000 + ".1", "slipway|A|" + "9" * 5000 + "|/s", "apptainer/" + "9" * 5000)
@example("slipway|kernel|²", "slipway|A|²|/s", "apptainer/²")
def test_what_a_cluster_says_of_itself(facts: str, scratch: str, modules: str) -> None:
    found = parse_facts(facts, scratch, modules)
    assert found.reads_zstd in (True, False)
    assert found.container is None or found.container[0] in ("apptainer", "singularity")


@given(TEXTS)
@example("²\0\0\0")
@example("9" * 5000 + "\0\0\0")
def test_the_answer_that_is_kept(text: str) -> None:
    with suppress(ParseError):
        parse_answer(text)


@pytest.mark.parametrize("read", [minutes, mebibytes, parse_array, parse.parse_elapsed, parse.parse_state])
@given(TEXTS)
@example("9" * 5000)
@example("²")
@example("")
def test_words(read: Callable[[str], object], text: str) -> None:
    with suppress(ParseError):
        read(text)


@pytest.mark.parametrize("key", ["time", "mem", "gpus", "array", "cpus", "nodes", "dependency"])
@given(TEXTS)
@example("9" * 5000)
@example("0-9:0")
def test_what_a_user_asks_for(key: str, text: str) -> None:
    with suppress(UsageError):
        wanted = parse_resources({key: text})
        # What is let through can be counted with.
        assert isinstance(wanted, SlurmResources)
        assert wanted.gpu_count >= 0
        if wanted.array:
            parse_array(wanted.array)
        minutes(wanted.time or "1")
        mebibytes(wanted.mem or "1")


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ("0-9:0", "0-9:0 has a step of 0"),
        ("9-0", "9-0 ends before it begins"),
        ("0-999999999", f"more tasks than the {MOST_TASKS} of one run"),
        ("0-99999,0-99999", f"more tasks than the {MOST_TASKS} of one run"),
        ("0-99999999999", "write it as numbers and ranges"),
        ("²", "write it as numbers and ranges"),
    ],
)
def test_an_array_that_cannot_be_is_refused(spec: str, why: str) -> None:
    with pytest.raises(UsageError, match=f"--array {spec}: .*{why}"):
        parse_resources({"array": spec})
