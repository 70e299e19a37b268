"""The text that starts a program on a host, whatever the login shell is there. Pure.

sshd hands a command to the account's login shell, which may be bash, tcsh, zsh or fish, and which reads its
start files first. What these print stands before the program's own output, so each command prints a mark on
both outputs, and what comes before the mark is no answer.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

MARK = b"slipway-begins\n"
START_FILES = "~/.bashrc, ~/.bash_profile, ~/.profile, ~/.zshenv, ~/.cshrc, ~/.config/fish/config.fish"
# A shell that traces what it runs prints this too, and it must not be taken for the mark.
_PRINT_MARK = 'printf "slipway-%s\\n" begins'
# BASH_ENV names one more start file. With TMOUT, bash's own `read` gives up after so many seconds.
_BEGIN = f"unset BASH_ENV TMOUT; {_PRINT_MARK}; "
# `exec`: then the login shell has no end of its own at which it could print something, and no alias counts.
_START = 'exec /bin/sh -c \'eval "$(printf %b "$@")"\' sh'
# csh does not take words of any length.
_PART_BYTES = 150
# Between single quotes all shells leave all else as it is, a backslash before a digit too.
_UNSAFE = re.compile(rb"[^ -~]|['\\!]")


def command_line(argv: Sequence[str], *, merge_outputs: bool = False, terminal: bool = False) -> str:
    """What sshd is told to run: a text in ASCII that means the same to all login shells.

    Args:
        argv: the program and its arguments, in any bytes but zero (those not UTF-8 as surrogates).
        merge_outputs: has it write its standard error to its standard output.
        terminal: both outputs are one terminal, on which the mark stands once.
    """
    begin = _BEGIN if terminal else f"{_BEGIN}{_PRINT_MARK} >&2; "
    script = f"{begin}exec {shlex.join(argv)}{' 2>&1' if merge_outputs else ''}"
    return f"{_START} {script_words(script)}"


def script_words(script: str) -> str:
    """A script as words in quotes, which all login shells leave as they are, for ``printf %b``."""
    content = script.encode("utf-8", "surrogateescape")
    parts = (content[start : start + _PART_BYTES] for start in range(0, len(content), _PART_BYTES))
    return " ".join(f"'{_encode(part)}'" for part in parts)


def _encode(content: bytes) -> str:
    return _UNSAFE.sub(lambda match: b"\\0%03o" % match[0][0], content).decode("ascii")


def quote_text(text: bytes) -> str:
    """The beginning of what a start file has printed, fit to be shown in one line."""
    words = " ".join(text.decode("utf-8", "replace").split())
    return repr("".join(one if one.isprintable() else "?" for one in words[:200]))
