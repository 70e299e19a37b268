"""What of a Dockerfile the classic builder does not know. That of Engine 26 was asked about each."""

import pytest

from slipway.image.features import find_features, secret_names, syntax_image


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "RUN --mount=type=cache,target=/root/.cache pip install x",
            "RUN --mount=type=cache,target=/root/.cache",
        ),
        ("run \\\n  --network=none make", "RUN --network=none"),
        ("COPY --link a /", None),
        ("COPY --chown=1:1 --chmod=644 a /", "COPY --chmod=644"),
        ("COPY --parents a/b /", "COPY --parents"),
        ("ADD --checksum=sha256:0 https://example.org/a /", "ADD --checksum=sha256:0"),
        ("RUN <<EOF\ntrue\nEOF", "RUN <<… (a here-document)"),
        ("FROM --platform=$BUILDPLATFORM y AS two", "FROM --platform=$BUILDPLATFORM"),
        ("FROM --platform=${TARGETPLATFORM} y", "FROM --platform=${TARGETPLATFORM}"),
        ("FROM --platform=linux/arm64 y", None),
        ("FROM y AS x", None),
        ("COPY --from=one --chown=1:1 a /", None),
        ("RUN pip install --mount=type=cache x", None),
        ("RUN echo '--mount=type=cache'", None),
        ("# RUN --mount=type=cache x", None),
        ("CMD --mount=a", None),
    ],
)
def test_what_needs_buildkit(line: str, expected: str | None) -> None:
    found = find_features(f"FROM x\n\n{line}\n")
    assert [str(one) for one in found] == ([f"line 3, {expected}"] if expected else [])


def test_all_are_found_in_order() -> None:
    text = "FROM x\nRUN --mount=type=ssh --network=host <<A\nRUN --mount=no\nA\nCOPY --chmod=1 a /\n"
    assert [(one.line, one.words) for one in find_features(text)] == [
        (2, "--mount=type=ssh"),
        (2, "--network=host"),
        (2, "<<… (a here-document)"),
        (5, "--chmod=1"),
    ]


def test_secrets_are_found_by_their_ids() -> None:
    text = (
        "FROM x\n"
        "RUN --mount=type=secret,id=HF_TOKEN,target=/t --mount=type=secret,required,id=b.c true\n"
        "RUN --mount=type=secret,source=/run/netrc true\n"
        "RUN --mount=id=HF_TOKEN,type=secret --mount=type=cache,id=no,target=/c true\n"
        "RUN --mount=type=secret,id=$WHICH true\n"
    )
    assert secret_names(text) == ["HF_TOKEN", "b.c", "netrc", "$WHICH"]
    assert secret_names("FROM x\n") == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# syntax=docker/dockerfile:1\nFROM x\n", "docker/dockerfile:1"),
        ("#syntax = example.org/a:b \nFROM x\n", "example.org/a:b"),
        ("# escape=`\n# syntax=a\nFROM x\n", "a"),
        ("# syntax\nFROM x\n", None),
        ("# a comment\n# syntax=a\nFROM x\n", None),
        ("FROM x\n# syntax=a\n", None),
    ],
)
def test_the_line_that_asks_for_another_reader(text: str, expected: str | None) -> None:
    assert syntax_image(text) == expected
