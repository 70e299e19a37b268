"""The locks of what Slipway runs on, and is built and tested with: whole, with hashes, of no one place."""

import re
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
# Each file, and the extra of pyproject.toml that it is for.
LOCKS = {"slipway": "", "release": "release", "dev": "dev", "docs": "docs"}
PLACES = [
    {"python_version": version, "python_full_version": f"{version}.1", "sys_platform": system}
    for version in ("3.10", "3.12", "3.14")
    for system in ("linux", "darwin")
]


def read(name: str) -> list[Requirement]:
    text = (ROOT / "lock" / f"{name}.txt").read_text(encoding="utf-8")
    lines = [line for line in text.replace("\\\n", " ").splitlines() if not line.lstrip().startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9-]+==\S+ .*?(\s+--hash=sha256:[0-9a-f]{64})+", line) for line in lines)
    return [Requirement(line.split("--hash")[0]) for line in lines]


def wanted(extra: str) -> list[Requirement]:
    """What pyproject.toml asks for, an extra of our own resolved; as it is installed."""
    found = []
    for one in map(Requirement, requires("slipway") or ()):
        if one.marker is None or (extra and one.marker.evaluate({"extra": extra})):
            ours = one.name == "slipway"
            found += [each for inner in one.extras for each in wanted(inner)] if ours else [one]
    return found


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_has_what_pyproject_asks_for(name: str) -> None:
    pins = read(name)
    for place in PLACES:
        here = [pin for pin in pins if pin.marker is None or pin.marker.evaluate(place)]
        versions = {canonicalize_name(pin.name): pin.specifier for pin in here}
        assert len(versions) == len(here)
        for one in wanted(LOCKS[name]):
            pinned = versions.get(canonicalize_name(one.name))
            assert pinned, f"lock/{name}.txt has no {one.name}; `.ci/lock` writes it anew"
            (only,) = pinned
            assert Version(only.version) in one.specifier, (
                f"lock/{name}.txt: {one}; `.ci/lock` writes it anew"
            )


def test_all_locks_have_the_same_versions() -> None:
    versions = {name: {(pin.name, str(pin.specifier)) for pin in read(name)} for name in LOCKS}
    assert set().union(*versions.values()) <= versions["dev"]


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_names_no_place(name: str) -> None:
    text = (ROOT / "lock" / f"{name}.txt").read_text(encoding="utf-8")
    assert not re.search(r"://|^\s*-(-index|-extra|-find|i|f)\b", text, re.M)
