"""Texts that are almost right: real ones, changed at random places in ways that parsers trip over."""

from __future__ import annotations

import random
from collections.abc import Sequence

_NUMBERS = (
    *("0", "-1", "-0", "1", "7", "00", "1.5", "1e9", "1e999", "-1e-999", "nan", "inf", "-inf", "0x10", "1_0"),
    *("9" * 20, "9" * 400, "9" * 5000, "2147483648", "-9223372036854775809", "18446744073709551616"),
)
# What is easily taken for something else: digits that are no numbers, what ends words and lines, what
# terminals obey, names that lead elsewhere, nesting.
_PIECES = (
    *("\0", "\n", "\r", "\r\n", "\t", " ", "|", ":", ",", ";", "=", "-", "_", "/", "\\", "'", '"', "`", "#"),
    *("%", "*", "?", "[", "]", "{", "}", "(", ")", "<", ">", "&", "!", "~", "@", "+", ".", "..", "$", "${"),
    *("\x1b[2J", "\x1b]0;x\x07", "\x9b", "\x7f", "\u202e", "\u2028", "\u0085", "\ufeff", "\udcff", "\\ud800"),
    *("²", "٣", "Ⅷ", "é", "é", "ß", "İ", "日本", "👩‍🚀", "\U000e0001"),
    *_NUMBERS,
    *("../", "/", "//", "/etc/passwd", "./.", "a/../../b", "~root", "~nobody-at-all", "C:\\", "-rf", "--"),
    *("$(id)", "`id`", ";id;", "|id", "&&id", "%n%s", "${HOME}", "{0}", "{x}", "%(a)s"),
    *("null", "true", "None", "[]", "{}", '""', "[" * 60, "{" * 60, "(" * 200, "[" * 5000, '{"a":' * 300),
    *(
        "&a [*a]",
        "*a",
        "&a",
        "<<: *a",
        "!!python/object:os.system",
        "!!binary",
        "? ",
        "- ",
        "--- ",
        "2026-02-31",
    ),
    *("UNLIMITED", "(null)", "N/A", "Unknown", "1-00:00:00", "99:99:99", "2026-13-45T99:99:99", "0:-1"),
)
# A text that was blown up is no longer than so many letters.
LARGEST = 100_000


class Mutator:
    """A stream of inputs for one parser, the same for the same seed.

    Args:
        seed: it.
        samples: real texts, also of other parsers.
        taken: those of them that the parser takes; most inputs begin with one of these.
        words: what else means something to this parser.
    """

    def __init__(self, seed: str, samples: Sequence[str], taken: Sequence[str], words: Sequence[str]) -> None:
        self._chance = random.Random(seed)  # noqa: S311 - no secret
        self._samples = list(samples) or [""]
        self._taken = list(taken)
        self._new: list[str] = []
        self._words = [*words]

    def next(self) -> str:
        """Another input."""
        chance = self._chance
        text = self._noise(chance.randrange(200)) if chance.random() < 0.02 else self._begin()
        if chance.random() < 0.15:
            text = self._splice(text, self._begin())
        for _ in range(chance.choice((1, 1, 1, 2, 2, 3, 4, 8))):
            text = self._changed(text)
        if chance.random() < 0.002:
            text = self._blown_up(text)
        # As bytes that came over a line are decoded: one that is no UTF-8 is a lone surrogate.
        return text[:LARGEST].encode("utf-8", "surrogatepass").decode("utf-8", "surrogateescape")

    def keep(self, text: str) -> None:
        """Begin with this one, too: it has led somewhere new. The oldest of such makes room."""
        if len(text) < 8000:
            self._new = [*self._new[-299:], text]

    def _begin(self) -> str:
        kind = self._chance.random()
        if self._new and kind < 0.25:
            return self._chance.choice(self._new)
        return self._chance.choice(self._taken if self._taken and kind < 0.9 else self._samples)

    def _changed(self, text: str) -> str:
        chance = self._chance
        a, b = sorted((chance.randint(0, len(text)), min(len(text), chance.randint(0, len(text)))))
        if b - a > 40 and chance.random() < 0.7:
            b = a + chance.randint(0, 40)
        kind = chance.randrange(9)
        if kind == 0:
            return text[:a] + text[b:]
        if kind == 1:
            return text[:a] + text[a:b] * chance.choice((2, 2, 3, 10)) + text[b:]
        if kind == 2:
            return text[:a]
        if kind == 3:
            return self._lines_changed(text)
        if kind == 4:
            return self._number_changed(text)
        if kind == 5 and text:
            at = min(a, len(text) - 1)
            return text[:at] + chr(ord(text[at]) ^ (1 << chance.randrange(7))) + text[at + 1 :]
        if kind == 6:
            return text[:a] + self._noise(chance.randrange(1, 6)) + text[a:]
        return (
            text[:a] + chance.choice((chance.choice(_PIECES), self._word())) + text[chance.choice((a, b)) :]
        )

    def _word(self) -> str:
        return self._chance.choice(self._words) if self._words else self._chance.choice(_PIECES)

    def _splice(self, one: str, other: str) -> str:
        chance = self._chance
        return one[: chance.randint(0, len(one))] + other[chance.randint(0, len(other)) :]

    def _lines_changed(self, text: str) -> str:
        chance, lines = self._chance, text.split("\n")
        at, other = chance.randrange(len(lines)), chance.randrange(len(lines))
        how = chance.randrange(4)
        if how == 0:
            lines[at], lines[other] = lines[other], lines[at]
        elif how == 1:
            lines.insert(at, lines[other])
        elif how == 2:
            del lines[at]
        else:
            lines[at] = chance.choice((" ", "\t", "  - ", "")) + lines[at]
        return "\n".join(lines)

    def _number_changed(self, text: str) -> str:
        places = [at for at, letter in enumerate(text[:4000]) if letter.isdigit()]
        if not places:
            return text
        at = end = self._chance.choice(places)
        while end < len(text) and text[end].isdigit():
            end += 1
        return text[:at] + self._chance.choice(_NUMBERS) + text[end:]

    def _noise(self, count: int) -> str:
        chance = self._chance
        bounds = chance.choice((128, 256, 0xFFFF, 0x10FFFF))
        return "".join(chr(chance.randrange(bounds)) for _ in range(count))

    def _blown_up(self, text: str) -> str:
        chance = self._chance
        a = chance.randint(0, len(text))
        piece = text[a : a + chance.randint(1, 60)] or chance.choice(_PIECES)
        return text[:a] + piece * (LARGEST // len(piece)) + text[a:]
