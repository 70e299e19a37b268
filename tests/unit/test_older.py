from typing import Any

import pytest

from slipway.job.older import to_current


def status(**values: Any) -> dict[str, Any]:
    read: dict[str, Any] = to_current({"resources": {}, "status": values})["status"]
    return read


def test_slurms_word_and_its_reason_have_fields_of_their_own() -> None:
    assert status(state="PENDING", reason="PartitionTimeLimit", slurm_state="PENDING") == {
        "state": "PENDING",
        "pending_reason": "PartitionTimeLimit",
        "native_state": "PENDING",
    }
    ended = {"state": "FAILED", "reason": "program-error", "exit_code": 3}
    assert status(**ended, slurm_state="FAILED") == {**ended, "native_state": "FAILED"}
    assert status(state="SUBMITTING", reason=None, slurm_state=None)["native_state"] is None
    today = {"state": "PENDING", "reason": None, "pending_reason": "Priority", "native_state": "PENDING"}
    assert status(**today) == today


def test_the_tasks_of_an_array_are_counted_out() -> None:
    assert to_current({"resources": {"array": "0-6:3,9%2"}})["task_indices"] == [0, 3, 6, 9]
    assert to_current({"resources": {"array": None}})["task_indices"] == []
    assert to_current({"resources": {"array": "0-9"}, "task_indices": [1]})["task_indices"] == [1]


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"status": None},
        {"status": 7, "resources": "x"},
        {"status": {}},
        {"resources": {"array": "0-9:0"}},
    ],
)
def test_what_is_no_record_is_left_to_its_reader(values: dict[str, Any]) -> None:
    assert {key: to_current(values)[key] for key in values} == values
