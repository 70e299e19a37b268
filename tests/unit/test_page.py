"""Pages of runs: what is read of a run's files, and what a page says. test_page_browser.py looks at it."""

import hashlib
import json
import math
import os
import re
import struct
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

from slipway.errors import HostError, UsageError
from slipway.page import open as opening
from slipway.page.chart import Series, line_chart, thin, ticks
from slipway.page.compare import compare_page
from slipway.page.differences import differences
from slipway.page.document import run_page, write_page
from slipway.page.found import File
from slipway.page.markup import element, href, table, text
from slipway.page.read.align import compare
from slipway.page.read.events import Curve, masked_crc, read_events
from slipway.page.read.figures import read_figures
from slipway.page.read.log_end import read_log_end
from slipway.page.read.ply import read_ply
from slipway.page.read.tables import read_table
from slipway.page.read.tum import read_tum
from slipway.page.sections.again import submit_command
from slipway.page.subject import Subject
from slipway.page.write import compare_name, write_pages
from slipway.progress import NullProgress
from slipway.scheduler.usage import Usage
from tests.page_runs import EVENTS, FAILED, PNG, bring_home, make_run, ply, result, slam_files, tum

ROOT = Path(__file__).parents[2]
VENDOR = ROOT / "slipway" / "page" / "vendor"
# What would run, load or leave the page, were it markup.
EVIL = "</script></style><script>window.hacked=1</script><img src=x onerror='window.hacked=1'>\x1b[1m\u202e&"


class Elements(HTMLParser):
    """All elements of a page with their attributes, as a browser would see them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def page_of(results: Path, run_id: str = "k3f9-cpu-20260131-142530", **values: object) -> str:
    run = make_run(run_id, **values)
    return run_page(Subject.of(run, results / run.run_id))


def words(page: str) -> str:
    """What is read of a page, without styles and scripts."""
    bare = re.sub(r"<(style|script)[^>]*>.*?</\1>", "", page, flags=re.S)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", bare))


# ---- the page as a whole


def test_a_slam_run_has_all_that_it_left(tmp_path: Path) -> None:
    bring_home(tmp_path, make_run(name="room"), slam_files(), log="registered 60 of 60\n")
    page = page_of(tmp_path, name="room")
    said = words(page)
    for part in ("room", "COMPLETED", "0:02:42", "0.0123", "frames registered", "registered 60 of 60"):
        assert part in said, part
    assert "python3 -m slam --task infer --dataset room" in said
    assert "invoke job --replay k3f9-cpu-20260131-142530" in said
    assert "All 4,000 points are shown" in said
    titles = re.findall(r'<h2 id="(\w+)-title">', page)
    assert titles == [
        "view",
        "error",
        "figures",
        "pictures",
        "attempts",
        "resources",
        "log",
        "again",
        "files",
    ]
    [scene] = json.loads(re.findall(r'id="scenes">(.*?)</script>', page, re.S)[0])
    assert [line["name"] for line in scene["lines"]] == ["ground truth", "trajectory"]
    assert scene["frusta"]["name"] == "keyframes"
    assert scene["cloud"]["count"] == 4000
    assert scene["up"] == [0.0, 0.0, 1.0]


def test_a_page_asks_for_nothing(tmp_path: Path) -> None:
    bring_home(tmp_path, make_run(), slam_files())
    page = page_of(tmp_path)
    elements = Elements(page)
    [policy] = [one["content"] for one in elements.of("meta") if one.get("http-equiv")]
    assert policy is not None
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert "unsafe" not in policy
    for tag, attributes in elements.found:
        assert not any(name.startswith("on") for name in attributes), (tag, attributes)
        assert "style" not in attributes, (tag, attributes)
        assert tag not in ("link", "iframe", "object", "embed", "base"), tag
        if source := attributes.get("src"):
            assert tag == "img", tag
            assert source.startswith("data:image/png;base64,"), source[:40]
        if link := attributes.get("href"):
            assert link.startswith(("#", "./")), link


def test_a_program_that_is_no_slam(tmp_path: Path) -> None:
    events = {f"logs/{file.name}": file.read_bytes() for file in EVENTS.iterdir()}
    metrics = "epoch,val_loss\n" + "".join(f"{epoch},{1 / (1 + epoch)}\n" for epoch in range(9))
    bring_home(tmp_path, make_run(), {**events, "m.csv": metrics, "m.json": '{"accuracy": 0.91}'})
    page = page_of(tmp_path, status=FAILED)
    said = words(page)
    for part in ("FAILED", "program error, exit code 1", "0.91", "accuracy", "loss/train", "val_loss"):
        assert part in said, part
    assert 'id="view"' not in page
    assert "THREE" not in page


def test_what_was_used_stands_beside_what_was_asked(tmp_path: Path) -> None:
    used = Usage(
        elapsed_s=3600, longest_s=3600, limit_s=36_000, cpus=4, cpu_s=3600, core_s=14_400,
        peak_memory_bytes=9 << 30, asked_memory_bytes=64 << 30,
    )  # fmt: skip
    said = words(page_of(tmp_path, usage=used))
    assert "time 10:00:00 1:00:00 10 %" in said
    assert "processor cores 4 1.0 on average 25 %" in said
    assert "memory on a node 64 GB 9 GB at most 14 %" in said
    assert "Advice: asked 64 GB, used 9 GB: --mem 12G would do." in said


def test_a_run_that_is_not_home(tmp_path: Path) -> None:
    page = page_of(tmp_path)
    assert "Its results are not on this machine" in page
    assert "invoke show k3f9-cpu-20260131-142530 --pull" in page
    assert 'id="log"' not in page


def test_an_array_shows_the_tasks_that_failed_first(tmp_path: Path) -> None:
    run = make_run(task_indices=(0, 1))
    home = tmp_path / run.run_id
    for task, reason, code in ((0, "ok", 0), (1, "out-of-memory", 137)):
        out = home / f"task-{task}" / "attempt-1" / "out"
        out.mkdir(parents=True)
        (out / "a.json").write_text('{"loss": 1.5}')
        (out.parent / "log").write_text(f"this is task {task}\n")
        (out.parent / "result.json").write_text(result(reason=reason, exit_code=code))
    # Not a task of this run, but a way out of its folder.
    bring_home(tmp_path, make_run("zzzz-cpu-20260101-000000"), log="of somebody else\n")
    (home / "task-2").symlink_to(tmp_path / "zzzz-cpu-20260101-000000")
    page = run_page(Subject.of(run, home))
    said = words(page)
    assert "of somebody else" not in said
    assert said.index("this is task 1") < said.index("this is task 0")
    assert "task-1/a.json" in said
    assert "out of memory" in said


def test_attempts_in_their_order(tmp_path: Path) -> None:
    bring_home(tmp_path, make_run())
    second = tmp_path / make_run().run_id / "attempt-2"
    (second / "out").mkdir(parents=True)
    (second / "result.json").write_text(result(reason="time-limit", exit_code=0))
    (second / "usage.csv").write_text(
        "time,gpu,utilization_percent,memory_mb,power_w\n"
        + "".join(f"{1_769_869_700 + 5 * i},{i % 2},{i % 100},{300 + i},\n" for i in range(60))
    )
    page = page_of(tmp_path)
    said = words(page)
    assert "attempt 2: time limit" in said
    assert "GPU use" in said
    assert "GPU memory" in said
    # What no GPU told is not drawn.
    assert "GPU power" not in said


# ---- nothing is markup, nothing fails


def test_text_of_a_run_is_never_markup(tmp_path: Path) -> None:
    run = make_run(name=EVIL, args=("--text", EVIL), status=make_run().status)
    out = bring_home(
        tmp_path,
        run,
        {
            "a.json": json.dumps({EVIL: EVIL, "loss": float("nan")}),
            "trajectory.tum": tum(),
            "m.csv": f'step,"{EVIL}"\n1,2\n2,3\n',
        },
        log=f"{EVIL}\n",
    )
    (out / f"{EVIL.replace('/', '_')}.png").write_bytes(PNG)
    (out / "java script:alert(1).png").write_bytes(PNG)
    page = run_page(Subject.of(run, tmp_path / run.run_id))
    elements = Elements(page)
    harmless = Elements(page_of(tmp_path))
    assert {tag for tag, _ in elements.found} == {tag for tag, _ in harmless.found}
    # Its own scripts: the page's, three.js, the viewer's, and the scenes, which no browser runs.
    assert len(elements.of("script")) == 4
    assert "\x1b" not in page
    assert "\u202e" not in page


def test_text_and_attributes() -> None:
    assert text("<a>&\x1b[1mb\u202e") == r"&lt;a&gt;&amp;b\u202e"
    assert element("p", "<", title='"<', hidden=True) == '<p title="&quot;&lt;" hidden>&lt;</p>'
    assert element("br") == "<br>"
    assert href("//host/a b:c.png") == "./%2F/host/a%20b%3Ac.png".replace("%2F", "/")
    assert href("javascript:alert(1)") == "./javascript%3Aalert%281%29"
    assert '<th scope="row">&lt;x&gt;</th>' in table(("",), [["<x>"]])


def test_odd_files_are_noted_and_nothing_fails(tmp_path: Path) -> None:
    run = make_run()
    out = bring_home(
        tmp_path,
        run,
        {
            "deep.json": "[" * 100_000,
            "broken.json": "{",
            "huge.json": json.dumps({"n": 10**4000, "many": dict.fromkeys(map(str, range(1000)), 1)})[:200]
            + "}",
            "words.tum": "no pose\n" * 10,
            "lying.ply": ply(100, header_points=1_000_000),
            "other/list.ply": b"ply\nformat ascii 1.0\nelement vertex 1\nproperty list uchar int x\n",
            "sub/none.ply": b"ply\n" + b"comment x\n" * 100_000,
            "nan.tum": "1 nan 0 0 0 0 0 1\n" + tum(5),
            "text.png": "no picture",
            "events.out.tfevents.1.x": b"\x00" * 5,
            "t.csv": "step,a\n1,x\n2,\n",
        },
        log="x" * 1_000_000 + "\n\x00\xff bar 10%\rbar 100%\n",
    )
    secret = tmp_path / "secret.json"
    secret.write_text('{"password": 98765}')
    (out / "link.json").symlink_to(secret)
    (out / "folder").symlink_to(tmp_path)
    os.mkfifo(out / "pipe.json")
    page = run_page(Subject.of(run, tmp_path / run.run_id))
    said = words(page)
    assert "98765" not in page
    assert "broken.json is not shown" in said
    assert "deep.json is not shown" in said
    assert "words.tum is not shown as a trajectory: there is no pose in it" in said
    assert "its header says 1,000,000 points, and 100 are there" in said
    assert "text.png is no picture" in said
    assert "events.out.tfevents.1.x: it ends in the midst of a record" in said
    assert "nan.tum: 1 lines are no poses" in said
    assert "other/list.ply is not shown as a cloud: its vertices have a property of a kind" in said
    assert "sub/none.ply is not shown as a cloud: its header has no end" in said
    assert "bar 100%" in said
    assert "bar 10%\r" not in page


def test_large_pictures_are_left_beside_the_page(tmp_path: Path) -> None:
    run = make_run()
    bring_home(tmp_path, run, {"small.png": PNG, "large.png": PNG + b"\0" * 2_000_000})
    page = page_of(tmp_path)
    assert page.count("data:image/png") == 1
    assert "Not in the page, which would be too large" in page
    assert 'href="./attempt-1/out/large.png"' in page


def test_a_page_stays_small(tmp_path: Path) -> None:
    pictures = {f"{index}.png": PNG + os.urandom(900_000) for index in range(9)}
    clouds = {f"{index}/cloud.ply": ply(90_000) for index in range(2)}
    bring_home(tmp_path, make_run(), {**pictures, **clouds}, log="a line of words\n" * 200_000)
    assert len(page_of(tmp_path)) < 10_000_000


def test_what_is_for_other_programs_is_listed_and_not_shown(tmp_path: Path) -> None:
    poses = "frame,image,timestamp,placed\n"
    bring_home(tmp_path / "a", make_run(), {**slam_files(), "poses.csv": poses})
    for_programs: dict[str, str | bytes] = {
        "poses.csv": poses,
        "cameras.ply": ply(),
        "transforms.json": '{"fl_x": 525.5}',
        "undistorted/cloud.ply": ply(30),
        "undistorted/images/1.png": PNG,
        "undistorted/transforms.json": '{"fl_x": 525.5}',
    }
    bring_home(tmp_path / "b", make_run(), {**slam_files(), **for_programs})
    before, after = (page_of(tmp_path / name) for name in "ab")
    assert before.count("data:image/png") == after.count("data:image/png")
    assert "fl_x" not in after
    assert "another cloud" not in after
    assert "undistorted/images/1.png" in words(after)


def test_a_program_of_ones_own_may_call_its_pictures_so(tmp_path: Path) -> None:
    bring_home(tmp_path, make_run(), {"undistorted/1.png": PNG})
    assert page_of(tmp_path).count("data:image/png") == 1


# ---- several


def test_runs_side_by_side(tmp_path: Path) -> None:
    first = make_run(name="first")
    second = make_run(
        "q8mz-cpu-20260131-170000",
        name="second",
        args=("--task", "infer", "--dataset", "room", "--stride", "2"),
    )
    bring_home(tmp_path, first, slam_files())
    worse = {"trajectory.tum": tum(scale=1.7, sway=0.1), "ate.json": '{"rmse": 0.0246, "pairs": 60}'}
    bring_home(tmp_path, second, {**slam_files(), **worse})
    path = write_pages([first, second], tmp_path, NullProgress())
    assert path == tmp_path / "compare-k3f9-q8mz.html"
    page = path.read_text()
    said = words(page)
    assert "--stride — 2" in said
    assert "+0.0123, +100 %" in said
    assert "Image, code" not in said
    assert 'href="./q8mz-cpu-20260131-170000/index.html"' in page
    assert (tmp_path / second.run_id / "index.html").is_file()
    [scene] = json.loads(re.findall(r'id="scenes">(.*?)</script>', page, re.S)[0])
    assert [line["name"] for line in scene["lines"]] == ["ground truth", "first", "second"]
    assert compare_page([Subject.of(run, tmp_path / run.run_id) for run in (first, second)]) == page


def test_paths_without_a_ground_truth_lie_upon_the_first(tmp_path: Path) -> None:
    runs = [make_run("aaaa-x-20260101-000000"), make_run("bbbb-x-20260101-000000")]
    for run, scale in zip(runs, (1.0, 3.0), strict=True):
        bring_home(tmp_path, run, {"traj.tum": tum(scale=scale)})
    page = compare_page([Subject.of(run, tmp_path / run.run_id) for run in runs])
    [scene] = json.loads(re.findall(r'id="scenes">(.*?)</script>', page, re.S)[0])
    one, other = (line["points"] for line in scene["lines"])
    assert one[:200] != ""
    assert floats(one) == pytest.approx(floats(other), abs=1e-5)


def floats(words: str) -> list[float]:
    import base64

    content = base64.b64decode(words)
    return list(struct.unpack(f"<{len(content) // 4}f", content))


def test_what_differs() -> None:
    first = make_run()
    second = make_run(
        args=("--task=infer", "--dataset", "room", "x", "--fast"), resources={**first.resources, "mem": "4G"}
    )
    assert differences([first, first]) == []
    assert differences([first, second, first]) == [
        ["word 1", "—", "x", "—"],
        ["--fast", "—", "given", "—"],
        ["resources: mem", "2000M", "4G", "2000M"],
    ]


def test_too_many_runs(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="9 runs: a page compares 8 at most"):
        write_pages([make_run(f"a{i}b-x-20260101-000000") for i in range(9)], tmp_path, NullProgress())


def test_names_of_comparing_pages() -> None:
    ids = [f"a{letter}-x-20260101-000000" for letter in "bcdfg"]
    assert compare_name(ids[:2]) == "compare-ab-ac.html"
    assert re.fullmatch(r"compare-[0-9a-f]{8}\.html", compare_name(ids))
    assert compare_name(ids) != compare_name(ids[::-1])


def test_a_page_takes_the_place_of_a_link(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("mine")
    (tmp_path / "index.html").symlink_to(tmp_path / "other")
    write_page(tmp_path / "index.html", "page")
    assert (tmp_path / "other").read_text() == "mine"
    assert (tmp_path / "index.html").read_text() == "page"
    (tmp_path / "file").write_text("")
    with pytest.raises(HostError, match="cannot be written"):
        write_page(tmp_path / "file" / "index.html", "page")


def test_the_command_submits_the_same() -> None:
    run = make_run(args=("--a", "b c", "$x"))
    assert submit_command(run) == (
        "invoke job --profile cpu --site box --time 0:10:00 --cpus 2 --mem 2000M --gpus 0 "
        "--partition debug -- --a 'b c' '$x'"
    )


@pytest.mark.parametrize(
    ("environ", "platform", "seen"),
    [
        ({}, "linux", False),
        ({"DISPLAY": ":0"}, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({"DISPLAY": "localhost:10.0", "SSH_CONNECTION": "a"}, "linux", False),
        ({}, "darwin", True),
        ({"SSH_TTY": "/dev/pts/1"}, "darwin", False),
    ],
)
def test_where_a_browser_is_seen(environ: dict[str, str], platform: str, seen: bool) -> None:
    assert opening.has_display(environ, platform) is seen


def test_no_browser_is_started_where_nobody_sees_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    opened: list[str] = []
    monkeypatch.setattr(opening.webbrowser, "open", lambda address: bool(opened.append(address)) or True)
    monkeypatch.setattr(opening, "has_display", lambda environ, platform: False)
    assert opening.open_page(tmp_path / "a b.html") is False
    monkeypatch.setattr(opening, "has_display", lambda environ, platform: True)
    assert opening.open_page(tmp_path / "a b.html") is True
    assert opened == [(tmp_path / "a b.html").as_uri()]


# ---- readers


@pytest.mark.parametrize("kind", ["sim3", "se3", "origin", "none"])
def test_the_error_is_that_of_evo(tmp_path: Path, kind: str) -> None:
    from slam.evaluate import absolute
    from slam.posefile.posefile import read_posefile

    (tmp_path / "truth").write_text(tum(80))
    (tmp_path / "guess").write_text(tum(60, scale=1.0 if kind == "se3" else 1.3, sway=0.05))
    expected = absolute.compare(
        read_posefile(tmp_path / "truth").trajectory,
        read_posefile(tmp_path / "guess").trajectory,
        absolute.Comparison(alignment=kind),
    )
    found = compare(read_tum(tmp_path / "truth"), read_tum(tmp_path / "guess"), kind)
    assert found is not None
    assert found.rmse == pytest.approx(expected.statistics["rmse"], rel=1e-6)
    assert list(found.errors) == pytest.approx(list(expected.errors), rel=1e-5, abs=1e-8)
    assert found.similarity.scale == pytest.approx(expected.scale)


def test_trajectories_that_share_nothing_are_not_compared(tmp_path: Path) -> None:
    (tmp_path / "truth").write_text("".join(f"{i} 0 0 0 0 0 0 1\n" for i in range(5)))
    (tmp_path / "guess").write_text("".join(f"{i + 0.5} 0 0 0 0 0 0 1\n" for i in range(5)))
    assert compare(read_tum(tmp_path / "truth"), read_tum(tmp_path / "guess")) is None
    # All poses at one place allow any rotation, and no scale.
    same = compare(read_tum(tmp_path / "truth"), read_tum(tmp_path / "truth"))
    assert same is not None
    assert same.rmse == 0


@pytest.mark.parametrize("form", ["ascii", "binary_little_endian", "binary_big_endian"])
def test_clouds_of_each_form(tmp_path: Path, form: str) -> None:
    points = [(i / 7, -i / 3, i * 0.5, i, 255 - i, 7, i / 100) for i in range(100)]
    names = ["float x", "double y", "float z", "uchar red", "uchar green", "uchar blue", "float error"]
    head = f"ply\nformat {form} 1.0\ncomment made\nelement vertex 100\n"
    head += "".join(f"property {name}\n" for name in names)
    head += "element face 0\nproperty list uchar int vertex_indices\nend_header\n"
    if form == "ascii":
        body = "".join(" ".join(f"{value:g}" for value in point) + "\n" for point in points).encode()
    else:
        order = "<" if "little" in form else ">"
        body = b"".join(struct.pack(f"{order}fdf3Bf", *point) for point in points)
    (tmp_path / "c.ply").write_bytes(head.encode() + body)
    cloud = read_ply(tmp_path / "c.ply", 1000)
    assert (cloud.count, len(cloud), cloud.outside, cloud.error_name) == (100, 100, 0, "error")
    assert cloud.colours is not None
    seen = {}
    for index in range(100):
        unit = cloud.points[3 * index : 3 * index + 3]
        place = [low + cloud.step * value for low, value in zip(cloud.low, unit, strict=True)]
        seen[cloud.colours[3 * index]] = (place, tuple(cloud.colours[3 * index : 3 * index + 3]))
    for x, y, z, red, green, blue, _ in points:
        place, colour = seen[red]
        assert place == pytest.approx([x, y, z], abs=2 * cloud.step)
        assert colour == (red, green, blue)
    assert cloud.step == pytest.approx(49.5 / 65535)


def test_a_million_points_are_thinned_evenly(tmp_path: Path) -> None:
    row = struct.Struct("<fff")
    head = b"ply\nformat binary_little_endian 1.0\nelement vertex 1000000\n"
    head += b"property float x\nproperty float y\nproperty float z\nend_header\n"
    body = bytearray(12_000_000)
    for index in range(1_000_000):
        row.pack_into(body, 12 * index, index, 0.0, 1.0)
    (tmp_path / "c.ply").write_bytes(head + body)
    cloud = read_ply(tmp_path / "c.ply", 50_000)
    assert (len(cloud), cloud.count, cloud.colours) == (50_000, 1_000_000, None)
    places = sorted(cloud.points[0::3])
    assert places[0] == 0
    assert places[-1] > 65_500
    steps = [after - before for before, after in pairwise(places)]
    assert max(steps) <= 2


def test_points_far_out_do_not_make_the_others_small(tmp_path: Path) -> None:
    rows = ["nan 0 0\n", "inf 0 0\n", "1e9 1e9 1e9\n"]
    rows += [f"{i % 10} {i // 10} {i % 7}\n" for i in range(1000)]
    head = f"ply\nformat ascii 1.0\nelement vertex {len(rows)}\n"
    head += "".join(f"property float {axis}\n" for axis in "xyz") + "end_header\n"
    (tmp_path / "c.ply").write_text(head + "".join(rows))
    cloud = read_ply(tmp_path / "c.ply", 5000)
    assert (len(cloud), cloud.outside) == (1000, 1)
    assert cloud.step * 65535 == pytest.approx(99)
    assert cloud.notes == ["points with coordinates that are no numbers are left out"]


def test_scalars_as_tensorboard_writes_them() -> None:
    # Written by TensorBoard 2.21's EventFileWriter, which PyTorch's SummaryWriter uses: steps with a
    # simple_value, steps with a tensor, one NaN, one tensor_content, and a text, which is no scalar.
    [file] = EVENTS.iterdir()
    curves: dict[str, Curve] = {}
    assert read_events(file, curves) is None
    assert set(curves) == {"loss/train", "accuracy", "rate"}
    assert list(curves["loss/train"].steps) == [0, 10, 20, 30, 40, 50]
    assert list(curves["loss/train"].values)[:2] == [1, pytest.approx(1 / 11)]
    assert math.isnan(curves["loss/train"].values[-1])
    assert list(curves["accuracy"].values) == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    assert list(curves["rate"].values) == [0.125]


def test_checksums_of_event_files(tmp_path: Path) -> None:
    # RFC 3720, B.4: 32 bytes of zeros have CRC-32C 8a9136aa; TFRecords turn and shift it.
    crc = 0x8A9136AA
    assert masked_crc(bytes(32)) == ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
    [file] = EVENTS.iterdir()
    content = bytearray(file.read_bytes())
    content[-20] ^= 1
    (tmp_path / "bad").write_bytes(content)
    curves: dict[str, Curve] = {}
    assert read_events(tmp_path / "bad", curves) == "a record's checksum is not right"
    assert "loss/train" in curves
    (tmp_path / "cut").write_bytes(file.read_bytes()[:-3])
    assert read_events(tmp_path / "cut", {}) == "it ends in the midst of a record"


def test_of_many_scalars_each_tag_has_some(tmp_path: Path) -> None:
    def record(step: int, tag: str) -> bytes:
        # Event{step, summary{value{tag, simple_value}}}, as protobuf writes them.
        value = b"\x0a\x01" + tag.encode() + b"\x15" + struct.pack("<f", step)
        summary = b"\x0a" + bytes([len(value)]) + value
        message = b"\x10" + bytes([step & 127 | 128, step >> 7]) + b"\x2a" + bytes([len(summary)]) + summary
        head = struct.pack("<Q", len(message))
        return b"".join(part + struct.pack("<I", masked_crc(part)) for part in (head, message))

    (tmp_path / "e").write_bytes(b"".join(record(step, "abcd"[step % 4]) for step in range(2000)))
    curves: dict[str, Curve] = {}
    assert read_events(tmp_path / "e", curves, most=400) == "400 of its 2,000 values"
    assert sum(len(curve.steps) for curve in curves.values()) == 400
    assert all(len(curve.steps) > 50 for curve in curves.values())
    assert all(curve.steps == curve.values for curve in curves.values())
    assert len(curves) == 4


def test_the_end_of_a_long_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("wb") as file:
        file.truncate(2 << 30)  # No disk has it: the file has a hole.
        file.seek(0, 2)
        file.write(b"\nlast but one\n\x1b[1mlast\x1b[0m \x1b]0;title\x07\n")
    end = read_log_end(log, 40)
    assert end.lines == ["last but one", r"last \x1b]0;title\x07"]
    assert end.note == "the last 2 lines of 2,147.5 MB"
    assert read_log_end(log, 8).lines == [r";title\x07"]


def test_tables(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text('step,"a b",c\n1,2,x\n2,,4\nshort\n')
    columns = read_table(file).columns
    assert list(columns["step"]) == [1, 2]
    assert columns["a b"][0] == 2
    assert math.isnan(columns["a b"][1])
    file.write_text("1,2\n3,4\n")
    with pytest.raises(ValueError, match="does not name its columns"):
        read_table(file)
    file.write_text("x,y\n3,4\n")
    with pytest.raises(ValueError, match="its first column is none of these"):
        read_table(file, ("step", "epoch"))


def test_figures_are_flat(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(
        '{"a": {"b": [1, 2]}, "c": NaN, "d": true, "e": null, "f": [[1]], "g": 1e999}'
    )
    file = File(path=tmp_path / "a.json", name="a.json", link="a.json", size_bytes=1)
    [figures] = read_figures([file], [])
    values = figures.values
    assert (values["a.b"], values["d"], values["e"], values["f"]) == ("1, 2", True, "none", "1 values")
    assert figures.numbers() == {}


# ---- charts


def test_a_chart_breaks_where_there_is_no_number() -> None:
    series = Series(name="<a>", xs=range(6), ys=[1.0, 2.0, math.nan, 4.0, math.inf, 6.0])
    chart = line_chart([series], title="t", x_name="x", y_name="y")
    assert chart.count("<polyline") == 3
    assert 'data-name="&lt;a&gt;"' in chart
    assert "There are no numbers to draw" in line_chart(
        [Series(name="a", xs=[1.0], ys=[math.nan])], title="t", x_name="x", y_name="y"
    )


def test_a_thinned_line_keeps_its_peaks() -> None:
    ys = [0.0] * 100_000
    ys[54_321] = 9.0
    thinned = list(thin(range(100_000), ys))
    assert len(thinned) <= 2000
    assert (54_321, 9.0) in thinned


def test_ticks_are_round() -> None:
    assert [word for _, word in ticks(0, 1, 5)] == ["0", "0.2", "0.4", "0.6", "0.8", "1"]
    assert [word for _, word in ticks(-0.02, 0.05, 4)] == ["-0.02", "0", "0.02", "0.04"]
    assert ticks(1, 1, 4) == []


# ---- what others made


def test_three_js_is_what_its_script_makes() -> None:
    made = json.loads((VENDOR / "vendor.json").read_text())
    content = (VENDOR / made["file"]).read_bytes()
    assert hashlib.sha256(content).hexdigest() == made["sha256"]
    licence = (VENDOR / "LICENSE.three").read_text()
    assert content.startswith(f"/* three.js {made['version']}, https://threejs.org\n\n{licence}*/".encode())
    assert b"</script" not in content
    lock = json.loads((ROOT / ".ci" / "vendor" / "package-lock.json").read_text())
    assert lock["packages"]["node_modules/three"]["version"] == made["version"]
    assert "MIT License" in licence
