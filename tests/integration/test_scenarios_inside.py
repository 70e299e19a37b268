"""The scenarios of this machine with Apptainer, in a container that has it."""

import json
import re
import sys
from dataclasses import asdict
from pathlib import Path

from slipway.image.engine import find_image
from slipway.profile import load_profile
from slipway.progress import NullProgress
from slipway.project import Project
from slipway.sif.store import make_sif, tools_recipe
from tests.campaign import LONG
from tests.integration.dask_hosts import build_host_image, create_host
from tests.integration.inside import run_inside
from tests.integration.places.on_this_machine import SIF
from tests.integration.task_runner import ROOT
from tests.integration.test_scenarios import SHORT


def test_this_machine_with_apptainer(tmp_path: Path) -> None:
    client = build_host_image()
    profile = load_profile(ROOT / "env", "cpu")
    base = find_image(client, profile.base_image)
    assert base is not None
    project = Project(root=ROOT, state=tmp_path / "state", results=tmp_path)
    sif, _ = make_sif(client, base, project, tools_recipe(project, profile), NullProgress())
    (tmp_path / "sif.json").write_text(json.dumps(asdict(sif), default=str))
    # This very Python, with all that it imports.
    places = {sys.prefix, sys.base_prefix, str(ROOT), *(path for path in sys.path if Path(path).is_dir())}
    binds = [f"{place}:{place}:ro" for place in sorted(places)]
    container = create_host(client, "here", "", Binds=[*binds, f"{tmp_path}:{tmp_path}"])
    try:
        container.start()
        environment = f"{SIF}={tmp_path}/sif.json"
        tests = [str(ROOT / "tests/integration/test_scenarios.py"), "-k", "this-machine-apptainer"]
        run = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            f"--basetemp={tmp_path}/inside",
        ]
        settings = ["PYTHONDONTWRITEBYTECODE=1", f"SLIPWAY_TEST_LONG={'1' if LONG else ''}", environment]
        command = ["env", "-C", str(ROOT), *settings, *run, *tests]
        done = run_inside(container, *command)
        printed = done.output.decode(errors="replace")
        assert done.exit_code == 0, printed
        wanted = 11 if LONG else len(SHORT["this-machine-apptainer"])
        assert re.search(rf"^{wanted} passed", printed, re.MULTILINE), printed
    finally:
        container.remove(force=True, v=True)
