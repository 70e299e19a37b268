"""Words as a shell would take them, whatever they hold."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

# What a terminal would obey or not show, and how Python keeps a byte that is no UTF-8.
_ODD = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")
_NAMED = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}


def shell_line(words: Sequence[str]) -> str:
    r"""One line that bash and zsh read as exactly these words; controls and odd bytes are ``$'\n\xff'``."""
    return " ".join(map(quote_word, words))


def quote_word(word: str) -> str:
    """One word as a shell would take it, without what a terminal would obey."""
    if not _ODD.search(word):
        return shlex.quote(word)
    escaped = word.replace("\\", "\\\\").replace("'", "\\'")
    return f"$'{_ODD.sub(lambda found: _escape(found[0]), escaped)}'"


def _escape(letter: str) -> str:
    if letter in _NAMED:
        return _NAMED[letter]
    code = ord(letter)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x80:
        return f"\\x{code:02x}"
    return "".join(f"\\x{byte:02x}" for byte in letter.encode("utf-8", "surrogatepass"))
