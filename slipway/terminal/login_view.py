"""Logins that are kept, as a terminal shows them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from slipway.multiplex.kept import Kept
from slipway.report.login_table import TITLES, login_rows
from slipway.terminal.terminal import Terminal
from slipway.text.wording import text_width


def show_logins(screen: Terminal, logins: Sequence[Kept]) -> None:
    """A table of logins, or how one is made."""
    if not logins:
        screen.say("No login is kept; `invoke login SITE` makes one.")
        return
    rows = login_rows(logins, datetime.now().astimezone())
    widths = [max(text_width(row[column]) for row in (TITLES, *rows)) for column in range(len(TITLES))]
    for row in (TITLES, *rows):
        screen.row([(text, "bold" if row is TITLES else "") for text in row], widths)
