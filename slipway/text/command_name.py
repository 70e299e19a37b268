"""The command that a person types: messages are written with `invoke`, and shown with what was used."""

from __future__ import annotations

import os
import re
import sys
from pathlib import PurePath

NAME = "slipway"
# A command's name before a task or an option, in a message or a docstring.
_INVOKE = re.compile(r"(?<![\w/.-])invoke (?=--?[a-z]|[a-z])")
_QUOTED = re.compile(r"`invoke (?=[a-z-])")


def command_name() -> str:
    """What a person starts Slipway with: ``slipway``, ``invoke``, or what SLIPWAY_COMMAND says."""
    if said := os.environ.get("SLIPWAY_COMMAND"):
        return said
    program = PurePath(sys.argv[0] if sys.argv else "")
    is_module = program.name == "__main__.py" and program.parent.name == NAME
    return NAME if program.stem == NAME or is_module else "invoke"


def as_typed(text: str, name: str | None = None) -> str:
    """A message with the commands in it as they are typed here.

    Args:
        text: the message; commands stand between backticks, and begin with ``invoke``.
        name: the command's name, where commands without backticks count, too. Default: :func:`command_name`.
    """
    if name is not None:
        return _INVOKE.sub(f"{name} ", text)
    found = command_name()
    return text if found == "invoke" else _QUOTED.sub(f"`{found} ", text)
