"""Other tools from PyPI, in an environment of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.suite.place import Place

# The versions that the figures are of.
LXM3 = "lxm3==0.4.2"
_READY = ".ready"


class Others:
    """The environment.

    Args:
        folder: where it is kept from one time to the next.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    def has(self) -> bool:
        """Whether it is there, or can be made."""
        mark = self.folder / _READY
        if mark.exists() and mark.read_text() == LXM3:
            return True
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(self.folder)], check=True)
        done = subprocess.run(
            [str(self.python), "-m", "pip", "install", "--quiet", LXM3],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            print(f"{LXM3} cannot be installed, and is left out:\n{done.stderr}", file=sys.stderr)
            return False
        mark.write_text(LXM3)
        return True

    def lxm3_config(self, place: Place) -> tuple[Path, Path]:
        """A home folder whose `ssh_config` leads to the box, and lxm3's configuration."""
        home = place.folder / "lxm3-home"
        (home / ".ssh").mkdir(parents=True, exist_ok=True)
        user, port, key = place.login()
        text = f"Host box\n    HostName 127.0.0.1\n    Port {port}\n    User {user}\n    IdentityFile {key}\n"
        (home / ".ssh" / "config").write_text(text)
        file = home / "lxm.toml"
        # Its SFTP client reads no ssh_config.
        proxy = f"{sys.executable} {Path(__file__).with_name('join.py')} {port}"
        file.write_text(
            f"project = 'bench'\n[local.storage]\nstaging = '{home}/local'\n[[clusters]]\nname = 'box'\n"
            f"server = 'box'\nuser = '{user}'\nssh_private_key = '{key}'\nproxycommand = '{proxy}'\n"
            f"[clusters.storage]\nstaging = '{place.scratch}/lxm3'\n"
        )
        return home, file
