"""What is installed."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_all_packages_are_named() -> None:
    found = {
        ".".join(file.parent.relative_to(ROOT).parts) for file in (ROOT / "slipway").rglob("__init__.py")
    }
    # Not by tomllib, which Python 3.10 lacks.
    line = re.search(r"^packages = \[(.*)\]$", (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.M)
    assert line
    assert set(re.findall(r'"(.*?)"', line[1])) == found
