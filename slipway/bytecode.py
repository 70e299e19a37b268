"""What Python compiles is kept for the next command."""

from __future__ import annotations

import sys


def keep_bytecode() -> None:
    """Have Python keep what it compiles, unless it was told not to.

    Invoke switches that off for all that it runs. Then each command compiles Slipway anew, which takes longer
    than most tasks, wherever that was not done when it was installed: in a checkout, or by uv.
    """
    sys.dont_write_bytecode = bool(sys.flags.dont_write_bytecode)
