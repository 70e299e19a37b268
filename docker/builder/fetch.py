"""Fetch DROID-SLAM and lietorch, from a copy in the build's context or by git, and check what came.

python3 fetch.py CONTEXT TARGET   reads CONTEXT/<name>/, writes TARGET/<name>/ and TARGET/<name>.json

Slipway puts ``origin.json`` into CONTEXT/<name>, and beside it, where the profile names a local folder, its
files. ``<NAME>_REPO`` and ``<NAME>_REF`` in the environment say what is fetched otherwise.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

# What the build needs of each; another project of the same name has other files.
NEEDED = {
    "droid-slam": ("setup.py", "droid_slam/droid.py", "droid_slam/droid_net.py", "src/droid_kernels.cu"),
    "lietorch": ("setup.py", "lietorch/groups.py", "lietorch/src/lietorch_gpu.cu"),
}
TIMEOUT_S = 900
_COMMIT = re.compile(r"[0-9a-f]{40}")


class FetchError(Exception):
    """It could not be fetched, or is not what it should be."""


def fetch(name: str, context: Path, target: Path) -> dict[str, object]:
    """Have the sources in ``target``; returns where they came from: repository, commit, dirty.

    Raises:
        FetchError: they cannot be had, or are something else.
    """
    origin: dict[str, object] = json.loads((context / "origin.json").read_text(encoding="utf-8"))
    if origin["local"]:
        shutil.copytree(context, target, symlinks=True, ignore=shutil.ignore_patterns("origin.json"))
        found = {"repository": None, "commit": origin["commit"], "dirty": origin["dirty"]}
    else:
        prefix = name.upper().replace("-", "_")
        repository, ref = os.environ[f"{prefix}_REPO"], os.environ[f"{prefix}_REF"]
        try:
            commit = clone(repository, ref, target)
        except FetchError as error:
            note = f" ({origin['note']})" if origin.get("note") else ""
            raise FetchError(
                f"{ref} of {repository} could not be fetched: {error}{note}. Where that cannot be "
                f"reached, bring a checkout and name its folder: {prefix}_SOURCE=FOLDER in env/.env.local"
            ) from error
        found = {"repository": repository, "commit": commit, "dirty": False}
    check(name, target)
    return found


def clone(repository: str, ref: str, target: Path) -> str:
    """Fetch one commit, without its history and submodules; returns its hash.

    Raises:
        FetchError: git cannot, or what came is another commit.
    """
    target.mkdir(parents=True)
    git(target, "init", "--quiet")
    git(target, "fetch", "--quiet", "--depth=1", repository, ref)
    git(target, "checkout", "--quiet", "FETCH_HEAD")
    commit = git(target, "rev-parse", "HEAD").strip()
    if _COMMIT.fullmatch(ref) and commit != ref:
        raise FetchError(f"what came is commit {commit}")
    git(target, "fsck", "--no-dangling", "--no-progress")
    shutil.rmtree(target / ".git")
    return commit


def git(folder: Path, *words: str) -> str:
    """What git prints.

    Raises:
        FetchError: git fails, with its last words, or takes too long.
    """
    # It would ask for a name and password, and nobody is there.
    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}
    try:
        done = subprocess.run(
            ["git", *words],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
    except subprocess.TimeoutExpired as error:
        raise FetchError(f"git {words[0]} took more than {TIMEOUT_S} s") from error
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"git {words[0]} ended with exit code {done.returncode}"]
        # What follows the first of these is advice for other cases.
        raise FetchError(next((line for line in lines if line.startswith("fatal:")), lines[-1]))
    return done.stdout


def check(name: str, folder: Path) -> None:
    """Look whether the sources are what they should be.

    Raises:
        FetchError: they are not.
    """
    missing = [file for file in NEEDED[name] if not (folder / file).is_file()]
    if missing:
        raise FetchError(f"what was fetched as {name} has no {missing[0]}; look at the profile's {name} keys")
    if "-gencode" in (folder / "setup.py").read_text(encoding="utf-8", errors="replace"):
        raise FetchError(
            f"the setup.py of this {name} names its own architectures (-gencode) and ignores "
            "TORCH_CUDA_ARCH_LIST; choose a newer version"
        )


def main(argv: list[str]) -> str | None:
    """Fetch both; returns what is wrong."""
    context, target = (Path(word) for word in argv)
    for name in NEEDED:
        try:
            origin = fetch(name, context / name, target / name)
        except FetchError as error:
            return f"slipway: {error}"
        (target / f"{name}.json").write_text(json.dumps(origin), encoding="utf-8")
        state = ", with changes" if origin["dirty"] else ""
        print(f"{name}: commit {origin['commit'] or 'unknown'}{state}", flush=True)
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
