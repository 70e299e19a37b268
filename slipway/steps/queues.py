"""A site's partitions: looking at them, and writing what they offer into the site's file."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slipway.errors import ConfigError, HostError, UsageError
from slipway.scheduler.find import find_scheduler
from slipway.scheduler.queues import OFFERED, ClusterQueues, QueueState
from slipway.site import Queue, Site
from slipway.steps.session import Session
from slipway.yaml_text import UnknownFormError, add_entries, entry_lines

_SECTION = "queues"


@dataclass(frozen=True, kw_only=True)
class FileChange:
    """What is to become of a site's file."""

    file: Path
    old: str
    new: str

    @property
    def is_any(self) -> bool:
        """True where something is to be added."""
        return self.old != self.new


def look_at_queues(session: Session, site: Site) -> ClusterQueues:
    """What a site's scheduler says of its partitions, and of what this user may have of them.

    Raises:
        RemoteError: it cannot be asked.
        SshError: the site cannot be reached.
    """
    session.progress.step(f"Asking {site.name} for its partitions")
    with session.connect(site) as host:
        return find_scheduler(site.scheduler).queues(host)


def plan_file(session: Session, site: Site, there: ClusterQueues) -> FileChange:
    """What the site's file lacks of what its partitions offer. What is written there stays as it is.

    Raises:
        UsageError: the file came with Slipway, and is not this project's.
        ConfigError: it is written in a way that nothing can be added to; the message has what it lacks.
    """
    file = session.project.sites[0] / f"{site.name}.yaml"
    if not file.is_file():
        other = next(folder for folder in session.project.sites if (folder / f"{site.name}.yaml").is_file())
        raise UsageError(
            f"{other / file.name} came with Slipway, and is not this project's: copy it to {file} first, and "
            "then write into that"
        )
    with file.open(encoding="utf-8", newline="") as stream:
        old = stream.read()
    entries = missing_entries(site.queues, there.queues)
    try:
        return FileChange(file=file, old=old, new=add_entries(old, _SECTION, entries))
    except UnknownFormError as error:
        lines = "".join(f"\n  {line}" for line in entry_lines(entries))
        raise ConfigError(
            f"{file}: {_SECTION} cannot be added to: {error}. It lacks (add it by hand):{lines}"
        ) from error


def missing_entries(written: Mapping[str, Queue], there: Sequence[QueueState]) -> dict[str, dict[str, Any]]:
    """What a file's ``queues`` lack of what the scheduler says, by partitions and their keys."""
    found = {}
    for state in there:
        mine = written.get(state.name)
        lacking = {
            key: _plain(value)
            for key in OFFERED
            if (value := getattr(state.offer, key)) is not None
            and (mine is None or getattr(mine, key) is None)
        }
        if lacking or mine is None:
            found[state.name] = lacking
    return found


def _plain(value: object) -> object:
    return dict(value) if isinstance(value, Mapping) else value


def write_change(change: FileChange) -> None:
    """Write what was planned, as a whole.

    Raises:
        HostError: it cannot be written, or was changed meanwhile.
    """
    # Behind a link, the file itself.
    real = change.file.resolve()
    part = real.with_name(f".{real.name}.{secrets.token_hex(4)}.part")
    try:
        if real.read_bytes() != change.old.encode():
            raise HostError(f"{change.file} was changed meanwhile; nothing was written. Try again")
        part.write_bytes(change.new.encode())
        shutil.copymode(real, part)
        part.replace(real)
    except OSError as error:
        raise HostError(f"{change.file} cannot be written: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)
