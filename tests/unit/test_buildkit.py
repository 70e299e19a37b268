"""What ``docker buildx`` is told, and what it printed: buildx 0.13 on Engine 26, 0.29 on Engine 28."""

from pathlib import Path

import pytest

from slipway.build_secret import BuildSecret
from slipway.image.buildkit import Kind, PlainReader, build_command, parse_version
from slipway.image.buildx import _Follower
from slipway.image.order import Order
from slipway.image.recipe import Recipe
from slipway.progress import NullProgress

DATA = Path(__file__).parent / "data" / "buildx"


class Told(NullProgress):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.lines: list[str] = []

    def step(self, text: str) -> None:
        self.steps.append(text)

    def line(self, text: str) -> None:
        self.lines.append(text)


def make_order(tmp_path: Path, text: str = "FROM x\n", **secrets: bytes) -> Order:
    (tmp_path / "Dockerfile").write_text(text)
    recipe = Recipe(name="a", dockerfile=tmp_path / "Dockerfile", platform="")
    return Order(recipe=recipe, tag="a:latest", build_args={}, labels={}, secrets=secrets)


def follow(order: Order, text: str, size: int = 1000) -> tuple[_Follower, Told]:
    told = Told()
    follower = _Follower(order, told)
    for start in range(0, len(text), size):
        follower.listen(text[start : start + size])
    follower.listen("\n")
    return follower, told


def test_the_whole_command() -> None:
    command = build_command(
        context="rootless",
        version=(0, 13),
        dockerfile="Dockerfile.gpu",
        tag="lab:latest",
        build_args={"https_proxy": "http://me:secret@proxy:1", "PATH": "/x", "A": "b c"},
        labels={"slipway.inputs": "12", "a": "$b 'c'"},
        environment={"https_proxy": "http://me:secret@proxy:1", "PATH": "/usr/bin"},
        secrets=[BuildSecret(id="TOKEN"), BuildSecret(id="netrc", file=Path('/a,b "c"/netrc'))],
        platform="linux/amd64",
        target="builder",
        cache_from=["example.org/a:cache"],
        keeps_cache=True,
        fresh=True,
    )
    assert command == [
        *("docker", "buildx", "build", "--builder", "rootless", "--progress", "plain"),
        *("--provenance=false", "--sbom=false", "--file", "Dockerfile.gpu", "--tag", "lab:latest"),
        # By its name alone: who is on this machine sees the words of a command.
        *("--build-arg", "https_proxy", "--build-arg", "PATH=/x", "--build-arg", "A=b c"),
        *("--label", "slipway.inputs=12", "--label", "a=$b 'c'"),
        *("--secret", "id=TOKEN,env=TOKEN", "--secret", 'id=netrc,"src=/a,b ""c""/netrc"'),
        *("--cache-from", "type=registry,ref=example.org/a:cache", "--cache-to", "type=inline"),
        *("--platform", "linux/amd64", "--target", "builder", "--no-cache", "-"),
    ]


def test_an_older_buildx_knows_no_records_of_a_build() -> None:
    command = build_command(
        context="default",
        version=(0, 9),
        dockerfile="Dockerfile",
        tag="a:latest",
        build_args={},
        labels={},
        environment={},
    )
    assert command == [
        *("docker", "buildx", "build", "--builder", "default", "--progress", "plain"),
        *("--file", "Dockerfile", "--tag", "a:latest", "-"),
    ]


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        ("github.com/docker/buildx 0.13.1+ds1 0.13.1+ds1-3\n", (0, 13)),
        ("github.com/docker/buildx v0.29.1 a32761aeb3debd39be1eca514af3693af0db334b\n", (0, 29)),
        ("github.com/docker/buildx v1.0.0-desktop.1\n", (1, 0)),
        ("", (0, 0)),
    ],
)
def test_versions(printed: str, expected: tuple[int, int]) -> None:
    assert parse_version(printed) == expected


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_a_build_is_followed(tmp_path: Path, size: int) -> None:
    text = (DATA / "built-0.13.txt").read_bytes().decode()
    _, told = follow(make_order(tmp_path), text, size)
    secret, cache = "--mount=type=secret,id=HF_TOKEN", "--mount=type=cache,target=/cache"
    file = "/run/secrets/HF_TOKEN"
    assert told.steps == [
        f"[stage-1 2/5] RUN {secret} test -s {file} && wc -c {file}",
        "[one 2/3] COPY <<EOF /hello.txt",
        f"[one 3/3] RUN {cache} echo x >>/cache/n && wc -l /cache/n && printf 'a\\rb\\n'",
        "[stage-1 3/5] RUN <<-'EOF' (set -e...)",
        "[stage-1 4/5] COPY --from=one /hello.txt /",
        "[stage-1 5/5] COPY a.txt /",
    ]
    assert told.lines[-3:] == ["a", "b", "done"]


def test_a_failed_step_is_named_with_what_it_printed(tmp_path: Path) -> None:
    text = (DATA / "failed-0.29.txt").read_text()
    order = make_order(tmp_path)
    follower, _ = follow(order, text.replace("slipway: no", "cc: no such file"))
    process = 'process "/bin/sh -c set -e\\necho cc: no such file; false\\n"'
    assert str(follower.explain(1)) == (
        f"{order.recipe.dockerfile}: step stage-1 3/5 (RUN <<-'EOF' (set -e...)) failed: {process} did not "
        "complete successfully: exit code: 1\n  cc: no such file"
    )
    # A step of ours says itself what is wrong.
    follower, _ = follow(order, text)
    assert str(follower.explain(1)) == f"{order.recipe.dockerfile}: no"


def test_a_reader_that_cannot_be_fetched_is_told(tmp_path: Path) -> None:
    order = make_order(tmp_path, "# syntax=docker/dockerfile:1\nFROM debian\n")
    follower, _ = follow(order, (DATA / "syntax-0.13.txt").read_text())
    said = str(follower.explain(1))
    assert "its line `# syntax=docker/dockerfile:1` has BuildKit fetch that image from a registry" in said
    assert "no such host. Without the line the engine's own reader does it" in said


def test_what_was_never_said_has_its_exit_code(tmp_path: Path) -> None:
    follower, _ = follow(make_order(tmp_path), "")
    assert "the build failed: `docker buildx build` ended with exit code 137" in str(follower.explain(137))
    follower, _ = follow(make_order(tmp_path), 'ERROR: no builder "lab" found\n')
    assert str(follower.explain(1)).endswith('the build failed: no builder "lab" found')


def test_no_secret_is_shown(tmp_path: Path) -> None:
    order = make_order(
        tmp_path, TOKEN=b"hunter2hunter2", FILE=b"machine a\n  password swordfish \n", SHORT=b"a"
    )
    text = (
        "#5 [1/2] RUN x\n#5 0.1 a hunter2hunter2 b\n#5 0.1 x password swordfish y\n"
        "#5 ERROR: exit hunter2hunter2\n------\nERROR: failed to solve: x password swordfish\n"
    )
    follower, told = follow(order, text)
    assert told.lines == ["a *** b", "x *** y"]
    said = str(follower.explain(1))
    assert "hunter2" not in said
    assert "swordfish" not in said
    assert "failed: x ***" in said
    assert "hunter2" not in repr(order)


def test_steps_that_go_on_at_once_share_the_time(tmp_path: Path) -> None:
    """A step is shown until it ends; those that ended beside it follow at once."""
    follower, told = follow(make_order(tmp_path), "#1 [a 1/2] RUN one\n#1 0.1 x\n\n#2 [b 1/2] RUN two\n")
    assert told.steps == ["[a 1/2] RUN one"]
    follower.listen("#2 DONE 0.2s\n\n#3 [b 2/2] COPY a b\n#1 [a 1/2] RUN one\n#1 0.4 y\n")
    assert told.steps == ["[a 1/2] RUN one"]
    follower.listen("#1 DONE 9.0s\n")
    assert told.steps == ["[a 1/2] RUN one", "[b 1/2] RUN two", "[b 2/2] COPY a b"]


@pytest.mark.parametrize(
    ("line", "kind", "text"),
    [
        ("#12 [linux/arm64 one 2/3] RUN make", Kind.STEP, "RUN make"),
        ("#1 [internal] load build definition from Dockerfile", Kind.NOTHING, None),
        ("#3 [auth] library/debian:pull token for registry-1.docker.io", Kind.NOTHING, None),
        ("#7 12.345 [1/2] RUN x", Kind.LINE, "[1/2] RUN x"),
        ("#7 12.345", Kind.NOTHING, None),
        ("#7 CACHED", Kind.ENDED, None),
        ("#7 DONE 0.0s", Kind.ENDED, None),
        ("#7 CANCELED", Kind.ENDED, None),
        ('#7 ERROR: process "x"', Kind.FAILED, None),
        ("#7 sha256:00 1.05MB / 28.23MB 0.2s", Kind.NOTHING, None),
        ("ERROR: failed to solve: x", Kind.ERROR, "x"),
        ("error: failed to solve: x", Kind.ERROR, "x"),
        ("WARNING: something", Kind.LINE, "WARNING: something"),
        ("", Kind.NOTHING, None),
    ],
)
def test_lines(line: str, kind: Kind, text: str | None) -> None:
    event = PlainReader().read(line)
    assert event.kind is kind
    assert text is None or event.text == text
