"""What an engine answers to a build: Docker 20.10's classic builder, and Podman 5.4, as they did."""

from pathlib import Path

import pytest

from slipway.errors import ImageError
from slipway.image.classic import _follow
from slipway.image.order import Order
from slipway.image.recipe import Recipe
from slipway.progress import NullProgress

PODMAN = [
    {"stream": "[1/2] STEP 1/2: FROM debian:trixie-slim AS one\n"},
    {"stream": "[1/2] STEP 2/2: RUN echo a && echo b\n"},
    {"stream": "a\nb\n"},
    {"stream": "--> 101caacc4c3b\n"},
    {"stream": "[2/2] STEP 1/3: FROM debian:trixie-slim\n"},
    {"stream": "[2/2] STEP 2/3: COPY --from=one /etc/hostname /x\n"},
    {"stream": "--> b5585bd7eea8\n"},
    {"stream": "[2/2] STEP 3/3: RUN echo c; false\n"},
    {"stream": "c\n"},
    {"stream": "subprocess exited with status 1\n"},
    {"error": 'building at STEP "RUN echo c; false": exit status 1\n'},
]
DOCKER = [
    {"stream": "Step 1/2 : FROM debian:trixie-slim"},
    {"stream": "\n"},
    {"stream": " ---> c51b40855279\n"},
    {"stream": "Step 2/2 : RUN echo c; false"},
    {"stream": "\n"},
    {"stream": " ---> Running in 0c1bd1ad4b5a\n"},
    {"stream": "c\n"},
    {"error": "The command '/bin/sh -c echo c; false' returned a non-zero code: 1"},
]


class Told(NullProgress):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.lines: list[str] = []

    def step(self, text: str) -> None:
        self.steps.append(text)

    def line(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture
def order(tmp_path: Path) -> Order:
    (tmp_path / "Dockerfile").write_text("FROM x\n")
    recipe = Recipe(name="a", dockerfile=tmp_path / "Dockerfile", platform="")
    return Order(recipe=recipe, tag="a:latest", build_args={}, labels={}, secrets={"A": b"hunter2hunter2"})


def test_podmans_steps(order: Order) -> None:
    told = Told()
    with pytest.raises(ImageError) as caught:
        _follow(order, PODMAN, told)
    assert str(caught.value) == (
        f"{order.recipe.dockerfile}: step 3/3 (RUN echo c; false) failed: building at STEP "
        '"RUN echo c; false": exit status 1\n  c\n  subprocess exited with status 1'
    )
    assert told.steps == [
        "[2/2] RUN echo a && echo b",
        "[2/3] COPY --from=one /etc/hostname /x",
        "[3/3] RUN echo c; false",
    ]
    assert not any("-->" in line for line in told.lines)


def test_dockers_steps(order: Order) -> None:
    told = Told()
    with pytest.raises(
        ImageError, match=r"step 2/2 \(RUN echo c; false\) failed: The command .* code: 1\n  c$"
    ):
        _follow(order, DOCKER, told)
    assert told.steps == ["[2/2] RUN echo c; false"]
    assert told.lines == ["[1/2] FROM debian:trixie-slim", "c"]


def test_secrets_are_not_shown(order: Order) -> None:
    told = Told()
    events = [
        {"stream": "STEP 1/1: RUN x\n"},
        {"stream": "is hunter2hunter2\n"},
        {"error": "x hunter2hunter2"},
    ]
    with pytest.raises(ImageError, match=r"failed: x \*\*\*\n  is \*\*\*$"):
        _follow(order, events, told)
    assert told.lines == ["is ***"]
