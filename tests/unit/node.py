"""A folder in which a rendered script runs under real bash, with a stand-in for Apptainer."""

import json
import os
import subprocess
from pathlib import Path, PurePosixPath

from slipway.job.script import Job, render_script, words_file
from slipway.job.template import load_template
from slipway.scheduler.slurm.resources import SlurmResources
from slipway.scheduler.slurm.site import SlurmSite
from slipway.site import Login, Paths
from tests.waiting import PATIENCE_S

TEMPLATE = load_template(Path(__file__).parents[2] / "cluster")
SITE = SlurmSite(name="hpc", login=Login(host="h"), paths=Paths(scratch="/s"))


def job(**changes: object) -> Job:
    values = {
        "run_id": "k3f9-cpu-20260131-142530",
        "run_dir": PurePosixPath("/s/slipway/runs/k3f9-cpu-20260131-142530"),
        "image": PurePosixPath("/s/slipway/images/a-1.sif"),
        "code": PurePosixPath("/s/slipway/code/c0de"),
        "data": PurePosixPath("/s/slipway/data"),
        "weights": PurePosixPath("/s/slipway/weights"),
        "resources": SlurmResources(),
    }
    return Job(**{**values, **changes})  # type: ignore[arg-type]


# A stand-in for Apptainer, which needs a cluster's node: it takes apptainer's options, notes which image it
# was given, and runs the program here with an empty environment. The real one runs in tests/integration.
APPTAINER = r"""#!/bin/bash
binds=''
while [[ $1 != *.sif ]]; do
    case $1 in --bind) binds+=$2$'\n' && case $2 in *:/out) export STAND_IN_OUT=${2%:/out} ;; esac ;; esac
    shift
done
echo "$1" >"$STAND_IN_OUT/../image"
printf %s "$binds" >"$STAND_IN_OUT/../binds"
[ -z "$NO_LAUNCH" ] || { echo 'FATAL: could not open image' >&2; exit 255; }
exec env -i "PATH=$PATH" "$2" "$3" "${4//\/out/$STAND_IN_OUT}" "$5"
"""


class Node:
    """A folder in which a rendered script runs under real bash, as slurmd would start it."""

    def __init__(self, folder: Path, site: SlurmSite = SITE, **changes: object) -> None:
        self.folder = folder
        self.run_dir = folder / "run"
        self.run_dir.mkdir(parents=True)
        (folder / "apptainer").write_text(APPTAINER)
        (folder / "apptainer").chmod(0o755)
        # A login shell sets its own PATH, so the site's lines put the stand-in first.
        site = site.model_copy(update={"before": f"PATH={folder}:$PATH\n{site.before}"})
        what = job(**{"run_dir": PurePosixPath(self.run_dir), **changes})
        (self.run_dir / "job.sh").write_text(render_script(what, site, TEMPLATE))

    def start(
        self, *argv: str, environment: tuple[str, ...] = (), **variables: str
    ) -> subprocess.Popen[bytes]:
        (self.run_dir / "argv").write_bytes(words_file(argv))
        (self.run_dir / "environment").write_bytes(words_file(environment))
        slurm = {"SLURM_JOB_ID": "7", "SLURMD_NODENAME": "node1", "SLURM_CPUS_PER_TASK": "2", "NO_LAUNCH": ""}
        return subprocess.Popen(
            ["bash", "-l", str(self.run_dir / "job.sh")],
            env={"PATH": os.environ["PATH"], "HOME": str(self.folder), **slurm, **variables},
        )

    def run(self, *argv: str, environment: tuple[str, ...] = (), **variables: str) -> int:
        with self.start(*argv, environment=environment, **variables) as process:
            return process.wait(timeout=PATIENCE_S)

    def result(self, attempt: int = 1) -> dict[str, object]:
        content = (self.run_dir / f"attempt-{attempt}" / "result.json").read_text()
        loaded: dict[str, object] = json.loads(content)
        return loaded

    def log(self, attempt: int = 1) -> str:
        return (self.run_dir / f"attempt-{attempt}" / "log").read_text()
