"""Times of a sweep's elements: expressions, lengths, steps, and the order of arrays."""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.dataset.length import parse_lengths, read_lengths
from slipway.errors import ConfigError, JobError, ParseError, SlipwayError, UsageError
from slipway.project import Project
from slipway.scheduler.choose import parse_resources
from slipway.steps.lengths import bring_lengths, keep_lengths, lengths_request, measure_here
from slipway.steps.pull import Order
from slipway.steps.session import Session
from slipway.steps.sweep import describe_elements
from slipway.steps.sweep_arrays import SweepRequest, array_requests
from slipway.sweep.expression import find_names, minutes_of
from slipway.sweep.limit import compute_minutes, find_key, is_expression, step_of
from slipway.sweep.spec import SweepSpec, load_spec
from tests.unit.test_run import make_run

NUMBERS = {"frames": 600.0, "seconds": 20.0, "zero": 0.0}


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("5m + 0.2s*frames", 7),
        ("5m", 5),
        ("0.1s*frames", 1),  # and not 2, by the crumbs of binary fractions
        ("61s", 2),
        ("0s", 1),
        ("1.5h", 90),
        ("1d/2", 720),
        ("(1m + 1s) * 2", 3),
        ("2*3*1m", 6),
        ("10m - 2m - 3m", 5),
        ("1h / 2 / 3", 10),
        ("1m * (1h/30m)", 2),
        ("-1m + 3m", 2),
        ("--3m", 3),
        ("1e1m", 10),
        (".5h", 30),
        ("\t5m\n+frames *1s ", 15),
    ],
)
def test_expressions(text: str, minutes: int) -> None:
    assert minutes_of(text, NUMBERS) == minutes


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("frames", '"frames" is a number and no time: write a unit (s, m, h, d)'),
        ("5 + 2m", '"5 + 2m", letter 3: a time + a number; write a unit'),
        ("5m * 2m", "letter 4: a time * a time is none"),
        ("5 / 2m", "letter 3: a number / a time is no time"),
        ("5m / zero", "letter 4: what stands behind it is 0"),
        ("5m + 1s*frams", "letter 9: frams is no number here (did you mean frames?); there are: frames, sec"),
        ("5min", "letter 1: min is no unit; write s, m, h or d"),
        ("5m +", "ends too early: a number, a name or ( is missing"),
        ("", "ends too early"),
        ("(5m", "letter 1: its ) is missing"),
        ("5m)", "letter 3: ) does not belong here"),
        ("5m 5m", "letter 4: 5 does not belong here"),
        ("5m * * 2", "letter 6: * does not belong here"),
        ("5m ** 2", "letter 5: * does not belong here"),
        ("5m; 2", "letter 3: ';' does not belong here"),
        ("frames.real*1s", "letter 7: '.' does not belong here"),
        ("open(1)*1s", "letter 1: open is no number here"),
        ("1m - 2m", "is -60 s, and no job can have that time"),
        ("1e300d*1e300", "and no job can have that time"),
        ("9999d", "and no job can have that time"),
        ("(" * 30 + "1m" + ")" * 30, "letter 21: it is nested too deeply"),
        ("1m" + " " * 300, "is longer than 200 letters"),
    ],
)
def test_what_is_no_time(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        minutes_of(text, NUMBERS)
    assert said in str(caught.value)


@given(st.text(alphabet="0123456789.smhde+-*/() fra_[]'\n", max_size=40))
def test_any_text_is_a_time_or_an_error_of_ours(text: str) -> None:
    with suppress(UsageError):
        assert minutes_of(text, NUMBERS) >= 1
    find_names(text)


def test_times_of_slurm_are_left_as_they_are() -> None:
    times = ["10", "1:30:00", "2-12", "0"]
    assert [is_expression(time) for time in times] == [False] * 4
    assert compute_minutes(times, [{"a": "1"}] * 4, None) == [None] * 4


def test_names_of_an_expression() -> None:
    assert find_names("5m + {lr}*frames*1s") == {"frames"}
    assert find_names("5m + ;") == set()


def test_steps_are_a_quarter_apart() -> None:
    assert [step_of(minutes) for minutes in (1, 2, 4, 5, 1000)] == [0, 4, 7, 8, 31]
    # A thousand lengths are few arrays.
    assert len({step_of(minutes) for minutes in range(1, 1000)}) == 28


def test_a_length_is_found_by_the_end_of_its_name() -> None:
    keys = {"rgbd_dataset_freiburg1_xyz": 1, "MH_01_easy": 1, "a/b": 1, "c/b": 1}
    assert find_key("freiburg1_xyz", keys) == find_key("xyz", keys) == "rgbd_dataset_freiburg1_xyz"
    assert find_key("MH_01_easy", keys) == "MH_01_easy"
    assert find_key("yz", keys) is find_key("b", keys) is find_key("", keys) is None


SWEEP = """
args: ["{sequence}", "{seed}"]
each: {sequence: [short, long, middle], seed: 0..1}
resources: {time: 1m + 0.5s*frames, gpus: 1}
lengths: lengths.json
"""
LENGTHS = {
    "short": {"frames": 60, "seconds": 2.0},
    "long": {"frames": 6000, "seconds": None},
    "middle": {"frames": 6120, "more": True},
    "other": {},
}


def spec_of(folder: Path, text: str = SWEEP, lengths: object = LENGTHS) -> SweepSpec:
    (folder / "lengths.json").write_text(json.dumps(lengths))
    (folder / "sweep.yaml").write_text(text)
    return load_spec(folder / "sweep.yaml")


def test_lengths_give_each_element_its_time(tmp_path: Path) -> None:
    spec = spec_of(tmp_path)
    assert spec.minutes(spec.elements) == [2, 2, 51, 51, 52, 52]


def test_a_parameter_that_is_a_number_is_one(tmp_path: Path) -> None:
    text = "args: ['{a}']\nzip: {a: [x, y], frames: [60, '120']}\nresources: {time: 1s*frames}"
    spec = spec_of(tmp_path, text)
    # It need not stand in the arguments.
    assert spec.arguments(spec.elements) == [("x",), ("y",)]
    assert spec.minutes(spec.elements) == [1, 2]


def test_without_an_expression_nothing_is_computed(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, "args: ['{a}']\neach: {a: [x]}\nlengths: lengths.json\nresources: {time: '10'}")
    assert spec.minutes(spec.elements) == [None]
    assert SweepSpec(each={"a": ("x",)}).minutes([{"a": "x"}]) == [None]


def _minutes(folder: Path, text: str, lengths: object) -> list[int | None]:
    spec = spec_of(folder, text, lengths)
    return spec.minutes(spec.elements)


@pytest.mark.parametrize(
    ("text", "lengths", "said"),
    [
        (
            SWEEP,
            {"short": {"frames": 1}},
            "resources.time: lengths: nothing stands there for sequence=long, middle",
        ),
        (SWEEP, {"x": {"frames": 1}}, "lengths: no parameter has values that stand there; they are x"),
        (
            SWEEP,
            {**LENGTHS, "0": {}, "1": {}},
            "lengths: both sequence and seed have values that stand there",
        ),
        (
            SWEEP,
            {**LENGTHS, "long": {}},
            'resources.time: "1m + 0.5s*frames", letter 11: frames is no number',
        ),
        (SWEEP, [], 'lengths.json: expected numbers for each value, such as {"xyz": {"frames": 798}}'),
        (
            SWEEP.replace("lengths.json", "none.json"),
            {},
            "none.json: there is no such file; `invoke data.lengths`",
        ),
        ("args: ['{a}']\neach: {a: [x]}\nlengths: {a: {b: nan}}", {}, "lengths.a.b"),
    ],
)
def test_lengths_that_do_not_serve(tmp_path: Path, text: str, lengths: object, said: str) -> None:
    with pytest.raises(SlipwayError) as caught:
        _minutes(tmp_path, text, lengths)
    assert said in str(caught.value)


def test_lengths_that_are_no_json(tmp_path: Path) -> None:
    (tmp_path / "lengths.json").write_text("{")
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    with pytest.raises(ConfigError, match=r"lengths\.json cannot be read"):
        load_spec(tmp_path / "sweep.yaml")


def request_of(folder: Path, text: str = SWEEP, lengths: object = LENGTHS) -> SweepRequest:
    (folder / "env").mkdir()
    (folder / "env" / ".env.base").write_text("IMAGE=i\nDOCKERFILE=Dockerfile\nCODE_DIR=.\nPROGRAM=python3\n")
    session = Session(project=Project.find(folder))
    spec = spec_of(folder, text, lengths)
    return SweepRequest(choice=session.choose("base", "box"), spec=spec, resources=parse_resources({}, ()))


def test_arrays_begin_with_the_longest_and_ask_for_what_it_needs(tmp_path: Path) -> None:
    request = request_of(tmp_path)
    arrays = list(array_requests(request, range(6), None, None))
    assert [numbers for numbers, _ in arrays] == [[4, 5, 2, 3], [0, 1]]
    assert [one.resources.time for _, one in arrays] == ["52", "2"]
    assert [one.resources.array for _, one in arrays] == ["0-3", "0-1"]
    first = arrays[0][1].elements
    assert first is not None
    assert [dict(one.values) for one in first][::2] == [
        {"sequence": "middle", "seed": "0"},
        {"sequence": "long", "seed": "0"},
    ]
    # Where an array holds two, each asks for what its own longest needs.
    arrays = list(array_requests(request, range(6), None, 2))
    assert [one.resources.time for _, one in arrays] == ["52", "51", "2"]
    assert describe_elements(request.spec)[2] == "   2  sequence=long seed=0  51 min  long 0"


def test_a_time_that_no_partition_allows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        SlipwayError, match=r"the longest element, sequence=long seed=0: time 3001 \(--time\) is"
    ):
        request_of(tmp_path, lengths={**LENGTHS, "long": {"frames": 360000}})


def test_lengths_are_added_to_a_file(tmp_path: Path) -> None:
    file = tmp_path / "lengths.json"
    keep_lengths(file, {"b": {"frames": 2, "seconds": None}})
    keep_lengths(file, {"a": {"frames": 1, "seconds": 0.5}})
    keep_lengths(file, {"b": {"frames": 3, "seconds": None}})
    assert file.read_text() == (
        '{\n  "a": {"frames": 1, "seconds": 0.5},\n  "b": {"frames": 3, "seconds": null}\n}\n'
    )
    assert read_lengths(file) == {"a": {"frames": 1, "seconds": 0.5}, "b": {"frames": 3}}
    file.write_text("[]")
    with pytest.raises(ConfigError, match="expected numbers for each value"):
        keep_lengths(file, {})
    assert file.read_text() == "[]"


def test_lengths_that_the_program_has_printed() -> None:
    printed = (
        'failed     x: no\nlengths    {"a": {"frames": 1, "seconds": 0.5}}\nresult     1 of 2 measured\n'
    )
    assert parse_lengths(printed) == {"a": {"frames": 1, "seconds": 0.5}}
    for other in ("", "lengths", "lengths    {", "lengths    []", "slam: no task"):
        with pytest.raises(ParseError, match="the program has measured nothing"):
            parse_lengths(other)


def test_a_dataset_is_measured_by_the_program_of_the_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[object] = []

    def run(profile: object, path: Path, program: tuple[str, ...], on_text: Callable[[str], None]) -> int:
        seen.append((path, program))
        # It comes in pieces.
        on_text("failed     x: no\nleng")
        on_text('ths    {"a": {"frames": 7, "seconds": null}}\n')
        return 4

    monkeypatch.setattr("slipway.steps.lengths.run_program", run)
    choice = request_of(tmp_path).choice
    text: list[str] = []
    found = measure_here(choice.profile, tmp_path / "tum", ["a"], text.append)
    assert found == ({"a": {"frames": 7, "seconds": None}}, 4)
    words = ("--task", "lengths", "--dataset", "tum", "--sequence", "a")
    assert seen == [(tmp_path / "tum", ("python3", "-m", "slam", *words))]
    assert "".join(text).startswith("failed     x: no")
    request = lengths_request(choice, "tum", ["a"], parse_resources({"time": "10"}, ()))
    assert (request.profile.program, request.args) == (("python3", "-m", "slam"), words)
    assert request.name == "lengths-tum"


def test_what_a_job_has_measured_is_brought(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session(project=Project.find(tmp_path))
    run = make_run("k3f9")
    out = session.project.results / "k3f9" / "attempt-2" / "out"
    out.mkdir(parents=True)
    orders: list[Order] = []
    monkeypatch.setattr("slipway.steps.lengths.pull", lambda session, run_id, order: orders.append(order))
    with pytest.raises(
        JobError, match=r"k3f9 has left no lengths\.json that can be read; `invoke logs k3f9`"
    ):
        bring_lengths(session, run)
    (out / "lengths.json").write_text('{"a": {"frames": 7}}')
    assert bring_lengths(session, run) == {"a": {"frames": 7}}
    assert orders[0].wanted.only == ("lengths.json",)
