"""Tasks that show and check Slipway itself."""

from __future__ import annotations

import io
import shlex
import sys
from pathlib import Path
from typing import Any

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from slipway.cli.common import open_session


@task(auto_shortflags=False)
def demo(context: Context) -> None:
    """Run the whole pipeline on this machine: build, convert, box, push, stage, job, results."""
    with open_session(context, anywhere=True) as (session, screen):
        from slipway.demo import run_demo

        code = run_demo(session, screen)
    if code:
        raise Exit(code=code)


@task(
    help={
        "serve": "Show it at http://127.0.0.1:8000, and build it again at each change.",
        "record": "Run the demo and record its terminal first: docs/pictures/demo.svg.",
    },
    auto_shortflags=False,
)
def docs(context: Context, serve: bool = False, record: bool = False) -> None:
    """Build the site of docs/ into build/site; any broken link is an error."""
    python = shlex.quote(sys.executable)
    # Of Material's notice about MkDocs 2, which pyproject.toml keeps out.
    quiet = {"NO_MKDOCS_2_WARNING": "1"}
    with context.cd(context.config.slipway.root):
        if record:
            context.run(f"{python} -m manual.record docs/pictures/demo.svg ./run demo", pty=True)
        context.run(
            f"{python} -W error -m mkdocs {'serve' if serve else 'build'} --strict", echo=True, env=quiet
        )


@task(
    help={
        "only": "Only this row, such as push or submit. May be repeated; a wrong one names all.",
        "times": "How often each way is measured. Default: 5.",
        "delays": "Round trips in ms, with commas, such as 0,25,100. Default: those of each row.",
        "json": "A file that gets the results; rows in it that are not measured stay.",
        "short": "Everything small and once, to see that it works.",
        "write_docs": "Write the figures of the file to docs/performance.md; measure only what --only names.",
    },
    iterable=["only"],
    auto_shortflags=False,
)
def bench(
    context: Context,
    only: list[str] | None = None,
    times: str | None = None,
    delays: str | None = None,
    json: str | None = None,
    short: bool = False,
    write_docs: bool = False,
) -> None:
    """Measure what the pieces of work cost beside other ways of doing them, as tables and JSON."""
    words = [sys.executable, "-m", "bench.suite"]
    words += ["--only", *only] if only else []
    words += ["--times", times] if times else []
    words += ["--delays", *delays.replace(",", " ").split()] if delays else []
    words += ["--json", str(Path(json).absolute())] if json else []
    words += ["--short"] * short + ["--write-docs"] * write_docs
    with context.cd(context.config.slipway.root):
        context.run(shlex.join(words))


@task(
    help={
        "rounds": "Do all of it so many times. Default: 1.",
        "seed": "A number that an earlier one has shown: its moments are chosen again.",
        "only": "Only tests in whose names these words of pytest's -k are, such as kills or line.",
    },
    auto_shortflags=False,
)
def faults(
    context: Context, rounds: str | None = None, seed: str | None = None, only: str | None = None
) -> None:
    """Break things on purpose at random moments, and check what is left: build/faults.md."""
    with context.cd(context.config.slipway.root):
        python, options = shlex.quote(sys.executable), "-m fault --durations=10"
        chosen = {"SLIPWAY_TEST_ROUNDS": rounds, "SLIPWAY_TEST_SEED": seed}
        more = {"SLIPWAY_TEST_LONG": "1", **{key: value for key, value in chosen.items() if value}}
        options += f" -k {shlex.quote(only)}" if only else ""
        command = f"{python} -m tests.fault_table run {options} tests/integration"
        context.run(command, echo=True, pty=sys.stdout.isatty(), env=more)


@task(
    help={
        "fast": "Leave out what needs Docker.",
        "long_": "Do all that CI does at night: hours. CONTRIBUTING.md has what the short form leaves out.",
    },
    auto_shortflags=False,
)
def test(context: Context, fast: bool = False, long_: bool = False) -> None:
    """Check style and types, and run all tests."""
    python, more = shlex.quote(sys.executable), {"SLIPWAY_TEST_LONG": "1"} if long_ else {}
    # It lies beside the interpreter and is no module.
    hadolint = shlex.quote(str(Path(sys.executable).with_name("hadolint")))
    dockerfiles = "docker/Dockerfile.* docker/*/Dockerfile singularity/Dockerfile cluster/box/Dockerfile"
    dockerfiles += " tests/*/*/Dockerfile examples/*/Dockerfile"

    def run(command: str, **options: Any) -> Any:
        return context.run(command, echo=True, env=more, **options)

    def check(module: str) -> None:
        run(f"{python} -m {module}", pty=sys.stdout.isatty())

    with context.cd(context.config.slipway.root):
        run(f"{hadolint} {dockerfiles}")
        for module in ("ruff check .", "ruff format --check .", "mypy"):
            check(module)
        # What fails beside others is tried once more, alone.
        unit = "tests.second_try -n auto tests/unit tests/payload"
        if fast:
            check(unit)
            return
        # These make the images that others need, too: made once and not by each of them. Most of what they do
        # is to wait for the engine, so they go on beside the unit tests; what they print comes behind.
        first = "tests/integration/test_image.py tests/integration/test_box.py"
        said = io.StringIO()
        beside = run(f"{python} -m pytest {first}", asynchronous=True, out_stream=said, err_stream=said)
        try:
            with beside:  # its end is waited for
                check(unit)
        finally:
            print(said.getvalue(), end="", flush=True)
        # Most of what the others do is to wait, for SLURM above all, so there are more of them than
        # processors.
        ignored = " ".join(f"--ignore {name}" for name in first.split())
        spread = "-n 4 --dist loadfile --no-loadscope-reorder --durations=25"
        check(f"tests.second_try {spread} {ignored} tests/integration")


@task(
    help={
        "inputs": "So many, for all parsers together. Default: 1,000,000, which takes about 15 minutes.",
        "only": "Only these parsers, by the names that the campaign prints; may be repeated.",
        "seed": "Another one makes other inputs, the same one the same.",
        "table": "Write the table of docs/security.md into this file.",
    },
    iterable=["only"],
    auto_shortflags=False,
)
def fuzz(
    context: Context,
    inputs: str = "1000000",
    only: list[str] | None = None,
    seed: str = "1",
    table: str | None = None,
) -> None:
    """Give parsers of text from outside texts that are almost right; findings go to tests/fuzz/corpus."""
    words = ["--inputs", inputs, "--seed", seed, *(word for name in only or () for word in ("--only", name))]
    words += ["--table", table] if table else []
    argv = [sys.executable, "-m", "tests.fuzz.campaign", *words]
    with context.cd(context.config.slipway.root):
        context.run(shlex.join(argv), pty=sys.stdout.isatty())
