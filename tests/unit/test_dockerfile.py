"""What Slipway reads of a Dockerfile. Docker's own builder was asked about each."""

import pytest

from slipway.image.dockerfile import declared_args, instructions, parse_bases, read_instructions

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


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("RUN <<EOF\nFROM y\n# no comment\n\nEOF\nFROM x\n", [("RUN <<EOF", 1), ("FROM x", 6)]),
        (
            "FROM x\nRUN \\\n  # a comment\n  cat <<A >/b\n A\nA\nUSER b\n",
            [("FROM x", 1), ("RUN   cat <<A >/b", 2), ("USER b", 7)],
        ),
        ('COPY <<-"E F" /x\na\n\t\tE F\nENV A=b', [('COPY <<-"E F" /x', 1), ("ENV A=b", 4)]),
        ("RUN 3<<A 4<<B cat\nx\nA\ny\nB\nUSER c", [("RUN 3<<A 4<<B cat", 1), ("USER c", 6)]),
        # These are none: shifted bits, a word in quotes, another instruction, a string of bash's.
        ("RUN echo $((1<<2)) $((1 << 2))\nUSER c", [("RUN echo $((1<<2)) $((1 << 2))", 1), ("USER c", 2)]),
        ("RUN echo '<<EOF'\nUSER c", [("RUN echo '<<EOF'", 1), ("USER c", 2)]),
        ("LABEL a=<<EOF\nUSER c", [("LABEL a=<<EOF", 1), ("USER c", 2)]),
        ("RUN cat<<EOF\nUSER c", [("RUN cat<<EOF", 1), ("USER c", 2)]),
        ("RUN cat <<<word\nUSER c", [("RUN cat <<<word", 1), ("USER c", 2)]),
        ("RUN cat <<EOF\nits end is missing\n", [("RUN cat <<EOF", 1)]),
    ],
)
def test_here_documents_are_no_instructions(text: str, expected: list[tuple[str, int]]) -> None:
    assert [(one.text, one.line) for one in read_instructions(text)] == expected


def test_instructions_are_whole() -> None:
    text = "RUN a \\\n# a comment\n\n  b\nLABEL x=y\\\\\nCOPY re\\\nquirements.txt /\n"
    assert instructions(text) == ["RUN a   b", "LABEL x=y\\\\", "COPY requirements.txt /"]
