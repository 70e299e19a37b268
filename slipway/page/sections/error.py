"""How far estimates are from the ground truth, over time."""

from __future__ import annotations

from array import array

from slipway.page.chart import Series, line_chart, number
from slipway.page.markup import Html, element, join
from slipway.page.scene import Scene
from slipway.page.subject import Section, Subject
from slipway.text.wording import one_line

_MOST = 6


def section(subject: Subject) -> Section | None:
    """A chart for each scene that has a ground truth."""
    scenes = [scene for scene in subject.scenes if any(scene.errors)]
    if not scenes:
        return None
    charts = element("div", *(_chart(scene) for scene in scenes[:_MOST]), class_="charts")
    left = f"{len(scenes) - _MOST} more are not drawn." if len(scenes) > _MOST else None
    return Section(
        key="error",
        title="Error over time",
        body=join(charts, element("p", left, class_="notes") if left else None),
    )


def _chart(scene: Scene) -> Html:
    lines = error_lines(scene)
    title = "Distance from the ground truth" + (f", {one_line(scene.folder, 60)}" if scene.folder else "")
    rmse = scene.error.rmse if scene.error and len(lines) == 1 else None
    return line_chart(
        lines,
        title=title,
        x_name="seconds since the first pose",
        y_name="in the ground truth's unit of length",
        rule=(f"rmse {number(rmse)}", rmse) if rmse is not None else None,
        from_zero=True,
    )


def error_lines(scene: Scene) -> list[Series]:
    """The errors of each estimate."""
    lines = []
    for place, (name, error) in enumerate(zip(scene.paths, scene.errors, strict=True)):
        if error:
            first = error.times[0]
            lines.append(
                Series(
                    name=one_line(name, 60),
                    xs=array("d", (time - first for time in error.times)),
                    ys=error.errors,
                    colour=place,
                )
            )
    return lines
