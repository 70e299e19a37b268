"""A time line of the attempts."""

from __future__ import annotations

from datetime import datetime, timezone

from slipway.page.found import Attempt
from slipway.page.markup import Html, element, join, more, table
from slipway.page.subject import Section, Subject
from slipway.text.wording import duration, one_line

_MOST_BARS = 40
_ROW = 40


def section(subject: Subject) -> Section | None:
    """When each attempt began and how it ended."""
    attempts = list(subject.found.attempts)
    if not attempts:
        return None
    ended = [one for one in attempts if one.result]
    body = join(
        _bars(subject, ended[:_MOST_BARS]) if ended else None,
        element("p", f"{len(ended) - _MOST_BARS:,} more are in the table.", class_="notes")
        if len(ended) > _MOST_BARS
        else None,
        _table(attempts) if len(attempts) <= 8 else more(f"{len(attempts):,} attempts", _table(attempts)),
    )
    return Section(key="attempts", title="Attempts", body=body)


def _bars(subject: Subject, attempts: list[Attempt]) -> Html:
    submitted = subject.run.submitted.timestamp()
    spans = [(one.result.start, max(one.result.end, one.result.start)) for one in attempts if one.result]
    # A clock there that goes otherwise must not turn the line around.
    first = min([submitted, *(start for start, _ in spans)])
    last = max(end for _, end in spans)
    scale = 100 / (last - first) if last > first else 0.0
    rows = [_wait((min(s for s, _ in spans) - first) * scale)]
    for place, (attempt, (start, end)) in enumerate(zip(attempts, spans, strict=True)):
        x, width = (start - first) * scale, max((end - start) * scale, 0.6)
        x = min(x, 100 - width)
        y = place * _ROW
        reason = attempt.result.reason.value if attempt.result else ""
        kind = "good" if reason == "ok" else "bad"
        words = f"{attempt.name}: {reason.replace('-', ' ')}, {duration(end - start)}"
        shape = element("rect", x=f"{x:.2f}%", y=y + 20, width=f"{width:.2f}%", height=8, rx=2, class_=kind)
        anchor, at = ("start", x) if x < 55 else ("end", x + width)
        label = element("text", words, x=f"{at:.2f}%", y=y + 14, text_anchor=anchor)
        rows.append(join(shape, label))
    height = len(attempts) * _ROW
    svg = element(
        "svg",
        *rows,
        class_="timeline",
        width="100%",
        height=height,
        role="img",
        aria_label=f"{len(attempts)} attempts from {_time(first)} to {_time(last)}; the table has them",
    )
    ends = element("p", element("span", _time(first)), element("span", _time(last)), class_="ends")
    return element("div", svg, ends, class_="timeline-box")


def _wait(width: float) -> Html:
    return element("rect", x=0, y=20, width=f"{max(0.0, width):.2f}%", height=8, rx=2, class_="wait")


def _table(attempts: list[Attempt]) -> Html:
    rows = []
    for one in attempts:
        result = one.result
        if result is None:
            rows.append([one.name, "has not ended, as far as is known here", "", "", "", ""])
            continue
        rows.append(
            [
                one.name,
                result.reason.value.replace("-", " "),
                str(result.exit_code),
                one_line(result.node or "", 60),
                _time(result.start),
                duration(max(0, result.end - result.start)),
            ]
        )
    return table(
        ("", "ended by", "exit code", "node", "began", "lasted"), rows, label="attempts", class_="tight"
    )


def _time(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, timezone.utc):%d %b %Y, %H:%M:%S UTC}"
