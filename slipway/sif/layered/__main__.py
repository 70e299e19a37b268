"""Makes a ``.sif`` of layers: ``python -m layered ORDER``, where ORDER is a JSON file. See :class:`Order`.

A line on its standard input says that the head in the order is there. ``python -m layered ORDER fill`` writes
afterwards what was left out.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from .assemble import Order, UnusableError, assemble, fill
from .write import DamageError


def main() -> int:
    """Do what an order says; its answer stands beside it."""
    path = Path(sys.argv[1])
    answer: dict[str, Any]
    try:
        if sys.argv[2:] == ["fill"]:
            answer = fill(Order.read(path), json.loads(_answer(path).read_text(encoding="ascii")))
        else:
            answer = assemble(Order.read(path), sys.stdin.readline)
    except DamageError as error:
        answer = {"damaged": error.path.name}
        print(error, flush=True)
    except (UnusableError, OSError) as error:
        print(error, flush=True)
        return 1
    _answer(path).write_text(json.dumps(answer), encoding="ascii")
    return 1 if "damaged" in answer else 0


def _answer(order: Path) -> Path:
    return order.with_suffix(".answer.json")


if __name__ == "__main__":
    sys.exit(main())
