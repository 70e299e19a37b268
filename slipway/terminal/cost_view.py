"""What lies at a site and here, and what would go of it, as a terminal shows it."""

from __future__ import annotations

from slipway.errors import UsageError
from slipway.keep.decision import Criteria, Decision
from slipway.report.cost_table import TITLES, cost_rows, removal_lines, total
from slipway.steps.prune import Costs
from slipway.terminal.terminal import Terminal
from slipway.text.wording import text_width


def show_costs(screen: Terminal, costs: Costs, site: str) -> None:
    """A table of what lies where."""
    places = {site: costs.survey.scratch, f"{site}, kept": costs.survey.home, "here": costs.here}
    rows = cost_rows(places, costs.now_s)
    widths = [max(text_width(row[column]) for row in (TITLES, *rows)) for column in range(len(TITLES))]
    for row in (TITLES, *rows):
        # Numbers stand below each other.
        gaps = [" " * (width - text_width(cell)) for cell, width in zip(row, widths, strict=True)]
        texts = [*row[:2], *(gap + cell for cell, gap in zip(row[2:], gaps[2:], strict=True))]
        screen.row([(text, "bold" if row is TITLES else "") for text in texts], widths)


def show_decision(screen: Terminal, decision: Decision, costs: Costs, criteria: Criteria) -> None:
    """What would go, and why the rest stays."""
    for line in removal_lines(decision, costs.runs, costs.now_s):
        screen.say(line)
    if decision.remove:
        screen.say(f"to be removed: {total(decision.remove)}")
    elif criteria.name_runs or decision.stay:
        screen.say("nothing is to be removed")
    if "runs" in criteria.kinds and not criteria.name_runs:
        screen.note("Which runs may go: --older-than 30d, --keep-last 20, --state FAILED or --run RUN say it")


def confirm_removal(screen: Terminal, decision: Decision, *, yes: bool, dry_run: bool) -> bool:
    """Whether it may be removed, by the options or by the person at the terminal.

    Raises:
        UsageError: nobody could be asked.
    """
    if dry_run or not decision.remove:
        return False
    if yes:
        return True
    answer = screen.ask(f"Remove {total(decision.remove)}? Type yes to remove them: ", echo=True)
    if answer is None:
        raise UsageError("nothing was removed, since nobody can be asked here; --yes says yes beforehand")
    return answer.strip().lower() in ("y", "yes")
