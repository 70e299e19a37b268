"""Runs that go on after their time limit, as they are shown."""

import json
from dataclasses import replace

import pytest

from slipway.job.chain import most_links, tell_link
from slipway.job.ending import ScriptResult, merge_status, parse_result
from slipway.job.run import Reason, Status
from slipway.scheduler.base import Job, State
from tests.unit.test_run import make_run

SAVED = ScriptResult(exit_code=0, signal=None, reason=Reason.TIME_LIMIT, start=1, end=61, continues=True)


def job(state: State, **changes: object) -> Job:
    values = {"job_id": "7", "name": "k3f9", "state": state, "exit_code": 0, "elapsed_s": 60}
    return Job(**{**values, **changes})  # type: ignore[arg-type]


def test_what_the_script_says_of_links_is_read() -> None:
    written = {
        "run_id": "k3f9",
        "exit_code": 0,
        "signal": None,
        "reason": "time-limit",
        "start": 1,
        "end": 61,
    }
    result = parse_result(json.dumps({**written, "continues": True, "note": ""}))
    assert (result, result.is_last) == (SAVED, False)
    last = parse_result(json.dumps({**written, "continues": False, "note": "no next link: x"}))
    assert (last.note, last.is_last) == ("no next link: x", True)
    # Of scripts that know of no links, and of hands.
    odd = parse_result(json.dumps({**written, "continues": 1, "note": 3}))
    assert (odd.continues, odd.note) == (False, None)


def test_a_run_that_is_cancelled_between_two_links_is_cancelled() -> None:
    status = merge_status(job(State.CANCELLED), SAVED)
    assert (status.state, status.reason, status.exit_code, status.note) == (
        State.CANCELLED, "cancelled", None, None
    )  # fmt: skip


def test_the_note_of_the_script_is_the_runs() -> None:
    result = replace(SAVED, continues=False, note="the time limit ended all 3 links")
    assert merge_status(job(State.COMPLETED), result).note == "the time limit ended all 3 links"
    assert merge_status(None, result).note == "the time limit ended all 3 links"
    assert "does not know it any more" in str(merge_status(None, SAVED).note)


@pytest.mark.parametrize(("times", "most"), [(None, None), (0, None), (10, 11), ("3", None)])
def test_how_many_links_there_are_at_most(times: object, most: int | None) -> None:
    run = replace(make_run("k3f9"), resources={"continue_after_limit": times})
    assert most_links(run) == most


def test_the_link_is_told_from_the_second_one_on() -> None:
    runs = Status(state=State.RUNNING)
    assert tell_link(runs, None, None) == runs
    assert tell_link(runs, 1, 4) == replace(runs, link=1, links=4)
    assert tell_link(runs, 2, 4).note == "link 2 of at most 4"
    killed = Status(state=State.TIMEOUT, reason="time-limit")
    note = "link 2 of at most 4; its script was killed before it could ask for the next link"
    assert tell_link(killed, 2, 4).note == note
