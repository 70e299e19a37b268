#!/usr/bin/env python3
"""Check that CHANGELOG.md is ready for a version tag, and print what it says of that version.

    .ci/changelog.py TAG [FILE]

A tag is `v` and a version: v0.2.0, v1.0.0rc1. CHANGELOG.md has to have its section, dated, first behind an
Unreleased that is empty.
"""

import argparse
import datetime
import re
import sys
from pathlib import Path

TAG = re.compile(r"v(\d+\.\d+\.\d+(?:(?:a|b|rc)\d+)?)")
HEADING = re.compile(r"## \[(.+?)\](?: - (.+))?")
WRONG_TAG = 64
NOT_READY = 65


class NotReadyError(Exception):
    """What is wrong with the changelog, and what to do."""


def sections(text: str) -> list[tuple[str, str, str]]:
    """The sections of a changelog, in order: version, date and text."""
    parts = re.split(r"^(?=## )", text, flags=re.M)[1:]
    found = []
    for part in parts:
        heading, _, body = part.partition("\n")
        match = HEADING.fullmatch(heading.strip())
        if match is None:
            form = "`## [VERSION] - YYYY-MM-DD`"
            raise NotReadyError(f"the heading {heading.strip()!r} has another form than {form}")
        found.append((match[1], match[2] or "", body.strip()))
    return found


def entries(body: str) -> bool:
    """Whether a section has any; headings such as `### Added` are none."""
    return any(line.strip() and not line.startswith("#") for line in body.splitlines())


def notes(text: str, version: str) -> str:
    """What the changelog says of a version.

    Raises:
        NotReadyError: the version has no dated section behind an empty Unreleased, or nothing in it.
    """
    found = sections(text)
    move = f"move the entries of Unreleased to a section `## [{version}] - YYYY-MM-DD` below it"
    if version not in [name for name, _, _ in found]:
        raise NotReadyError(f"there is no section for {version}; {move}")
    if found[0][0] != "Unreleased":
        raise NotReadyError("its first section is not `## [Unreleased]`; keep one there, empty")
    if entries(found[0][2]):
        raise NotReadyError(f"Unreleased still has entries; {move}")
    name, date, body = found[1]
    if name != version:
        raise NotReadyError(f"the newest version in it is {name}, and not {version}")
    try:
        datetime.date.fromisoformat(date)
    except ValueError as error:
        raise NotReadyError(f"the section of {version} has no date such as 2026-01-31 behind it") from error
    if not entries(body):
        raise NotReadyError(f"the section of {version} is empty")
    return body


def main(argv: list[str]) -> int:
    """Print the version's entries; returns an exit code."""
    parser = argparse.ArgumentParser(prog="changelog", description=__doc__.splitlines()[0])
    parser.add_argument("tag")
    parser.add_argument("file", nargs="?", type=Path, default=Path("CHANGELOG.md"))
    given = parser.parse_args(argv)
    match = TAG.fullmatch(given.tag)
    if match is None:
        print(f"changelog: the tag {given.tag!r} is no version such as v0.2.0 or v1.0.0rc1", file=sys.stderr)
        return WRONG_TAG
    try:
        print(notes(given.file.read_text(encoding="utf-8"), match[1]))
    except NotReadyError as error:
        why = f"{given.file} is not ready for the tag {given.tag}: {error}"
        print(f"changelog: {why}. Then commit, and tag that commit", file=sys.stderr)
        return NOT_READY
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
