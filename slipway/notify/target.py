"""Whom to tell that a run has ended: by mail, at a web address, or on this machine's desktop. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

_ADDRESS = re.compile(r"[\w.+%-]+@[\w-]+(\.[\w-]+)*", re.ASCII)
_EXPECTED = "mail, mail:ADDRESS, desktop, or an address that begins with https://"


@dataclass(frozen=True, kw_only=True)
class Target:
    """One that is to be told.

    Attributes:
        kind: ``mail`` is the scheduler's own; ``webhook`` and ``desktop`` are told from this machine.
        value: a mail address, ``None`` for the user's own; or a webhook's address, which may be a secret.
    """

    kind: Literal["mail", "webhook", "desktop"]
    value: str | None = None

    @property
    def word(self) -> str:
        """What :func:`parse_target` reads as this."""
        return (
            self.kind if self.value is None else f"mail:{self.value}" if self.kind == "mail" else self.value
        )

    @property
    def shown(self) -> str:
        """How it is named to a person: without what may be secret, which is all but a webhook's host."""
        return f"webhook at {urlsplit(self.value or '').hostname}" if self.kind == "webhook" else self.word


def parse_target(word: str) -> Target:
    """Read a target as ``--notify`` and NOTIFY have it.

    Raises:
        ValueError: it is none. The message does not have the word, which may be a secret.
    """
    if word in ("mail", "desktop"):
        return Target(kind="mail" if word == "mail" else "desktop")
    if word.startswith("mail:"):
        if not _ADDRESS.fullmatch(word.removeprefix("mail:")):
            raise ValueError("what is behind mail: is no address, such as me@example.org")
        return Target(kind="mail", value=word.removeprefix("mail:"))
    if word.startswith(("https://", "http://")) and _is_web_address(word):
        return Target(kind="webhook", value=word)
    raise ValueError(f"write {_EXPECTED}")


def parse_targets(words: Iterable[str]) -> tuple[Target, ...]:
    """Several of them, each once.

    Raises:
        ValueError: one is none.
    """
    return tuple(dict.fromkeys(map(parse_target, words)))


def _is_web_address(word: str) -> bool:
    try:
        split = urlsplit(word)
        _ = split.port
    except ValueError:
        return False
    return bool(split.hostname) and word.isascii() and word.isprintable() and " " not in word
