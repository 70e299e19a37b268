"""The error tree: each kind of failure has a code of its own, and the documentation has them all."""

from collections.abc import Iterator

from slipway.errors import SlipwayError
from tests.mistakes import Block


def kinds(root: type[SlipwayError]) -> Iterator[type[SlipwayError]]:
    for child in root.__subclasses__():
        if child.__module__ == "slipway.errors":
            yield child
            yield from kinds(child)


def test_each_kind_has_a_code_of_its_own() -> None:
    found = [SlipwayError, *kinds(SlipwayError)]
    assert all("exit_code" in vars(kind) for kind in found)
    codes = [kind.exit_code for kind in found]
    assert len(set(codes)) == len(codes) > 20
    # Below are those of programs and of sysexits' neighbours, above are the shell's.
    assert all(64 <= code < 126 for code in codes)


def test_the_documentation_has_all_codes() -> None:
    rows = sorted((kind.exit_code, (kind.__doc__ or "").strip()) for kind in kinds(SlipwayError))
    lines = [f"| {code} | {words.replace('``', '`')} |" for code, words in rows]
    Block("errors.md", "codes").check(["| code | meaning |", "| --- | --- |", *lines])
