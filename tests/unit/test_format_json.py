"""JSON that is printed: with indents, and quickly where it is long."""

from __future__ import annotations

import json
from typing import Any

import pytest

from slipway.jsontext import dump_each, format_json

ITEM = {"name": 'a "b"\n\\', "ü": [1, None, {"deep": [2.5]}]}


@pytest.mark.parametrize("value", [[], {}, "text", None, [ITEM], {"few": [ITEM] * 100, "empty": {}}])
def test_what_is_short_is_indented(value: Any) -> None:
    assert format_json(value) == json.dumps(value, indent=2)


@pytest.mark.parametrize("value", [[ITEM] * 101, {"many": [ITEM] * 101, "one": ITEM, "none": []}])
def test_each_of_many_is_a_line(value: Any) -> None:
    text = format_json(value)

    assert json.loads(text) == value
    lines = [line.strip().removesuffix(",") for line in text.splitlines()]
    assert lines.count(json.dumps(ITEM)) == 101
    assert '"one": {' in lines or isinstance(value, list)


@pytest.mark.parametrize(
    "values",
    [
        [],
        [{}],
        [{}, {}, {}],
        [{"a": 1}, {"a": {"b": 1}}, {"c": [1, {}]}],
        [{"a": "}, {"}, {"a": 1}],
        [{"a": [{"b": 1}, {"b": 2}]}, {"a": 1}],
        [{"a": 1}, [1]],
        [1, "}, {", None],
    ],
)
def test_what_is_written_at_once_is_the_same_as_one_by_one(values: list[Any]) -> None:
    assert dump_each(values) == [json.dumps(value) for value in values]
