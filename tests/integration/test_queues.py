"""Partitions as a user sees them; jobs that go where they begin first, on an empty and on a full cluster."""

import json
import os
import re
import shlex
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from slipway.errors import HostKeyError, JobError
from slipway.host.scratch import open_scratch
from slipway.job.request import Request
from slipway.job.run import Run
from slipway.job.submit import submit
from slipway.model import read_values
from slipway.progress import NullProgress
from slipway.project import Project
from slipway.report.queue_table import queue_values
from slipway.scheduler.slurm.resources import SlurmResources
from slipway.site import Queue
from slipway.site_file import load_site
from slipway.ssh.prompt import NoPrompt
from slipway.steps.init import InitOptions, init
from slipway.steps.login import log_out
from slipway.steps.queues import look_at_queues, plan_file, write_change
from slipway.steps.session import Session
from slipway.steps.site_add import SiteOptions, find_site, write_site
from tests.integration.small_image import SmallImageBox
from tests.integration.task_runner import INVOKE
from tests.waiting import PATIENCE_S, wait_until

# It is open to an account that nobody has.
VIP = "PartitionName=vip Nodes=node1 AllowAccounts=root MaxTime=10:00"


@pytest.fixture(scope="module", autouse=True)
def vip(small: SmallImageBox) -> Iterator[None]:
    small.as_root("scontrol", "create", *VIP.split())
    yield
    small.as_root("scontrol", "delete", "PartitionName=vip")


class Told(NullProgress):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def submit_auto(
    small: SmallImageBox, queues: dict[str, Queue], prefer: str | None = None, **wanted: object
) -> tuple[Run, list[str]]:
    """Submit a job that ends at once to the partition `auto` of these."""
    site = small.choice.site.model_copy(update={"queues": queues, "currency": "EUR"})
    resources = read_values(
        SlurmResources, {"cpus": 1, "mem": "100M", "time": "5", "partition": "auto", **wanted}
    )
    profile = small.choice.profile.model_copy(update={"program": ("true",)})
    request = Request(profile=profile, site=site, args=(), resources=resources, prefer=prefer)  # type: ignore[arg-type]
    told = Told()
    with small.connect() as host:
        run = submit(small.session.project, request, host, open_scratch(host, site), told)
    return run, told.notes


def queued_in(small: SmallImageBox, run: Run) -> str:
    """The partition that the scheduler has a run's job in."""
    shown = small.as_root("scontrol", "show", "job", str(run.job_id))
    return next(word.partition("=")[2] for word in shown.split() if word.startswith("Partition="))


def test_an_empty_cluster_is_shown_as_it_is(small: SmallImageBox) -> None:
    there = look_at_queues(small.session, small.choice.site)
    queues = {row["name"]: row for row in queue_values(small.choice.site, there)["queues"]}
    debug, priced = queues["debug"], queues["vip"]
    assert debug["default"]
    assert (debug["nodes"], debug["idle_nodes"], debug["idle_cpus"], debug["idle_gpus"]) == (3, 3, 6, 6)
    assert (debug["max_time"], debug["max_gpus"]) == ("1:00:00", {"a100": 1, "v100": 1})
    assert (debug["waiting"], debug["exclusive"], debug["usable"]) == (0, False, True)
    assert (priced["refused"], priced["listed"], priced["nodes"]) == ("only for accounts root", False, 1)
    limits = {limit.name: limit for limit in there.limits}
    assert (limits["single"].jobs, limits["single"].submitted, limits["quick"].time) == (1, 2, "00:10:00")
    assert {*there.accounts} == {"lab", "other"}
    assert there.notes == []


def test_on_an_empty_cluster_the_first_that_takes_a_job_is_taken(small: SmallImageBox) -> None:
    run, notes = submit_auto(small, {"vip": Queue(), "long": Queue(), "debug": Queue()}, gpus="v100:1")
    assert queued_in(small, run) == run.resources["partition"] == "long"
    assert run.resource_origins["partition"] == "--partition: auto, the earliest start of 2"
    assert notes[:2] == [
        "Partition long of box begins first: now; debug now",
        "Not vip: only for accounts root",
    ]
    small.wait_for(run)


def test_the_cheapest_is_taken_where_that_is_preferred(small: SmallImageBox) -> None:
    queues = {
        "long": Queue(cost=2, per="node-hour"),
        "debug": Queue(cost=0.5, per="cpu-hour"),
        "scavenge": Queue(),
    }
    run, notes = submit_auto(small, queues, prefer="cost", time="30")
    assert queued_in(small, run) == "debug"
    assert notes[0] == ("Partition debug of box costs least: now, 0.25 EUR; long now, 1.00 EUR; scavenge now")
    small.wait_for(run)


def test_on_a_full_cluster_the_earliest_is_taken(small: SmallImageBox) -> None:
    small.on_box(
        "sbatch -D /tmp -o /dev/null -J blocker -p scavenge -N3 --exclusive -t 20 --wrap 'sleep 900'"
    )
    queue = lambda: small.as_root("squeue")  # noqa: E731
    try:
        wait_until(lambda: small.is_so("squeue -h -n blocker -t R | grep -q ."), queue)
        there = {one.name: one for one in look_at_queues(small.session, small.choice.site).queues}
        assert (there["long"].idle_nodes, there["long"].idle_cpus, there["long"].nodes) == (0, 0, 3)
        small.on_box("sbatch -D /tmp -o /dev/null -J waits -p long -N1 -t 5 --wrap true")
        counted = {one.name: one.waiting for one in look_at_queues(small.session, small.choice.site).queues}
        assert (counted["long"], counted["debug"]) == (1, 0)
        # `priority` pushes what is in `scavenge` aside.
        run, notes = submit_auto(small, {"debug": Queue(), "long": Queue(), "priority": Queue()})
        assert queued_in(small, run) == "priority"
        assert notes[0].startswith("Partition priority of box begins first: now; debug at ")
    finally:
        small.as_root("scancel", "-u", "researcher")
        wait_until(lambda: small.is_so('[ -z "$(squeue -h)" ]'), queue)


def test_where_none_takes_a_job_each_partition_says_why(small: SmallImageBox) -> None:
    queues = {"vip": Queue(), "debug": Queue(), "long": Queue()}
    with pytest.raises(JobError) as caught:
        submit_auto(small, queues, time="2:00:00", account="nobodys")
    lines = str(caught.value).splitlines()[1:]
    assert lines[:2] == [
        "  vip: only for accounts root",
        "  debug: time 2:00:00 (--time) is longer than the 1:00:00 that it allows (slurm)",
    ]
    assert lines[2].startswith("  long: ")
    assert "Invalid account" in lines[2]
    assert small.as_root("squeue", "--noheader") == ""


@pytest.fixture
def project(small: SmallImageBox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    """An empty project of somebody who has the box in their own ~/.ssh/config."""
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    config = small.session.project.state / "box" / "ssh_config"
    (home / ".ssh" / "config").write_text(config.read_text())
    monkeypatch.setenv("HOME", str(home))
    (tmp_path / "env").mkdir()
    (tmp_path / "env" / ".env.base").write_text("IMAGE=x\n")
    (tmp_path / "tasks.py").write_text(
        "from slipway.tasks import slipway_tasks\n\nns = slipway_tasks(__file__)\n"
    )
    folders = replace(small.session.project, root=tmp_path)
    return Session(project=folders)


def invoke(project: Session, *words: str, code: int = 0) -> str:
    done = subprocess.run(
        [*INVOKE, *words],
        cwd=project.project.root,
        env={**os.environ, "SLIPWAY_STATE": str(project.project.root / "state"), "COLUMNS": "80"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done.stdout


def test_a_site_is_added_by_asking_the_cluster_and_jobs_run_there(
    small: SmallImageBox, project: Session
) -> None:
    # Its login shells talk, and have no containers but by a module, and no rsync.
    lines = ["echo Welcome", "echo hello >&2", "PATH=$HOME/few"]
    small.on_box(
        "mkdir ~/few && for f in /usr/bin/*; do case ${f##*/} in apptainer|singularity|rsync) ;; "
        f"*) ln -s $f ~/few/;; esac; done; printf '%s\\n' {shlex.join(lines)} >~/.bash_profile"
    )
    try:
        found = find_site(project, SiteOptions(name="hpc", host="box", yes=True))
    finally:
        small.as_root("rm", "-rf", "/home/researcher/few", "/home/researcher/.bash_profile")
    assert "containers  apptainer by the module apptainer/1.4" in found.lines
    assert "files go by SFTP, as there is no rsync there" in found.lines
    assert not found.change.file.exists()
    write_site(found.change, replace=False)
    site = load_site(project.project.sites, "hpc")
    assert (site.paths.scratch, site.modules) == ("$SCRATCH", ("apptainer/1.4",))
    assert (site.defaults.account, site.defaults.partition) == ("lab", "debug")
    assert site.queues["long"] == Queue(
        max_time="7-00:00:00",
        max_cpus=2,
        max_mem=site.queues["long"].max_mem,
        max_gpus={"a100": 1, "v100": 1},
    )
    located = site.model_copy(update={"login": small.choice.site.login, "name": "box"})
    with small.connect() as host:
        run = small.submit(host, "true", site=located, wanted=SlurmResources(gpus="a100:1"))  # type: ignore[arg-type]
    assert small.wait_for(run).status.exit_code == 0


def test_a_host_that_is_not_known_is_not_asked(project: Session, tmp_path: Path) -> None:
    config = tmp_path / "home" / ".ssh" / "config"
    config.write_text(
        re.sub(r"UserKnownHostsFile .*", f"UserKnownHostsFile {tmp_path / 'known'}", config.read_text())
    )
    with pytest.raises(HostKeyError, match="is not known here yet, and nobody has confirmed it; compare it"):
        find_site(project, SiteOptions(name="hpc", host="box", yes=True))
    assert not (tmp_path / "cluster").exists()


def test_a_new_project_asks_its_cluster(
    project: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "home" / "new"
    folder.mkdir()
    with tempfile.TemporaryDirectory(prefix="slipway-", dir="/tmp") as runtime:
        monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
        done = init(folder, InitOptions(site="hpc", host="box", from_host=True, yes=True), NoPrompt())
        assert done.kept is not None
        # By the site's file the next command finds it.
        (kept,) = log_out(Session(project=Project.find(folder)), "hpc")
        assert (kept.names, kept.path) == (("hpc",), done.kept.path)
    site = load_site([folder / "cluster"], "hpc")
    assert (site.login.host, site.defaults.account) == ("box", "lab")
    assert site.queues["long"].max_time == "7-00:00:00"


@pytest.mark.long
def test_what_a_file_lacks_is_written_into_it_and_nothing_else(
    small: SmallImageBox, project: Session
) -> None:
    file = project.project.sites[0] / "hpc.yaml"
    file.parent.mkdir()
    before = """\
login: {host: box}   # mine
paths: {scratch: $SCRATCH}
queues:
  # The usual one.
  debug:
    cost: 1.5
    max_time: "0:10:00"  # shorter, on purpose
"""
    file.write_text(before)
    invoke(project, "queues", "hpc", "--write", code=64)
    assert file.read_text() == before
    printed = invoke(project, "queues", "hpc", "--write", "--yes")
    assert "+  vip: {max_time: " in printed
    after = file.read_text()
    assert after.startswith(before)
    site = load_site([file.parent], "hpc")
    assert (site.queues["debug"].cost, site.queues["debug"].max_time) == (1.5, "0:10:00")
    assert {*site.queues} >= {"debug", "long", "scavenge", "priority", "vip"}
    assert "nothing was written" in invoke(project, "queues", "hpc", "--write")
    told = json.loads(invoke(project, "queues", "hpc", "--json"))
    assert "queues.debug.max_time in cluster/hpc.yaml is 0:10:00; the scheduler says 1:00:00" in told["notes"]
    there = look_at_queues(project, site)
    write_change(plan_file(project, site, there))
    assert file.read_text() == after
