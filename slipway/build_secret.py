"""Secrets that an image's build reads and does not keep: a profile's BUILD_SECRETS."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from slipway.errors import ConfigError
from slipway.tilde import expand

_ID = re.compile(r"[\w.-]+\Z")
# A shorter word may stand anywhere in what a build prints.
_LEAST_HIDDEN = 6


@dataclass(frozen=True, kw_only=True)
class BuildSecret:
    """A secret by its id, as ``RUN --mount=type=secret,id=…`` names it.

    ``file`` is where it is; without one it is the environment variable of that name.
    """

    id: str
    file: Path | None = None

    def read(self, environment: Mapping[str, str]) -> bytes:
        """Its content.

        Raises:
            ConfigError: there is no such variable, or the file cannot be read.
        """
        if self.file is None:
            if self.id not in environment:
                raise ConfigError(
                    f"BUILD_SECRETS names {self.id}, which is not in the environment; `export {self.id}=…` "
                    f"before the build, or BUILD_SECRETS={self.id}=FILE"
                )
            return environment[self.id].encode("utf-8", "surrogateescape")
        try:
            return self.file.read_bytes()
        except OSError as error:
            raise ConfigError(
                f"BUILD_SECRETS: {self.id} is {self.file}, which cannot be read: {error.strerror}"
            ) from error


def parse_build_secret(word: str, folder: Path) -> BuildSecret:
    """Read ``ID``, a variable of the environment, or ``ID=FILE``.

    Args:
        word: the word.
        folder: what a relative ``FILE`` starts from.

    Raises:
        ValueError: it is of another form.
    """
    name, equals, file = word.partition("=")
    if not _ID.match(name) or (equals and not file):
        raise ValueError(
            f"{word!r:.200} is no secret; write the name of a variable of the environment, or ID=FILE with "
            "letters, digits and . _ - in ID"
        )
    return BuildSecret(id=name, file=Path(os.path.normpath(folder / expand(file))) if file else None)


def hide(text: str, values: Mapping[str, bytes]) -> str:
    """A text in which the values of secrets are three stars, each line of a longer one by itself."""
    for value in values.values():
        lines = value.decode("utf-8", "replace").splitlines()
        for line in sorted({line.strip() for line in lines}, key=len, reverse=True):
            if len(line) >= _LEAST_HIDDEN:
                text = text.replace(line, "***")
    return text
