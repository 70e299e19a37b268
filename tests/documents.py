"""What stands in a document's fenced blocks, and a folder in which it is done as a reader would do it.

- A block with ``title="FILE"`` is that file of the reader's repository.
- ``console``: what is behind ``$`` is run, and what is printed is compared: ``…`` stands for anything,
  also for any lines, and days, times, sizes and ids may be others. Only one that shows an ``error:`` may
  fail.
- ``<!-- run: COMMAND -->`` is run, too; a reader does not see it.
- ``bash`` is not run, since it wants a cluster or an answer: its tasks and options have to be there.
- ``yaml`` is of a site's file, ``ini`` of a profile, as a whole or in part: the loaders have to take them.
"""

import os
import re
import shlex
import subprocess
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parents[1]
# In what a command prints: any part of a line, or any lines.
ANYTHING = "…"
# What differs from run to run, by kinds: as a document has it, and as it may be.
_KINDS = {
    "anything": (ANYTHING, ".*?"),
    "run": (r"\b[a-z0-9]{4}-[a-z]+-\d{8}-\d{6}\b", r"[a-z0-9]{4}-[a-z]+-\d{8}-\d{6}"),
    "day": (r"\b\d{4}-\d\d-\d\d\b", r"\d{4}-\d\d-\d\d"),
    "digest": (r"\b[0-9a-f]{12,}\b", "[0-9a-f]{12,}"),
    "amount": (r"\d[\d.,]*(?= (?:s|kB|MB|cores|files)\b)", r"[\d.,]+"),
    "clock": (r"\b\d+:\d\d:\d\d\b(?=  )", r"\d+:\d\d:\d\d"),
    "node": (r"(?<=\bnode)\d\b", r"\d"),
}
_VARIES = re.compile("|".join(f"(?P<{kind}>{written})" for kind, (written, _) in _KINDS.items()))
_FENCE = re.compile(r"(?P<indent> *)(?P<mark>`{3,})(?P<language>\w*)(?P<rest>.*)\Z")
_TITLE = re.compile(r'title="([^"]+)"')
_HIDDEN = re.compile(r"<!-- run: (.+) -->\Z")


@dataclass(frozen=True, kw_only=True)
class Block:
    """One block, and where it is: ``howto/training.md:12``."""

    place: str
    language: str
    title: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Command:
    """One command of a ``console`` block, and what the reader is told that it prints."""

    words: str
    printed: str

    def check(self, done: "subprocess.CompletedProcess[str]") -> None:
        """Compare what was seen with what the document has."""
        assert (done.returncode == 0) != ("error:" in self.printed), f"{self.words}\n{done.stdout[-3000:]}"
        seen = "".join(f"{line.strip()}\n" for line in done.stdout.splitlines())
        pattern = "".join(map(_pattern, self.printed.strip().splitlines()))
        assert re.search(f"^{pattern}", seen, re.M), f"{self.words}\n{seen[:3000]}"


def _pattern(line: str) -> str:
    """What a line of a block stands for: what differs from run to run may be another one of its kind."""
    if line.strip() == ANYTHING:
        return r"(?:.*\n)*?"
    words, at = "", 0
    for found in _VARIES.finditer(line.strip()):
        words += re.escape(line.strip()[at : found.start()]) + _KINDS[found.lastgroup or ""][1]
        at = found.end()
    words += re.escape(line.strip()[at:])
    return re.sub(r"(\\ ){2,}", " +", words) + r"\n"


def read_blocks(file: Path) -> Iterator[Block]:
    """All blocks of a document; hidden commands are such of the language ``hidden``."""
    name = str(file.relative_to(ROOT))
    fence: re.Match[str] | None = None
    begin, lines = 0, list[str]()
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        found, hidden = _FENCE.match(line), _HIDDEN.match(line)
        if fence is not None and line.strip() == fence["mark"]:
            title = _TITLE.search(fence["rest"])
            text = textwrap.dedent("\n".join(lines)) + "\n"
            yield Block(
                place=f"{name}:{begin}",
                language=fence["language"],
                title=title[1] if title else "",
                text=text,
            )
            fence = None
        elif fence is not None:
            lines.append(line)
        elif found:
            fence, begin, lines = found, number, []
        elif hidden:
            yield Block(place=f"{name}:{number}", language="hidden", title="", text=f"$ {hidden[1]}\n")


def commands(text: str) -> Iterator[Command]:
    """The commands of a ``console`` block."""
    for part in re.split(r"(?m)^\$ ", text)[1:]:
        words, _, printed = re.sub(r"\\\n", "", part).partition("\n")
        yield Command(words=words, printed=printed)


@dataclass
class Reader:
    """Somebody who does what a document says, in a folder of their own."""

    folder: Path
    environment: Mapping[str, str]
    timeout_s: float = PATIENCE_S

    def do(self, block: Block) -> None:
        """Write a file, or run commands."""
        if block.title:
            file = self.folder / block.title
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.text)
        elif block.language in ("console", "hidden"):
            for command in commands(block.text):
                self._run(command)

    def _run(self, command: Command) -> None:
        words = command.words.split()
        if words[0] == "cd":
            self.folder = (self.folder / words[1]).resolve()
            return
        command.check(self.run(command.words))

    def run(self, words: str) -> "subprocess.CompletedProcess[str]":
        """Run a line as a shell does; both outputs are one, as on a terminal."""
        return subprocess.run(
            ["bash", "-c", words],
            cwd=self.folder,
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=self.timeout_s,
            check=False,
        )


def make_reader(folder: Path, name: str = "my-project", **more: str) -> Reader:
    """A reader with an empty repository and nothing of whoever runs the tests."""
    (folder / name).mkdir(parents=True)
    (folder / "home").mkdir()
    kept = {key: os.environ[key] for key in ("LANG", "DOCKER_HOST", "SSL_CERT_FILE") if key in os.environ}
    path = f"{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}"
    home = {
        "HOME": str(folder / "home"),
        "PATH": path,
        "PYTHONWARNINGS": "error",
        "GIT_CONFIG_GLOBAL": os.devnull,
    }
    return Reader(folder / name, {**kept, **home, **more})


def task_lines(text: str) -> Iterator[list[str]]:
    """The words behind ``slipway``, ``invoke`` and ``./run`` in each line of a block of shell commands."""
    for line in re.sub(r"\\\n", "", text).splitlines():
        line = line.removeprefix("$ ")
        # What a command prints need not be words of a shell.
        if line.partition(" ")[0] in ("slipway", "invoke", "./run", ".venv/bin/invoke"):
            words = shlex.split(line, comments=True)
            ends = [number for number, word in enumerate(words) if word in ("|", ">", ">>", "&&", ";")]
            yield words[1 : ends[0] if ends else None]
