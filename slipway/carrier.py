"""Which carrier serves: rsync where both sides have one that is new enough, SFTP otherwise."""

from __future__ import annotations

from slipway.link import Link
from slipway.progress import Progress
from slipway.rsync import Rsync
from slipway.transfer import Carrier


def choose_carrier(link: Link, progress: Progress) -> Carrier:
    """What moves files to and from this site."""
    return Rsync(link)
