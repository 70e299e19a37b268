"""Code of before, put together again from the commit that it was at, in a clone that is thrown away."""

from __future__ import annotations

from pathlib import Path

from slipway.code.checkout import find_checkout, run_git
from slipway.errors import DataError

# Nobody's hooks run, and git asks nobody.
_PLAIN = ("-c", "core.hooksPath=/dev/null", "-c", "advice.detachedHead=false")


def check_out(source: Path, commit: str, diff: str | None, clone: Path) -> Path:
    """Make a code folder as it was at a commit; the checkout itself stays as it is.

    Args:
        source: the code folder, in a checkout that has the commit.
        commit: the commit.
        diff: what was not committed; ``None`` for nothing.
        clone: where the clone is made; it is not there yet.

    Returns:
        The code folder in the clone.

    Raises:
        DataError: the folder is in no checkout, it lacks the commit, or the difference does not fit.
        HostError: git is not installed.
    """
    top = find_checkout(source)
    if top is None:
        raise DataError(f"{source} is in no git checkout")
    if not run_git(top, "cat-file", "-e", f"{commit}^{{commit}}").ok:
        raise DataError(f"{top} has no commit {commit} (any more); `git fetch` may bring it")
    # It has a .git of its own, by which its code is read as that of any checkout.
    _git(top, "clone", "--quiet", "--shared", "--no-checkout", str(top), str(clone))
    _git(clone, "checkout", "--quiet", "--detach", commit)
    if diff:
        _git(clone, "apply", "--whitespace=nowarn", "-", stdin=diff)
    return clone / source.resolve().relative_to(top)


def _git(folder: Path, *words: str, stdin: str | None = None) -> None:
    done = run_git(folder, *_PLAIN, *words, stdin=stdin)
    if not done.ok:
        said = "; ".join(line.strip() for line in done.stderr.splitlines() if line.strip())
        raise DataError(f"`git {words[0]}` failed: {said}")
