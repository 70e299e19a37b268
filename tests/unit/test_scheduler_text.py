"""Parsers of what a scheduler's programs print: they give values or their own error, for anything."""

from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from slipway.errors import ParseError, UsageError
from slipway.job.submission_lock import parse_answer
from slipway.resources import MOST_TASKS, mebibytes, minutes, parse_array
from slipway.scheduler.choose import parse_resources
from slipway.scheduler.slurm import parse
from slipway.scheduler.slurm.partitions import parse_associations, parse_partitions, parse_qos
from slipway.scheduler.slurm.resources import SlurmResources

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
