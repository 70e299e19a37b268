"""Figures: what is in them, not which pixels."""

import re
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar
from PIL import Image

from slam.dataset.sequence import PLACES, SECONDS, Mode, Sequence, Units
from slam.evaluate.absolute import Comparison, Evaluation, compare
from slam.evaluate.relative import Drift
from slam.output.cloud import Cloud
from slam.output.figure import runs
from slam.output.figure.frustum import choose_poses, corners
from slam.output.figure.scale_bar import metres_in_words, round_length
from slam.output.figure.style import Drawing, styled
from slam.output.figure.trajectory import Subject, compose, draw
from slam.output.up import along
from slam.trajectory import Trajectory
from tests.payload.drawn import crowded, measured, texts, walk, wobble

UP = along("z", "z, as asked for")


@cache
def found(count: int, kind: str) -> tuple[Trajectory, Evaluation, Drift]:
    truth = walk(count, kind)
    estimate = wobble(truth, 0.03)
    return estimate, *measured(truth, estimate)


def subject(count: int, kind: str = "loop", **changes: object) -> Subject:
    estimate, evaluation, drift = found(count, kind)
    values: dict[str, object] = {
        "title": f"{kind}: {count} of {count} frames placed by colmap",
        "trajectory": estimate,
        "up": UP,
        "units": SECONDS,
        "evaluation": evaluation,
        "drift": drift,
    }
    return Subject(**{**values, **changes})


def lines(axes, label: str) -> list:
    return [line for line in axes.lines if line.get_label() == label]


@pytest.fixture
def style(tmp_path: Path):
    with styled(tmp_path):
        yield


@pytest.mark.usefixtures("style")
def test_what_is_drawn_is_what_was_measured() -> None:
    shown = subject(12)
    evaluation, drift = shown.evaluation, shown.drift
    above, side, *panels = compose(shown, Drawing()).axes
    np.testing.assert_array_equal(lines(above, "estimate")[0].get_xydata(), evaluation.estimate[:, [0, 1]])
    np.testing.assert_array_equal(lines(above, "ground truth")[0].get_xydata(), evaluation.truth[:, [0, 1]])
    # It is wider in x than in y.
    np.testing.assert_array_equal(lines(side, "estimate")[0].get_xydata(), evaluation.estimate[:, [0, 2]])
    assert (side.get_xlabel(), side.get_ylabel()) == ("x [m]", "z [m]")
    since = evaluation.times - evaluation.times[0]
    for axes, times, values, name in zip(
        panels,
        (since, since, since[1:], since[1:]),
        (evaluation.errors, evaluation.rotation_errors, drift.lengths, drift.angles),
        ("ATE", "rotation APE", "RPE over 1 frame", "rotation RPE over 1 frame"),
        strict=True,
    ):
        curve, rmse = axes.lines
        np.testing.assert_allclose(curve.get_xydata(), np.stack([times, values], 1))
        assert rmse.get_ydata()[0] == pytest.approx(np.sqrt(np.mean(values**2)))
        assert axes.get_title(loc="left").startswith(f"{name}, rmse ")
        assert axes.get_ylim()[0] == 0


@pytest.mark.usefixtures("style")
@pytest.mark.parametrize(("count", "dots"), [(12, "."), (5000, "None")])
def test_dots_are_drawn_where_they_are_few(count: int, dots: str) -> None:
    above, _, *panels = compose(subject(count), Drawing()).axes
    for line in (*lines(above, "estimate"), *(axes.lines[0] for axes in panels)):
        assert (line.get_marker() or "None") == dots
    (frustums,) = (one for one in above.collections if isinstance(one, LineCollection))
    # Two strokes each.
    assert 2 * 6 <= len(frustums.get_segments()) <= 2 * 24


LONG = f"{'rgbd_dataset_freiburg1_' * 9}: 12 of 12 frames placed\n{'W' * 150}"


@pytest.mark.usefixtures("style")
def test_no_line_leads_over_a_time_without_poses() -> None:
    """100 poses at 20 Hz, and nothing from 2 to 4 s."""
    truth = walk(140)
    kept = [*range(40), *range(80, 140)]
    estimate = wobble(truth, 0.03)
    holey = Trajectory(
        stamps=tuple(estimate.stamps[place] for place in kept),
        positions=estimate.positions[kept],
        quaternions=estimate.quaternions[kept],
    )
    evaluation, drift = measured(truth, holey)
    _, _, *panels = compose(subject(12, evaluation=evaluation, drift=drift), Drawing()).axes
    for axes, count in zip(panels, (100, 100, 99, 99), strict=True):
        drawn = axes.lines[0].get_xydata()
        assert len(drawn) == count + 1
        (gap,) = np.flatnonzero(np.isnan(drawn).all(axis=1))
        assert drawn[[gap - 1, gap + 1], 0] == pytest.approx([1.95, 4.0], abs=1e-5)


CASES: dict[str, dict[str, object]] = {
    "3 poses": {"count": 3},
    "12 poses": {"count": 12},
    "5000 poses": {"count": 5000},
    "a straight line": {"count": 40, "kind": "line"},
    "a static camera": {"count": 30, "kind": "static"},
    "without a truth": {"count": 40, "evaluation": None, "drift": None},
    "arbitrary units": {"count": 40, "units": PLACES},
    "a long name": {"count": 12, "title": LONG},
    "no name of Unicode": {"count": 12, "title": "se\udcffquence $x_{1$: 12 frames"},
}


@pytest.mark.usefixtures("style")
@pytest.mark.parametrize(
    ("case", "width"),
    [*((case, "page") for case in CASES), ("12 poses", "column"), ("a long name", "column")],
)
def test_no_text_lies_over_another(case: str, width: str) -> None:
    figure = compose(subject(**CASES[case]), Drawing(width=width))
    assert crowded(figure) == []
    assert len(texts(figure)) > 15


def test_crowded_text_would_be_found() -> None:
    figure = Figure(figsize=(3, 1))
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    figure.text(0.1, 0.5, "one word")
    figure.text(0.2, 0.5, "another")
    figure.text(0.9, 0.1, "far too long")
    assert crowded(figure) == ["'one word' and 'another'", "'far too long' beyond the edge"]


@pytest.mark.parametrize(("width", "inches"), [("column", 3.5), ("page", 7.16)])
def test_files_of_all_formats(tmp_path: Path, width: str, inches: float) -> None:
    cloud = Cloud(
        points=np.random.default_rng(0).normal(size=(2000, 3)), colors=np.full((2000, 3), 99, np.uint8)
    )
    shown = subject(12, cloud=cloud)
    draw(tmp_path / "a.png", shown, Drawing(formats=("svg", "pdf"), width=width))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.pdf", "a.png", "a.svg"]
    with Image.open(tmp_path / "a.png") as image:
        assert image.width == pytest.approx(300 * inches, abs=1)
    svg = ElementTree.fromstring((tmp_path / "a.svg").read_text())  # noqa: S314 - it is our own
    assert float(svg.attrib["width"].removesuffix("pt")) == pytest.approx(72 * inches, abs=0.1)
    words = ["".join(one.itertext()) for one in svg.iter("{http://www.w3.org/2000/svg}text")]
    assert {"from above", "ground truth", "time since the first frame [s]", "x [m]"} <= set(words)
    # The cloud is one image in a vector file, and no thousands of circles.
    assert len(list(svg.iter("{http://www.w3.org/2000/svg}image"))) == 2
    assert (tmp_path / "a.svg").stat().st_size < 400_000
    pdf = (tmp_path / "a.pdf").read_bytes()
    assert b"/Type3" not in pdf
    assert pdf.count(b"/FontFile2") >= 2
    assert b"Up: z, as asked for" in pdf
    (box,) = re.findall(rb"/MediaBox \[ 0 0 ([0-9.]+) ", pdf)
    assert float(box) == pytest.approx(72 * inches, abs=0.1)


def test_a_title_need_not_be_unicode(tmp_path: Path) -> None:
    shown = subject(12, evaluation=None, drift=None, title="se\udcffquence $x_{1$")
    draw(tmp_path / "a.png", shown, Drawing(formats=("svg", "pdf")))
    assert "se?quence $x_{1$" in (tmp_path / "a.svg").read_text()


@pytest.mark.long
def test_the_same_input_writes_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        draw(tmp_path / name, subject(12), Drawing(formats=("svg", "pdf")))
    for kind in ("png", "svg", "pdf"):
        assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()


@pytest.mark.usefixtures("style")
@pytest.mark.parametrize(
    ("mode", "baseline_m", "word"),
    [
        ("mono", None, "a.u."),
        ("stereo", None, "a.u."),
        ("stereo", 0.1, "m"),
        ("rgbd", None, "m"),
    ],
)
def test_a_figure_says_what_lengths_are_measured_in(mode: Mode, baseline_m: float | None, word: str) -> None:
    """Where there is no ground truth whose unit it would be; a scale bar only stands for known lengths."""
    stream = Sequence(name="", frames=(), height=128, width=128, mode=mode, baseline_m=baseline_m)
    units = Units(length="km", time="s")
    shown = subject(12, evaluation=None, drift=None, units=units, is_metric=stream.is_metric)
    figure = compose(shown, Drawing())
    assert figure.axes[0].get_xlabel() == f"x [{word}]"
    bars = [one for axes in figure.axes for one in axes.artists if isinstance(one, AnchoredSizeBar)]
    assert len(bars) == (2 if word == "m" else 0)
    said = " ".join(one.get_text() for one in texts(figure))
    assert ("arbitrary units" in said) == (word != "m")


@pytest.mark.usefixtures("style")
def test_a_scale_bar_is_as_long_as_it_says() -> None:
    figure = compose(subject(12), Drawing())
    above = figure.axes[0]
    (bar,) = (one for one in above.artists if isinstance(one, AnchoredSizeBar))
    figure.draw_without_rendering()
    (line,) = (one for one in bar.size_bar.get_children())
    inverse = above.transData.inverted()
    (left, _), (right, _) = inverse.transform(
        line.get_window_extent(figure.canvas.get_renderer()).get_points()
    )
    assert bar.txt_label.get_text() == "2 m"
    assert right - left == pytest.approx(2, rel=0.02)


@pytest.mark.parametrize(
    ("longest", "words"),
    [
        (0.7, "50 cm"),
        (1.0, "1 m"),
        (3.9, "2 m"),
        (0.0049, "2 mm"),
        (7300, "5 km"),
        (3e-5, "20 µm"),
        (99, "50 m"),
    ],
)
def test_scale_bars_have_round_lengths(longest: float, words: str) -> None:
    assert metres_in_words(round_length(longest)) == words


def test_pyramids_open_where_cameras_look() -> None:
    """A level camera that looks along y; its image is twice as wide as it is high."""
    level = walk(1, "static")
    (pyramid,) = corners(np.array([[1.0, 2, 3]]), level.quaternions, 2.0, (1.0, 0.5))
    expected = [[1, 2, 3], [-1, 4, 4], [3, 4, 4], [3, 4, 2], [-1, 4, 2]]
    np.testing.assert_allclose(pyramid, expected, atol=1e-12)


def test_pyramids_stay_apart() -> None:
    way = np.outer(np.linspace(0, 1, 5000), [10.0, 0, 0])
    chosen = choose_poses(way, depth=1.0)
    assert (len(chosen), chosen[0], chosen[-1]) == (6, 0, 4999)
    assert list(choose_poses(np.zeros((30, 3)), depth=1.0)) == [0]
    assert list(choose_poses(way[[0, 2500, 4999]], depth=0.1)) == [0, 1, 2]


@pytest.mark.usefixtures("style")
def test_a_far_point_does_not_make_the_path_small() -> None:
    points = np.concatenate([np.random.default_rng(0).normal(size=(1000, 3)), np.full((400, 3), 1e6)])
    cloud = Cloud(points=points, colors=np.zeros((1400, 3), np.uint8))
    figure = compose(subject(12, cloud=cloud), Drawing())
    figure.draw_without_rendering()
    assert np.ptp(figure.axes[0].get_xlim()) < 40


@pytest.mark.usefixtures("style")
@pytest.mark.parametrize("width", ["column", "page"])
@pytest.mark.parametrize(("count", "units"), [(2, SECONDS), (9, PLACES)])
def test_runs_are_drawn_over_one_truth(width: str, count: int, units: Units) -> None:
    truth = walk(200)
    names = [f"sweep-{place}/rgbd_dataset_freiburg1_desk_with_a_very_long_name/out" for place in range(count)]
    evaluations = {
        name: compare(truth, wobble(truth, 0.02 * (place + 1), place), Comparison())
        for place, name in enumerate(names)
    }
    figure = runs.compose(
        evaluations, truth="desk/groundtruth.txt", up=UP, units=units, drawing=Drawing(width=width)
    )
    above, _, ate, rotation, spread = figure.axes
    assert len(lines(above, "ground truth")) == 1
    drawn = [line for line in above.lines if line.get_label() != "ground truth"]
    assert [len(axes.lines) for axes in (ate, rotation, spread)] == [count] * 3
    looks = {(line.get_color(), line.get_linestyle()) for line in drawn}
    assert len(looks) == len(drawn) == count
    for line, curve, part, evaluation in zip(
        drawn, ate.lines, spread.lines, evaluations.values(), strict=True
    ):
        np.testing.assert_array_equal(line.get_xydata(), evaluation.estimate[:, :2])
        np.testing.assert_array_equal(curve.get_ydata(), evaluation.errors)
        assert line.get_color() == curve.get_color() == part.get_color()
        # Half of the errors are at most as large as their median.
        steps = dict(zip(part.get_xdata(), part.get_ydata(), strict=True))
        median = np.sort(evaluation.errors)[99]
        assert steps[median] == pytest.approx(0.5)
    assert crowded(figure) == []
