from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

import pytest

from slipway.errors import ParseError
from slipway.scheduler.base import Job, State, Submission
from slipway.scheduler.slurm import commands, parse
from slipway.scheduler.slurm.scheduler import Slurm
from slipway.shell import Result

# How rows of sacct go on: limit, beginning, end, nodes.
ENDED = "00:05:00|1795961581|1795961585|node1"
WAITS = "00:10:00|Unknown|Unknown|None assigned"


def in_state(word: str) -> dict[str, Any]:
    """A state that SLURM calls as we do."""
    return {"state": State(word), "native_state": word}


def test_submit_command() -> None:
    assert commands.submit_command(PurePosixPath("/s/job.sh")) == ["sbatch", "--parsable", "/s/job.sh"]


def test_queue_command() -> None:
    assert commands.queue_command(["a", "b"]) == [
        "squeue",
        "--me",
        "--array",
        "--name=a,b",
        "--format=slipway|%i|%j|%T|%M|%l|%S|%N|%r",
    ]


def test_accounting_command() -> None:
    assert commands.accounting_command(["a"], "2026-01-31") == [
        "sacct",
        "--noheader",
        "--parsable2",
        "--allocations",
        "--starttime=2026-01-31",
        "--name=a",
        "--format=JobID,JobName,State,ExitCode,ElapsedRaw,Timelimit,Start,End,NodeList",
    ]


@pytest.mark.parametrize(
    ("printed", "job_id"),
    [
        ("12\n", "12"),
        ("12;box\n", "12"),
        ("sbatch: hm\n12\n", "12"),
        ("Welcome. Your quota:\n80 %\n7\n12;box\nThank you\n", "12"),
    ],
)
def test_job_id(printed: str, job_id: str) -> None:
    assert parse.parse_submitted(printed) == job_id


@pytest.mark.parametrize("printed", ["", "Submitted batch job 12\n", "²\n", "9" * 5000, "-1", "12;\n"])
def test_anything_else_is_no_job_id(printed: str) -> None:
    with pytest.raises(ParseError, match="expected a job id"):
        parse.parse_submitted(printed)


@pytest.mark.parametrize(
    ("code", "stderr", "submission"),
    [
        (1, "sbatch: error: invalid account\n", Submission(refusal="invalid account")),
        (255, "", Submission(refusal="it gave no reason")),
        (124, "", Submission()),
        (137, "sbatch: error: no answer\n", Submission()),
        # A wrapper that swallows the id, or the exit code.
        (0, "", Submission()),
        (0, "a notice\nsbatch: error: invalid account\n", Submission(refusal="invalid account")),
    ],
)
def test_what_came_of_a_submission(code: int, stderr: str, submission: Submission) -> None:
    assert parse.parse_submission(code, "", stderr) == submission


def test_queue() -> None:
    # As Slurm 24.11 prints them, with SLURM_TIME_FORMAT=%s.
    printed = (
        "slipway|JOBID|NAME|STATE|TIME|TIME_LIMIT|START_TIME|NODELIST|REASON\n"
        "slipway|7|k3f9-cpu-20260131-142530|PENDING|0:00|10:00|N/A||PartitionTimeLimit\n"
        "slipway|3|d8h2-cpu-20260131-142530|PENDING|0:00|5:00|1795962001||Resources\n"
        "slipway|8|m2p4-cpu-20260131-142531|RUNNING|1-02:03:04|2-00:00:00|1795961581|node[1-2]|None\n"
    )
    waiting: dict[str, Any] = {**in_state("PENDING"), "elapsed_s": 0}
    assert parse.parse_queue(printed) == [
        Job(
            job_id="7",
            name="k3f9-cpu-20260131-142530",
            **waiting,
            pending_reason="PartitionTimeLimit",
            limit_s=600,
        ),
        Job(
            job_id="3",
            name="d8h2-cpu-20260131-142530",
            **waiting,
            pending_reason="Resources",
            limit_s=300,
            expected_s=1795962001,
        ),
        Job(
            job_id="8",
            name="m2p4-cpu-20260131-142531",
            **in_state("RUNNING"),
            elapsed_s=93784,
            limit_s=172800,
            started_s=1795961581,
            node="node[1-2]",
        ),
    ]


def test_where_a_wrapper_drops_the_environment_times_are_not_guessed() -> None:
    """Without its zone, a time of the cluster may be hours off."""
    (job,) = parse.parse_queue("slipway|8|a|RUNNING|0:05|UNLIMITED|2026-11-29T14:13:01|node1|None\n")
    assert (job.elapsed_s, job.limit_s, job.started_s) == (5, None, None)


def test_each_task_of_an_array_counts() -> None:
    # As Slurm 24.11 prints them: squeue with a line a task, sacct one for all that have not begun.
    printed = (
        "slipway|7_0|a|RUNNING|0:05|10:00|1795961581|node1|None\n"
        "slipway|7_8|a|PENDING|0:00|10:00|1795962360||JobArrayTaskLimit\n"
        "slipway|9|b|RUNNING|0:01|10:00|1795961581|node1|None\n"
    )
    jobs = parse.parse_queue(printed)
    assert [(job.job_id, job.task, job.name) for job in jobs] == [
        ("7", 0, "a"),
        ("7", 8, "a"),
        ("9", None, "b"),
    ]
    printed = (
        f"7_0|a|COMPLETED|0:0|61|{ENDED}\n"
        "7_[2-3,6-10:2%2]|a|CANCELLED by 1000|0:0|0|00:10:00|None|1795961585|None assigned\n"
    )
    accounted = parse.parse_accounting(printed)
    assert [job.task for job in accounted] == [0, 2, 3, 6, 8, 10]
    assert {job.state for job in accounted[1:]} == {State.CANCELLED}
    # Of a long list sacct prints no more than the beginning.
    (rest,) = parse.parse_accounting(f"7_[1,3,5,7,9,11,...]|a|PENDING|0:0|0|{WAITS}\n")
    assert (rest.job_id, rest.task, rest.state) == ("7", None, State.PENDING)
    shown = parse.parse_shown(
        "JobId=9 ArrayJobId=7 ArrayTaskId=3 ArrayTaskThrottle=2 JobName=a JobState=FAILED ExitCode=3:0\n"
        "JobId=7 ArrayJobId=7 ArrayTaskId=4-5%2 ArrayTaskThrottle=2 JobName=a JobState=PENDING ExitCode=0:0\n"
    )
    assert [(job.job_id, job.task, job.exit_code) for job in shown] == [("7", 3, 3), ("7", 4, 0), ("7", 5, 0)]
    with pytest.raises(ParseError, match=r"sacct printed 'x\|a"):
        parse.parse_accounting(f"x|a|PENDING|0:0|0|{WAITS}\n")


def test_accounting() -> None:
    printed = (
        f"7|a|COMPLETED|0:0|61|{ENDED}\n8|b|FAILED|3:0|5|{ENDED}\n"
        f"9|c|CANCELLED by 1000|0:15|2|{ENDED}\n10|d|OUT_OF_MEMORY|0:125|9|{ENDED}\n"
        "11|e|RUNNING|0:0|8|00:07:00|1795961581|Unknown|node[1-2]\n"
        # Cancelled while it waited: it has no beginning.
        "12|f|CANCELLED by 1000|0:0|0|Partition_Limit|1795961581|1795961581|None assigned\n"
    )
    ended = {"limit_s": 300, "started_s": 1795961581, "ended_s": 1795961585, "node": "node1"}
    cancelled = {"state": State.CANCELLED, "native_state": "CANCELLED"}
    assert parse.parse_accounting(printed) == [
        Job(job_id="7", name="a", **in_state("COMPLETED"), exit_code=0, elapsed_s=61, **ended),
        Job(job_id="8", name="b", **in_state("FAILED"), exit_code=3, elapsed_s=5, **ended),
        Job(job_id="9", name="c", **cancelled, exit_code=0, signal=15, elapsed_s=2, **ended),
        Job(
            job_id="10",
            name="d",
            **in_state("OUT_OF_MEMORY"),
            exit_code=0,
            signal=125,
            elapsed_s=9,
            **ended,
        ),
        Job(
            job_id="11",
            name="e",
            **in_state("RUNNING"),
            exit_code=0,
            elapsed_s=8,
            limit_s=420,
            started_s=1795961581,
            node="node[1-2]",
        ),
        Job(job_id="12", name="f", **cancelled, exit_code=0, elapsed_s=0, ended_s=1795961581),
    ]


def test_what_the_controller_remembers() -> None:
    # As scontrol of Slurm 24.11 prints it, with the fields that follow.
    printed = (
        "JobId=2 JobName=33qj-cpu-20261121-150903 UserId=researcher(1000) Nice=0 QOS=normal JobState=FAILED "
        "Reason=NonZeroExitCode Restarts=0 ExitCode=139:0 RunTime=00:00:07 TimeLimit=00:10:00 "
        "SubmitTime=1795961581 StartTime=1795961581 EndTime=1795961588 ReqNodeList=(null) ExcNodeList=(null) "
        "NodeList=node1 BatchHost=node1 NumNodes=1\n"
    )
    assert parse.parse_shown(printed) == [
        Job(
            job_id="2",
            name="33qj-cpu-20261121-150903",
            state=State.FAILED,
            native_state="FAILED",
            exit_code=139,
            elapsed_s=7,
            limit_s=600,
            started_s=1795961581,
            ended_s=1795961588,
            node="node1",
        )
    ]
    (waits,) = parse.parse_shown(
        "JobId=3 JobName=a JobState=PENDING ExitCode=0:0 RunTime=00:00:00 TimeLimit=00:05:00 "
        "StartTime=1795962001 EndTime=1795962301 ReqNodeList=(null) NodeList= SchedNodeList=node[1-3]\n"
    )
    assert (waits.expected_s, waits.started_s, waits.ended_s, waits.node) == (1795962001, None, None, None)
    assert parse.parse_shown("\n") == []
    with pytest.raises(ParseError, match="scontrol printed"):
        parse.parse_shown("JobId=2 JobName=a\n")


def test_a_state_is_kept_as_slurm_calls_it() -> None:
    (held,) = parse.parse_queue("slipway|7|a|REQUEUE_HOLD|0:00|10:00|N/A||job_requeued_in_held_state\n")
    assert (held.state, held.native_state) == (State.PENDING, "REQUEUE_HOLD")
    (new,) = parse.parse_accounting(f"7|a|HIBERNATED by 1000|0:0|61|{ENDED}\n")
    assert (new.state, new.native_state) == (State.UNKNOWN, "HIBERNATED")


def test_a_cut_line_is_noticed() -> None:
    with pytest.raises(ParseError, match=r"squeue printed 'slipway\|7\|a'; expected 8 fields"):
        parse.parse_queue("slipway|7|a\n")
    with pytest.raises(ParseError, match="sacct printed"):
        parse.parse_accounting("slurmdbd: connection refused\n")


def test_other_words_of_a_wrapper_are_left_out() -> None:
    row = "slipway|7|a|RUNNING|0:05|10:00|1795961581|node1|None\n"
    words = "Welcome | to the | cluster | of | us\n         JOBID   NAME\n"
    assert parse.parse_queue(f"{words}{row}") == parse.parse_queue(row)
    # Nothing waits or runs: the header says so. Without it nobody knows.
    assert (
        parse.parse_queue(f"{words}slipway|JOBID|NAME|STATE|TIME|TIME_LIMIT|START_TIME|NODELIST|REASON\n")
        == []
    )
    for unread in ("", words):
        with pytest.raises(ParseError, match="squeue printed"):
            parse.parse_queue(unread)
    row = f"7|a|COMPLETED|0:0|61|{ENDED}\n"
    assert parse.parse_accounting(f"{words}{row}") == parse.parse_accounting(row)
    row = "JobId=2 JobName=a JobState=FAILED ExitCode=3:0\n"
    assert parse.parse_shown(f"{words}{row}") == parse.parse_shown(row)
    with pytest.raises(ParseError, match="scontrol printed"):
        parse.parse_shown(words)


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("REQUEUED", State.PENDING),
        ("BOOT_FAIL", State.NODE_FAIL),
        ("DEADLINE", State.TIMEOUT),
        ("SOMETHING_NEW", State.UNKNOWN),
        ("", State.UNKNOWN),
    ],
)
def test_states(word: str, state: State) -> None:
    assert parse.parse_state(word) is state


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0:07", 7), ("12:34", 754), ("1:00:00", 3600), ("2-00:00:01", 172801), ("INVALID", None)],
)
def test_elapsed(text: str, seconds: int | None) -> None:
    assert parse.parse_elapsed(text) == seconds


class Queue:
    """Stands in for a connection: its squeue prints this and ends so."""

    def __init__(self, printed: str, code: int = 0) -> None:
        self.printed, self.code = printed, code

    def run_in_login_shell(self, _: Sequence[str]) -> Result:
        return Result(argv=(), exit_code=self.code, stdout=self.printed, stderr="")


def active(printed: str, code: int = 0) -> set[str] | None:
    return Slurm().active_names(Queue(printed, code))  # type: ignore[arg-type]


def test_images_count_as_unused_only_where_the_queue_was_read() -> None:
    """What removes images that no job uses believes this: words of a wrapper are no empty queue."""
    header = "slipway|JOBID|NAME|STATE|TIME|TIME_LIMIT|START_TIME|NODELIST|REASON\n"
    assert active(header) == set()
    assert active(f"Welcome\n{header}slipway|7|k3f9|RUNNING|0:05|10:00|1795961581|node1|None\n") == {"k3f9"}
    assert active("", code=1) is None
    for unread in ("", "Welcome\n", "JOBID NAME\n7 k3f9\n"):
        with pytest.raises(ParseError, match="squeue printed"):
            active(unread)


def test_jobs_are_cancelled_together() -> None:
    assert commands.cancel_command(["7", "8"]) == ["scancel", "--verbose", "7", "8"]
    waiting = commands.cancel_command(["7"], only_waiting=True)
    assert waiting == ["scancel", "--verbose", "--state=PENDING", "7"]
