"""What the program is told: ``versions``, ``lead`` or ``status``. It answers by one line of JSON."""

from __future__ import annotations

import json
import sys


def main(word: str) -> None:
    """Do what a command says."""
    if word == "lead":
        from .start import main as lead

        lead()
        return
    from . import look

    values = look.versions() if word == "versions" else look.status()
    print("slipway-dask " + json.dumps(values), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
