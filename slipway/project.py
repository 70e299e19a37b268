"""Where things are in the checkout that Slipway runs in."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Project:
    """The folders of one checkout.

    ``state`` holds what Slipway makes for itself (converted images, records of runs, the box's keys) and
    ``results`` what it brings home; neither is tracked by git.
    """

    root: Path
    state: Path
    results: Path

    @classmethod
    def find(cls, root: Path) -> Project:
        """The project at ``root``; SLIPWAY_STATE and SLIPWAY_RESULTS move its two untracked folders."""
        return cls(
            root=root,
            state=Path(os.environ.get("SLIPWAY_STATE") or root / ".slipway").absolute(),
            results=Path(os.environ.get("SLIPWAY_RESULTS") or root / "results").absolute(),
        )

    @property
    def client(self) -> str:
        """What sets this checkout apart from others who send to the same cluster; made once, at random."""
        return self._drawn("client", 4).strip()

    @property
    def key(self) -> bytes:
        """The key of hashes that only this checkout can make; made once, at random."""
        return self._drawn("key", 32).encode()

    def _drawn(self, name: str, size_bytes: int) -> str:
        """What a file holds that is drawn at random where there is none; nobody else may read it."""
        file = self.state / name
        if not file.exists():
            self.state.mkdir(parents=True, exist_ok=True)
            part = file.with_name(f"{name}.{secrets.token_hex(4)}.part")
            part.touch(mode=0o600, exist_ok=False)
            part.write_text(secrets.token_hex(size_bytes), encoding="ascii")
            # Of two at once the first one counts.
            with suppress(FileExistsError):
                file.hardlink_to(part)
            part.unlink()
        return file.read_text(encoding="ascii")

    @property
    def profiles(self) -> Path:
        """The folder of profiles: ``env/``."""
        return self.root / "env"

    @property
    def sites(self) -> Path:
        """The folder of sites: ``cluster/``."""
        return self.root / "cluster"
