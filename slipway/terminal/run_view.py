"""One run as a terminal shows it, whole; and what differs between two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath
from typing import Any

from slipway.job.run import LOCAL
from slipway.terminal.terminal import Terminal
from slipway.text.command_name import as_typed, command_name
from slipway.text.wording import clock, one_line, short, text_width

_LONGEST = 10_000
# Rows of one kind that are shown; `--json` has all.
_MOST_ROWS = 40
_COPIED = ("command", "again")

Rows = list[tuple[str, str]]


def show_details(screen: Terminal, details: Mapping[str, Any], used: Sequence[str] = ()) -> None:
    """All that :func:`slipway.report.run_details.run_details` tells of a run, and lines on what it used."""
    rows = [*_what(details), *_made_of(details), *_labelled("used", used), *_how(details)]
    width = max(text_width(label) for label, _ in rows)
    for label, text in rows:
        # What may be copied to a command line is left to the terminal to wrap.
        screen.row([(label, "bold"), (one_line(text, _LONGEST), "")], [width, 0], whole=label in _COPIED)
    if details["note"]:
        screen.note(str(details["note"]))


def _what(details: Mapping[str, Any]) -> Rows:
    ended = [details["state"], details["reason"], _code_words(details), clock(details["elapsed_s"])]
    job = "no job" if details["job_id"] is None else f"job {details['job_id']}"
    rows = [
        ("run", details["run_id"]),
        ("state", "  ".join(word for word in ended if word)),
        ("submitted", f"{_moment(details['submitted'])}  {details['site']}, {job}, {details['profile']}"),
    ]
    if details.get("name"):
        rows.insert(1, ("name", details["name"]))
    if details["parent"]:
        rows.append(("repeats", details["parent"]))
    return rows


def _code_words(values: Mapping[str, Any]) -> str:
    if values["exit_code"] is None:
        return ""
    signal = f" (signal {values['signal']})" if values["signal"] else ""
    return f"exit code {values['exit_code']}{signal}"


def _made_of(details: Mapping[str, Any]) -> Rows:
    image = details["image"]
    rows = [("command", details["command"] or "nothing")]
    lines = [PurePosixPath(image["file"]).name, f"sha256 {image['sha256']}"]
    rows += _labelled("image", [*lines, f"from the Docker image {image['name'] or ''}", image["id"]])
    rows += _code_rows(details["code"], details["run_id"])
    rows.append(("environment", " ".join(details["environment"]) or "nothing of the profile's"))
    wanted = [
        f"{key} {one['value']}" + (f"  ({one['from']})" if one["from"] else "")
        for key, one in details["resources"].items()
    ]
    return rows + _labelled("asked for", wanted or ["nothing"])


def _code_rows(code: Mapping[str, Any], run_id: str) -> Rows:
    folder = f"  {code['folder']}" if code["folder"] else ""
    lines = [f"{code['tree']}{folder}"]
    if code["commit"]:
        lines.append(f"commit {code['commit']}" + (", with changes" if code["dirty"] else ""))
    elif not code["dirty"]:
        lines.append("in no git checkout")
    for change in code["changes"][:_MOST_ROWS]:
        lines.append(f"{change['file']}  {_count(change)}")
    if len(code["changes"]) > _MOST_ROWS:
        lines.append(f"and {len(code['changes']) - _MOST_ROWS} more files")
    if code["summary"]:
        lines += code["summary"].strip().split("\n")
    if code["changes"]:
        lines.append(f"`invoke runs.show {run_id} --diff` prints the changes")
    elif code["dirty"] and code["commit"] and not code["summary"]:
        lines.append("only files that git does not track, or the difference is not here")
    return _labelled("code", lines)


def _count(change: Mapping[str, Any]) -> str:
    return "no text" if change["added"] is None else f"+{change['added']} -{change['removed']}"


def _how(details: Mapping[str, Any]) -> Rows:
    attempts = details["attempts"]
    if attempts is None:
        lines = ["not known here"]
    else:
        lines = [_attempt_line(one) for one in attempts[:_MOST_ROWS]] or ["none has begun"]
        if len(attempts) > _MOST_ROWS:
            lines.append(f"and {len(attempts) - _MOST_ROWS} more; --json has them all")
    return [
        *_labelled("attempts", lines),
        *_labelled("results", _result_lines(details)),
        ("again", as_typed(details["again"], command_name())),
    ]


def _attempt_line(attempt: Mapping[str, Any]) -> str:
    task = "" if attempt["task"] is None else f"task {attempt['task']}  "
    number = f"{task}attempt {attempt['attempt']}"
    if attempt["reason"] is None:
        return f"{number}  its script has not written how it ended"
    start, end = (datetime.fromisoformat(attempt[key]) for key in ("start", "end"))
    took = clock(round((end - start).total_seconds()))
    words = [number, attempt["node"], f"{_moment(attempt['start'])} to {end.astimezone():%H:%M:%S}", took]
    return "  ".join([word for word in words if word] + [attempt["reason"], _code_words(attempt)])


def _result_lines(details: Mapping[str, Any]) -> list[str]:
    results = details["results"]
    there = [f"{details['site']}:{place}" for place in (results["cluster"], results["kept"]) if place]
    if details["removed_s"] is not None:
        when = datetime.fromtimestamp(details["removed_s"], timezone.utc).isoformat()
        there[0] += f"  removed {_moment(when)}"
    if details["site"] == LOCAL:
        return [f"{short(Path(results['home']))}/" if results["home"] else f"{there[0]} is gone"]
    pull = f"`invoke pull {details['run_id']}` brings"
    if not results["home"]:
        return [*there, f"{pull} them home"]
    here = f"{short(Path(results['home']))}/"
    if results["complete"]:
        return [f"{here}  complete", *there]
    return [f"{here}  in part", *there, f"{pull} the rest"]


def _moment(text: str) -> str:
    """A time with its zone, by the clock of this machine."""
    return f"{datetime.fromisoformat(text).astimezone():%Y-%m-%d %H:%M:%S}"


def _labelled(label: str, lines: Sequence[str]) -> Rows:
    return [(label if not place else "", line) for place, line in enumerate(lines)]
