"""What Slipway reads of a Dockerfile. Docker's own builder was asked about each."""

import pytest

from slipway.image.dockerfile import declared_args, instructions, parse_bases

DOCKERFILE = """# syntax
ARG BASE_IMAGE=debian:trixie-slim
ARG RUNTIME="debian:trixie-slim"
FROM --platform=linux/amd64 ${BASE_IMAGE} AS builder
ARG DEBIAN_MIRROR
COPY *.txt *.log /
from $RUNTIME
COPY --from=builder /a.txt /
FROM builder
"""


def test_bases_are_found_with_their_arguments_filled_in() -> None:
    assert parse_bases(DOCKERFILE, {}) == ["debian:trixie-slim"]
    assert parse_bases(DOCKERFILE, {"BASE_IMAGE": "mine:1"}) == ["mine:1", "debian:trixie-slim"]
    assert parse_bases("FROM scratch\n", {}) == []


def test_only_declared_arguments_are_given() -> None:
    given = {"DEBIAN_MIRROR": "m", "BASE_IMAGE": "b", "TIME": "10"}
    assert declared_args(DOCKERFILE, given) == {"BASE_IMAGE": "b", "DEBIAN_MIRROR": "m"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FROM ${A:-debian}\n", ["debian"]),
        ("ARG A=x\nFROM ${A:-debian}:${A:+1}\n", ["x:1"]),
        ("ARG A=x\nARG B=$A:2\nFROM $B\n", ["x:2"]),
        ("ARG A=x B=y\nFROM $B\n", ["y"]),
        ("ARG A=x \\\n  B=y\nFROM \\\n  $B\n", ["y"]),
        # A line of Python's, or of SQL, is no instruction.
        ('FROM x\nRUN python3 -c "\\\nfrom torch import nn; \\\nnn"\n', ["x"]),
        # What a stage declares is nothing to the next FROM.
        ("ARG A=x\nFROM $A\nARG A=y\nFROM $A\n", ["x"]),
        ("# escape=`\nFROM x\nLABEL a=C:\\\nFROM y\n", ["x", "y"]),
    ],
)
def test_bases_of_dockerfiles_that_people_write(text: str, expected: list[str]) -> None:
    assert parse_bases(text, {}) == expected


def test_one_line_may_declare_several_arguments() -> None:
    text = "FROM x\nARG A=1 B\nENV C=1\nRUN echo \\\n ARG D\n"
    assert declared_args(text, dict.fromkeys("ABCD", "v")) == {"A": "v", "B": "v"}


def test_instructions_are_whole() -> None:
    text = "RUN a \\\n# a comment\n\n  b\nLABEL x=y\\\\\nCOPY re\\\nquirements.txt /\n"
    assert instructions(text) == ["RUN a   b", "LABEL x=y\\\\", "COPY requirements.txt /"]
