"""The template of the job script: ``cluster/job.sh``, and blocks in ``cluster/job/`` that some jobs use."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from slipway.errors import ConfigError

_MARK = re.compile(r"# @(\w+)@")
_ONLY = re.compile(r"(.*?) # only: ([\w ]+)")


@dataclass(frozen=True, kw_only=True)
class Template:
    """The main text and the blocks, by the names of their files without ``.sh``."""

    main: str
    blocks: Mapping[str, str]

    def fill(
        self, values: Mapping[str, Sequence[str]], blocks: Mapping[str, str], parts: Collection[str]
    ) -> str:
        """The text of a script.

        Args:
            values: the lines that take the place of a line ``# @name@``, as they are.
            blocks: the names of the blocks that take the place of a line ``# @name@``. Where neither has the
                name, the line is left out.
            parts: what the job uses. A line that ends in ``# only: name …`` stays where it has all of them.

        Raises:
            ConfigError: the text has no place for one of these, or there is no such block.
        """
        lines: list[str] = []
        used = set()

        def add(text: str) -> None:
            for line in text.splitlines():
                if mark := _MARK.fullmatch(line):
                    name = mark[1]
                    used.add(name)
                    if name in blocks:
                        add(self._block(blocks[name]))
                    lines.extend(values.get(name, ()))
                elif (kept := _for(line, parts)) is not None and (kept or not lines or lines[-1]):
                    # Where a block is left out, the empty lines around it are one.
                    lines.append(kept)

        add(self.main)
        for name in (*values, *blocks):
            if name not in used:
                raise ConfigError(
                    f"cluster/job.sh has no line `# @{name}@`; put it back where the {name} belong"
                )
        return "\n".join(lines) + "\n"

    def _block(self, name: str) -> str:
        if name not in self.blocks:
            raise ConfigError(f"cluster/job/{name}.sh is missing; put it back: git checkout -- cluster/job")
        return self.blocks[name]


def load_template(folder: Path) -> Template:
    """The template in the folder of sites, ``cluster/``.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        blocks = {file.stem: file.read_text(encoding="utf-8") for file in (folder / "job").glob("*.sh")}
        return Template(main=(folder / "job.sh").read_text(encoding="utf-8"), blocks=blocks)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"the job script's template cannot be read: {error}; put it back with git"
        ) from error


def _for(line: str, parts: Collection[str]) -> str | None:
    """The line without what says when it is used; None where it is not."""
    if only := _ONLY.fullmatch(line):
        return only[1] if all(part in parts for part in only[2].split()) else None
    return line
