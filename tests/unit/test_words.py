"""The command line as Invoke reads it, with what Slipway changes of that; and output that nobody reads."""

import os
import runpy
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from invoke.exceptions import ParseError
from invoke.parser import Parser

from slipway.cli.parser import check_values, name_runs
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parents[2]
TASKS = Parser(contexts=runpy.run_path(str(ROOT / "tasks.py"))["ns"].to_contexts()).contexts


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("logs 8xfp", "logs --run 8xfp"),
        ("logs 8xfp --follow", "logs --run 8xfp --follow"),
        ("logs --follow 8xfp", "logs --follow --run 8xfp"),
        ("pull 8xfp", "pull --run 8xfp"),
        ("status --count 3 8xfp", "status --count 3 --run 8xfp"),
        ("status --count=3 8xfp", "status --count=3 --run 8xfp"),
        ("status 8xfp logs 9ghj", "status --run 8xfp logs --run 9ghj"),
        ("logs --run 8xfp", "logs --run 8xfp"),
        ("logs --run=8xfp status", "logs --run=8xfp status"),
        ("completion bash", "completion --shell bash"),
        ("completion --install zsh", "completion --install --shell zsh"),
        # A task is a task, and what other tasks want by its place is theirs.
        ("build push", "build push"),
        ("logs status", "logs status"),
        ("stage logs --name x status 8xfp", "stage logs --name x status --run 8xfp"),
        ("stage --path logs pull 8xfp", "stage --path logs pull --run 8xfp"),
        ("ssh.trust box pull 8xfp", "ssh.trust box pull --run 8xfp"),
        ("job --profile logs -- logs 8xfp", "job --profile logs -- logs 8xfp"),
        # Whoever asks for help has not got what the task wants by its place.
        ("tunnel --help", "tunnel port --help"),
        ("tunnel 6006 --help", "tunnel 6006 --help"),
        ("logs --help", "logs --help"),
        ("jbo 8xfp", "jbo 8xfp"),
        ("", ""),
    ],
)
def test_a_run_may_stand_behind_its_task(typed: str, read: str) -> None:
    assert name_runs(typed.split(), TASKS) == read.split()


@pytest.mark.parametrize(
    ("typed", "flag"),
    [
        ("runs.prune --older-than 30d --run", "--run"),
        ("runs.prune --run --yes", "--run"),
        ("cancel --state --all", "--state"),
        ("job --notify -- true", "--notify"),
        ("runs.prune --run a --run", "--run"),
        ("runs.prune --run=a --yes", None),
        ("runs.prune --run a --yes --site box", None),
        ("keep --image --data photos", None),
        ("stage --path pull --name --run", None),
        ("job --notify mail -- --run", None),
    ],
)
def test_an_option_that_may_be_repeated_needs_a_value(typed: str, flag: str | None) -> None:
    """Invoke would take none for no option at all, and a removal would not be limited to what was meant."""
    if flag is None:
        check_values(typed.split(), TASKS)
        return
    with pytest.raises(ParseError, match=f"Flag {flag} needed value and was not given one"):
        check_values(typed.split(), TASKS)


def invoke(words: Sequence[str], output: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "invoke", *words],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.PIPE,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


@pytest.mark.parametrize("words", [["--list"], ["--help", "job"], ["status", "--json"]])
def test_a_reader_that_has_gone_is_no_error(words: list[str]) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    try:
        done = invoke(words, theirs)
    finally:
        os.close(theirs)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_refusal_shows_a_word_and_does_not_obey_it() -> None:
    done = invoke(["x\x1b]0;X\x07", "--watch"], subprocess.DEVNULL)
    assert done.returncode == 64
    assert done.stderr == r"error: No idea what 'x\x1b]0;X\x07' is! `invoke --list` shows the tasks" + "\n"
