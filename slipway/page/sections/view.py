"""Paths and clouds in three dimensions."""

from __future__ import annotations

from slipway.page.chart import number
from slipway.page.found import File
from slipway.page.markup import Html, data, element, href, join, more, notes, table
from slipway.page.read.ply import Cloud
from slipway.page.scene import MOST_POINTS, Line, Scene, lines_of, read_cloud, viewer_data
from slipway.page.subject import Section, Subject
from slipway.text.wording import megabytes, one_line

_MOST_CLOUDS = 4


def section(subject: Subject) -> Section | None:
    """One viewer for all scenes, of which one is chosen."""
    scenes = subject.scenes
    if not scenes:
        return None
    said: list[str] = []
    with_cloud = [scene for scene in scenes if scene.cloud_file][:_MOST_CLOUDS]
    share = MOST_POINTS // max(1, len(with_cloud))
    parts, words = [], []
    for scene in scenes:
        if scene.cloud_file and scene not in with_cloud:
            said.append(
                f"{one_line(scene.cloud_file.name, 200)} is not in the page, which would be too large"
            )
        cloud = read_cloud(scene, share, said) if scene in with_cloud else None
        name = one_line(scene.folder, 80) or "output"
        main = scene.keyframes or scene.estimate
        frusta = (
            Line(
                name="keyframes" if scene.keyframes else "cameras",
                role="keyframes" if scene.keyframes else "estimate",
                colour=0,
                path=main,
                similarity=scene.similarity,
            )
            if main
            else None
        )
        parts.append(viewer_data(name, lines_of(scene), frusta=frusta, cloud=cloud))
        words.append(element("div", _in_words(scene, cloud, name), class_="scene-words"))
    return Section(
        key="view",
        title="Path and cloud" if any(scene.cloud_file for scene in scenes) else "Path",
        body=join(viewer(parts), *words, notes(said)),
    )


def viewer(scenes: list[dict[str, object]]) -> Html:
    """The viewer, and what it shows."""
    return join(
        element(
            "div",
            element("div", class_="controls"),
            element(
                "canvas",
                "A picture of what is said below in words.",
                tabindex=0,
                role="application",
                aria_label="Path and cloud in three dimensions. Arrow keys turn, plus and minus zoom, "
                "W A S D move, R or Home resets.",
            ),
            element("p", "Drawing …", class_="state", role="status"),
            element(
                "p",
                "Drag to turn, scroll to zoom, right-drag to move. Keys: arrows, + -, W A S D, R.",
                class_="hint",
            ),
            class_="viewer needs-script",
        ),
        data("scenes", scenes),
    )


def _in_words(scene: Scene, cloud: Cloud | None, name: str) -> Html:
    rows = []
    if scene.truth:
        rows.append(["ground truth", f"{len(scene.truth):,}", number(scene.truth.length), "", ""])
    for (path_name, path), error in zip(scene.paths.items(), scene.errors, strict=True):
        length = path.length * (error.similarity.scale if error else 1)
        rmse = f"{number(error.rmse)} over {len(error.errors):,} pairs" if error else ""
        aligned = f"{error.kind}, scale {number(error.similarity.scale)}" if error else ""
        rows.append([one_line(path_name, 80), f"{len(path):,}", number(length), rmse, aligned])
    if scene.keyframes:
        rows.append(["keyframes", f"{len(scene.keyframes):,}", number(scene.keyframes.length), "", ""])
    paths = table(("", "poses", "length", "error (rmse)", "aligned"), rows, caption=name) if rows else None
    return join(
        _cloud_words(cloud, scene.cloud_file) if cloud and scene.cloud_file else None,
        more(f"In numbers: {name}", paths) if paths else None,
    )


def _cloud_words(cloud: Cloud, file: File) -> Html:
    shown = (
        f"{len(cloud):,} of {cloud.count:,} points are shown"
        if len(cloud) < cloud.count
        else (f"All {cloud.count:,} points are shown")
    )
    outside = f"; {cloud.outside:,} far out are left out" if cloud.outside else ""
    return element(
        "p",
        f"{shown}{outside}. The whole cloud: ",
        element("a", one_line(file.name, 120), href=href(file.link)),
        f", {megabytes(file.size_bytes)}.",
        class_="small",
    )
