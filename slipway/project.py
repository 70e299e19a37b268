"""Where things are in the repository that Slipway is used in."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from slipway.share import share_folder

# By this file a folder is known as a project.
MARK = Path("env") / ".env.base"


@dataclass(frozen=True, kw_only=True)
class Project:
    """The folders of one project: a user's repository, or Slipway's own checkout.

    Attributes:
        root: the repository, with ``env/`` and ``cluster/`` in it.
        state: what Slipway makes for itself: converted images, records of runs, the box's keys.
        results: what it brings home. Neither is tracked by git.
        share: what comes with Slipway; see :func:`slipway.share.share_folder`.
    """

    root: Path
    state: Path
    results: Path
    share: Path = field(default_factory=share_folder)

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
        """What sets this project apart from others who send to the same cluster; made once, at random."""
        return self._drawn("client", 4).strip()

    @property
    def key(self) -> bytes:
        """The key of hashes that only this project can make; made once, at random."""
        return self._drawn("key", 32).encode()

    def _drawn(self, name: str, size_bytes: int) -> str:
        """What a file holds that is drawn at random where there is none; nobody else may read it."""
        import secrets  # Tab needs this module, and not the 5 ms that this one takes

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
    def is_set_up(self) -> bool:
        """True where `slipway init` was here, or the demo, whose runs one looks at with the other tasks."""
        return (self.root / MARK).is_file() or (self.state / "runs").is_dir()

    @property
    def profiles(self) -> Path:
        """The folder of profiles: ``env/``."""
        return self.root / "env"

    @property
    def sites(self) -> tuple[Path, ...]:
        """The folders of sites: the project's ``cluster/``, then the one that comes with Slipway."""
        return tuple(dict.fromkeys((self.root / "cluster", self.share / "cluster")))

    @property
    def staged(self) -> Path:
        """A folder for each site, with an empty file for each dataset that was staged there from here."""
        return self.state / "staged"


def find_root(start: Path) -> Path | None:
    """The nearest folder at or above ``start`` that is a project; ``None`` where there is none."""
    folder = start.resolve()
    # Path.is_file raises where an env/ above is somebody else's and may not be looked into.
    return next((one for one in (folder, *folder.parents) if os.path.isfile(one / MARK)), None)  # noqa: PTH113
