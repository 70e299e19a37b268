"""Which kind of cluster an order asks for, and leading it."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from . import place


def main() -> None:
    """Lead the cluster of the order."""
    (place.FOLDER / place.LOGS).mkdir(exist_ok=True)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", force=True)
    asyncio.run(_run(place.read(place.ORDER)))


async def _run(order: dict[str, Any]) -> None:
    if order["kind"] == "slurm":
        from .queue import QueueLead

        await QueueLead(order).run()
    else:
        from .hosts import HostsLead, set_up_logging

        set_up_logging()
        await HostsLead(order).run()
