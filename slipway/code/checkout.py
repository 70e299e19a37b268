"""git checkouts: where they are, and what git says of them."""

from __future__ import annotations

import os
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

from slipway.errors import DataError, HostError
from slipway.share import is_installed
from slipway.shell import LocalShell, Result

GIT = ".git"
# Of `git status --porcelain=v2 --branch`: the commit, and what stands there before the first one.
_COMMIT = "# branch.oid "
_NO_COMMIT = "(initial)"
# What a difference may have to be kept with a run; beyond that it is data, and no work on the code.
DIFF_LIMIT_BYTES = 5_000_000
# git sets these where it runs a hook; with them it would look at its repository and not at the folder's.
_REPOSITORY = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_COMMON_DIR",
    "GIT_OBJECT_DIRECTORY",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
)


@dataclass(frozen=True, kw_only=True)
class Revision:
    """What git says of a folder: its commit, whether it differs from that, and how its tracked files do.

    Files that git does not track are no part of ``diff``, and neither is what differs within a submodule; the
    run's code, on the cluster, has them. Of a difference beyond ``DIFF_LIMIT_BYTES`` ``diff`` is a summary,
    and its first line says so.
    """

    commit: str | None
    dirty: bool
    diff: str | None


def find_checkout(folder: Path) -> Path | None:
    """The top of the checkout that a folder is in: the nearest folder with a ``.git``.

    What was installed with Slipway is in none: a ``.venv`` in a checkout is ignored there as a whole.
    """
    here = folder.resolve()
    if is_installed(here):
        return None
    return next((top for top in (here, *here.parents) if os.path.lexists(top / GIT)), None)


def read_git(folder: Path, *words: str) -> str:
    """What git prints about a folder that is in a checkout.

    Raises:
        DataError: git cannot read the checkout, or will not, because it is somebody else's.
        HostError: git is not installed.
    """
    result = run_git(folder, *words)
    if not result.ok:
        raise explain_refusal(folder, result)
    return result.stdout


def run_git(folder: Path, *words: str, stdin: str | None = None) -> Result:
    """Run git in a folder that is in a checkout; nothing in the checkout is written.

    Raises:
        HostError: git is not installed.
    """
    if shutil.which("git") is None:
        raise HostError(
            f"{find_checkout(folder)} is a git checkout, and git is not installed here; without it, "
            "what the checkout ignores (data, keys, what was built) would be sent. Install git and try again"
        )
    environment = {name: value for name, value in os.environ.items() if name not in _REPOSITORY}
    shell = LocalShell(cwd=folder, env={**environment, "GIT_OPTIONAL_LOCKS": "0"})
    return shell.run(["git", *words], stdin=stdin, timeout_s=300)


def explain_refusal(folder: Path, result: Result) -> DataError:
    """Why git would not tell of a checkout, and what to do."""
    top = find_checkout(folder) or folder
    # git's exit code is the same for whatever it dislikes. Windows has no such owners.
    owners = [path.lstat().st_uid for path in (top, top / GIT) if os.path.lexists(path)]
    if hasattr(os, "geteuid") and any(owner != os.geteuid() for owner in owners):
        return DataError(
            f"{top} is another user's git checkout, which git does not read unless you trust them; "
            f"`git config --global --add safe.directory {shlex.quote(str(top))}` says that you do"
        )
    said = "; ".join(line.strip() for line in result.stderr.splitlines() if line.strip())
    return DataError(
        f"{top} is a git checkout that git cannot read: {said}; without it, what the checkout ignores (data, "
        f"keys, what was built) would be sent. Repair it (`git status` has to work), or remove {top / GIT}"
    )


def find_revision(source: Path) -> Revision:
    """The commit that the folder is at, and how its files differ from it.

    Raises:
        DataError: the folder is in a checkout that git cannot read.
        HostError: it is in one, and git is not installed.
    """
    if find_checkout(source) is None:
        return Revision(commit=None, dirty=False, diff=None)
    asked = ("status", "--porcelain=v2", "--branch", "--untracked-files=normal", "--", ".")
    lines = read_git(source, *asked).splitlines()
    commit = next(line.removeprefix(_COMMIT) for line in lines if line.startswith(_COMMIT))
    changed = [line for line in lines if not line.startswith("#")]
    if commit == _NO_COMMIT:
        return Revision(commit=None, dirty=bool(changed), diff=None)
    # What git does not track is no part of the difference.
    diff = _diff(source, "--binary") if any(not line.startswith("?") for line in changed) else ""
    size_bytes = len(diff.encode("utf-8", errors="surrogateescape"))
    if size_bytes > DIFF_LIMIT_BYTES:
        diff = (
            f"# The difference has {size_bytes / 1e6:.1f} MB and is not kept; this is a summary. "
            "The run's code has the files themselves.\n" + _diff(source, "--stat=120")
        )
    return Revision(commit=commit, dirty=bool(changed), diff=diff or None)


def _diff(source: Path, form: str) -> str:
    # Whatever the user likes to see: this is for `git apply`.
    plain = ("--no-color", "--no-ext-diff", "--no-textconv", "--src-prefix=a/", "--dst-prefix=b/")
    return read_git(source, "diff", *plain, "--no-relative", "--submodule=short", form, "HEAD", "--", ".")
