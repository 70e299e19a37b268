"""What a monitor says in the end, wherever it has worked."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slipway.steps.monitored import Look, Target
    from slipway.terminal.terminal import Terminal


def end_with(screen: Terminal, looks: Sequence[tuple[Target, Look]]) -> None:
    """Say how all stood in the end.

    Raises:
        RunFailedError: some of them have not ended well.
    """
    from slipway.errors import RunFailedError
    from slipway.report.monitor_lines import summary_lines
    from slipway.steps.monitored import Stands

    bad = 0
    for target, look in looks:
        for line in summary_lines(target, look):
            screen.say(line)
        bad += sum(seen.stands is not Stands.OK for seen in look.seen) + target.not_submitted
    if bad:
        raise RunFailedError(f"{bad} {'element has' if bad == 1 else 'elements have'} not ended well")
