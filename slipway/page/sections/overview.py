"""The first screen: what ran, how it ended, how good it is."""

from __future__ import annotations

from collections.abc import Iterator

from slipway.job.home import read_home
from slipway.job.run import Run
from slipway.page.chart import number
from slipway.page.markup import Html, element, facts
from slipway.page.subject import Subject
from slipway.scheduler.base import State
from slipway.text.shell_line import shell_line
from slipway.text.wording import clock, one_line

# Beginnings and ends of names of figures, the most telling first, and whether they are from 0 to 1.
_TELLING = (
    "ate.json/rmse",
    "accuracy",
    "val_loss",
    "loss",
    "psnr",
    "ssim",
    "f1",
    "iou",
    "map",
    "score",
    "error",
    "frames_registered",
    "mean_reprojection_error_px",
    "points",
    "rmse_percent_of_path",
    "rpe.json/rmse",
    "steps",
    "epoch",
    "seconds",
    "frames",
)
_MOST_TILES = 6
_GOOD = frozenset({State.COMPLETED})
_GOING = frozenset({State.PENDING, State.RUNNING, State.COMPLETING, State.SUBMITTING})
_KNOWN_NAMES = {
    "ate.json/rmse": "absolute error (ATE), rmse",
    "ate.json/rmse_percent_of_path": "% of the path's length",
    "rpe.json/rmse": "relative error (RPE), rmse",
    "summary.json/mean_reprojection_error_px": "mean reprojection error, px",
    "summary.json/frames_registered": "frames registered",
}


def header(subject: Subject) -> Html:
    """Name, ending, key figures."""
    run = subject.run
    return element(
        "header",
        element("p", "Slipway run", class_="eyebrow"),
        element("h1", one_line(subject.name, 200)),
        element("p", badge(run), element("span", how_it_stands(run), class_="ending"), class_="status"),
        element("p", run.status.note, class_="remark") if run.status.note else None,
        missing(subject),
        element("pre", element("code", command_words(run)), class_="ran", tabindex=0, aria_label="what ran"),
        tiles(subject),
        facts(
            [
                ("run", run.run_id),
                ("site", run.site),
                ("profile", run.profile),
                ("submitted", moment(run)),
                ("job", run.job_id),
                (
                    "commit",
                    f"{run.commit[:10]}{', with changes' if run.dirty else ''}" if run.commit else None,
                ),
            ]
        ),
    )


def moment(run: Run) -> Html:
    """When it was submitted."""
    return element("time", f"{run.submitted:%d %b %Y, %H:%M %Z}".strip(), datetime=run.submitted.isoformat())


def badge(run: Run) -> Html:
    """Its state, told by a sign and a word and not by colour alone."""
    state = run.status.state
    kind, sign = ("good", "✓") if state in _GOOD else ("going", "●") if state in _GOING else ("bad", "✕")
    if state is State.UNKNOWN:
        kind, sign = "going", "?"
    return element("span", element("span", sign, aria_hidden="true"), state.value, class_=f"badge {kind}")


def how_it_stands(run: Run) -> str:
    """How it ended, or stands, in a few words."""
    status = run.status
    words = []
    if status.reason and status.reason != "ok":
        words.append(status.reason.replace("-", " "))
    elif status.pending_reason:
        words.append(f"waits: {status.pending_reason}")
    if status.exit_code:
        words.append(f"exit code {status.exit_code}")
    if status.elapsed_s is not None:
        words.append(f"{'after ' if status.state.is_over else ''}{clock(status.elapsed_s)}")
    return ", ".join(words)


def command_words(run: Run) -> str:
    """What ran, as one would type it."""
    return one_line(shell_line((*run.program, *run.args)), 2000) or "the image's own program"


def tiles(subject: Subject) -> Html | None:
    """The most telling figures."""
    shown = list(headline(subject))[:_MOST_TILES]
    if not shown:
        return None
    items = [
        element("div", element("dt", one_line(name, 60)), element("dd", value), class_="tile")
        for name, value in shown
    ]
    return element("dl", *items, class_="tiles")


def headline(subject: Subject) -> Iterator[tuple[str, str]]:
    """Names and values of telling figures."""
    numbers = {
        f"{file.name}/{key}": value for file in subject.figures for key, value in file.numbers().items()
    }
    scene = next((one for one in subject.scenes if one.error), None)
    if scene and scene.error and not any(key.endswith("ate.json/rmse") for key in numbers):
        yield "absolute error (ATE), rmse", _short(scene.error.rmse)
    ranked = [(rank, key) for key in numbers if (rank := _rank(key)) is not None]
    if not ranked:
        ranked = [(0, key) for key in list(numbers)[:4]]
    seen: set[str] = set()
    for _, key in sorted(ranked, key=lambda one: (one[0], one[1].count("/"), one[1])):
        name = _KNOWN_NAMES.get(key) or key.rpartition("/")[2].rpartition(".")[2].replace("_", " ")
        if name not in seen:
            seen.add(name)
            yield name, _short(numbers[key])


def _short(value: float) -> str:
    """Four digits tell runs apart."""
    return number(value) if value == int(value) else f"{value:.4g}"


def _rank(key: str) -> int | None:
    last = key.rpartition("/")[2].rpartition(".")[2].lower()
    if "version" in key.lower() or "arguments" in key:
        return None
    for rank, word in enumerate(_TELLING):
        if key.endswith(word) if "/" in word else last == word or last.endswith(f"_{word}"):
            return rank
    return None


def missing(subject: Subject) -> Html | None:
    """What is to be said where results are not here, or not all of them."""
    run, found = subject.run, subject.found
    home = read_home(found.folder.parent, run)
    if not found.is_home:
        what = "Its results are not on this machine: this page shows what the record has. "
    elif not run.state.is_over:
        what = "It is not over: these are not its last results. "
    elif home is not None and not home.is_complete:
        what = "Not all of its results are on this machine. "
    else:
        return None
    return element(
        "p",
        what,
        element("code", f"invoke show {run.run_id} --pull"),
        " brings them and makes the page again.",
        class_="remark",
    )
