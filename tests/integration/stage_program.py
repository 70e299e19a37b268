"""For test_stage.py: stage a folder as one who may not read all of it, and print what came of it as JSON.

Arguments: a state folder that knows a box, the folder, `rsync` or `sftp`, and `delete` or nothing.
"""

import json
import sys
from pathlib import Path

from slipway.dataset.stage import stage
from slipway.errors import SlipwayError
from slipway.progress import NullProgress
from slipway.project import Project
from slipway.site_file import load_site
from slipway.steps.session import Session

ROOT = Path(__file__).parents[2]


def main() -> dict[str, object]:
    state, source, carrier, *options = sys.argv[1:]
    session = Session(project=Project(root=ROOT, state=Path(state), results=Path(state) / "results"))
    with session.open_scratch(load_site([ROOT / "cluster"], "box")) as (host, scratch):
        host.transfer = carrier
        staged = stage(
            host,
            scratch,
            Path(source),
            "data",
            "0123abcd",
            NullProgress(),
            memory=Path(state) / "memory",
            delete="delete" in options,
        )
    skipped = {one.name: one.why for one in staged.skipped}
    return {"skipped": skipped, "sent": staged.sent_files, "surplus": list(staged.surplus)}


if __name__ == "__main__":
    try:
        sys.stdout.write(json.dumps(main()))
    except SlipwayError as error:
        sys.stdout.write(json.dumps({"error": str(error)}))
