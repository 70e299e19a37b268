"""Whether two elements are the same piece of work. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from slipway.job.run import Reason, Status
from slipway.sweep.record import Place, Sweep


@dataclass(frozen=True, kw_only=True)
class Made:
    """What all elements of a sweep are made of: image, code, program and variables (as keyed hashes)."""

    image_sha256: str
    code: str
    program: Sequence[str]
    environment: Mapping[str, Any]

    def identity(self, args: Sequence[str], files: Mapping[str, bytes] | None = None) -> str:
        """A hash of this and of one element's arguments and files."""
        parts = [self.image_sha256, self.code, list(self.program), dict(sorted(self.environment.items()))]
        hashes = {name: hashlib.sha256(content).hexdigest() for name, content in (files or {}).items()}
        text = json.dumps([*parts, list(args), dict(sorted(hashes.items()))])
        return hashlib.sha256(text.encode("utf-8", errors="surrogateescape")).hexdigest()


def earlier_places(sweeps: Iterable[Sweep]) -> dict[str, list[Place]]:
    """Where earlier sweeps have each element, by identities; the newest first."""
    found: dict[str, list[Place]] = {}
    for sweep in sweeps:
        for element in sweep.elements:
            if element.place and not element.is_older:
                found.setdefault(element.identity, []).append(element.place)
    return found


def still_counts(status: Status) -> bool:
    """True where an element need not be run again: it is done, or is on its way."""
    return status.reason == Reason.OK or not status.state.is_over
