"""Telling: a post to a webhook, a notice on this machine's desktop."""

from __future__ import annotations

import shutil
import sys

from slipway.errors import HostError
from slipway.notify.target import Target
from slipway.shell import LocalShell
from slipway.web import PostError, post_json

TITLE = "Slipway"
# What a Mac's own script language is given as arguments, so that nothing in them is code.
_SCRIPT = (
    "on run argv",
    "display notification (item 2 of argv) with title (item 1 of argv)",
    "end run",
)


class NotToldError(Exception):
    """Somebody could not be told.

    Attributes:
        is_final: to try it again would be of no use.
    """

    def __init__(self, text: str, *, is_final: bool) -> None:
        super().__init__(text)
        self.is_final = is_final


def tell(target: Target, text: str) -> None:
    """Tell one of a webhook and the desktop; the scheduler's mail is no matter of ours.

    Raises:
        NotToldError: that failed. Its text has nothing of a webhook's address but the host.
    """
    if target.kind == "webhook" and target.value is not None:
        try:
            # As Slack, Mattermost and others take it: these three letters are their own there.
            escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
            post_json(target.value, {"text": escaped})
        except PostError as error:
            raise NotToldError(f"{target.shown}: {error}", is_final=error.is_final) from error
    if target.kind == "desktop":
        _tell_desktop(text)


def _tell_desktop(text: str) -> None:
    command = desktop_command(text)
    if command is None:
        raise NotToldError(
            "desktop: this machine has no notify-send (Debian, Ubuntu: the package libnotify-bin)",
            is_final=True,
        )
    try:
        done = LocalShell(apart=True).run(command, timeout_s=10)
    except HostError as error:
        raise NotToldError(f"desktop: {error}", is_final=False) from error
    if not done.ok:
        raise NotToldError(f"desktop: {done.explain()}", is_final=False)


def desktop_command(text: str) -> list[str] | None:
    """The argv that shows a notice; ``None`` where there is no program for it."""
    if sys.platform == "darwin" and shutil.which("osascript"):
        lines = [word for line in _SCRIPT for word in ("-e", line)]
        return ["osascript", *lines, TITLE, text]
    return ["notify-send", "--", TITLE, text] if shutil.which("notify-send") else None
