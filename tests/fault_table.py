"""The tests of faults, run once, and what came of each kind: a table for docs/reliability.md.

    python -m tests.fault_table run ARGUMENTS OF PYTEST…    build/faults.json and build/faults.md
    python -m tests.fault_table write                       docs/reliability.json, and the table in the page

Rows that are not in a run stay as an earlier one left them, so that it may be done in pieces.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from tests.campaign import SEED

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build"
PAGE, KEPT = ROOT / "docs" / "reliability.md", ROOT / "docs" / "reliability.json"
# As the page has them.
GROUPS = ("kills", "line", "cluster", "laptop", "corruption")
_TABLE = re.compile(r"(<!-- faults -->\n).*?(<!-- end of faults -->)", re.S)
Row = dict[str, Any]


def run(arguments: Sequence[str]) -> int:
    """Run pytest, and add what it has made to what is in ``build/``; its exit code."""
    BUILD.mkdir(exist_ok=True)
    report = BUILD / f"faults-{os.getpid()}.json"
    environment = {**os.environ, "SLIPWAY_TEST_FAULTS": str(report), "SLIPWAY_TEST_SEED": str(SEED)}
    print(f"seed {SEED}: `invoke test.faults --seed {SEED}` chooses the same moments", flush=True)
    argv = [sys.executable, "-m", "pytest", *arguments]
    code = subprocess.run(argv, cwd=ROOT, env=environment, check=False).returncode
    if report.exists():
        new = json.loads(report.read_text())
        day = datetime.now(timezone.utc).date().isoformat()
        rows = [{**row, "seed": new["seed"], "day": day} for row in new["rows"]]
        kept = BUILD / "faults.json"
        before = kept if kept.exists() else KEPT
        known = json.loads(before.read_text()) if before.exists() else []
        merged = merge(known, rows)
        kept.write_text(json.dumps(merged, indent=1) + "\n")
        (BUILD / "faults.md").write_text(table(merged))
        report.unlink()
        print(table(rows), flush=True)
    return code


def merge(known: Sequence[Row], new: Sequence[Row]) -> list[Row]:
    """Rows of before and of now: a test's newest result counts."""
    rows = {(row["group"], row["what"]): row for row in known}
    for row in new:
        key = row["group"], row["what"]
        rows[key] = _joined(rows[key], row) if key in rows else row
    return sorted(rows.values(), key=lambda row: (GROUPS.index(row["group"]), row["what"]))


def _joined(old: Row, new: Row) -> Row:
    # Each test is counted once: what it made the last time that it ran.
    tests = {**old["by_test"], **new["by_test"]}
    return {**new, "by_test": tests}


def totals(row: Row) -> tuple[dict[str, int], list[str], list[str]]:
    """How often each fault of a row was made, which tests failed, and why some were not run."""
    made: dict[str, int] = {}
    for one in row["by_test"].values():
        for how, count in one["made"].items():
            made[how] = made.get(how, 0) + count
    failed = [name for name, one in row["by_test"].items() if one["outcome"] == "failed"]
    skipped = {one["why"] for one in row["by_test"].values() if one["outcome"] == "skipped"}
    return made, failed, sorted(skipped)


def table(rows: Sequence[Row]) -> str:
    """The table, as Markdown."""
    lines = ["| | what breaks | how often | how | what held |", "| --- | --- | ---: | --- | --- |"]
    for row in rows:
        made, failed, skipped = totals(row)
        counted = [f"{count} {name}" for name, count in sorted(made.items())]
        how = ", ".join(counted) if len(made) > 1 else "".join(made)
        held = f"**failed: {len(failed)}**" if failed else "all" if made else ""
        if skipped:
            held += f"{'; ' if held else ''}not run: {'; '.join(skipped)}"
        lines.append(f"| {row['group']} | {row['what']} | {sum(made.values())} | {how} | {held} |")
    kills = sum(sum(totals(row)[0].values()) for row in rows if row["group"] == "kills")
    whole = sum(sum(totals(row)[0].values()) for row in rows)
    return "\n".join(lines) + f"\n\n{kills} kills and {whole - kills} other faults.\n"


def write() -> int:
    """Put what ``build/`` has into the page, and beside it."""
    rows = json.loads((BUILD / "faults.json").read_text())
    KEPT.write_text(json.dumps(rows, indent=1) + "\n")
    PAGE.write_text(with_table(PAGE.read_text(), rows))
    return 0


def with_table(page: str, rows: Sequence[Row]) -> str:
    """The page with the table of these rows."""
    return _TABLE.sub(lambda found: f"{found[1]}{table(rows)}{found[2]}", page)


if __name__ == "__main__":
    sys.exit(write() if sys.argv[1:] == ["write"] else run(sys.argv[2:]))
