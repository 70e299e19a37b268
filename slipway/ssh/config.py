"""OpenSSH's configuration as paramiko can read it: in one piece, and with no ``Match`` that it misreads."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from slipway.errors import ConfigError

MAX_DEPTH = 16
_SPACE = "\\ "
_OF_A_RUN = re.compile(r"slipway-.+-\d{8}-\d{6}(-\d+)?$")
_LINE = re.compile(r"(\w+)(?:\s*=\s*|\s+)(.+)")
# Settings whose words may hold a #.
_COMMANDS = ("proxycommand", "localcommand", "remotecommand", "knownhostscommand", "match")
# What paramiko can tell of a `Match`; it takes all other words for true.
_CRITERIA = ("all", "canonical", "final", "host", "originalhost", "user", "localuser", "exec")


def read_config(file: Path, home: Path, *, lenient: bool = False) -> str:
    """The text of an ``ssh_config`` with its ``Include`` lines replaced by what they name.

    Args:
        file: it; nothing comes of one that does not exist.
        home: where included files are that have no absolute path.
        lenient: leave out blocks whose ``Match`` is beyond paramiko, and what is no setting at all.

    Raises:
        ConfigError: it cannot be read, includes itself, or has a ``Match`` that is beyond paramiko.
    """
    with _quotes_of(file):
        return "".join(f"{line}\n" for line in _lines(file, home, "Host *", lenient, MAX_DEPTH))


def list_aliases(file: Path, home: Path) -> list[str]:
    """The hosts that an ``ssh_config`` names, without patterns, in the order of the file.

    The entries that ``ssh.config`` writes for runs are no clusters and are left out.

    Raises:
        ConfigError: as :func:`read_config`.
    """
    lines = read_config(file, home, lenient=True).splitlines()
    with _quotes_of(file):
        words = [word for line in lines if line.startswith("Host ") for word in shlex.split(line)[1:]]
    return [
        word for word in dict.fromkeys(words) if re.fullmatch(r"[\w.-]+", word) and not _OF_A_RUN.match(word)
    ]


@contextmanager
def _quotes_of(file: Path) -> Iterator[None]:
    try:
        yield
    # A quote without its end, a zero byte in a path or a name that is too long; the home folder of nobody.
    except (ValueError, RuntimeError, OSError) as error:
        raise ConfigError(f"{file} cannot be understood: {str(error)[:400]}") from error


def _lines(file: Path, home: Path, block: str, lenient: bool, depth: int) -> Iterator[str]:
    if depth == 0:
        raise ConfigError(f"{file}: the Include lines that lead here do not end")
    outer = block
    for number, line in enumerate(_read(file), 1):
        match = _LINE.fullmatch(_without_comment(line.strip()))
        key = match[1].lower() if match else ""
        if match and key == "include":
            for path in _included(match[2], home):
                yield from _lines(path, home, block, lenient, depth - 1)
                yield block  # what the file left open ends here
        elif match and key in ("host", "match"):
            block = _nested(outer, key, match[2], f"{file}:{number}", lenient)
            yield block
        elif match and key in ("userknownhostsfile", "globalknownhostsfile"):
            # Paramiko takes off quotes around all of it, which may be a list.
            yield f"{key} {' '.join(word.replace(' ', _SPACE) for word in shlex.split(match[2]))}"
        elif match or not lenient:
            yield match[0] if match else line


def _without_comment(line: str) -> str:
    key = line.split(None, 1)[0].partition("=")[0].lower() if line else ""
    return line if '"' in line or key in _COMMANDS else re.sub(r"\s+#.*", "", line)


def _read(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ConfigError(f"{file!s:.500} cannot be read: {error.strerror or error!s:.500}") from error


def _included(words: str, home: Path) -> Iterator[Path]:
    for word in shlex.split(words):
        path = home / Path(os.path.expandvars(word)).expanduser()
        base = Path(path.anchor)
        yield from sorted(base.glob(str(path.relative_to(base))))


def _nested(outer: str, key: str, words: str, where: str, lenient: bool) -> str:
    """The header of a block; within an included file, that of the block around it goes with it."""
    if key == "match":
        criteria = [word.lower().lstrip("!") for word in shlex.split(words)]
        # `final all` is `final`; paramiko knows `all` alone.
        if "all" in criteria and len(criteria) > 1:
            words = " ".join(word for word in shlex.split(words) if word.lower() != "all")
        if unknown := _unknown_criterion(words):
            if lenient:
                return "Match originalhost !*"
            raise ConfigError(
                f"{where}: Slipway cannot tell whether `Match {unknown:.200}` applies; put what this site "
                "needs in a file of its own and name it as login.ssh_config in the site's file"
            )
    if outer in ("Host *", "Match all"):
        return f"{key.capitalize()} {words}"
    inner = words if key == "match" else f"originalhost {_patterns(words)}"
    around = outer.partition(" ")[2]
    around = around if outer.startswith("Match") else f"originalhost {_patterns(around)}"
    return f"Match {around}" if inner == "all" else f"Match {around} {inner}"


def _patterns(words: str) -> str:
    return shlex.quote(",".join(shlex.split(words)))


def _unknown_criterion(words: str) -> str | None:
    rest = shlex.split(words)
    while rest:
        word = rest.pop(0).lower().lstrip("!")
        if word not in _CRITERIA:
            return word
        if word not in _CRITERIA[:3] and rest:
            rest.pop(0)
    return None
