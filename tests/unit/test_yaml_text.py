"""Adding keys to YAML that people wrote: what they wrote stays, byte by byte."""

import pytest
import yaml

from slipway.yaml_text import UnknownFormError, add_entries, entry_lines

ENTRIES = {
    "gpu": {"max_time": "1:00:00", "max_gpus": {"a100": 4}},
    "on": {"max_mem": "2000M", "max_nodes": 3},
}
WHOLE = 'gpu: {max_time: "1:00:00", max_gpus: {a100: 4}}\n'


def added(text: str) -> str:
    """The new text, once it is seen that each line that was there still is, but for what stands in braces."""
    new = add_entries(text, "queues", ENTRIES)
    assert add_entries(new, "queues", ENTRIES) == new
    old_values, new_values = yaml.safe_load(text), yaml.safe_load(new)
    assert {**new_values, "queues": None} == {**old_values, "queues": None}
    for name, values in (old_values.get("queues") or {}).items():
        assert values.items() <= new_values["queues"][name].items()
    return new


def test_a_section_that_is_not_there_is_put_at_the_end() -> None:
    assert added("login: {host: h}  # mine\n# the end") == (
        "login: {host: h}  # mine\n# the end\nqueues:\n  "
        + WHOLE
        + '  "on": {max_mem: 2000M, max_nodes: 3}\n'
    )


def test_keys_of_a_block_stand_behind_its_own() -> None:
    text = """\
queues:
    # The big one.
    gpu:
        max_time: "2:00:00"   # ours

        cost: 1.5
        note: |
          words
    # None of those.

# The end.
currency: EUR
"""
    assert added(text) == text.replace(
        "          words\n",
        "          words\n        max_gpus: {a100: 4}\n" + '    "on": {max_mem: 2000M, max_nodes: 3}\n',
    )


def test_keys_in_braces_stand_behind_the_last() -> None:
    text = 'queues:\n  gpu: {max_time: "2:00:00", cost: 1 ,} # dear\nmail: true\n'
    assert added(text) == (
        'queues:\n  gpu: {max_time: "2:00:00", cost: 1, max_gpus: {a100: 4} ,} # dear\n'
        '  "on": {max_mem: 2000M, max_nodes: 3}\nmail: true\n'
    )


@pytest.mark.parametrize(
    "text", ["queues: {}\n", "queues: { }  # none\n", "queues: {gpu: {}}\n", "queues: {\n}\n"]
)
def test_braces_that_are_empty(text: str) -> None:
    assert yaml.safe_load(added(text))["queues"] == ENTRIES


def test_line_ends_and_an_end_without_one_are_kept() -> None:
    text = "login: {host: h}\r\nqueues:\r\n  gpu:\r\n    cost: 1"
    new = added(text)
    assert new.startswith(text + "\r\n")
    assert new.count("\n") == new.count("\r\n")


def test_nothing_to_add_changes_nothing() -> None:
    text = "queues: {gpu: {max_time: 1, max_gpus: {}}, 'on': {max_mem: 1, max_nodes: 1}}"
    assert add_entries(text, "queues", ENTRIES) == text
    assert add_entries("a: 1", "queues", {}) == "a: 1"


@pytest.mark.parametrize(
    "text",
    [
        "{login: {host: h}}\n",
        "a: &one {cost: 1}\nqueues: {gpu: *one}\n",
        "queues: &q\n  gpu: {cost: 1}\nothers: *q\n",
        "a: 1\n...\n",
        "queues: [1]\n",
        "queues: {gpu: 1}\n",
        "- a\n",
    ],
)
def test_what_cannot_be_added_to_is_told(text: str) -> None:
    with pytest.raises(UnknownFormError):
        add_entries(text, "queues", ENTRIES)


def test_values_are_read_as_they_were_meant() -> None:
    values = {"1": {"a b": "x: y", "null": "true", "t": "1:30", "q": 'a"b\\c', "n": 2, "f": 1.5, "no": False}}
    assert yaml.safe_load("\n".join(entry_lines(values))) == values
