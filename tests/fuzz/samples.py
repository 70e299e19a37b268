"""Real texts that the fuzz campaign begins with: what other tests hand to the same parsers."""

import ast
from functools import cache
from pathlib import Path

TESTS = Path(__file__).parents[1]
DATA = TESTS / "unit" / "data"
# Longer ones make the same few steps more slowly.
_LONGEST = 6000


@cache
def literals(*modules: str) -> tuple[str, ...]:
    """The texts that stand in modules of tests/unit, each once; a value in an f-string is ``7``."""
    found: dict[str, None] = {}
    for name in modules:
        tree = ast.parse((TESTS / "unit" / f"{name}.py").read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            text = _text(node)
            if 3 <= len(text) <= _LONGEST:
                found[text] = None
    return tuple(found)


def _text(node: ast.AST) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.Constant) and isinstance(node.value, bytes):
        return node.value.decode("utf-8", "surrogateescape")
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "7" for part in node.values)
    return ""


@cache
def files(pattern: str) -> tuple[str, ...]:
    """The files of tests/unit/data that a pattern names, as texts."""
    contents = (file.read_bytes()[: 4 * _LONGEST] for file in sorted(DATA.glob(pattern)))
    return tuple(content.decode("utf-8", "surrogateescape") for content in contents)


@cache
def repository(pattern: str) -> tuple[str, ...]:
    """The files of the repository that a pattern names, as texts."""
    contents = (file.read_bytes()[: 4 * _LONGEST] for file in sorted(TESTS.parent.glob(pattern)))
    return tuple(content.decode("utf-8", "surrogateescape") for content in contents)


@cache
def binaries(pattern: str) -> tuple[str, ...]:
    """The files of tests/unit/data that a pattern names, a letter for each byte."""
    contents = (file.read_bytes()[: 4 * _LONGEST] for file in sorted(DATA.glob(pattern)))
    return tuple(content.decode("latin-1") for content in contents)
