"""Recordings of a terminal: what was there in the end, when it came, and nothing from another host."""

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from manual.record import _PAUSE_S, _VISIBLE, _without_pauses, record, svg

ROOT = Path(__file__).parents[2]
# A line that is drawn anew, colours, a size that is asked for, and what XML has for itself.
PROGRAM = """
import shutil, sys, time
print("working", end="", flush=True)
time.sleep(0.2)
print("\\r\\x1b[2K\\x1b[32m✓ done\\x1b[0m <&>")
print(shutil.get_terminal_size().columns, sys.stdout.isatty())
"""


def texts(picture: str) -> list[str]:
    root = ElementTree.fromstring(picture)  # noqa: S314 - it is our own
    return ["".join(one.itertext()) for one in root.iter() if one.tag.endswith("text")]


def test_what_was_drawn_over_is_not_there(capfd: pytest.CaptureFixture[str]) -> None:
    recording = record([sys.executable, "-c", PROGRAM], columns=90)
    assert [line.plain for line in recording.lines] == ["✓ done <&>", "90 True"]
    assert recording.code == 0
    assert recording.shown_s[0] >= 0.2
    assert "working" in capfd.readouterr().out
    picture = svg(recording, "a <title>")
    shown = "".join(texts(picture)).replace("\xa0", " ")
    assert "a <title>" in shown
    assert "✓ done <&>\n90 True" in shown
    assert "working" not in shown
    # A namespace is a name, and is not asked for.
    assert re.findall(r"https?://[^\"]+", picture) == ["http://www.w3.org/2000/svg"]


def test_a_long_recording_scrolls_to_its_end() -> None:
    recording = record([sys.executable, "-c", f"for number in range({_VISIBLE + 3}): print(number)"])
    picture = svg(recording, "")
    assert len(recording.lines) == _VISIBLE + 3
    assert picture.count("animation: terminal 1ms") == _VISIBLE + 3
    still = re.search(r"\.terminal-lines \{ transform: translateY\(-([\d.]+)px\)", picture)
    assert still is not None
    assert float(still[1]) == pytest.approx(3 * 24.4 + 1.5)


def test_a_pause_is_short_and_lines_come_in_order() -> None:
    assert _without_pauses([0.1, 60.0, 60.1, 5.0]) == pytest.approx(
        [0.1, 0.1 + _PAUSE_S, 0.2 + _PAUSE_S, 0.2 + _PAUSE_S]
    )


def test_a_program_that_fails_leaves_no_picture(tmp_path: Path) -> None:
    file = tmp_path / "made" / "it.svg"
    argv = [sys.executable, "-m", "manual.record", str(file), "false"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 1
    assert not file.exists()


def test_the_picture_in_the_documentation_names_no_folder_of_a_machine() -> None:
    shown = "\n".join(texts((ROOT / "docs" / "pictures" / "demo.svg").read_text(encoding="utf-8")))
    assert "Done" in shown
    assert str(ROOT) not in shown
    assert re.findall(r"(?<![\w~.])/(?:home|root|Users)/\S*", shown) == []
