"""Shells at a terminal, in which somebody types and presses Tab."""

import sys
import time
import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import pexpect

from tests.waiting import PATIENCE_S

# Where a shell's user has what it starts with.
START_FILE = {"bash": ".bashrc", "zsh": ".zshrc", "fish": ".config/fish/config.fish"}
# A prompt to wait for, and a key, Ctrl-X d, that writes the line that is being edited to a file.
_START = {
    "bash": """PS1='ready> '
bind -x '"\\C-xd": printf %s "$READLINE_LINE" >"$DUMP.part"; mv "$DUMP.part" "$DUMP"'
""",
    "zsh": """PS1='ready> '
_dump() { print -rn -- "$BUFFER" >"$DUMP.part"; mv "$DUMP.part" "$DUMP" }
zle -N _dump
bindkey '^Xd' _dump
""",
    "fish": """function fish_prompt; echo 'ready> '; end
function _dump; commandline | string collect >"$DUMP.part"; mv "$DUMP.part" "$DUMP"; end
bind \\cxd _dump
""",
}


def write_start_file(name: str, home: Path, text: str = "") -> Path:
    """What the user's shell starts with: what these tests need, and then this text."""
    file = home / START_FILE[name]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(_START[name] + text)
    # Without it fish begins by reading all manual pages of the machine, beside the test and after it.
    (home / ".local" / "share" / "fish" / "generated_completions").mkdir(parents=True, exist_ok=True)
    return file


def environment(home: Path) -> dict[str, str]:
    """That of a user who has this folder, and the commands of this installation."""
    programs = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
    return {"HOME": str(home), "PATH": programs, "LC_ALL": "C.UTF-8", "TERM": "xterm"}


class Shell:
    """An interactive shell.

    Args:
        name: bash, zsh or fish.
        folder: where it is started.
        env: its environment; its HOME has a start file by :func:`write_start_file`.

    Attributes:
        screen: all that it has written to its terminal.
    """

    def __init__(self, name: str, folder: Path, env: Mapping[str, str]) -> None:
        self._dump = Path(env["HOME"]) / "dump"
        with warnings.catch_warnings():
            # Python 3.12 warns of a fork beside threads, which xdist has; the child runs the shell at once.
            warnings.simplefilter("ignore", DeprecationWarning)
            self._child = pexpect.spawn(
                name,
                ["-i"],
                cwd=str(folder),
                env={**env, "DUMP": str(self._dump)},
                dimensions=(50, 200),
                encoding="utf-8",
                timeout=PATIENCE_S,
            )
        self._child.expect("ready> ")
        self.screen = ""

    def tab(self, typed: str, times: int = 1) -> str:
        """The line after somebody has typed this and pressed Tab."""
        # Ctrl-U takes what is left of the last line.
        self._child.send(f"\x15{typed}" + "\t" * times + "\x18d")
        deadline = time.monotonic() + PATIENCE_S
        while not self._dump.exists():
            assert time.monotonic() < deadline, f"the shell did not answer; it shows:\n{self.screen}"
            self._read()
        line = self._dump.read_text()
        self._dump.unlink()
        return line.removesuffix("\n")

    def show(self, text: str) -> None:
        """Wait until this text is on the screen."""
        deadline = time.monotonic() + PATIENCE_S
        while text not in self.screen:
            assert time.monotonic() < deadline, f"{text!r} is not shown; it shows:\n{self.screen}"
            self._read()

    def _read(self) -> None:
        with suppress(pexpect.TIMEOUT):
            self.screen += self._child.read_nonblocking(65536, timeout=0.02)

    def close(self) -> None:
        """End it."""
        self._child.close(force=True)
