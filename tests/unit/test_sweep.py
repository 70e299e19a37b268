"""Sweeps: parameters, files, placeholders, arrays, records, and how they stand."""

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.errors import ConfigError, SlipwayError, UsageError
from slipway.job.elements import describe_values
from slipway.job.run import Status
from slipway.lock import is_locked
from slipway.project import Project
from slipway.report.sweep_table import element_states, sweep_lines, sweep_values
from slipway.scheduler.base import State
from slipway.steps import sweep as steps
from slipway.steps.session import Session
from slipway.steps.submit import Ready
from slipway.sweep.arrays import array_of, share
from slipway.sweep.identity import Made, earlier_places, still_counts
from slipway.sweep.parameter import parse_each
from slipway.sweep.placeholder import fill
from slipway.sweep.record import Place, Sweep, SweepElement, SweepStore
from slipway.sweep.spec import SweepSpec, load_spec
from tests.unit.test_run import make_run


def spec_of(folder: Path, text: str) -> SweepSpec:
    file = folder / "sweep.yaml"
    file.write_text(text)
    return load_spec(file)


def arguments_of(folder: Path, text: str) -> list[tuple[str, ...]]:
    spec = spec_of(folder, text)
    return spec.arguments(spec.elements)


def test_each_is_every_combination_the_last_first() -> None:
    each = parse_each(["sequence=a,b", "seed=0..2"])
    elements = SweepSpec(each=each).elements
    assert [describe_values(one) for one in elements] == [
        "sequence=a seed=0",
        "sequence=a seed=1",
        "sequence=a seed=2",
        "sequence=b seed=0",
        "sequence=b seed=1",
        "sequence=b seed=2",
    ]


def test_ranges_have_both_ends_and_steps() -> None:
    assert parse_each(["a=-1..1", "b=0..10:5,x,007"]) == {
        "a": ("-1", "0", "1"),
        "b": ("0", "5", "10", "x", "007"),
    }


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["seed"], "--each seed: write NAME=VALUE,VALUE or NAME=FIRST..LAST"),
        (["1a=2"], "--each 1a=2: write NAME=VALUE"),
        (["a=1", "a=2"], "--each a=… is there twice"),
        (["a=1,,2"], "--each a=1,,2: a value is empty"),
        (["a=2..1"], "--each a=2..1: it ends before it begins"),
        (["a=0..9:0"], "--each a=0..9:0: its step is 0"),
        (["a=0..1000000"], "more than the 100000 of one sweep"),
        (["a=0..999", "b=0..999"], "a sweep of 1000000 elements is more than the 100000 of one"),
        (["a=1,2,1"], "two elements are the same: a=1"),
    ],
)
def test_words_that_are_no_parameter_are_refused(words: list[str], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        _ = SweepSpec(each=parse_each(words)).elements
    assert said in str(caught.value)


WHOLE = """
name: rpy
args: [--sequence, "{sequence}", "--seed={seed}", --lr, "{lr}", '{"a": 1}', "{{seed}}", "$HOME '"]
each: {sequence: [rpy, xyz], seed: 0..1}
zip:
  - lr: [1e-3, 007]
    batch: ["1,2", yes]
list: [{sequence: "it's", seed: 7, lr: 0x10, batch: ~}]
exclude: [{sequence: rpy, seed: 1}]
throttle: 4
resources: {time: "{batch}", gpus: 1}
"""


def test_a_file_with_all_there_is(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, WHOLE)
    elements = spec.elements
    assert len(elements) == 2 * 2 * 2 - 2 + 1
    # Values are the text that stands there.
    assert elements[0] == {"sequence": "rpy", "seed": "0", "lr": "1e-3", "batch": "1,2"}
    assert elements[1] == {"sequence": "rpy", "seed": "0", "lr": "007", "batch": "yes"}
    assert elements[-1] == {"sequence": "it's", "seed": "7", "lr": "0x10", "batch": "~"}
    assert describe_values(elements[-1]) == """sequence='it'"'"'s' seed=7 lr=0x10 batch='~'"""
    args = spec.arguments(elements)[-1]
    assert args == ("--sequence", "it's", "--seed=7", "--lr", "0x10", '{"a": 1}', "{seed}", "$HOME '")
    assert spec.asked(elements[1]) == {"time": "yes", "gpus": "1"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("args: 3", "args: write a list, such as [one, two]; it is '3'"),
        (
            "eac: {}",
            "eac is not a key here (did you mean each?); there are: args, each, exclude,",
        ),
        ("each: {1a: [x]}", "'1a' cannot be a parameter's name"),
        ("each: {a: []}", "a has no values"),
        ("each: {a: [[1]]}", "each.a.0: write it in quotes"),
        ("each: 3", "each: write keys with values"),
        ("zip: {a: [1, 2], b: [1]}", "values that go together are as many of each; a has 2, b has 1"),
        ("each: {a: [1]}\nzip: {a: [1]}", "the parameter a gets its values in two places"),
        ("each: {a: [1]}\nlist: [{b: 1}]", "list: b is no parameter of this sweep"),
        ("each: {a: [1], b: [1]}\nlist: [{a: 2}]", "list: a=2 has no b"),
        ("each: {a: [1]}\nexclude: [{a: 2}]", "exclude: no element has a=2"),
        ("each: {a: [1]}\nexclude: [{a: 1}]", "the sweep has no elements"),
        ("args: [x]", "the sweep has no elements"),
        ("each: {a: [1]}\nthrottle: 0", "throttle: write 1 or more; it is '0'"),
        ("[", ":1: this is not YAML"),
        ("- 1", "expected keys such as args and each"),
        ("args: [x]\neach: {seed: [1]}", "{seed} stands nowhere in the arguments"),
        ("args: ['{sed}']\neach: {seed: [1]}", "{sed} is no parameter of this sweep (did you mean seed?)"),
    ],
)
def test_files_that_are_wrong(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SlipwayError) as caught:
        arguments_of(tmp_path, text)
    assert said in str(caught.value)


def test_files_of_its_own_are_templates(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "run.ini").write_text('seed = {seed}\njson = {"a": {}}\nkept = {{seed}}\n')
    text = "args: [x]\nfiles: {a.ini: in/run.ini}\neach: {seed: 0..1}"
    spec = spec_of(tmp_path, text)
    elements = spec.elements
    # A parameter may stand in a file alone.
    assert spec.arguments(elements) == [("x",), ("x",)]
    assert spec.element_files(elements[1]) == {"a.ini": b'seed = 1\njson = {"a": {}}\nkept = {seed}\n'}
    made = Made(image_sha256="1", code="c", program=["p"], environment={})
    ids = {made.identity(["x"], spec.element_files(one)) for one in elements}
    assert len(ids | {made.identity(["x"])}) == 3
    (tmp_path / "in" / "run.ini").write_text("{sed}")
    for wrong, said in [
        (text, "{sed} is no parameter of this sweep (did you mean seed?)"),
        (text.replace("in/", "no/"), "files.a.ini: "),
        (text.replace("a.ini", "a b"), "files: 'a b' cannot be a file's name here"),
        (text.replace("a.ini", "../a"), "files: '../a' cannot be a file's name here"),
    ]:
        with pytest.raises(SlipwayError) as caught:
            arguments_of(tmp_path, wrong)
        assert said in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such file"):
        load_spec(tmp_path / "none.yaml")
    (tmp_path / "raw.yaml").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_spec(tmp_path / "raw.yaml")


@given(st.text(), st.text())
def test_values_are_filled_in_exactly(value: str, text: str) -> None:
    safe = text.replace("{", "(").replace("}", ")")
    assert fill(f"{safe}{{a}}{safe}", {"a": value}) == f"{safe}{value}{safe}"


def test_arrays_are_of_elements_that_ask_for_the_same() -> None:
    asked = [{"time": "5"}, {"time": "9"}, {"time": "5"}, {"time": "5"}, {"time": "9"}]
    assert share(asked, None) == [[0, 2, 3], [1, 4]]
    assert share(asked, 2) == [[0, 2], [3], [1, 4]]
    assert share([], 3) == []
    assert (array_of(3, None), array_of(1000, 4)) == ("0-2", "0-999%4")


def make_sweep(*elements: SweepElement, sweep_id: str = "k3f9-sweep-20260131-142530") -> Sweep:
    return Sweep(
        sweep_id=sweep_id,
        name="nine",
        profile="base",
        site="hpc",
        submitted="2026-01-31T14:25:30+00:00",
        args=("{a}", "\udcff"),
        elements=elements,
    )


def element(number: int, task: int | None = None, **changes: object) -> SweepElement:
    place = None if task is None else Place(run_id="k3f9-cpu-20260131-142530", task=task)
    one = SweepElement(values={"a": str(number)}, identity=f"id-{number}", place=place)
    return replace(one, **changes)  # type: ignore[arg-type]


def test_a_sweep_is_kept_and_found(tmp_path: Path) -> None:
    store = SweepStore(tmp_path / "sweeps")
    with pytest.raises(UsageError, match="no sweep was submitted yet"):
        store.find(None)
    sweep = make_sweep(element(0, 0), element(1))
    store.save(sweep)
    assert store.find(None) == store.find("k3f9") == store.find("ni") == sweep
    with pytest.raises(UsageError, match="no sweep's id or name starts with 'x'"):
        store.find("x")
    store.save(make_sweep(sweep_id="k4f9-sweep-20260131-142531"))
    # Of several of one name it is the newest.
    assert store.find("nine").sweep_id == "k4f9-sweep-20260131-142531"


def test_what_cannot_be_read_is_named_once(tmp_path: Path) -> None:
    notes: list[str] = []
    store = SweepStore(tmp_path / "sweeps", notes.append)
    store.save(make_sweep(element(0, 0)))
    assert (len(list(store.all())), notes) == (1, [])
    for name, text in {
        "broken": "{",
        "list": "[]",
        "newer": '{"version": 2}',
        "part": '{"version": 1, "sweep_id": "k", "name": 7}',
    }.items():
        (tmp_path / "sweeps" / f"{name}.json").write_text(text)
    assert len(list(store.all())) == 1
    [note] = notes
    folder = tmp_path / "sweeps"
    lines = [line.partition(" Expecting")[0] for line in note.splitlines()]
    assert lines[0] == "4 sweeps are left out:"
    assert set(lines[1:-1]) == {
        f"  {folder}/broken.json: it is not JSON, or cut:",
        f"  {folder}/list.json: it is no sweep",
        f"  {folder}/newer.json: a newer Slipway wrote it (version 2; this one reads up to 1)",
        f"  {folder}/part.json: name is missing, or has a value that no sweep has",
    }
    assert lines[-1] == "  Their runs are there as before; move the files away to be told no more"
    assert store.find("nine").sweep_id == "k3f9-sweep-20260131-142530"
    assert len(notes) == 2
    with pytest.raises(UsageError, match=r"broken\.json cannot be read: it is not JSON"):
        store.find("broken")


def test_what_is_made_of_other_things_is_another_element() -> None:
    made = Made(image_sha256="1", code="c", program=["p"], environment={"A": "x", "B": "y"})
    same = replace(made, environment={"B": "y", "A": "x"})
    assert made.identity(["a"]) == same.identity(["a"])
    others = [
        replace(made, image_sha256="2"),
        replace(made, code="d"),
        replace(made, program=["q"]),
        replace(made, environment={}),
    ]
    ids = {one.identity(["a"]) for one in [made, *others]} | {made.identity(["b"]), made.identity(["a", ""])}
    assert len(ids) == 7


def test_earlier_elements_are_found_where_they_ran() -> None:
    newer, older = make_sweep(element(0, 4, is_older=True), element(1, 5)), make_sweep(element(0, 0))
    places = earlier_places([newer, older])
    assert [place.task for place in places["id-0"]] == [0]
    assert [place.task for place in places["id-1"]] == [5]


@pytest.mark.parametrize(
    ("status", "counts"),
    [
        (Status(state=State.COMPLETED, reason="ok"), True),
        (Status(state=State.RUNNING), True),
        (Status(state=State.PENDING), True),
        (Status(state=State.UNKNOWN), True),
        (Status(state=State.COMPLETED, reason="time-limit"), False),
        (Status(state=State.FAILED, reason="program-error"), False),
        (Status(state=State.CANCELLED, reason="cancelled"), False),
    ],
)
def test_what_is_done_or_on_its_way_is_not_run_again(status: Status, counts: bool) -> None:
    assert still_counts(status) is counts


def test_an_element_that_was_tried_again_is_this_sweeps() -> None:
    first, second = Place(run_id="a", task=3), Place(run_id="b", task=3)
    element = SweepElement(values={"a": "1"}, identity="i", place=first, is_older=True)
    assert element.at(first) == element
    moved = element.at(first, second)
    assert (moved.place, moved.tries, moved.is_older) == (second, (first,), False)


def test_how_a_sweep_stands() -> None:
    run = replace(
        make_run("k3f9-cpu"),
        task_indices=(0, 1, 2),
        task_statuses={
            0: Status(state=State.COMPLETED, reason="ok"),
            1: Status(state=State.FAILED, reason="program-error", exit_code=3),
        },
        status=Status(state=State.RUNNING),
    )
    sweep = make_sweep(
        *(element(number, number) for number in range(3)),
        element(3),
        replace(element(4, 0), place=Place(run_id="gone", task=0), is_older=True),
    )
    states = element_states(sweep, {"k3f9-cpu-20260131-142530": run})
    assert [one.word for one in states] == [
        "COMPLETED ok",
        "FAILED program-error",
        "RUNNING",
        "not submitted",
        "not known",
    ]
    lines = sweep_lines(sweep, states)
    assert lines[0] == ("sweep k3f9-sweep-20260131-142530 (nine): 5 elements, 1 of them of earlier sweeps")
    assert "       1  COMPLETED ok" in lines
    assert lines[-2:] == [
        "failed:",
        "  a=1  FAILED program-error  exit code 3  k3f9-cpu-20260131-142530 task 1",
    ]
    values = sweep_values(sweep, states)
    assert values["counts"]["COMPLETED ok"] == 1
    assert [one["state"] for one in values["elements"]] == ["COMPLETED", "FAILED", "RUNNING", None, None]
    assert values["elements"][4]["earlier"] is True


def test_two_commands_at_once_submit_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second of them has to look for older elements when the first has submitted its own."""
    session = Session(project=Project(root=tmp_path, state=tmp_path / "state", results=tmp_path))
    held = []

    class Submission(SimpleNamespace):
        def __init__(self, *_: object) -> None:
            super().__init__(sweep="sweep", runs=["run"])

        def submit(self, _: object) -> None:
            held.append(is_locked(lock))

    def look(*words: object) -> object:
        held.append(is_locked(lock))
        return words[-1]

    lock = session.project.state / "locks" / "sweep-hpc"
    ready = Ready(host=None, scratch=None, image="image", code=None)  # type: ignore[arg-type]
    monkeypatch.setattr(steps, "prepared", lambda *_: nullcontext(ready))
    monkeypatch.setattr(steps, "_new_sweep", lambda *_: "sweep")
    monkeypatch.setattr(steps, "with_older", look)
    monkeypatch.setattr(steps, "_Submission", Submission)
    request = SimpleNamespace(
        choice=SimpleNamespace(site=SimpleNamespace(name="hpc"), profile=None), again=False
    )
    with steps.sweep_submitted(session, request) as done:  # type: ignore[arg-type]
        assert done.runs == ["run"]
        assert held == [True, True]
        assert not is_locked(lock)
