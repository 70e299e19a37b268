"""The table of upstream's known problems in docs/droid-slam.md: each test that it names is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "droid-slam.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in PAGE.partition("## Upstream's known problems")[2].partition("\n## ")[0].splitlines()
    if line.startswith("| ")
][2:]
CODE = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:40])
def test_what_shows_it_is_there(row: list[str]) -> None:
    _, thread, here, shown = row
    assert re.fullmatch(r"none found|#\d+(, #\d+)*", thread)
    assert re.match(r"held|fixed|open", here)
    for file in re.findall(r"(test_\w+\.py)", shown):
        assert file in CODE
    # A name may have an ellipsis in the place of a part of it.
    for name in re.findall(r"`([\w…]*[a-z]_[\w…]*)`", shown):
        pattern = name.replace("…", r"\w*")
        assert any(re.search(rf"def {pattern}\(", code) for code in CODE.values()), name
