"""The page of all exit codes, from the error tree and the tables of mistakes in ``docs/``."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

from pymdownx.slugs import slugify

from manual.table import code, table
from slipway.errors import SlipwayError

DOCS = Path(__file__).resolve().parents[1] / "docs"
_BLOCK = re.compile(r"<!-- (\w+) -->\n(\| code \| what happened .*?)<!-- end of \1 -->", re.S)
_HEADING = re.compile(r"(?m)^#+ (.+)$")
_HEAD = """# Exit codes

A task that fails prints one message and ends with the code of that kind of failure; a script can go by it.
In Python the same failures are exceptions of `slipway.errors`, each with its `exit_code`.

"""
_OTHER = (
    ("0", "", "All is well. `status` also ends with it where runs have failed."),
    ("1 to 127", "", "`job --wait` and `logs --follow`: the program's own code. 1 where it has none."),
    ("128 to 255", "", "`job --wait` and `logs --follow`: a signal ended the program; 128 and its number."),
    ("130", "", "Ctrl-C."),
    ("129, 143", "", "SIGHUP, SIGTERM: the task was stopped as by Ctrl-C."),
    ("141", "", "Whoever read the output has had enough, such as `head`."),
)


def errors() -> list[type[SlipwayError]]:
    """All kinds of failure that have a code of their own, by their codes."""
    return sorted(_below(SlipwayError), key=lambda one: one.exit_code)


def mistakes() -> dict[int, dict[str, list[str]]]:
    """What the tables in ``docs/`` have for each code: what happened, by a link to where its message is."""
    found: dict[int, dict[str, list[str]]] = {}
    for file in sorted(DOCS.glob("*.md")):
        text = file.read_text(encoding="utf-8")
        for block in _BLOCK.finditer(text):
            if block[1] == "payload":
                continue  # these are the program's codes
            titles = _HEADING.findall(text[: block.start()])
            place = f"[{titles[0]}: {titles[-1]}](../{file.name}#{_slug(titles[-1])})"
            for row in block[2].splitlines()[2:]:
                number, words = row.strip("| ").split(" | ")[:2]
                found.setdefault(int(number), {}).setdefault(place, []).append(_unlinked(words))
    return found


def page() -> str:
    """The page, as Markdown."""
    known = mistakes()
    rows = []
    for one in errors():
        kind = code(one.__mro__[1].__name__)
        rows.append((f"[{one.exit_code}](#code-{one.exit_code})", code(one.__name__), kind, _words(one)))
    text = _HEAD + table(("code", "exception", "derives from", "meaning"), rows)
    text += "\n## Codes that are no failure of Slipway's\n\n" + table(("code", "", "meaning"), _OTHER)
    for one in errors():
        text += f"\n## {one.exit_code}: {code(one.__name__)} {{#code-{one.exit_code}}}\n\n{_words(one)}\n"
        for place, seen in known.get(one.exit_code, {}).items():
            text += f"\n{place} has what is printed, and what to do:\n\n"
            text += "".join(f"- {words}\n" for words in seen)
    return text


def _below(kind: type[SlipwayError]) -> Iterator[type[SlipwayError]]:
    for one in kind.__subclasses__():
        if one.__module__ == SlipwayError.__module__:
            yield one
            yield from _below(one)


def _words(kind: type[SlipwayError]) -> str:
    return (inspect.getdoc(kind) or "").replace("``", "`")


def _unlinked(words: str) -> str:
    return re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", words)


def _slug(heading: str) -> str:
    return str(slugify(case="lower")(re.sub(r"[`*]", "", heading), "-"))
