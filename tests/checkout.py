"""A user's checkout, with a profile `lab` and a site `hpc`, and tasks as a user gives them."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.forked import ROOT, Forked

Seen = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class UserCheckout:
    """The checkout; ``places`` are what stands in a message for what differs from run to run, by patterns."""

    folder: Path
    tunnel: Forked
    places: Mapping[str, str]

    def invoke(self, *words: str) -> Seen:
        """Run a task."""
        own = {"SLIPWAY_STATE": str(self.folder / "state"), "SLIPWAY_RESULTS": str(self.folder / "results")}
        return self.tunnel.run(words, cwd=self.folder, env={**os.environ, **own})

    def refuse(self, *words: str, code: int) -> str:
        """Run a task that is to fail with this code and to leave nothing behind; returns its message."""
        before = self.files()
        done = self.invoke(*words)
        assert done.returncode == code, done.stderr
        assert done.stdout == ""
        assert "Traceback" not in done.stderr
        assert done.stderr.count("error:") == 1
        assert self.files() == before, set(self.files()) ^ set(before)
        return self.plain(done.stderr.partition("error: ")[2].strip())

    def files(self) -> list[Path]:
        """All files, but for what is remembered of code: it is on the cluster, and a cache here."""
        code = self.folder / "state" / "code"
        return sorted(path for path in self.folder.rglob("*") if code not in (path, *path.parents))

    def plain(self, message: str) -> str:
        """A message with placeholders for what differs from run to run."""
        places = {re.escape(str(self.folder)): "~/slipway", r"\bt[0-9a-f]{32}\b": "TREE", **self.places}
        for pattern, place in places.items():
            message = re.sub(pattern, place, message)
        return message

    def profile(self, text: str, name: str = "lab") -> None:
        """Add lines to a profile."""
        with (self.folder / "env" / f".env.{name}").open("a") as file:
            file.write(text)

    def site(self, text: str) -> None:
        """Write the site's file."""
        (self.folder / "cluster" / "hpc.yaml").write_text(text)

    def change_site(self, **changes: Any) -> None:
        """Change keys of the site's file; ``None`` takes one away."""
        file = self.folder / "cluster" / "hpc.yaml"
        content = {**yaml.safe_load(file.read_text()), **changes}
        file.write_text(yaml.safe_dump({key: value for key, value in content.items() if value is not None}))


def make_user_checkout(
    folder: Path, tunnel: Forked, site: str, profile: str, places: Mapping[str, str] | None = None
) -> UserCheckout:
    """A checkout in an empty folder, with a site's file and a profile of this content."""
    for name in ("cluster", "env", "code", "results", "state/runs", "state/tmp"):
        (folder / name).mkdir(parents=True)
    shutil.copy(ROOT / "tasks.py", folder)
    shutil.copy(ROOT / "cluster" / "job.sh", folder / "cluster")
    shutil.copytree(ROOT / "cluster" / "job", folder / "cluster" / "job")
    for name in (".env.example", ".env.base"):
        shutil.copy(ROOT / "env" / name, folder / "env")
    (folder / "code" / "main.py").write_text("print(1)\n")
    checkout = UserCheckout(folder, tunnel, places or {})
    checkout.site(site)
    checkout.profile(profile)
    return checkout
