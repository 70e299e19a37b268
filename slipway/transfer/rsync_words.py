"""What rsync says of single files: those that it skipped, and why. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from slipway.shell import Result
from slipway.skipped import Skipped

# `rsync: [sender] opendir "/a/b" failed: Permission denied (13)`; older ones do not say which side it is.
_FAILED = re.compile(
    r'rsync: (?:\[\w+\] )?(?P<what>[^"]*)"(?P<path>.*)"\)?(?: failed)?: (?P<why>.*?)(?: \(\d+\))?'
)
_GONE = re.compile(r'file has vanished: "(.*)"')
_CHANGED = re.compile(r"ERROR: (.*) failed verification -- .*")
# The end of rsync's output, what it tries again, and what it adds to a line that names the file.
_NO_FILE = re.compile(
    r"rsync (error|warning): |\*\*\* Skipping |IO error encountered|WARNING: .* failed verification"
    r"|cannot delete non-empty directory"
)
_OWN = re.compile(r"rsync: |file has vanished: |ERROR: ")
_IRREGULAR = re.compile(r'skipping non-regular file "(.*)"')
_ESCAPED = re.compile(rb"\\#([0-7]{3})")
_TEMPORARY = re.compile(r"(.*/)?\.(.*)\.\w{6}", re.DOTALL)
ROOT = "."
# rsync's own codes, from its manual: all else was transferred.
SOME_FAILED = 23
VANISHED = 24
# rsync writes the system's own number of an error behind its words: ENOSPC and EDQUOT of Linux.
NO_ROOM = re.compile(r"\((28|122)\)$", re.M)


@dataclass(frozen=True, kw_only=True)
class SkipRule:
    """Which failures of single files end no transfer.

    Attributes:
        roots: the folders in which they may be.
        only_here: none but those of files here; the others are told as the failure of the whole.
    """

    roots: Sequence[str]
    only_here: bool

    def find(self, result: Result, said_there: str = "") -> list[Skipped]:
        """The files that were skipped; none where nothing was, or more than single files failed.

        Since 3.2.3 the other side's rsync writes errors to its own standard error, where others write, too.
        """
        said = "\n".join([*_own_lines(said_there), result.stderr])
        if result.exit_code not in (SOME_FAILED, VANISHED) or NO_ROOM.search(said):
            return []
        found = parse_skipped(said, self.roots)
        if any(one.name == ROOT and "failed to set" not in one.why for one in found):
            return []
        if self.only_here and any(not one.name or one.name.startswith("/") for one in found):
            return []
        return found


def parse_skipped(stderr: str, roots: Sequence[str]) -> list[Skipped]:
    """The files that an rsync with exit code 23 or 24 did not transfer.

    Args:
        stderr: what it printed there, as in the locale C.UTF-8.
        roots: the folders that names are made relative to; one of them has the name ``.``. A name that is in
            none of them stays as it is.

    Returns:
        Each name once. A line that cannot be understood is a reason without a name.
    """
    found: dict[str, Skipped] = {}
    for line in filter(None, stderr.split("\n")):
        if not _NO_FILE.match(line):
            one = _parse_line(line, roots)
            found.setdefault(one.name or line, one)
    return list(found.values())


def _own_lines(text: str) -> list[str]:
    return [line for line in text.split("\n") if _OWN.match(line)]


def parse_left_out(stdout: str) -> list[str]:
    """The pipes, sockets and devices that rsync passed over, by their relative names."""
    return [_unescape(name) for name in _IRREGULAR.findall(stdout)]


def exclude_patterns(names: Sequence[str]) -> Iterator[str]:
    """Patterns for these names and no others, as ``--exclude-from`` takes them; relative to the root."""
    for name in names:
        # Where there is no wildcard, a backslash is a letter like others.
        has_wildcard = re.search(r"[*?\[]", name)
        yield "/" + (re.sub(r"([*?\[\\])", r"\\\1", name) if has_wildcard else name)


def _parse_line(line: str, roots: Sequence[str]) -> Skipped:
    if match := _GONE.fullmatch(line):
        return Skipped(name=_relative(match[1], roots), why="it went away meanwhile")
    if match := _CHANGED.fullmatch(line):
        return Skipped(name=_unescape(match[1]), why="it changed meanwhile")
    match = _FAILED.fullmatch(line)
    if match is None:
        return Skipped(name="", why=_unescape(line))
    what, path, why = match["what"].strip(), match["path"], match["why"]
    path = path.split('" -> "')[0]
    if "mkstemp" in what and (temporary := _TEMPORARY.fullmatch(path)):
        path = (temporary[1] or "") + temporary[2]
    why = f"{what.removesuffix(' on')}: {why}" if "failed to set" in what else why
    return Skipped(name=_relative(path, roots), why=why)


def _relative(path: str, roots: Sequence[str]) -> str:
    path = _unescape(path).replace("/./", "/").removesuffix("/.")
    for root in roots:
        if path == root:
            return ROOT
        if path.startswith(f"{root}/"):
            return path[len(root) + 1 :]
    return path


def _unescape(text: str) -> str:
    # What rsync's locale cannot show it writes as \#ooo, and so a backslash before # and digits.
    octets = _ESCAPED.sub(lambda match: bytes([int(match[1], 8)]), text.encode("utf-8", "surrogateescape"))
    return octets.decode("utf-8", "surrogateescape")
