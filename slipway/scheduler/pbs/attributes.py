"""What PBS prints of jobs, queues and nodes, as attributes by their names. Nothing here runs anything.

``qstat -f`` prints an attribute a line and folds long lines, in PBS Professional and in Torque. The first has
JSON as well, but in 23.06 that leaves out all jobs but those of the first id that is asked for; the other has
XML. So the text is what all of them say whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from slipway.errors import ParseError

Attributes = Mapping[str, str]
_HEAD = re.compile(r"(Job Id|Queue|Server): ?(\S+)")
_LINE = re.compile(r" +([A-Za-z_][\w.-]*) = (.*)")
# A name alone, at the beginning of a line.
_NODE = re.compile(r"[A-Za-z0-9_][\w.\[\]-]*")


def parse_jobs(stdout: str) -> dict[str, Attributes]:
    """Jobs by their ids, as ``qstat -f`` prints them; what a site's wrapper prints before is left out.

    Raises:
        ParseError: there are words, and no job among them.
    """
    found = parse_text(stdout, "Job Id")
    if not found and stdout.strip():
        raise ParseError(f"qstat printed {stdout.strip()[:200]!r}; expected jobs with their attributes")
    return found


def parse_text(stdout: str, kind: str) -> dict[str, Attributes]:
    """What ``qstat -f`` prints: things of a kind (``Job Id``, ``Queue``, ``Server``) by their names."""
    found: dict[str, Attributes] = {}
    for head, lines in _blocks(stdout):
        if head[0] == kind:
            found.setdefault(head[1], _attributes(lines))
    return found


def parse_nodes(stdout: str) -> dict[str, Attributes]:
    """What ``pbsnodes -a`` prints: nodes by their names.

    Raises:
        ParseError: there are words, and no node among them.
    """
    found: dict[str, Attributes] = {}
    name, lines = "", list[str]()
    for line in [*stdout.splitlines(), ""]:
        if _NODE.fullmatch(line) or not line.strip():
            if name and lines:
                found[name] = _attributes(lines)
            name, lines = line.strip(), []
        elif name:
            lines.append(line)
    if not found and stdout.strip():
        raise ParseError(f"pbsnodes printed {stdout.strip()[:200]!r}; expected nodes with their attributes")
    return found


def _blocks(stdout: str) -> Iterator[tuple[tuple[str, str], list[str]]]:
    head, lines = ("", ""), list[str]()
    for line in stdout.split("\n"):
        if match := _HEAD.match(line):
            yield head, lines
            head, lines = (match[1], match[2]), []
        else:
            lines.append(line)
    yield head, lines


def _attributes(lines: list[str]) -> Attributes:
    found: dict[str, str] = {}
    name = ""
    for line in lines:
        if match := _LINE.fullmatch(line):
            name = match[1]
            found[name] = match[2]
        elif name and line.startswith("\t"):
            # A long value goes on.
            found[name] += line[1:]
    return found
