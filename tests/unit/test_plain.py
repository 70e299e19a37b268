"""Values that are read without pydantic: only those of their very types, and none otherwise than by it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from slipway.checked import Text, Whole
from slipway.plain import read_plain


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of it."""

    words: Text | None = None
    count: Whole = 0


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What is read."""

    name: Text
    by_number: Mapping[int, Part] = field(default_factory=dict)
    texts: Mapping[Text, Text] = field(default_factory=dict)
    some: tuple[Whole, ...] = ()


def read(**values: Any) -> Sample | None:
    found = read_plain(Sample, {"name": "a", **values})
    if found is not None:
        assert found == TypeAdapter(Sample).validate_python({"name": "a", **values})
    return found


def test_what_is_of_its_very_type_is_read() -> None:
    found = read(by_number={"0": {"words": "a\ud800"}, "70": {"count": -3}}, texts={"a": "é"}, some=[1, 2])
    assert found == Sample(
        name="a",
        by_number={0: Part(words="a\ud800"), 70: Part(count=-3)},
        texts={"a": "é"},
        some=(1, 2),
    )


@pytest.mark.parametrize(
    "word", ["05", "+5", "-5", " 5", "5 ", "1_0", "5.0", "\u0665", "", "x", "9999999999", 5]
)
def test_names_that_are_no_plain_numbers_are_left_to_pydantic(word: object) -> None:
    assert read(by_number={word: {}}) is None


@pytest.mark.parametrize(
    "values",
    [
        {"by_number": {"1": {"count": 1 << 41}}},
        {"by_number": {"1": {"count": True}}},
        {"by_number": {"1": {"words": 1}}},
        {"by_number": {"1": {"other": 1}}},
        {"by_number": [1]},
        {"texts": {"a": 1}},
        {"texts": {1: "a"}},
        {"texts": ["a"]},
        {"some": [1.0]},
        {"some": ["1"]},
        {"name": None},
        {"unknown": 1},
    ],
)
def test_what_is_of_another_type_is_left_to_pydantic(values: dict[str, Any]) -> None:
    assert read(**values) is None


def test_a_value_that_is_missing_is_left_to_pydantic() -> None:
    assert read_plain(Sample, {}) is None
    with pytest.raises(ValidationError):
        TypeAdapter(Sample).validate_python({})
