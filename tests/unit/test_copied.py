"""Which files of a context a Dockerfile copies."""

from pathlib import Path

import pytest

from slipway.image.copied import copied_files, parse_sources
from slipway.image.recipe import Recipe, context_files, inputs_hash

NAMES = ["a.txt", "b", "b/c.py", "b/d", "b/d/e.py", "data", "data/big.bin", "requirements.txt", "x y"]


def copied(dockerfile: str, **given: str) -> list[str]:
    return copied_files(dockerfile, NAMES, given, lambda _: False)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("COPY requirements.txt /tmp/", ["requirements.txt"]),
        ("copy --chown=1:1 --chmod=644 ./a.txt /requirements.txt /", ["a.txt", "requirements.txt"]),
        ('COPY ["x y", "/"]', ["x y"]),
        ("COPY b /b", ["b", "b/c.py", "b/d", "b/d/e.py"]),
        ("COPY b/*.py /", ["b/c.py"]),
        ("COPY ?.txt [^a]*.txt /", ["a.txt", "requirements.txt"]),
        ("COPY . /app", NAMES),
        ("COPY ../b/d/../c.py /", ["b/c.py"]),
        ("COPY a.txt \\\n  # a comment\n  b/d \\\n  /", ["a.txt", "b/d", "b/d/e.py"]),
        ("COPY --from=builder /a.txt /", []),
        ("ADD https://example.org/a.txt /", []),
        ("RUN echo COPY a.txt /", []),
        ("ARG NAME=a\nCOPY $NAME.txt /", ["a.txt"]),
        ("ARG NAME=a\nFROM x\nARG NAME\nCOPY ${NAME}.txt /", ["a.txt"]),
        ("COPY re\\\nquirements.txt /", ["requirements.txt"]),
        ("LABEL x=y\\\\\nCOPY a.txt /", ["a.txt"]),
        ("ENV X=1 NAME=a\nCOPY $NAME.txt /", ["a.txt"]),
        ("FROM x\nARG NAME=b\nFROM y\nARG NAME=a\nCOPY $NAME.txt /", ["a.txt"]),
        # What only BuildKit and Podman know.
        ("RUN --mount=type=cache,target=/root/.cache pip install numpy", []),
        (
            "RUN --network=none --mount=type=secret,id=a --mount=type=ssh --mount=type=tmpfs,target=/t true",
            [],
        ),
        ("RUN --mount=type=bind,source=b/d,target=/x --mount=type=cache,target=/y make", ["b/d", "b/d/e.py"]),
        ("RUN --mount=src=a.txt,target=/x,rw cat /x", ["a.txt"]),
        ("RUN --mount=from=builder,source=/b,target=/x make", []),
        ("RUN echo --mount=target=/x", []),
        ("COPY <<END /x\nhello\nCOPY . /\nEND\nCOPY a.txt /", ["a.txt"]),
        ("COPY --chmod=755 <<-'END' a.txt /x/\nhello\n\tEND", ["a.txt"]),
        ("RUN <<A <<-'B' cat\nCOPY . /\nA\nADD b /\n\tB\nCOPY a.txt /", ["a.txt"]),
        # Not clear: all of them.
        ("COPY 'a.txt' /", NAMES),
        ("ARG NAME=b\nFROM x\nCOPY data$NAME /", NAMES),
        ("FROM x\nARG NAME=b\nFROM y\nCOPY data$NAME /", NAMES),
        ("ARG NAME=b\nENV X=1 NAME=a\nCOPY $NAME.txt /", NAMES),
        ("FROM x AS one\nENV NAME=a\nFROM one\nARG NAME=b\nCOPY $NAME.txt /", NAMES),
        ('ARG NAME="x y"\nCOPY $NAME /', NAMES),
        ("ENV NAME x y\nCOPY $NAME /", NAMES),
        ("ARG NAME=a\nARG NAME=b\nCOPY $NAME.txt /", NAMES),
        ("COPY $UNKNOWN /", NAMES),
        ("COPY a\\ b.txt /", NAMES),
        ("COPY --parents a.txt /", NAMES),
        ("COPY a.txt", NAMES),
        ("# escape=`\nCOPY a.txt /", NAMES),
        ("ONBUILD COPY a.txt /", NAMES),
        ("RUN --mount=type=bind,target=/x pip install .", NAMES),
        ("RUN --mount=target=/x pip install .", NAMES),
        ("RUN --mount=type=bind,source=$A,target=/x pip install .", NAMES),
        ("RUN --mount=type=cache,target=/x --mount=target=/y pip install .", NAMES),
    ],
)
def test_what_a_line_copies(line: str, expected: list[str]) -> None:
    assert copied(f"{line}\n") == expected


def test_an_argument_that_is_given_counts() -> None:
    assert copied("ARG NAME=b\nCOPY $NAME.txt /", NAME="a") == ["a.txt"]


def test_an_argument_that_is_given_gives_way_to_the_environment() -> None:
    assert copied("ARG NAME=x\nENV NAME=a\nCOPY $NAME.txt /", NAME="b") == NAMES
    assert copied("ENV NAME=a\nCOPY $NAME.txt /", NAME="b") == ["a.txt"]


def test_sources_are_listed_once() -> None:
    assert parse_sources("COPY a b /\nCOPY b c /\n", {}) == ["a", "b", "c"]


def test_a_link_that_is_named_may_lead_to_any_file(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.txt").touch()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY link/a.txt /\n")
    recipe = Recipe(name="a", dockerfile=tmp_path / "Dockerfile", platform="")
    assert "real/a.txt" in context_files(recipe)
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY real /\n")
    assert context_files(recipe) == ["Dockerfile", "real", "real/a.txt"]


def test_code_and_state_of_a_project_make_no_new_image(tmp_path: Path) -> None:
    """A project's whole folder is the context of its Dockerfile."""
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text("FROM scratch\nCOPY requirements.txt /\n")
    (tmp_path / "requirements.txt").write_text("numpy\n")
    recipe = Recipe(name="a", dockerfile=dockerfile, platform="")
    first = inputs_hash(recipe, {})
    (tmp_path / "train.py").write_text("print(1)\n")
    assert inputs_hash(recipe, {}) == first
    (tmp_path / "requirements.txt").write_text("torch\n")
    assert inputs_hash(recipe, {}) != first
    dockerfile.write_text("FROM scratch\nCOPY . /app\n")
    first = inputs_hash(recipe, {})
    (tmp_path / ".slipway").mkdir()
    (tmp_path / ".slipway" / "image.sif").write_text("large")
    assert inputs_hash(recipe, {}) == first
    (tmp_path / "train.py").write_text("print(2)\n")
    assert inputs_hash(recipe, {}) != first


def test_an_image_of_all_files_has_them_all(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    (tmp_path / "a.txt").touch()
    recipe = Recipe(name="a", dockerfile=tmp_path / "Dockerfile", platform="", copies_all=True)
    assert context_files(recipe) == ["Dockerfile", "a.txt"]
