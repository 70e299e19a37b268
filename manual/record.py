"""A recording of a program in a terminal, as an SVG file that plays once and then stays.

``python -m manual.record FILE.svg PROGRAM ARGUMENTS`` runs the program in a terminal of its own.
"""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby
from pathlib import Path

import pyte
from pyte.screens import Char
from rich.console import Console
from rich.style import Style
from rich.text import Text

COLUMNS = 100
# More than any recording has, so that nothing scrolls away.
_ROWS = 400
# A pause is shown no longer than this.
_PAUSE_S = 0.5

# Lines that are seen at once.
_VISIBLE = 34
# Pixels that rich leaves above the first line.
_ABOVE = 1.5
# No fonts from another host, but a reader's own, set to the same width. The window scrolls what is in it.
_FORMAT = """\
<svg viewBox="0 0 {width} HEIGHT" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix, .{unique_id}-title {{
  font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
}}
.{unique_id}-matrix {{ font-size: {char_height}px; line-height: {line_height}px; }}
.{unique_id}-title {{ font-size: 18px; fill: #c5c8c6; text-anchor: middle; }}
{styles}
</style>
<defs>
{lines}
</defs>
<rect width="{width}" height="HEIGHT" rx="8" fill="#292929"/>
<text class="{unique_id}-title" x="50%" y="27">TITLE</text>
<svg x="{terminal_x}" y="{terminal_y}" width="{terminal_width}" height="INSIDE">
<g class="{unique_id}-lines">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
</svg>
"""


@dataclass(frozen=True, kw_only=True)
class Recording:
    """What was on the screen in the end, and when each line of it was there.

    Attributes:
        lines: of the screen.
        shown_s: seconds after the start at which each line had its last change.
        code: the program's exit code.
    """

    lines: Sequence[Text]
    shown_s: Sequence[float]
    code: int


def record(argv: Sequence[str], columns: int = COLUMNS) -> Recording:
    """Run a program in a terminal, and show it here, too."""
    screen = pyte.Screen(columns, _ROWS)
    stream = pyte.ByteStream(screen)
    shown = [0.0] * _ROWS
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, columns, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(columns)}
    with subprocess.Popen(
        argv, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True
    ) as process:
        os.close(slave)
        for at, data in _chunks(master):
            screen.dirty.clear()
            stream.feed(data)
            for row in screen.dirty:
                shown[row] = at
            os.write(1, data)
    os.close(master)
    lines = [_line(screen.buffer[row], columns) for row in range(_ROWS)]
    while lines and not lines[-1].plain.strip():
        lines.pop()
    return Recording(lines=lines, shown_s=shown[: len(lines)], code=process.returncode)


def svg(recording: Recording, title: str, name: str = "terminal") -> str:
    """The recording as SVG.

    Args:
        recording: what is shown.
        title: of the window.
        name: what begins the names in the SVG, of letters alone.
    """
    console = Console(
        record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, legacy_windows=False
    )
    for line in recording.lines:
        console.print(line, soft_wrap=True)
    text = console.export_svg(code_format=_FORMAT, unique_id=name)
    found = re.search(r"line-height: ([\d.]+)px", text)
    line_height = float(found[1]) if found else 0.0
    inside = min(len(recording.lines), _VISIBLE) * line_height
    text = (
        text.replace("HEIGHT", f"{inside + 50:.0f}")
        .replace("INSIDE", f"{inside:.1f}")
        .replace("TITLE", escape(title))
    )
    return text.replace("</style>", f"{_animation(recording, name, line_height)}</style>", 1)


def _chunks(terminal: int) -> Iterator[tuple[float, bytes]]:
    """What is printed, and how many seconds after the start."""
    began = time.monotonic()
    # Linux fails a read once nobody has the terminal open any more, even if something was printed while it
    # looked; then the next read has it.
    failures = 0
    while failures < 2:
        try:
            data = os.read(terminal, 65536)
        except OSError:
            failures += 1
            continue
        if not data:
            return
        yield time.monotonic() - began, data


def _line(row: dict[int, Char], columns: int) -> Text:
    text = Text()
    for style, chars in groupby((row[column] for column in range(columns)), _style):
        # A reader's checkout is elsewhere.
        text.append("".join(char.data for char in chars).replace(str(Path.cwd()), "~/slipway"), style)
    text.rstrip()
    return text


def _style(char: Char) -> Style:
    return Style(color=_color(char.fg), bgcolor=_color(char.bg), bold=char.bold, italic=char.italics)


def _color(name: str) -> str | None:
    if name == "default":
        return None
    if len(name) == 6 and all(digit in "0123456789abcdef" for digit in name):
        return f"#{name}"
    return name.replace("bright", "bright_").replace("brown", "yellow")


def _animation(recording: Recording, name: str, line_height: float) -> str:
    """Each line comes when it came, and the last ones stay. Who wants no motion sees these at once."""
    times = _without_pauses(recording.shown_s)
    end = max(times, default=0.0) + 1

    def moved(line_count: int) -> str:
        hidden = line_count - _VISIBLE
        return f"translateY({-(hidden * line_height + _ABOVE):.1f}px)" if hidden > 0 else "none"

    rules = [
        f'[clip-path="url(#{name}-line-{number})"] {{ animation: {name} 1ms {at:.1f}s both; }}'
        for number, at in enumerate(times)
        if at > 0
    ]
    steps = [
        f"{100 * times[number] / end:.2f}% {{ transform: {moved(number + 1)}; }}"
        for number in range(_VISIBLE, len(times))
    ]
    lines = "\n".join(
        [
            f"@keyframes {name} {{ from {{ opacity: 0; }} }}",
            f".{name}-lines {{ transform: {moved(len(times))}; }}",
            f"@keyframes {name}-scroll {{ from {{ transform: none; }}",
            *steps,
            "}",
            "@media (prefers-reduced-motion: no-preference) {",
            f".{name}-lines {{ animation: {name}-scroll {end:.1f}s step-end; }}",
            *rules,
            "}",
        ]
    )
    return f"{lines}\n"


def _without_pauses(shown_s: Sequence[float]) -> list[float]:
    """The same times, with no more than a short pause between two, and none before those of a line above."""
    at, before = 0.0, 0.0
    times = []
    for shown in shown_s:
        at += min(max(shown - before, 0.0), _PAUSE_S)
        before = max(before, shown)
        times.append(at)
    return times


def main() -> int:
    """Record a program; ends with its exit code, and writes nothing if it fails."""
    file, *argv = sys.argv[1:]
    recording = record(argv)
    if recording.code == 0:
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        Path(file).write_text(svg(recording, " ".join(argv)), encoding="utf-8")
    return recording.code


if __name__ == "__main__":
    sys.exit(main())
