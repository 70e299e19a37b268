"""Pages as headless Chromium shows them: what is in the pictures, not how they look byte by byte."""

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from slipway.page.write import write_pages
from slipway.progress import NullProgress
from tests.browser import CHROMIUM, Page, browser, colours
from tests.page_runs import EVENTS, FAILED, bring_home, make_run, ply, result, slam_files, tum

# In CI it has to be there.
pytestmark = pytest.mark.skipif(
    CHROMIUM is None and not os.environ.get("CI"),
    reason="chromium is not installed; `./run test` as root installs it on Debian",
)
CANVAS = "document.querySelector('.viewer > canvas')"
LOG = (
    "".join(f"line {number}: registered image {number % 7}\n" for number in range(500))
    + "a <b>bold</b> end.\n"
)


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with browser() as started:
        yield started


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="module")
def slam(results: Path) -> Path:
    """The page of a run with all that the payload leaves, two attempts, and samples of its GPU."""
    run = make_run(name="room")
    out = bring_home(results, run, slam_files(), log=LOG)
    before = out.parents[1] / "attempt-0"
    before.mkdir()
    (before / "log").write_text("only in the first attempt\n")
    (before / "result.json").write_text(result(reason="preempted", exit_code=143))
    samples = "".join(f"{1_769_869_700 + 5 * i},0,{i % 100},{300 + i},\n" for i in range(60))
    (out.parent / "usage.csv").write_text(f"time,gpu,utilization_percent,memory_mb,power_w\n{samples}")
    return write_pages([run], results, NullProgress())


@pytest.fixture(scope="module")
def training(results: Path) -> Path:
    run = make_run("m7d2-train-20260201-090000", status=FAILED)
    events = {f"logs/{file.name}": file.read_bytes() for file in EVENTS.iterdir()}
    bring_home(results, run, {**events, "metrics.json": '{"accuracy": 0.91}'})
    return write_pages([run], results, NullProgress())


@pytest.fixture(scope="module")
def compared(results: Path, slam: Path) -> Path:
    second = make_run("q8mz-cpu-20260131-170000", args=("--task", "infer", "--stride", "2"))
    bring_home(results, second, {**slam_files(), "trajectory.tum": tum(scale=1.7, sway=0.2)})
    return write_pages([make_run(name="room"), second], results, NullProgress())


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("name", ["slam", "training", "compared"])
def test_it_is_whole_without_a_network(
    page: Page, name: str, width: int, request: pytest.FixtureRequest
) -> None:
    path: Path = request.getfixturevalue(name)
    page.open(path, width=width)
    assert page.complaints == []
    asked = [address for address in page.requests if not address.startswith("data:")]
    assert asked == [path.as_uri()]
    # Nothing is wider than the screen; tables scroll within themselves.
    assert page.run("document.documentElement.scrollWidth") == width
    assert page.run("[...document.images].every((image) => image.complete && image.naturalWidth > 0)")
    # The first screen says what ran and how it ended.
    assert page.run("document.querySelector('h1').getBoundingClientRect().bottom") < 250
    assert page.run("document.querySelector('.badge').getBoundingClientRect().bottom") < 350


def test_the_policy_keeps_a_page_from_asking(page: Page, slam: Path) -> None:
    page.open(slam)
    assert page.run("fetch('data:text/plain,x').then(() => 'asked', () => 'refused')") == "refused"
    page.run("document.body.insertAdjacentHTML('beforeend', '<img id=probe src=http://127.0.0.1:9/x>')")
    page.wait("performance.now() > 0 && document.getElementById('probe').complete")
    page.run(
        "document.body.append(Object.assign(document.createElement('script'), {text: 'window.ran = 1'}))"
    )
    assert page.run("window.ran") is None
    assert any("Content Security Policy" in said for said in page.complaints)


def test_paths_and_cloud_are_drawn(page: Page, slam: Path) -> None:
    page.open(slam)
    drawn = colours(page.picture(".viewer > canvas"))
    (ground, count), *others = drawn.most_common()
    assert ground == (246, 248, 250)
    assert count < 0.99 * drawn.total()
    assert len(others) > 200
    assert page.run("document.querySelector('.viewer .state').hidden")
    said = page.run(f"{CANVAS}.getAttribute('aria-label')")
    assert "Arrow keys turn" in said


def test_the_view_turns_zooms_and_comes_back_by_keys(page: Page, slam: Path) -> None:
    page.open(slam)
    page.run(f"{CANVAS}.focus()")
    first = shown(page)
    before = first
    for key in ("ArrowLeft", "ArrowUp", "+", "d"):
        page.press(key)
        after = shown(page)
        assert after != before, key
        before = after
    page.press("r")
    assert shown(page) == first
    assert page.run("document.activeElement === document.querySelector('.viewer > canvas')")


def shown(page: Page) -> bytes:
    """What the canvas holds, once the view rests and all points are drawn."""
    page.run("new Promise((done) => setTimeout(done, 400))")
    page.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return str(page.run(f"{CANVAS}.toDataURL()")).encode()


def test_the_cloud_has_other_colours_by_height_and_error(page: Page, slam: Path) -> None:
    page.open(slam)
    seen = {shown(page)}
    for mode in ("height", "error"):
        choose(page, "Colour by", mode)
        assert not page.run("document.querySelector('.ramp').hidden")
        seen.add(shown(page))
    assert len(seen) == 3
    assert "error of the nearest pose" in page.run("document.querySelector('.ramp').textContent")
    page.run(
        "[...document.querySelectorAll('.controls label')].find((l) => l.textContent === 'cloud').click()"
    )
    seen.add(shown(page))
    assert len(seen) == 4
    assert page.complaints == []


def choose(page: Page, name: str, value: str) -> None:
    page.run(
        f"(() => {{ const field = document.querySelector('select[name=\"{name}\"]'); field.value = '{value}';"
        "field.dispatchEvent(new Event('change')); })()"
    )


def test_one_of_several_scenes_is_chosen(page: Page, results: Path) -> None:
    run = make_run("c4tt-cpu-20260131-142530")
    files = {"a/trajectory.tum": tum(sway=0.3), "b/trajectory.tum": tum(30), "b/cloud.ply": ply()}
    bring_home(results, run, files)
    page.open(write_pages([run], results, NullProgress()))
    first = shown(page)
    assert page.run("document.querySelector('select[name=Scene]').selectedOptions[0].text") == "a"
    choose(page, "Scene", "1")
    assert shown(page) != first
    # A cloud has controls that a path alone has not.
    assert "Point size" in page.run("document.querySelector('.controls').textContent")
    choose(page, "Scene", "0")
    assert shown(page) == first
    assert page.complaints == []


@pytest.mark.long
def test_a_million_points(page: Page, results: Path) -> None:
    run = make_run("b1gg-cpu-20260131-142530")
    bring_home(results, run, {"cloud.ply": million()})
    path = write_pages([run], results, NullProgress())
    assert path.stat().st_size < 4_000_000
    page.open(path)
    assert "200,000 of 1,000,000 points are shown" in page.run("document.querySelector('.small').textContent")
    drawn = colours(page.picture(".viewer > canvas"))
    assert drawn[(246, 248, 250)] < 0.9 * drawn.total()
    assert page.complaints == []


def million() -> bytes:
    one = ply(100_000)
    head, end, body = one.partition(b"end_header\n")
    return head.replace(b"vertex 100000", b"vertex 1000000") + end + body * 10


def test_dark_mode_is_dark_and_readable(page: Page, slam: Path) -> None:
    pictures = {}
    for dark in (False, True):
        page.open(slam, dark=dark)
        pictures[dark] = colours(page.picture()).most_common(1)[0][0]
        assert page.run(CONTRAST) == []
        assert page.run("document.querySelector('.viewer').dataset.drawn > 0")
        canvas = colours(page.picture(".viewer > canvas")).most_common(1)[0][0]
        assert (sum(canvas) < 120) is dark
    assert pictures == {False: (255, 255, 255), True: (15, 19, 23)}
    # The same page, without loading it anew.
    page.prefer(dark=False)
    page.wait("getComputedStyle(document.body).backgroundColor === 'rgb(255, 255, 255)'")


# Texts whose contrast with what is behind them is under 4.5, as WCAG 2.1 computes it (1.4.3).
CONTRAST = """(() => {
  const light = (c) => { const s = c / 255; return s <= 0.04045 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4; };
  const lightness = ([r, g, b]) => 0.2126 * light(r) + 0.7152 * light(g) + 0.0722 * light(b);
  const numbers = (c) => c.match(/[\\d.]+/g).map(Number);
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const c = numbers(getComputedStyle(e).backgroundColor);
      if (c.length < 4 || c[3] > 0) return c;
    }
    return [255, 255, 255];
  };
  const bad = [];
  for (const e of document.querySelectorAll('body *')) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!own || !e.checkVisibility() || e.closest('script, style')) continue;
    const style = getComputedStyle(e);
    const colour = numbers(e.namespaceURI.endsWith('svg') ? style.fill : style.color);
    const pair = [lightness(colour), lightness(behind(e))].sort((a, b) => b - a);
    const ratio = (pair[0] + 0.05) / (pair[1] + 0.05);
    if (ratio < 4.5) bad.push(`${ratio.toFixed(2)} ${e.outerHTML.slice(0, 100)}`);
  }
  return bad;
})()"""


def test_the_log_is_searched(page: Page, slam: Path) -> None:
    page.open(slam)
    lines = "document.querySelector('.log .lines')"
    # One reads the end first.
    assert page.run(f"{lines}.scrollTop + {lines}.clientHeight + 2 >= {lines}.scrollHeight")
    page.press("/")
    assert page.run("document.activeElement.id") == "search"
    page.type("REGISTERED IMAGE 3")
    assert said(page) == "71 of 71"
    assert page.run("document.querySelectorAll('.log mark').length") == 71
    page.press("Enter")
    assert said(page) == "1 of 71"
    page.press("Enter", shift=True)
    assert said(page) == "71 of 71"
    page.run("document.querySelector('.log .previous').click()")
    assert said(page) == "70 of 71"
    mark = page.run("document.querySelector('mark.current').getBoundingClientRect().top")
    box = page.run(f"(() => {{ const b = {lines}.getBoundingClientRect(); return [b.top, b.bottom]; }})()")
    assert box[0] <= mark <= box[1]
    page.press("Escape")
    assert said(page) == ""
    # What is searched is text, and no pattern; so is what is found.
    page.type("<b>bold</b> end.")
    assert said(page) == "1 of 1"
    assert page.run("document.querySelectorAll('.log b').length") == 0
    page.press("Escape")
    page.type("nowhere")
    assert said(page) == "no match"
    assert page.run(f"{lines}.textContent") == LOG.rstrip("\n")


def said(page: Page) -> str:
    return str(page.run("document.querySelector('.log output').textContent"))


def test_tabs_are_changed_by_keys(page: Page, slam: Path) -> None:
    page.open(slam)
    page.run("document.querySelector('[role=tab]').focus()")
    page.press("ArrowRight")
    assert page.run("document.activeElement.textContent") == "attempt 0"
    seen = "[...document.querySelectorAll('.log .lines')].find((one) => one.checkVisibility()).textContent"
    assert page.run(seen) == "only in the first attempt"
    page.press("ArrowRight")
    assert page.run(seen).endswith("end.")


def test_charts_are_read_out(page: Page, slam: Path) -> None:
    page.open(slam)
    page.run("document.querySelector('#error .chart').focus()")
    page.press("ArrowRight")
    words = page.run("document.querySelector('#error .readout').textContent")
    assert re.fullmatch(r"seconds since the first pose 0: trajectory 0\.0\d+", words), words
    chart = "document.querySelector('#usage .chart')"
    page.run(f"{chart}.scrollIntoView({{behavior: 'instant', block: 'center'}})")
    middle = (
        f"(() => {{ const b = {chart}.getBoundingClientRect(); return [b.x + b.width / 2, b.y + 50]; }})()"
    )
    readout = "document.querySelector('#usage .readout').textContent"
    # A busy machine may not have scrolled yet when the first of them comes, or still make room for pictures.
    for aside in range(40):
        x, y = page.run(middle)
        page.send("Input.dispatchMouseEvent", type="mouseMoved", x=x + aside % 2, y=y)
        if words := page.run(readout):
            break
        time.sleep(0.1)
    assert re.fullmatch(r"minutes since the first sample 2\.[45]\d*: GPU 0 (29|30)", words), words


def test_all_that_acts_is_reached_by_tab_and_its_focus_is_seen(page: Page, slam: Path) -> None:
    page.open(slam)
    reached = set()
    for _ in range(80):
        page.press("Tab")
        if page.run("document.activeElement === document.body"):
            break
        name = "document.activeElement.getAttribute('class') || document.activeElement.localName"
        reached.add(page.run(name).split()[0])
        outline = page.run("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid", page.run("document.activeElement.outerHTML.slice(0, 200)")
    assert {"skip", "canvas", "select", "input", "enlarge", "copy", "chart", "summary", "a"} <= reached


def test_a_picture_is_shown_larger(page: Page, slam: Path) -> None:
    page.open(slam)
    page.run("document.querySelector('.enlarge').focus()")
    page.press("Enter")
    assert page.run("document.querySelector('dialog').open")
    assert "trajectory.png" in page.run("document.querySelector('dialog').textContent")
    page.press("Escape")
    page.wait("!document.querySelector('dialog')")
    assert page.run("document.activeElement.className") == "enlarge"


def test_it_prints(page: Page, slam: Path) -> None:
    page.open(slam, dark=True)
    content = page.pdf()
    assert content.startswith(b"%PDF")
    # The log's end is on it, not 500 lines; the canvas is a picture on white.
    assert 2 <= content.count(b"/Type /Page\n") + content.count(b"/Type /Page ") <= 12
    page.prefer(dark=True, paper=True)
    page.wait("getComputedStyle(document.body).backgroundColor === 'rgb(255, 255, 255)'")
    assert page.run("getComputedStyle(document.querySelector('nav')).display") == "none"
    drawn = colours(page.picture(".viewer > canvas"))
    assert drawn.most_common(1)[0][0] == (255, 255, 255)
    assert len(drawn) > 200


def test_comparing_overlays_all_paths(page: Page, compared: Path) -> None:
    page.open(compared)
    names = page.run("[...document.querySelectorAll('.controls label')].map((label) => label.textContent)")
    assert {"ground truth", "room", "q8mz-cpu-20260131-170000"} <= set(names)
    assert page.run("document.querySelectorAll('#error polyline').length") == 2
    drawn = colours(page.picture(".viewer > canvas"))
    assert {(29, 95, 194), (194, 65, 12)} <= set(drawn)


def test_it_says_what_is_there_without_scripts(page: Page, slam: Path) -> None:
    page.open(slam, scripts=False)
    assert page.run("document.querySelector('.viewer').checkVisibility()") is False
    assert page.run("document.querySelector('#error svg').checkVisibility()") is True
