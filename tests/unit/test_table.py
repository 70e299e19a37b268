"""Tables of a sweep's figures: what is read, what becomes of it, and how it is written."""

import csv
import io
import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from slipway.errors import UsageError
from slipway.job.figure import Figure, choose_figure, parse_files, read_numbers
from slipway.job.home import Home, write_home
from slipway.job.run import Run, Status
from slipway.page.spread import spread_picture
from slipway.project import Project
from slipway.report.metric_table import (
    Measured,
    MetricTable,
    References,
    check_parameters,
    known_figures,
    metric_table,
    published,
    table_values,
)
from slipway.report.metric_text import (
    figure_word,
    latex_text,
    markdown_text,
    metric_columns,
    metric_latex,
    metric_markdown,
    metrics_csv,
    outside_lines,
    outside_notes,
)
from slipway.report.sweep_table import element_states
from slipway.scheduler.base import State
from slipway.steps.session import Session
from slipway.steps.table import find_datasets, read_sweep
from slipway.sweep.record import Place, Sweep, SweepElement, SweepStore
from tests.unit.test_run import make_run

OK = Status(state=State.COMPLETED, reason="ok", ended_s=1000)
FAILED = Status(state=State.FAILED, reason="program-error", exit_code=3)
RMSE = Figure("ate", "rmse")
RUN = "k3f9-cpu-20260131-142530"


def call(root: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """`slipway table` in a project."""
    return subprocess.run(
        [sys.executable, "-m", "slipway", "table", *words],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


def make_sweep(values: Sequence[Mapping[str, str]], **changes: Any) -> Sweep:
    sweep = Sweep(
        sweep_id="k3f9-sweep-20260131-142530",
        name="nine",
        profile="base",
        site="hpc",
        submitted="2026-01-31T14:25:30+00:00",
        args=("{sequence}",),
        elements=tuple(
            SweepElement(values=one, identity=str(task), place=Place(run_id=RUN, task=task))
            for task, one in enumerate(values)
        ),
    )
    return replace(sweep, **changes)


def make_array(*statuses: Status) -> Run:
    return replace(
        make_run(RUN),
        task_indices=tuple(range(len(statuses))),
        task_statuses=dict(enumerate(statuses)),
    )


def measure(sweep: Sweep, run: Run, numbers: Sequence[float | dict[str, float] | None]) -> list[Measured]:
    """Elements with an ``ate.rmse`` each: ``None`` where it is not home, ``{}`` where it has none."""
    states = element_states(sweep, {run.run_id: run})
    found = [
        {RMSE: one} if isinstance(one, float) else None if one is None else {Figure("ate", "x"): 1.0}
        for one in numbers
    ]
    return [Measured(sweep=sweep, state=state, numbers=one) for state, one in zip(states, found, strict=True)]


GRID = [{"sequence": name, "seed": str(seed)} for name in ("rpy", "x_y|z", "desk") for seed in range(3)]


@pytest.fixture
def measured() -> list[Measured]:
    run = make_array(OK, OK, OK, OK, FAILED, Status(state=State.RUNNING), OK, OK, OK)
    numbers = (0.01, 0.02, 0.06, 1.5, None, None, None, {}, 0.25)
    return measure(make_sweep(GRID), run, numbers)


@pytest.fixture
def table(measured: list[Measured]) -> MetricTable:
    return metric_table(measured, RMSE, ["sequence"])


def test_a_row_is_a_value_with_its_mean_and_spread(table: MetricTable) -> None:
    rpy, xyz, desk = table.rows
    assert (rpy.key, rpy.figures, rpy.elements) == ({"sequence": "rpy"}, (0.01, 0.02, 0.06), 3)
    assert (rpy.mean, rpy.median) == (pytest.approx(0.03), 0.02)
    assert (rpy.deviation, rpy.least, rpy.most) == (pytest.approx(0.0264575), 0.01, 0.06)
    # Nobody is dropped: each that has no figure is counted.
    assert (xyz.figures, xyz.failed, xyz.not_over, xyz.not_home, xyz.no_figure) == ((1.5,), 1, 1, 0, 0)
    assert (desk.figures, desk.failed, desk.not_over, desk.not_home, desk.no_figure) == ((0.25,), 0, 0, 1, 1)
    assert (xyz.mean, xyz.deviation) == (1.5, None)
    assert table.mean is not None
    # Each row counts the same.
    assert table.mean.mean == pytest.approx((0.03 + 1.5 + 0.25) / 3)


def test_all_as_one_row_and_by_several_parameters(measured: list[Measured]) -> None:
    one = metric_table(measured, RMSE, [])
    assert [row.key for row in one.rows] == [{"sweep": "nine"}]
    assert (len(one.rows[0].figures), one.rows[0].elements, one.mean) == (5, 9, None)
    both = metric_table(measured, RMSE, ["seed", "sequence"])
    assert both.rows[1].key == {"seed": "1", "sequence": "rpy"}
    assert len(both.rows) == 9


def test_what_failed_has_no_figure_though_its_file_is_there() -> None:
    rows = metric_table(measure(make_sweep(GRID[:2]), make_array(OK, FAILED), (1.0, 9.0)), RMSE, []).rows
    assert (rows[0].figures, rows[0].failed) == ((1.0,), 1)


def test_an_element_that_was_not_submitted_is_counted() -> None:
    sweep = make_sweep(GRID[:2])
    sweep = replace(sweep, elements=(sweep.elements[0], replace(sweep.elements[1], place=None)))
    rows = metric_table(measure(sweep, make_array(OK), (1.0, None)), RMSE, []).rows
    assert (rows[0].elements, rows[0].not_over) == (2, 1)


def test_several_sweeps_side_by_side() -> None:
    other = make_sweep(GRID[:2], sweep_id="zzzz-sweep-20260131-142530", name="ten")
    both = measure(make_sweep(GRID[:2]), make_array(OK, OK), (1.0, 2.0))
    both += measure(other, make_array(OK, OK), (3.0, 4.0))
    table = metric_table(both, RMSE, ["sequence"])
    assert [(dict(row.key), row.mean) for row in table.rows] == [
        ({"sweep": "nine", "sequence": "rpy"}, 1.5),
        ({"sweep": "ten", "sequence": "rpy"}, 3.5),
    ]
    assert table.mean is None
    same = [replace(one, sweep=replace(one.sweep, name="nine")) for one in both]
    assert [row.key["sweep"] for row in metric_table(same, RMSE, []).rows] == [
        "k3f9-sweep-20260131-142530",
        "zzzz-sweep-20260131-142530",
    ]


REFERENCES = References(
    title="published", source="theirs", figures={"freiburg1_rpy": 0.026, "desk": 0.018}, mean=0.022
)


def test_published_figures_stand_beside(measured: list[Measured]) -> None:
    table = metric_table(measured, RMSE, ["sequence"], [REFERENCES])
    assert [dict(row.reference) for row in table.rows] == [{"published": 0.026}, {}, {"published": 0.018}]
    assert table.mean is not None
    assert table.mean.reference == {"published": 0.022}
    # A mean is of all its sequences, or it is none.
    some = metric_table(measured[:6], RMSE, ["sequence"], [REFERENCES])
    assert some.mean is not None
    assert some.mean.reference == {}
    # Where nothing fits, there is no column.
    assert metric_table(measured, RMSE, ["seed"], [REFERENCES]).references == []
    longer = make_sweep([{"sequence": "data/rgbd_dataset_freiburg1_rpy"}])
    rows = metric_table(measure(longer, make_array(OK), [0.5]), RMSE, ["sequence"], [REFERENCES]).rows
    assert rows[0].reference == {"published": 0.026}


def test_published_figures_come_from_the_datasets_that_arguments_name(tmp_path: Path) -> None:
    session = Session(project=Project.find(tmp_path))
    sweep = make_sweep(
        [{"data": "tum", "sequence": "rpy"}], args=("--dataset", "{data}", "--sequence", "{sequence}")
    )
    (tum,) = find_datasets(session, [sweep])
    (one,) = published([tum], RMSE)
    assert (one.title, one.mean, one.figures["freiburg1_rpy"]) == ("PUBLISHED", 0.038, 0.026)
    assert one.source.startswith("tum, ATE rmse after sim3, metres; DROID-SLAM")
    rows = metric_table(measure(sweep, make_array(OK), [0.5]), RMSE, ["sequence"], [one]).rows
    assert rows[0].reference == {"PUBLISHED": 0.026}
    # What was measured is another thing.
    assert published([tum], Figure("rpe", "rmse")) == published([tum], Figure("ate", "median")) == []
    assert find_datasets(session, [make_sweep([{"sequence": "/mine"}])]) == []
    (euroc,) = find_datasets(session, [sweep], "euroc")
    assert [one.title for one in published([tum, euroc], RMSE)] == ["PUBLISHED 1", "PUBLISHED 2"]
    with pytest.raises(UsageError, match="no dataset 'tun' is known"):
        find_datasets(session, [sweep], "tun")


def test_columns_count_who_is_missing(table: MetricTable) -> None:
    columns = {one.title: one.aligned.cells for one in metric_columns(table)}
    assert columns == {
        "sequence": ["rpy", "x_y|z", "desk", "mean of 3"],
        "N": ["3/3", "1/3", "1/3", "   "],
        "MEAN": ["0.03  ", "1.5   ", "0.25  ", "0.5933"],
        "MEDIAN": ["  0.02", "  1.5 ", "  0.25", "      "],
        "SD": ["0.026", "     ", "     ", "     "],
        "MIN": ["0.01", "1.5 ", "0.25", "    "],
        "MAX": ["0.06", "1.5 ", "0.25", "    "],
        "FAILED": ["     0", "     1", "     0", "     1"],
        "NOT OVER": ["       0", "       1", "       0", "       1"],
        "NOT HOME": ["       0", "       0", "       1", "       1"],
        "NO FIGURE": ["        0", "        0", "        1", "        1"],
    }


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (None, ""),
        (0.0123456, "0.01235"),
        (798.0, "798"),
        (123456.0, "123456"),
        (1.2e-7, "1.2e-07"),
        (1e15, "1e+15"),
    ],
)
def test_words_of_figures(value: float | None, word: str) -> None:
    assert figure_word(value) == word


def test_who_is_missing_is_named(measured: list[Measured], table: MetricTable) -> None:
    assert outside_lines(measured) == [
        "failed: 1 of 9",
        f"  sequence='x_y|z' seed=1  FAILED program-error  exit code 3  {RUN} task 4",
    ]
    sweep = "--sweep k3f9-sweep-20260131-142530"
    assert outside_notes(measured, [table]) == [
        f"1 done, but not home: `invoke pull {sweep}` brings all, --pull here their JSON files",
        f"1 not over when last asked, or not submitted; `invoke status {sweep}` asks",
        "1 done and home, but without ate.rmse",
    ]
    many = make_sweep([{"sequence": str(number)} for number in range(25)])
    lines = outside_lines(measure(many, make_array(*[FAILED] * 25), [None] * 25))
    assert (len(lines), lines[-1]) == (22, "  and 5 more; --json has all of them")


def test_json(measured: list[Measured], table: MetricTable) -> None:
    values = json.loads(json.dumps(table_values([table], measured, ["sequence"])))
    assert values["sweeps"] == [{"sweep_id": "k3f9-sweep-20260131-142530", "name": "nine"}]
    (one,) = values["tables"]
    assert (one["metric"], one["file"], one["key"]) == ("ate.rmse", "ate.json", "rmse")
    assert one["rows"][1] == {
        "values": {"sequence": "x_y|z"},
        "elements": 3,
        "n": 1,
        "mean": 1.5,
        "median": 1.5,
        "deviation": None,
        "least": 1.5,
        "most": 1.5,
        "failed": 1,
        "not_over": 1,
        "not_home": 0,
        "no_figure": 0,
        "reference": {},
        "figures": [1.5],
    }
    assert values["failed"][0] == {
        "sweep_id": "k3f9-sweep-20260131-142530",
        "values": {"sequence": "x_y|z", "seed": "1"},
        "run_id": RUN,
        "task": 4,
        "state": "FAILED",
        "reason": "program-error",
        "exit_code": 3,
    }


def test_csv(measured: list[Measured]) -> None:
    table = metric_table(measured, RMSE, ["sequence"], [REFERENCES])
    rows = list(csv.DictReader(io.StringIO(metrics_csv([table, table]))))
    assert len(rows) == 6
    assert rows[0]["median"] == "0.02"
    assert rows[1] == {
        "sequence": "x_y|z",
        "metric": "ate.rmse",
        "elements": "3",
        "n": "1",
        "mean": "1.5",
        "median": "1.5",
        "deviation": "",
        "least": "1.5",
        "most": "1.5",
        "failed": "1",
        "not_over": "1",
        "not_home": "0",
        "no_figure": "0",
        "published": "",
    }


def test_markdown(table: MetricTable) -> None:
    lines = metric_markdown(replace(table, rows=table.rows[:2], mean=None)).splitlines()
    assert lines == [
        "ate.rmse",
        "",
        "| sequence | N | MEAN | MEDIAN | SD | MIN | MAX | FAILED | NOT OVER |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        "| rpy | 3/3 | 0.03 | 0.02 | 0.026 | 0.01 | 0.06 | 0 | 0 |",
        r"| x_y\|z | 1/3 | 1.5 | 1.5 |  | 1.5 | 1.5 | 1 | 1 |",
    ]
    assert markdown_text(r"_a_b* <x> `\|[") == r"\_a_b\* \<x\> \`\\\|\["


def test_latex(table: MetricTable) -> None:
    assert metric_latex(table).splitlines() == [
        "% ate.rmse",
        r"\begin{tabular}{lrrrrrrrrrr}",
        r"\hline",
        r"sequence & N & MEAN & MEDIAN & SD & MIN & MAX & FAILED & NOT OVER & NOT HOME & NO FIGURE \\",
        r"\hline",
        r"rpy & 3/3 & 0.03 & 0.02 & 0.026 & 0.01 & 0.06 & 0 & 0 & 0 & 0 \\",
        r"x\_y\textbar{}z & 1/3 & 1.5 & 1.5 &  & 1.5 & 1.5 & 1 & 1 & 0 & 0 \\",
        r"desk & 1/3 & 0.25 & 0.25 &  & 0.25 & 0.25 & 0 & 0 & 1 & 1 \\",
        r"\hline",
        r"mean of 3 &  & 0.5933 &  &  &  &  & 1 & 1 & 1 & 1 \\",
        r"\hline",
        r"\end{tabular}",
    ]
    assert latex_text('a_b & 5% $x^2 {~} \\input #<"') == (
        r"a\_b \& 5\% \$x\textasciicircum{}2 \{\textasciitilde{}\} \textbackslash{}input \#\textless{}''"
    )


def test_a_picture_shows_each_figure(measured: list[Measured]) -> None:
    table = metric_table(measured, RMSE, ["sequence"], [REFERENCES])
    hostile = replace(table, rows=[replace(table.rows[0], key={"sequence": "<script>&"}), *table.rows[1:]])
    root = ET.fromstring(spread_picture([table, hostile]))  # noqa: S314 - it is ours
    svg = "{http://www.w3.org/2000/svg}"
    words = ["".join(one.itertext()) for one in root.iter(f"{svg}text")]
    assert "ate.rmse: each run, and the mean" in words
    assert {"rpy", "x_y|z (1 of 3)", "desk (1 of 3)", "<script>&", "published"} <= {*words}
    assert len([*root.iter(f"{svg}circle")]) == 2 * 5
    assert len([*root.iter(f"{svg}path")]) == 2 * (2 + 1)
    empty = metric_table(measured[4:6], RMSE, ["sequence"])
    assert "There are no figures." in spread_picture([empty])
    flat = metric_table(measure(make_sweep(GRID[:1]), make_array(OK), [0.0]), RMSE, [])
    assert "<circle" in spread_picture([flat])


def test_parameters_are_checked() -> None:
    check_parameters(["seed"], [make_sweep(GRID)])
    said = (
        r"--by sequenc: it is no parameter of the sweep .* \(did you mean sequence\?\); it has sequence, seed"
    )
    with pytest.raises(UsageError, match=said):
        check_parameters(["sequenc"], [make_sweep(GRID)])


KNOWN = [RMSE, Figure("ate", "rotation_deg.rmse"), Figure("rpe", "rmse"), Figure("summary", "seconds")]


@pytest.mark.parametrize(
    ("word", "figure"),
    [
        ("ate.rmse", RMSE),
        ("ate:rmse", RMSE),
        ("ate.json:rmse", RMSE),
        ("seconds", Figure("summary", "seconds")),
        ("rotation_deg.rmse", Figure("ate", "rotation_deg.rmse")),
    ],
)
def test_a_figure_is_found_by_its_name(word: str, figure: Figure) -> None:
    assert choose_figure(word, KNOWN) == figure


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("rmse", "--metric rmse: several have it; write one of ate.rmse, rpe.rmse"),
        (
            "ate.rmsee",
            "no result that is home has this figure (did you mean ate.rmse?); there are: ate.rmse, ",
        ),
        ("rpe:x", "--metric rpe:x: no result that is home has this figure"),
    ],
)
def test_a_figure_that_is_none(word: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        choose_figure(word, KNOWN)
    assert said in str(caught.value)


def test_files_in_folders() -> None:
    assert parse_files(["rpy/ate.json:rmse", "ate:rmse", "rmse"]) == ["rpy/ate"]
    for word in ("../ate:rmse", "/etc/x:y", ":y"):
        with pytest.raises(UsageError, match="write a file in the output folder"):
            parse_files([word])


def test_numbers_of_json_files(tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "rpy").mkdir(parents=True)
    (out / "ate.json").write_text(
        '{"rmse": 0.5, "rotation_deg": {"rmse": 2}, "alignment": "sim3", "ok": true}'
    )
    (out / "list.json").write_text("[1, 2]")
    (out / "broken.json").write_text("{")
    (out / "huge.json").write_text(f'{{"a": {"9" * 400}, "b": null, "c": [1]}}')
    (out / "nan.json").write_text('{"a": NaN}')
    (out / "rpy" / "ate.json").write_text('{"rmse": 0.25}')
    (tmp_path / "outside.json").write_text('{"secret": 1}')
    (out / "link.json").symlink_to(tmp_path / "outside.json")
    (out / "away").symlink_to(tmp_path)
    assert read_numbers(out) == {RMSE: 0.5, Figure("ate", "rotation_deg.rmse"): 2.0}
    assert read_numbers(out, ["rpy/ate", "none/x", "away/outside"])[Figure("rpy/ate", "rmse")] == 0.25
    assert Figure("away/outside", "secret") not in read_numbers(out, ["away/outside"])
    assert str(Figure("rpy/ate", "rmse")) == "rpy/ate:rmse"
    assert read_numbers(tmp_path / "none") == {}


RESULT = '{"exit_code": 0, "signal": null, "reason": "%s", "start": 1, "end": 2}'


def put(task: Path, attempt: int, rmse: float | None, reason: str | None = "ok") -> None:
    out = task / f"attempt-{attempt}" / "out"
    out.mkdir(parents=True)
    if rmse is not None:
        (out / "ate.json").write_text(json.dumps({"rmse": rmse}))
    if reason is not None:
        (out.parent / "result.json").write_text(RESULT % reason)


def test_what_is_home_of_a_sweep(tmp_path: Path) -> None:
    session = Session(project=Project(root=tmp_path, state=tmp_path / "state", results=tmp_path / "results"))
    sweep = make_sweep([{"a": str(number)} for number in range(8)])
    sweep = replace(sweep, elements=(*sweep.elements, replace(sweep.elements[0], place=None)))
    run = make_array(OK, FAILED, OK, OK, OK, OK, OK, OK)
    session.store.save(run)
    home = session.project.results / run.run_id
    put(home / "task-0", 1, 9.0)
    put(home / "task-0", 2, 0.5)
    put(home / "task-1", 1, 0.5, "program-error")
    # Its second attempt, which did well, has not come yet.
    put(home / "task-2", 1, 0.5, "preempted")
    put(home / "task-3", 1, None)
    # Of these only some files came: after the end, and with none of JSON.
    put(home / "task-4", 1, 0.25, None)
    put(home / "task-5", 1, None, None)
    write_home(
        Home(folder=home, is_complete=False, brought=datetime.fromtimestamp(2000, timezone.utc), files={})
    )
    found = read_sweep(session, sweep)
    assert found.runs == {run.run_id: run}
    assert found.numbers == [{RMSE: 0.5}, None, None, {}, {RMSE: 0.25}, None, None, None, None]
    write_home(
        Home(folder=home, is_complete=False, brought=datetime.fromtimestamp(500, timezone.utc), files={})
    )
    # What came before the end is not what was left.
    assert read_sweep(session, sweep).numbers[4] is None
    states = element_states(sweep, found.runs)
    known = known_figures(
        [
            Measured(sweep=sweep, state=state, numbers=numbers)
            for state, numbers in zip(states, found.numbers, strict=True)
        ]
    )
    assert known == {RMSE: [0.5, 0.25]}


def test_the_task(tmp_path: Path) -> None:
    (tmp_path / "env").mkdir()
    (tmp_path / "env" / ".env.base").write_text("IMAGE=i\nDOCKERFILE=Dockerfile\nCODE_DIR=.\n")
    session = Session(project=Project.find(tmp_path))
    sweep = make_sweep(GRID[:4], args=("--dataset", "tum", "--sequence", "{sequence}", "{seed}"))
    SweepStore(session.project.state / "sweeps").save(sweep)
    run = make_array(OK, OK, FAILED, OK)
    session.store.save(run)
    done = call(tmp_path)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        64,
        "error: no figures are home; --pull brings those of elements that are done",
    )
    for task, rmse in ((0, 0.25), (1, 0.75), (2, 9.0)):
        put(session.project.results / RUN / f"task-{task}", 1, rmse, "program-error" if task == 2 else "ok")
    done = call(tmp_path, "--sweep", "nine")
    assert done.stdout.splitlines()[:2] == ["FIGURE      N   MIN   MAX", "ate.rmse  2/4  0.25  0.75"]
    done = call(tmp_path, "--metric", "rmse", "--by", "sequence", "--picture", "made.svg")
    assert done.stdout.splitlines() == [
        "ate.rmse",
        "sequence    N  MEAN  MEDIAN    SD   MIN   MAX  PUBLISHED  FAILED  NOT HOME",
        "rpy       2/3   0.5     0.5  0.35  0.25  0.75      0.026       1         0",
        "x_y|z     0/1                                                  0         1",
        "failed: 1 of 4",
        f"  sequence=rpy seed=2  FAILED program-error  exit code 3  {RUN} task 2",
    ]
    assert "1 done, but not home: `slipway pull --sweep k3f9-sweep-20260131-142530` brings all" in done.stderr
    assert "PUBLISHED: tum, ATE rmse after sim3, metres; DROID-SLAM" in done.stderr
    assert (tmp_path / "made.svg").read_text().startswith("<?xml")
    done = call(tmp_path, "--metric", "rmse", "--csv", "--by", "sequence,seed")
    assert done.stdout.splitlines()[1] == "rpy,0,ate.rmse,1,1,0.25,0.25,,0.25,0.25,0,0,0,0,0.026"
    assert "failed: 1 of 4" in done.stderr
    done = call(tmp_path, "--metric", "rmse", "--csv", "--json")
    assert "--csv and --json contradict each other" in done.stderr
    done = call(tmp_path, "--metric", "rmse", "--picture", "made.png")
    assert "--picture made.png: write a file that ends in .svg, and --metric with it" in done.stderr
