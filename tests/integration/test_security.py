"""A secret in a profile: where it is looked for, and not found, while and after a job has it."""

import logging
import subprocess
from pathlib import Path, PurePosixPath

import pytest

from slipway.host.scratch import open_scratch
from slipway.job.request import Request
from slipway.job.results import pull
from slipway.job.run import RunPaths
from slipway.job.submit import submit
from slipway.progress import NullProgress
from slipway.scheduler.slurm.resources import SlurmResources
from tests.integration.process_watch import processes_here
from tests.integration.small_image import UNTIL_LET_GO, SmallImageBox
from tests.waiting import wait_until

# Nobody has such words by chance.
SECRET = "hunter2-it's-a-secret-$(id)"  # noqa: S105 - of nothing
WORD = "hunter2"
SEEN = "/tmp/seen-processes"
MARK = "slipway_watch_mark"
# In brackets, so that the watch does not see itself.
WATCH = f"""
while [ ! -e {SEEN}.end ]; do
    cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n' |
        grep -a -e '[{WORD[0]}]{WORD[1:]}' -e '[{MARK[0]}]{MARK[1:]}' >>{SEEN}
    sleep 0.02
done
"""


def test_a_secret_reaches_the_program_and_nothing_else(
    small: SmallImageBox, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    project = small.session.project
    profile = small.choice.profile.model_copy(
        update={"program": ("sh",), "environment": {"HF_TOKEN": SECRET}}
    )
    # The program says that it has it, without saying it.
    script = f'printf %s "$HF_TOKEN" | wc -c; {UNTIL_LET_GO}'
    wanted = SlurmResources(cpus=1, mem="200M", time="10")
    request = Request(profile=profile, site=small.choice.site, args=("-c", script), resources=wanted)
    here: set[bytes] = set()
    small.as_root("sh", "-c", f"rm -f {SEEN}*; touch {SEEN}")
    small.as_root("sh", "-c", 'sh -c "$1" </dev/null >/dev/null 2>&1 &', "sh", WATCH)
    # As with `invoke --debug`, which has all loggers say all.
    with caplog.at_level(logging.DEBUG), processes_here(here):
        with small.connect() as host:
            run = submit(project, request, host, open_scratch(host, small.choice.site), NullProgress())
            subprocess.run(["sh", "-c", f"sleep 0.5; : {MARK}"], check=True)
            small.as_root("sh", "-c", f"sleep 0.5; : {MARK}")
        wait_until(lambda: small.has_printed(run, str(len(SECRET))), lambda: small.situation(run))
        small.let_go(run)
        small.wait_for(run)
        with small.connect() as host:
            brought = pull(host, run, tmp_path / "results", NullProgress())
    small.as_root("touch", f"{SEEN}.end")
    # The watch has seen what was there to be seen, and no secret.
    on_box = small.as_root("cat", SEEN)
    assert MARK in on_box
    assert any(MARK.encode() in line for line in here)
    assert WORD not in on_box
    assert not any(WORD.encode() in line for line in here)
    # Nor do logs, records, results or the cluster's own have it, but for the file that is for it.
    assert WORD not in caplog.text
    for folder in (project.state, brought.home):
        assert having(folder) == []
    left = small.as_root("grep", "-rlF", WORD, str(PurePosixPath(run.run_dir).parent.parent), code=None)
    assert set(left.split()) <= {str(RunPaths(PurePosixPath(run.run_dir)).environment)}
    for command in (f"scontrol show job {run.job_id}", f"sacct -j {run.job_id} --format=ALL"):
        assert WORD not in small.as_root("sh", "-c", command, code=None)
    # And nobody else may look.
    for path in (run.run_dir, str(RunPaths(PurePosixPath(run.run_dir)).environment)):
        said = small.as_root("setpriv", "--reuid=65534", "--clear-groups", "ls", path, code=None)
        assert "Permission denied" in said


def having(folder: Path) -> list[str]:
    """The files in a folder that have the secret's word in them."""
    found = ["grep", "-rlaF", WORD, str(folder)]
    return subprocess.run(found, capture_output=True, text=True, check=False).stdout.splitlines()
