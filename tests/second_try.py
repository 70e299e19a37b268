"""pytest, and a second try of the few tests that failed beside others.

``python -m tests.second_try ARGUMENT …``, with pytest's own arguments. Tests that failed are run once more in
a process of their own, one after the other: with fixtures of their own, and without the load of the others.
What was said of the first failure stays above. The end tells a race from what fails for good, and the exit
code is 0 only if nothing failed twice.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

# Where more fail than this, it is no race.
MOST = 5
ALONE = ["--last-failed", "-n", "0", "--dist", "no"]


def main(words: list[str]) -> int:
    """Run pytest with these words, and again for what failed; returns the exit code."""
    # A cache of its own: it knows of no failures of other days.
    with tempfile.TemporaryDirectory() as cache:
        argv = [sys.executable, "-m", "pytest", "-o", f"cache_dir={cache}", *words]
        code = subprocess.run(argv, check=False).returncode
        failed = last_failed(Path(cache))
        if code != pytest.ExitCode.TESTS_FAILED or len(failed) > MOST:
            return code
        print(f"\nSecond try, alone: {len(failed)} that failed beside others\n", flush=True)
        code = subprocess.run([*argv, *ALONE], check=False).returncode
        twice = (
            last_failed(Path(cache)) if code in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) else failed
        )
    tell(
        "Failed beside others and passed alone; a race, to be mended",
        [one for one in failed if one not in twice],
    )
    tell("Failed twice", twice)
    return code


def last_failed(cache: Path) -> list[str]:
    """The tests that failed when they were run last, as pytest keeps them."""
    file = cache / "v" / "cache" / "lastfailed"
    return sorted(json.loads(file.read_text())) if file.exists() else []


def tell(what: str, tests: list[str]) -> None:
    """Say what became of some tests, if there are any."""
    if tests:
        print("\n  ".join([f"\n{what}:", *tests]), flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
