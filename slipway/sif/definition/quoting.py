"""Text as it has to be written in a definition file, whose reader looks at the start of each line. Pure.

Apptainer takes a line that begins with ``%`` for a section and one with ``Bootstrap:`` for a stage, drops a
carriage return at a line's end, and puts a value in the place of ``{{ NAME }}``. Inside of quotes, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_PLAIN = re.compile(r"[\w@%+=:,./-]+\Z", re.ASCII)


def quote(text: str) -> str:
    """A text as one word of a shell, on lines that mean nothing to Apptainer."""
    if _PLAIN.match(text) and not text.startswith("%"):
        return text
    # Not '\'' as usual: Apptainer's own reader of environment scripts keeps that backslash (seen with 1.4.5).
    inner = text.replace("'", "'\"'\"'")
    # What is quoted ends and begins again: the shell sees no difference.
    inner = inner.replace("{{", "{''{").replace("\r\n", "\r''\n").replace("\n", "\n''")
    return f"'{inner}'"


def join(words: Iterable[str]) -> str:
    """Words as a command of a shell."""
    return " ".join(map(quote, words))


def quote_in_double(text: str) -> str:
    """A text as it stands between double quotes of a shell."""
    return re.sub(r'([$`"\\])', r"\\\1", text)
