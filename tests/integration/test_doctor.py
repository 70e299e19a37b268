"""`doctor` on the box, broken and mended in turn: each check fails by what it is there for."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import pytest

from slipway.doctor.catalog import CHECKS
from slipway.doctor.check import Facts, Place
from slipway.doctor.finding import Finding, Verdict
from slipway.doctor.program import compose, parse_answers
from slipway.image.engine import engine
from slipway.resources import Resources
from slipway.scheduler.slurm.resources import SlurmResources
from slipway.scheduler.slurm.site import SlurmSite
from slipway.site import Login
from slipway.steps.doctor import diagnose
from tests.campaign import others_long
from tests.integration.small_image import SmallImageBox, fakes, push_image
from tests.integration.task_runner import INVOKE, ROOT
from tests.waiting import PATIENCE_S, wait_until

FAILED, WARNING, OK, SKIPPED = Verdict.FAILED, Verdict.WARNING, Verdict.OK, Verdict.SKIPPED
IMAGE = "slipway-small-doctor"
IMAGES = "/scratch/researcher/slipway/images"
Found = Mapping[str, Finding]


def look(
    small: SmallImageBox, site: SlurmSite | None = None, wanted: Resources | None = None, *, job: bool = False
) -> Found:
    """What all checks find, by their names."""
    found = diagnose(
        small.session, small.choice.profile, site or small_site(small), wanted or Resources(), with_job=job
    )
    assert len(found) == len(CHECKS)
    for one in found:
        if one.finding.verdict in (FAILED, WARNING):
            assert one.finding.consequence, one
            assert one.finding.fix, one
    return {one.check.name: one.finding for one in found}


def small_site(small: SmallImageBox, **changes: Any) -> SlurmSite:
    assert isinstance(small.choice.site, SlurmSite)
    return small.choice.site.model_copy(update=changes)


def wrong(found: Found) -> dict[str, str]:
    """The checks of the cluster that are not well, with their verdicts."""
    places = {one.name: one.place for one in CHECKS}
    return {
        name: one.verdict.value
        for name, one in found.items()
        if one.verdict in (FAILED, WARNING) and places[name] is not Place.HERE
    }


@pytest.fixture(scope="module")
def small(small_box: SmallImageBox) -> SmallImageBox:
    """The box, and an image that no other test makes anew or removes meanwhile."""
    code = small_box.choice.profile.code_dir
    choice = small_box.session.choose("cpu", "box", [f"IMAGE={IMAGE}", f"CODE_DIR={code}"])
    push_image(small_box.session, choice)
    return SmallImageBox(session=small_box.session, choice=choice)


@pytest.fixture(scope="module")
def well(small: SmallImageBox) -> Found:
    """What is found where nothing is broken, with a node."""
    return look(small, job=True)


def test_on_a_box_that_is_well_nothing_fails(well: Found) -> None:
    limits = well["memory"].verdict
    assert {name: word for name, word in wrong(well).items() if name != "memory"} == {}
    # Not each machine lets the box enforce them.
    assert limits in (OK, WARNING)
    skips = {name: one.seen for name, one in well.items() if one.verdict is SKIPPED}
    assert set(skips) <= {
        *("room", "quota", "qos", "node-local", "gpu", "architecture", "driver", "glibc", "zstd"),
        *("state-disk", "agent", "ssh-config", "docker-disk", "memory"),
    }
    assert re.match(r"would begin \d{4}-\d\d-\d\dT\S+ on node", well["request"].seen), well["request"]
    assert well["image"].seen.startswith("the same as here")
    assert re.match(r"glibc 2\.\d+", well["node-container"].seen)
    assert well["job"].seen.startswith("job ")


def test_nothing_is_left_of_it(small: SmallImageBox, well: Found) -> None:
    assert well
    assert small.as_root("sh", "-c", "ls -A /scratch/researcher/slipway/doctor").split() == []
    assert small.as_root("sh", "-c", "ls -d /tmp/slipway-doctor.* 2>/dev/null || true") == ""
    assert "slipway-doctor" not in small.as_root("squeue", "-h", "-o", "%j")


# --- Broken in just that way


@contextmanager
def broken(small: SmallImageBox, how: str, mend: str) -> Iterator[None]:
    """Something in the box is other than it should be, for a while."""
    try:
        small.as_root("sh", "-ec", how)
        yield
    finally:
        small.as_root("sh", "-ec", mend)


def moved(path: str) -> tuple[str, str]:
    return f"mv {path} {path}.away", f"mv {path}.away {path}"


READERS = "squashfuse_ll squashfuse unsquashfs"
START_DBD = "slurmdbd; until sacctmgr -n show cluster >/dev/null 2>&1; do sleep 0.2; done"
START_CONTROLLER = "slurmctld; until scontrol ping >/dev/null 2>&1 && box-check --nodes; do sleep 0.2; done"
STOP = "while pgrep -x '{0}(-wlm)?' >/dev/null; do pkill -x '{0}(-wlm)?' || true; sleep 0.1; done"
# What breaks, how it is mended, and what is found then. What no check of the other sees is broken at once.
BREAKS: dict[str, tuple[Sequence[tuple[str, str]], dict[str, str]]] = {
    "scratch cannot be written to": (
        [("chown root:root /scratch/researcher/slipway", "chown researcher: /scratch/researcher/slipway")],
        {"scratch": "failed"},
    ),
    "no rsync, no accounting, a closed partition, no image": (
        [
            moved("/usr/bin/rsync"),
            (STOP.format("slurmdbd"), START_DBD),
            ("scontrol update partition=debug state=down", "scontrol update partition=debug state=up"),
            (f"mv {IMAGES} {IMAGES}.away", f"rm -rf {IMAGES}; mv {IMAGES}.away {IMAGES}"),
        ],
        {"rsync-there": "warning", "accounting": "warning", "partition": "warning", "image": "failed"},
    ),
    "no Apptainer, a link that leads nowhere": (
        [
            moved("/usr/bin/apptainer"),
            (
                f"cd {IMAGES}; mv {IMAGE}.sif kept; ln -s gone.sif {IMAGE}.sif",
                f"cd {IMAGES}; mv -f kept {IMAGE}.sif",
            ),
        ],
        {"container": "failed", "image": "failed"},
    ),
    "no squashfuse and no unsquashfs, an image that was cut off": (
        [
            (
                f"cd /usr/bin; for name in {READERS}; do [ ! -e $name ] || mv $name $name.away; done",
                f"cd /usr/bin; for name in {READERS}; do [ ! -e $name.away ] || mv $name.away $name; done",
            ),
            (
                f"cd {IMAGES}; file=$(readlink {IMAGE}.sif); cp $file /tmp/kept; truncate -s 1000 $file",
                f"cd {IMAGES}; file=$(readlink {IMAGE}.sif); cat /tmp/kept >$file; rm /tmp/kept",
            ),
        ],
        {"fuse": "failed", "image": "failed"},
    ),
    "/dev/fuse is for root, another image than the one here": (
        [
            ("chmod 600 /dev/fuse", "chmod 666 /dev/fuse"),
            (
                f"cd {IMAGES}; cp -a {IMAGE}-*.json /tmp; sed -i s/sha256:./sha256:x/ {IMAGE}-*.json",
                f"cd {IMAGES}; mv /tmp/{IMAGE}-*.json .",
            ),
        ],
        {"fuse": "warning", "image": "warning"},
    ),
    "the controller is down": ([(STOP.format("slurmctld"), START_CONTROLLER)], {"scheduler": "failed"}),
}


# SLURM's commands try for many seconds to reach it.
SLOW = {"the controller is down"}


@pytest.mark.parametrize("name", others_long(BREAKS, *(set(BREAKS) - SLOW)))
def test_what_is_broken_is_found_and_nothing_else(small: SmallImageBox, well: Found, name: str) -> None:
    breaks, expected = BREAKS[name]
    assert well
    with ExitStack() as stack:
        for how, mend in breaks:
            stack.enter_context(broken(small, how, mend))
        found = look(small)
    assert wrong(found) == expected, found


# --- Asked for in the wrong way


def test_what_the_sites_file_has_wrong(small: SmallImageBox, well: Found) -> None:
    assert well
    paths = small.choice.site.paths
    for changes, expected in (
        ({"paths": paths.model_copy(update={"scratch": "$NO_SUCH_THING"})}, {"scratch": "failed"}),
        ({"paths": paths.model_copy(update={"scratch": "/nowhere/at/all"})}, {"scratch": "failed"}),
        ({"modules": ("apptainer/9",)}, {"modules": "failed", "container": "failed"}),
        ({"before": "exit 0\n"}, {"container": "failed"}),
        (
            {"container": small.choice.site.container.model_copy(update={"command": "enroot"})},
            {"container": "failed"},
        ),
    ):
        seen = wrong(look(small, small_site(small, **changes)))
        assert {name: word for name, word in seen.items() if name != "image"} == expected, changes


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"partition": "nope"}, {"partition": "failed", "request": "failed"}),
        ({"account": "nobody"}, {"account": "failed", "request": "failed"}),
        ({"qos": "nope"}, {"qos": "failed", "request": "failed"}),
        # sbatch takes it, and it waits for ever.
        ({"time": "3:00:00"}, {"partition": "failed"}),
        ({"cpus": 64}, {"request": "failed"}),
    ],
)
def test_what_would_be_refused_is_told(
    small: SmallImageBox, well: Found, wanted: Mapping[str, Any], expected: Mapping[str, str]
) -> None:
    assert well
    found = look(small, small_site(small, queues={}), SlurmResources(**wanted))
    assert wrong(found) == expected, found


def test_a_scratch_that_is_full(small: SmallImageBox, well: Found) -> None:
    """The box may mount nothing, so its memory file system is filled."""
    assert well
    fill = "fallocate -l $(df --output=avail -B1 /dev/shm | tail -n 1) /dev/shm/full"
    with broken(
        small, f"install -d -o researcher /dev/shm/mine; {fill}", "rm -rf /dev/shm/mine /dev/shm/full"
    ):
        paths = small.choice.site.paths.model_copy(update={"scratch": "/dev/shm/mine"})
        found = look(small, small_site(small, paths=paths))
    assert found["scratch"].verdict is FAILED
    assert "takes no more" in found["scratch"].seen


def test_a_quota_that_is_used_up(small: SmallImageBox, well: Found) -> None:
    """No real one: a quota needs a file system that is mounted with quotas, which the box may not do."""
    assert well
    told = "Disk quotas for user researcher (uid 1000):\\n  overlay  1000*  500  1000  6days  10  0  0\\n"
    with fakes(small) as fake:
        fake("quota", f"printf '{told}'")
        found = look(small)
    assert wrong(found) == {"quota": "failed"}, found["quota"]


def test_an_installation_with_setuid(small: SmallImageBox, well: Found) -> None:
    assert well
    find = "file=$(apptainer buildcfg | sed -n s/^LIBEXECDIR=//p)/apptainer/bin/starter-suid"
    with broken(small, f"{find}; install -m 4755 /bin/true $file", f"{find}; rm $file"):
        found = look(small)
    assert (found["setuid"].seen, found["fuse"].verdict) == ("installed", SKIPPED)


def test_a_host_without_user_namespaces_and_fuse(small: SmallImageBox) -> None:
    """The box's image without what the box is given for Apptainer, and without its daemons."""
    facts = Facts(project=small.session.project, profile=small.choice.profile, site=small.choice.site)
    checks = {one.name: one for one in CHECKS}
    names = ("container", "setuid", "namespaces", "fuse")
    scripts = {name: ask(facts) for name in names if (ask := checks[name].ask)}
    start = "load_site && mkdir /tmp/empty && apptainer exec --contain /tmp/empty true"
    program = compose({**scripts, "start": start}, small.choice.site, "MARK", 120)
    client = engine()
    try:
        printed = client.containers.run(
            "slipway-box",
            ["-lc", program],
            entrypoint="bash",
            user="researcher",
            network_mode="none",
            remove=True,
        )
    finally:
        client.close()
    answers = parse_answers(printed.decode(), "MARK")
    assert answers is not None
    known = replace(facts, answers=answers)
    found = {name: checks[name].look(known, answers[name]).verdict for name in names}
    assert found == {"container": OK, "setuid": OK, "namespaces": FAILED, "fuse": WARNING}, answers
    # What was predicted.
    assert answers["start"].exit_code != 0
    assert "user namespace" in answers["start"].text


# --- On a node


def test_a_node_without_apptainer_would_end_a_job_with_launch_failure(
    small: SmallImageBox, well: Found
) -> None:
    assert well
    with broken(small, *moved("/usr/bin/apptainer")):
        found = look(small, job=True)
    assert (found["container"].verdict, found["node-container"].verdict) == (WARNING, FAILED)
    assert "launch-failure" in found["node-container"].consequence


def test_a_node_that_is_other_than_the_login_node(small: SmallImageBox, well: Found) -> None:
    """A variable that is another one there, no disk of its own, and GPUs that are as good as /dev/null."""
    assert well
    elsewhere = "export MINE=/scratch/researcher${SLURM_JOB_ID:+/elsewhere}"
    paths = small.choice.site.paths.model_copy(update={"scratch": "$MINE", "node_local": "/nowhere"})
    small.on_box(f"echo '. ~/.profile; {elsewhere}' >~/.bash_profile")
    try:
        found = look(small, small_site(small, paths=paths), Resources(gpus="1"), job=True)
    finally:
        small.on_box("rm ~/.bash_profile")
    found = {name: one for name, one in found.items() if name != "memory"}
    assert wrong(found) == {"node-scratch": "warning", "node-local": "warning", "gpu": "failed"}, found
    assert found["node-container"].verdict is OK
    assert found["driver"].verdict is SKIPPED


def test_a_job_that_is_refused_is_not_submitted(small: SmallImageBox, well: Found) -> None:
    assert well
    found = look(small, wanted=SlurmResources(partition="nope"), job=True)
    assert (found["job"].verdict, found["node-container"].verdict) == (SKIPPED, SKIPPED)


# --- As a person has it


def environment(small: SmallImageBox) -> dict[str, str]:
    project = small.session.project
    return {**os.environ, "SLIPWAY_STATE": str(project.state), "SLIPWAY_RESULTS": str(project.results)}


def words(small: SmallImageBox, *more: str) -> list[str]:
    return [*INVOKE, "doctor", "box", "--profile", "cpu", "--set", f"IMAGE={IMAGE}", *more]


@pytest.mark.long
def test_ctrl_c_cancels_the_test_job(small: SmallImageBox, well: Found) -> None:
    assert well
    blocker = (
        "sbatch",
        "--nodes=3",
        "--exclusive",
        "--chdir=/",
        "--output=/dev/null",
        "--wrap=sleep 600",
        "-J",
        "full",
    )
    small.as_root("runuser", "-u", "researcher", "--", *blocker)
    wait_until(
        lambda: small.is_so("squeue -h -o '%j %T' | grep -qx 'full RUNNING'"), "the cluster does not get full"
    )
    try:
        asked = "squeue -h -o '%j %T' | grep -q 'slipway-doctor.* PENDING'"
        doctor = subprocess.Popen(
            words(small, "--job"),
            cwd=ROOT,
            env=environment(small),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        wait_until(lambda: small.is_so(asked) or doctor.poll() is not None, "no test job waits")
        doctor.send_signal(signal.SIGINT)
        stdout, stderr = doctor.communicate(timeout=PATIENCE_S)
        assert (doctor.returncode, stdout) == (130, ""), stderr
        assert "stopped: the test job was cancelled" in stderr
        wait_until(
            lambda: not small.is_so("squeue -h -o %j | grep -q slipway-doctor"), "the job is still there"
        )
        assert small.as_root("sh", "-c", "ls -A /scratch/researcher/slipway/doctor").split() == []
    finally:
        small.as_root("scancel", "--name=full")


def test_json_and_the_exit_code(small: SmallImageBox, well: Found) -> None:
    def run(*more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            words(small, *more),
            cwd=ROOT,
            env=environment(small),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    assert well
    done = run("--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["failed"], told["site"]) == (0, 0, "box"), done.stderr
    assert [one["name"] for one in told["checks"]] == [one.name for one in CHECKS]
    done = run("--set", "PARTITION=long", "--set", "TIME=30-00:00:00")
    assert done.returncode == 94, done
    assert "  ✗ partition" in done.stdout
    assert re.search(r"^      fix: ", done.stdout, re.M)
    assert [line for line in done.stdout.splitlines() if len(line) > 80 and "`" not in line] == []
    assert done.stderr.splitlines()[-1].startswith("error: 1 check failed")


def test_a_site_that_cannot_be_reached_is_a_finding(small: SmallImageBox, well: Found) -> None:
    assert well
    nobody = small_site(small, login=Login(host="127.0.0.1", port=1))
    found = look(small, nobody, job=True)
    assert found["login"].verdict is FAILED
    assert {one.verdict for name, one in found.items() if name in ("scratch", "image", "job", "gpu")} == {
        SKIPPED
    }
