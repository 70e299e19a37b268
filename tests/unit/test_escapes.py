"""What a program prints, and what stands in its files, does nothing to a person's terminal."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.text.escapes import RESET, LogFilter, neutral

COLOUR = re.compile(r"\x1b\[[0-9;:]*m")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, with a\ttab\nand a line", "plain, with a\ttab\nand a line"),
        ("größer  日本語 👩‍🚀 ‌é\u0301", "größer  日本語 👩‍🚀 ‌é\u0301"),
        ("k\x1b]0;X\x07", r"k\x1b]0;X\x07"),
        ("\x1b]52;c;aGFjaw==\x07", r"\x1b]52;c;aGFjaw==\x07"),
        ("\x1b]52;c;aGFjaw==\x1b\\", r"\x1b]52;c;aGFjaw==\x1b\\".removesuffix("\\")),
        ("a\x1b[2J\x1b[H\x1b[1;31mb\x1b[0m\x1b[?25lc", "abc"),
        ("\x9b2J\x9d0;X\x9c\x90q", r"\x9b2J\x9d0;X\x9c\x90q"),
        ("\x1bc\x1b(0\x0e\x1b", r"\x1bc\x1b(0\x0e\x1b"),
        ("one\r\ntwo\rthree\b", "one\ntwo\\x0dthree\\x08"),
        ("gpj\u202e.exe\u2066 \u200f", r"gpj\u202e.exe\u2066 \u200f"),
        ("name\udcff \ud800", r"name\xff \ud800"),
        ("\U000e0041\u2028", r"\U000e0041\u2028"),
        ("\x1b[" + "1" * 100 + "m", r"\x1b[" + "1" * 100 + "m"),
    ],
)
def test_whole_texts(text: str, shown: str) -> None:
    assert neutral(text) == shown


def passed(pieces: list[str]) -> str:
    screen = LogFilter()
    return "".join(map(screen.add, pieces)) + screen.end()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[1;31mred\x1b[0m and \x1b[38:2::1:2:3mrgb\x1b[m", None),
        (" 10%\r 20%\r\n", None),
        ("\x1b[31mleft open", f"\x1b[31mleft open{RESET}"),
        ("\x1b[0;31mleft open", f"\x1b[0;31mleft open{RESET}"),
        ("bars\x1b[A\x1b[2K\x1b[?25l.", "bars."),
        ("\x1b[>4;2m\x1b[?4m\x1b[0 q", ""),
        ("\x1b]0;X\x07\x1bP+q\x1b\\\x1b_G\x9c", r"\x1b]0;X\x07\x1bP+q\x1b\\x1b_G\x9c"),
        ("the end\x1b[3", r"the end\x1b[3"),
        ("\x1b\x1b[31m", f"\\x1b\x1b[31m{RESET}"),
    ],
)
def test_logs_in_whatever_pieces(text: str, shown: str | None) -> None:
    shown = text if shown is None else shown
    assert passed([text]) == shown
    assert passed(list(text)) == shown
    for cut in range(len(text)):
        assert passed([text[:cut], text[cut:]]) == shown


TEXTS = st.lists(st.sampled_from(["\x1b", "[", "]", "0", ";", "m", "J", "?", "\r", "\x07", "\x9b", "a"])).map(
    "".join
)


@given(TEXTS | st.text())
def test_nothing_but_colours_gets_through(text: str) -> None:
    for pieces in ([text], list(text)):
        left = COLOUR.sub("", passed(pieces)).replace("\r", "")
        assert left == neutral(left)
    assert neutral(neutral(text)) == neutral(text)
    assert passed(list(text)) == passed([text])
