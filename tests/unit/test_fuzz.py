"""The fuzz campaign: a short form of it, what it has found once, and that it finds what is broken."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fuzz.campaign import CORPUS, end_it, fault, run
from tests.fuzz.parsers import PARSERS, Parser

ROOT = Path(__file__).parents[2]
BY_NAME = {one.name: one for one in PARSERS}
FOUND = sorted(file for file in CORPUS.rglob("*") if file.is_file())


@pytest.fixture
def limited() -> Iterator[None]:
    """What takes too long ends by an exception, as in a campaign."""
    before = signal.signal(signal.SIGPROF, end_it)
    yield
    signal.signal(signal.SIGPROF, before)


def test_each_parser_has_a_name_of_its_own() -> None:
    assert len(BY_NAME) == len(PARSERS)
    assert all(file.parent.name in BY_NAME for file in FOUND)


@pytest.mark.parametrize("file", FOUND, ids=lambda file: f"{file.parent.name}-{file.name}")
def test_what_was_found_once(limited: None, file: Path) -> None:
    text = file.read_bytes().decode("utf-8", "surrogatepass")
    assert fault(BY_NAME[file.parent.name], text)[0] is None


def test_no_parser_does_anything_but_to_read_or_refuse() -> None:
    # In a process of its own: its memory has a limit.
    argv = [sys.executable, "-m", "tests.fuzz.campaign", "--inputs", "10000", "--no-corpus"]
    done = subprocess.run(
        [*argv, "--seed", os.environ.get("SLIPWAY_FUZZ_SEED", "short")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f" inputs to {len(PARSERS)} parsers; 0 findings\n" in done.stdout


def too_long(text: str) -> None:
    while text:
        pass


def raises(error: Exception) -> Callable[[str], object]:
    def read(text: str) -> None:
        raise error

    return read


@pytest.mark.parametrize(
    ("read", "found"),
    [
        (raises(KeyError("a")), "KeyError"),
        (raises(MemoryError()), "MemoryError"),
        (raises(RecursionError()), "RecursionError"),
        (raises(ValueError("")), "without a message"),
        (raises(ValueError("x" * 5000)), "a message of 5000 letters"),
        (too_long, "TooLongError"),
    ],
)
def test_a_broken_parser_is_found_and_its_text_is_kept(
    limited: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    read: Callable[[str], object],
    found: str,
) -> None:
    monkeypatch.setattr("tests.fuzz.campaign.MOST_S", 0.2)
    broken = Parser(name="broken", source="a test", read=read, samples=lambda: ["7"], errors=(ValueError,))
    count = run(broken, 3, "1", tmp_path)
    assert count.inputs == 3
    (wrong,) = count.findings
    assert found in wrong
    (kept,) = (tmp_path / "broken").iterdir()
    assert fault(broken, kept.read_text())[0] is not None


def test_the_same_seed_makes_the_same_inputs() -> None:
    def inputs(seed: str) -> list[str]:
        seen: list[str] = []
        parser = Parser(name="a", source="a test", read=seen.append, samples=lambda: ["a 7", "b|c"])
        run(parser, 200, seed, None)
        return seen

    assert inputs("1") == inputs("1")
    assert inputs("1") != inputs("2")
    assert len(set(inputs("1"))) > 100
