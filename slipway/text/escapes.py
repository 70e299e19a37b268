"""Text from outside, made safe to show on a terminal.

What a program prints, and what stands in its files, names or a server's words, may hold escape sequences.
On a terminal these move the cursor, set the window's title, fill the clipboard, or make it type an answer.
"""

from __future__ import annotations

import re

# Controls of C0 (but for tab, newline) and of C1; what turns the direction of text or cannot be seen;
# separators that some terminals take for a newline; lone surrogates, which no encoding has. The joiners
# U+200C and U+200D stay: scripts and emoji need them.
_UNSAFE = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f"
    "\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"
    "\ud800-\udfff"
)
# A control sequence as ECMA-48 has it; longer ones are none that a program means.
_SEQUENCE = r"\x1b\[[0-?]{0,64}[ -/]{0,8}[@-~]"
_FOUND = re.compile(f"{_SEQUENCE}|[{_UNSAFE}]")
# With `<`, `=`, `>` or `?` it is no colour: `CSI > 4 ; 2 m` changes what keys send.
_COLOUR = re.compile(r"\x1b\[[0-9;:]{0,64}m")
_RESETS = re.compile(r"\x1b\[[0;]*m")
RESET = "\x1b[0m"
# What may become a sequence when more of it comes.
_BEGUN = re.compile(r"\x1b(\[[0-?]{0,64}[ -/]{0,8})?\Z")


def neutral(text: str) -> str:
    r"""Text that does nothing to a terminal but to stand there, with its newlines and tabs.

    Colours and movements of the cursor are left out. Any other control character is shown as one would write
    it: ``\x1b``, ``\u202e``; a byte of a name that is no UTF-8 as ``\xff``.
    """
    return _FOUND.sub(lambda match: _shown(match[0]), text.replace("\r\n", "\n"))


class LogFilter:
    """A log made safe piece by piece: colours and carriage returns stay, all else is as in :func:`neutral`.

    Attributes:
        is_coloured: a colour or style was set and not taken back; ``RESET`` does that.
    """

    def __init__(self) -> None:
        self.is_coloured = False
        self._begun = ""

    def add(self, text: str) -> str:
        """What of this piece can be shown; the beginning of a sequence waits for the rest."""
        text = self._begun + text
        begun = _BEGUN.search(text)
        self._begun = begun[0] if begun else ""
        return _FOUND.sub(self._kept, text[: len(text) - len(self._begun)])

    def end(self) -> str:
        """What has waited for more that did not come, and the way back to no colour."""
        left, self._begun = neutral(self._begun), ""
        back, self.is_coloured = RESET if self.is_coloured else "", False
        return left + back

    def _kept(self, match: re.Match[str]) -> str:
        found = match[0]
        if _COLOUR.fullmatch(found):
            self.is_coloured = not _RESETS.fullmatch(found)
            return found
        return found if found == "\r" else _shown(found)


def _shown(found: str) -> str:
    if len(found) > 1:
        return ""
    code = ord(found)
    if 0xDC80 <= code <= 0xDCFF:  # how Python keeps a byte that is no UTF-8
        code -= 0xDC00
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
