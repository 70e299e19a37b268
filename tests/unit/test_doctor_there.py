"""What `doctor` makes of a cluster's answers; tests/integration/test_doctor.py breaks a real one."""

from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

import pytest

from slipway.doctor.catalog import CHECKS
from slipway.doctor.check import Answer
from slipway.doctor.finding import Finding, Verdict
from slipway.doctor.there.login import judge_clock
from slipway.doctor.there.quota import Quota, judge_quota, parse_quota
from slipway.doctor.there.request import judge_account, judge_partitions, judge_qos
from slipway.doctor.there.scratch import judge_room
from slipway.errors import LoginError, ParseError
from slipway.image.engine import Image
from slipway.scheduler.health import OpenPartition
from slipway.scheduler.limits import ResourceRequest
from slipway.scheduler.pbs.site import PbsSite
from slipway.scheduler.slurm.health import SlurmHealth
from slipway.scheduler.slurm.resources import SlurmResources
from slipway.sif.kept import Sif
from slipway.site import Login, Paths, Queue
from tests.unit.test_doctor import facts, site

BY_NAME = {one.name: one for one in CHECKS}
OK, WARNING, FAILED, SKIPPED = Verdict.OK, Verdict.WARNING, Verdict.FAILED, Verdict.SKIPPED


def look(name: str, text: str = "", code: int = 0, **more: Any) -> Finding:
    """What a check finds in the answer to its script."""
    answer = Answer(exit_code=code, text=text)
    answers = {name: answer, **more.pop("answers", {})}
    found = BY_NAME[name].look(facts(more.pop("where", None), answers=answers, **more), answer)
    if found.verdict in (FAILED, WARNING):
        assert found.consequence, found
        assert found.fix, found
    return found


# --- Login and clock


def test_a_login_that_fails_says_what_to_do() -> None:
    error = LoginError("ada@h:22: the host lets nobody in; ask the site for access")
    found = look("login", login_error=error)
    assert found.verdict is FAILED
    assert (found.seen, found.fix) == ("ada@h:22: the host lets nobody in", "ask the site for access")


@pytest.mark.parametrize(
    ("there", "verdict", "words"),
    [
        (1000, OK, "like the cluster's"),
        (1004, OK, "like the cluster's"),
        (1020, OK, "like the cluster's"),
        (900, WARNING, "the clock here is 99 s ahead of the cluster's"),
        (4600, WARNING, "the clock here is 60 minutes behind the cluster's"),
        (200_000, FAILED, "behind the cluster's"),
    ],
)
def test_the_clock_is_compared_across_the_time_that_the_answer_took(
    there: int, verdict: Verdict, words: str
) -> None:
    found = judge_clock(there, 1000.0, 1005.0)
    assert found.verdict is verdict
    assert words in found.seen


# --- Scratch and its room


@pytest.mark.parametrize(
    ("code", "text", "verdict", "words"),
    [
        (0, "scratch /s/ada\nnearest /s/ada/slipway\n", OK, "/s/ada"),
        (0, "scratch /s/ada\nnearest /s\nmissing yes\n", WARNING, "/s/ada does not exist yet"),
        (3, "unset SCRATCH\n", FAILED, "$SCRATCH is not set in a login shell there"),
        (
            4,
            "scratch /s/ada\nnearest /\nmissing yes\nmktemp: Permission denied\n",
            FAILED,
            "/s/ada does not exist and cannot be made: mktemp: Permission denied",
        ),
        (
            4,
            "scratch /s/ada\nnearest /s/ada\nmktemp: Read-only file system\n",
            FAILED,
            "cannot be written to (/s/ada)",
        ),
        (5, "scratch /s/ada\nnearest /s/ada\nhead: No space left on device\n", FAILED, "takes no more"),
    ],
)
def test_scratch(code: int, text: str, verdict: Verdict, words: str) -> None:
    found = look("scratch", text, code)
    assert found.verdict is verdict
    assert words in found.seen


DF = """\
Filesystem     1024-blocks      Used Available Capacity Mounted on
10.0.0.1@o2ib:/lustre 1000000000 900000000 {free} 90% /s
Filesystem             Inodes   IUsed    IFree IUse% Mounted on
10.0.0.1@o2ib:/lustre {files} 5 {left} 1% /s
"""


@pytest.mark.parametrize(
    ("free", "files", "left", "verdict", "words"),
    [
        (100_000_000, 1000, 900_000, OK, "102.4 GB and 900,000 files free"),
        # btrfs and some network file systems have no limit of files.
        (100_000_000, 0, 0, OK, "102.4 GB free"),
        (2_000_000, 1_000_000, 900_000, WARNING, "2.0 GB"),
        (10_000, 1_000_000, 900_000, FAILED, "0.0 GB"),
        (100_000_000, 1_000_000, 10_000, WARNING, "10,000 files"),
        (100_000_000, 1_000_000, 20, FAILED, "20 files"),
    ],
)
def test_room(free: int, files: int, left: int, verdict: Verdict, words: str) -> None:
    found = look("room", DF.format(free=free, files=files, left=left))
    assert found.verdict is verdict
    assert words in found.seen


def test_room_is_compared_with_the_image() -> None:
    found = judge_room(facts(), 6_000_000_000, (0, 0), 7_000_000_000)
    assert found.verdict is FAILED
    assert found.seen == "6.0 GB free, and the image takes 7.0 GB"


# --- Quota: as the manuals of these commands have it


QUOTA = """\
disk /dev/sdb1
command quota
Disk quotas for user ada (uid 1000):
     Filesystem  blocks   quota   limit   grace   files   quota   limit   grace
      /dev/sda1   12345       0       0             123       0       0
      /dev/sdb1  {used}  500000  550000 {grace}    1234   10000   11000
"""
LFS = """\
disk 10.0.0.1@o2ib:/lustre
command lfs
     /lustre/ada/of-a-long-name
                 {used}  500000  550000       -    1234   10000   11000       -
"""
BEEGFS = """\
disk beegfs_nodev
command beegfs
name,id,size,hard,files,hard
ada,1000,{used},563200000,1234,unlimited
"""
GPFS = """\
disk /dev/gpfs1
command gpfs
mmlsquota::HEADER:version:reserved:reserved:filesystemName:quotaType:id:name:blockUsage:blockQuota:blockLimit:blockInDoubt:blockGrace:filesUsage:filesQuota:filesLimit:filesInDoubt:filesGrace:remarks:quota:defQuota:fid:filesetname:
mmlsquota::0:1:::gpfs0:USR:1000:ada:1:2:3:0:none:12:0:0:0:none:i:on:off:::
mmlsquota::0:1:::gpfs1:USR:1000:ada:{used}:500000:550000:0:none:1234:10000:11000:0:none:i:on:off:::
"""


@pytest.mark.parametrize("grace", ["     ", "6days", "00:05"])
@pytest.mark.parametrize("mark", ["", "*"])
def test_quota_of_a_local_disk(grace: str, mark: str) -> None:
    assert parse_quota(QUOTA.format(used=f"123456{mark}", grace=grace)) == Quota(
        used_bytes=123456 * 1024, most_bytes=500000 * 1024, used_files=1234, most_files=10000
    )


def test_quota_of_lustre_and_gpfs() -> None:
    expected = Quota(used_bytes=123456 * 1024, most_bytes=500000 * 1024, used_files=1234, most_files=10000)
    assert parse_quota(LFS.format(used="123456*")) == parse_quota(GPFS.format(used=123456)) == expected


def test_quota_of_beegfs() -> None:
    expected = Quota(used_bytes=512000, most_bytes=563200000, used_files=1234, most_files=None)
    assert parse_quota(BEEGFS.format(used=512000)) == expected


@pytest.mark.parametrize(
    ("used", "verdict"), [(100_000, OK), (470_000, WARNING), (500_000, FAILED), (600_000, FAILED)]
)
def test_quota_is_judged(used: int, verdict: Verdict) -> None:
    assert look("quota", LFS.format(used=used)).verdict is verdict


def test_quota_has_to_leave_room_for_the_image() -> None:
    quota = Quota(used_bytes=1_000, most_bytes=10_000, used_files=1, most_files=None)
    assert judge_quota(quota, "hpc", 9_500).verdict is FAILED
    assert judge_quota(quota, "hpc", 8_500).verdict is OK


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("disk /dev/sda1\n", "this cluster has none of lfs"),
        (
            "disk /dev/sda1\ncommand quota\nDisk quotas for user ada (uid 1000): none\n",
            "`quota` tells nothing",
        ),
        ("disk x\ncommand lfs\nquotactl ugid 1000 failed: Operation not supported\n", "`lfs` tells nothing"),
    ],
)
def test_quota_that_nobody_tells_is_skipped(text: str, words: str) -> None:
    found = look("quota", text)
    assert found.verdict is SKIPPED
    assert words in found.seen


# --- rsync


@pytest.mark.parametrize(
    ("text", "code", "transfer", "verdict"),
    [
        ("Welcome!\nrsync  version 3.1.2  protocol version 31\n", 0, "auto", OK),
        ("bash: rsync: command not found\n", 127, "auto", WARNING),
        ("bash: rsync: command not found\n", 127, "rsync", FAILED),
        ("bash: rsync: command not found\n", 127, "sftp", SKIPPED),
        ("rsync  version 2.6.9  protocol version 29\n", 0, "auto", WARNING),
    ],
)
def test_rsync(text: str, code: int, transfer: str, verdict: Verdict) -> None:
    where = site(login={"host": "h", "transfer": transfer})
    assert look("rsync-there", text, code, where=where).verdict is verdict


# --- SLURM; recorded from 24.11


DOWN = "slurm_load_jobs error: Unable to contact slurm controller (connect failure)\n"
NO_ACCOUNTING = """\
sacct: error: _open_persist_conn: failed to open persistent connection to host:login:6819: Connection refused
sacct: error: Sending PersistInit msg: Connection refused
sacct: error: Problem talking to the database: Connection refused
"""
PARTITIONS = """\
PartitionName=debug AllowGroups=ALL AllowAccounts=ALL AllowQos=ALL Default=YES \
QoS=N/A DefaultTime=00:10:00 MaxNodes=UNLIMITED MaxTime=01:00:00 Nodes=node[1-3] State=UP TotalNodes=3
PartitionName=gpu AllowGroups=vision,robots AllowAccounts=lab,other DenyQos=low \
Default=NO MaxNodes=2 MaxTime=UNLIMITED Nodes=node[1-3] State=DRAIN
"""
HEALTH = SlurmHealth()


def test_partitions_are_read() -> None:
    debug, gpu = HEALTH.read_partitions(PARTITIONS)
    assert debug == OpenPartition(name="debug", is_default=True, state="UP", queue=Queue(max_time="01:00:00"))
    assert gpu == OpenPartition(
        name="gpu",
        is_default=False,
        state="DRAIN",
        queue=Queue(max_nodes=2),
        accounts=["lab", "other"],
        groups=["vision", "robots"],
        no_qos=["low"],
    )
    with pytest.raises(ParseError):
        HEALTH.read_partitions("No partitions in the system\n")


@pytest.mark.parametrize(
    ("code", "printed", "expected", "refusal"),
    [
        (
            0,
            "sbatch: Job 12 to start at 2026-11-29T21:40:00 using 2 processors on nodes node1 in debug\n",
            "2026-11-29T21:40:00 on node1",
            None,
        ),
        (
            1,
            "allocation failure: Invalid account or account/partition combination specified\n",
            None,
            "Invalid account or account/partition combination specified",
        ),
        (
            1,
            "sbatch: error: invalid partition specified: nope\nallocation failure: Invalid partition name\n",
            None,
            "invalid partition specified: nope; Invalid partition name",
        ),
        (1, "", None, "sbatch ended with exit code 1"),
    ],
)
def test_a_trial_is_read(code: int, printed: str, expected: str | None, refusal: str | None) -> None:
    trial = HEALTH.read_trial(code, printed)
    assert (trial.expected, trial.refusal) == (expected, refusal)


def test_a_trial_has_the_options_of_a_job() -> None:
    assert HEALTH.commands(["--time=10", "--comment=a b"])["trial"] == [
        "sh",
        "-c",
        "printf '#!/bin/sh\\ntrue\\n' | sbatch --test-only --time=10 '--comment=a b'",
    ]


def test_a_scheduler_that_is_not_asked_about_jobs_beforehand() -> None:
    where = PbsSite(name="hpc", login=Login(host="h"), paths=Paths(scratch="/s"))
    found = look("request", where=where)
    assert (found.verdict, found.seen) == (SKIPPED, "PBS cannot be asked about a job without submitting it")


def test_a_scheduler_that_does_not_answer() -> None:
    found = look("scheduler", DOWN, 1)
    assert found.verdict is FAILED
    assert "Unable to contact slurm controller" in found.seen
    assert look("scheduler", "bash: squeue: command not found\n", 127).seen.startswith(
        "SLURM is not found there"
    )
    assert look("scheduler", "slurm|JOBID\n").verdict is OK


def test_accounting_that_does_not_answer_is_a_warning() -> None:
    assert look("accounting", NO_ACCOUNTING, 1).verdict is WARNING
    assert look("accounting").verdict is OK


def request(**wanted: Any) -> ResourceRequest:
    origins = {key: f"defaults.{key} in cluster/hpc.yaml" for key in wanted}
    return ResourceRequest(resources=SlurmResources(**wanted), origins=origins)


@pytest.mark.parametrize(
    ("wanted", "groups", "accounts", "verdict", "words"),
    [
        ({}, [], ["lab"], OK, "debug (the default)"),
        ({"partition": "debug"}, [], None, OK, "debug"),
        (
            {"partition": "debgu"},
            [],
            None,
            FAILED,
            "there is no partition debgu (defaults.partition in cluster/hpc.yaml) (did you mean debug?)",
        ),
        ({"partition": "gpu"}, ["users"], ["lab"], FAILED, "gpu is for the groups vision, robots only"),
        ({"partition": "gpu"}, ["vision"], ["mine"], FAILED, "gpu is for the accounts lab, other only"),
        ({"partition": "gpu"}, ["vision"], ["lab"], WARNING, "gpu is DRAIN"),
        ({"partition": "gpu,debug"}, ["users"], ["lab"], OK, "debug"),
        ({"partition": "debug", "time": "2:00:00"}, [], None, FAILED, "time 2:00:00 (defaults.time in"),
        ({"partition": "gpu", "nodes": 3}, ["vision"], ["lab"], FAILED, "3 nodes"),
    ],
)
def test_partition(
    wanted: dict[str, Any], groups: list[str], accounts: list[str] | None, verdict: Verdict, words: str
) -> None:
    there = HEALTH.read_partitions(PARTITIONS)
    found = judge_partitions(request(**wanted), there, groups, accounts, "hpc")
    assert (found.verdict, words in found.seen) == (verdict, True), found


def test_an_account_that_is_denied() -> None:
    closed = replace(HEALTH.read_partitions(PARTITIONS)[0], no_accounts=["lab"])
    assert judge_partitions(request(), [closed], [], ["lab"], "hpc").verdict is FAILED
    assert judge_partitions(request(), [closed], [], ["lab", "other"], "hpc").verdict is OK


def test_no_default_partition() -> None:
    there = [replace(one, is_default=False) for one in HEALTH.read_partitions(PARTITIONS)]
    found = judge_partitions(request(), there, [], None, "hpc")
    assert found.verdict is FAILED
    assert "debug, gpu" in found.fix


def test_what_the_sites_file_forbids_is_found_without_the_scheduler() -> None:
    where = site(queues={"debug": {"max_time": "10"}}, defaults={"partition": "debug", "time": "20"})
    found = look("partition", DOWN, 1, where=where, request=request(partition="debug", time="20"))
    assert found.verdict is FAILED
    assert "longer than the 10" in found.seen
    assert found.fix == "ask for less, or name another partition"
    other = look("partition", DOWN, 1, where=where, request=request(partition="debgu"))
    assert other.fix == "queues in cluster/hpc.yaml has: debug"


ACCOUNTS = {"lab": ["normal", "quick"], "other": ["normal"]}


@pytest.mark.parametrize(
    ("wanted", "accounts", "verdict", "words"),
    [
        ({}, ACCOUNTS, OK, "the default of yours: lab, other"),
        ({"account": "lab"}, ACCOUNTS, OK, "lab"),
        ({"account": "lbb"}, ACCOUNTS, FAILED, "account lbb is not one of yours"),
        ({"account": "lab"}, {}, FAILED, "this user is in none"),
        ({}, {}, OK, "on no list"),
    ],
)
def test_account(
    wanted: dict[str, Any], accounts: dict[str, list[str]], verdict: Verdict, words: str
) -> None:
    found = judge_account(request(**wanted), accounts)
    assert (found.verdict, words in found.seen) == (verdict, True), found


@pytest.mark.parametrize(
    ("wanted", "verdict"),
    [
        ({"qos": "quick"}, OK),
        ({"qos": "quick", "account": "lab"}, OK),
        ({"qos": "quick", "account": "other"}, FAILED),
        ({"qos": "quik"}, FAILED),
    ],
)
def test_qos(wanted: dict[str, Any], verdict: Verdict) -> None:
    assert judge_qos(request(**wanted), wanted["qos"], ACCOUNTS).verdict is verdict


TAKEN = {
    "request": Answer(exit_code=0, text="sbatch: Job 1 to start at 2026-11-29T21:40:00 using 1 processors\n")
}
REFUSED = {"request": Answer(exit_code=1, text="allocation failure: Invalid account\n")}


@pytest.mark.parametrize(("answers", "verdict"), [(TAKEN, WARNING), (REFUSED, FAILED), ({}, FAILED)])
def test_lists_that_the_scheduler_does_not_hold_to(answers: dict[str, Answer], verdict: Verdict) -> None:
    found = look("account", "lab|normal\n", request=request(account="mine"), answers=answers)
    assert found.verdict is verdict
    partition = PARTITIONS + "groups users\n"
    assert look("partition", partition, request=request(partition="gpu"), answers=answers).verdict is verdict
    # sbatch would not tell.
    wanted = request(partition="debug", time="2:00:00")
    assert look("partition", partition, request=wanted, answers=answers).verdict is FAILED


def test_accounts_that_cannot_be_asked_are_skipped() -> None:
    assert look("account", "sacctmgr: error: Connection refused\n", 1).verdict is SKIPPED
    assert look("qos", request=request(qos="quick")).verdict is SKIPPED
    assert look("account", "lab|normal,quick\nother|normal\n").verdict is OK


# --- Modules; recorded from Environment Modules 5 and Lmod


NO_MODULE = """\
missing apptainer/9
said ERROR: Unable to locate a modulefile for 'apptainer/9'
avail /usr/share/modules/modulefiles:
avail apptainer/1.3
avail apptainer/1.4(default)
"""
NO_LMOD = """\
missing apptainer/9
said Lmod has detected the following error: The following module(s) are unknown: "apptainer/9"
"""


def test_a_module_that_is_not_there_names_those_that_are() -> None:
    where = site(modules=("gcc", "apptainer/9"))
    found = look("modules", NO_MODULE, 4, where=where)
    assert found.verdict is FAILED
    assert "launch-failure" in found.consequence
    assert (
        found.fix
        == "write apptainer/1.4 below modules: in cluster/hpc.yaml; there are apptainer/1.3, apptainer/1.4"
    )
    assert "`module avail`" in look("modules", NO_LMOD, 4, where=where).fix


def test_modules() -> None:
    assert look("modules", where=site(modules=("gcc",))).seen == "gcc"
    assert look("modules", code=3, where=site(modules=("gcc",))).verdict is FAILED
    # A module that ends the shell has not said that it is missing.
    ended = look("modules", "Lmod has detected: exiting\n", 1, where=site(modules=("gcc",)))
    assert (ended.verdict, "exit code 1" in ended.seen) == (FAILED, True)
    assert look("modules").verdict is SKIPPED


# --- What starts containers


@pytest.mark.parametrize(
    ("text", "code", "verdict", "words"),
    [
        (
            "loaded yes\npath /usr/bin/apptainer\nversion apptainer version 1.4.5\n",
            0,
            OK,
            "apptainer version 1.4.5",
        ),
        ("loaded yes\nversion singularity version 3.8.7-1.el8\n", 0, OK, "3.8.7"),
        ("loaded yes\nversion 2.6.1-dist\n", 0, FAILED, "2.6.1-dist is too old"),
        ("loaded yes\nversion cannot execute binary file\n", 0, FAILED, "cannot execute binary file"),
        ("loaded yes\n", 4, FAILED, "there is no apptainer on the login node"),
        ("", 3, FAILED, "do not come to their end"),
        # `exit 0` in the site's own lines.
        ("", 0, FAILED, "do not come to their end"),
    ],
)
def test_container_command(text: str, code: int, verdict: Verdict, words: str) -> None:
    found = look("container", text, code)
    assert (found.verdict, words in found.seen) == (verdict, True), found


def test_a_missing_command_names_what_is_there() -> None:
    assert "`command: singularity`" in look("container", "loaded yes\nother singularity\n", 4).fix
    assert (
        "`modules: [apptainer/1.4]`"
        in look("container", "loaded yes\nmodule apptainer/1.4(default)\n", 4).fix
    )
    # The test job decides.
    assert look("container", "loaded yes\n", 4, has_job=True).verdict is WARNING


LOADED = "loaded yes\n"
NONE = {"setuid": Answer(exit_code=0, text="allowed yes\n")}
SETUID = {"setuid": Answer(exit_code=0, text="starter root /usr/libexec/starter-suid\nallowed yes\n")}
OFF = {"setuid": Answer(exit_code=0, text="starter root /usr/libexec/starter-suid\nallowed no\n")}


@pytest.mark.parametrize(
    ("text", "answers", "verdict", "words"),
    [
        ("max_user_namespaces 96000\nworks yes\nrange ada:100000:65536\n", NONE, OK, "can be made"),
        ("max_user_namespaces 96000\nworks yes\nrange none\n", NONE, OK, "no range of ids in /etc/subuid"),
        (
            "max_user_namespaces 0\nrefusal unshare: No space left on device\n",
            NONE,
            FAILED,
            "max_user_namespaces is 0",
        ),
        (
            "unprivileged_userns_clone 0\nrefusal unshare: denied\n",
            NONE,
            FAILED,
            "unprivileged_userns_clone is 0",
        ),
        (
            "refusal unshare: unshare failed: Operation not permitted\n",
            NONE,
            FAILED,
            "Operation not permitted",
        ),
        ("max_user_namespaces 0\nrefusal no\n", SETUID, OK, "the setuid installation does without"),
        ("max_user_namespaces 0\nrefusal no\n", OFF, FAILED, "max_user_namespaces is 0"),
    ],
)
def test_user_namespaces(text: str, answers: dict[str, Answer], verdict: Verdict, words: str) -> None:
    found = look("namespaces", text, answers=answers)
    assert (found.verdict, words in found.seen) == (verdict, True), found


@pytest.mark.parametrize(
    ("text", "verdict", "words"),
    [
        ("allowed yes\n", OK, "none"),
        ("starter root /x/starter-suid\nallowed yes\n", OK, "installed"),
        ("starter root /x/starter-suid\nallowed no\n", OK, "turned off"),
        ("starter ada /x/starter-suid\n", WARNING, "belongs to ada"),
    ],
)
def test_setuid(text: str, verdict: Verdict, words: str) -> None:
    found = look("setuid", f"{LOADED}libexec /x\n{text}")
    assert (found.verdict, words in found.seen) == (verdict, True), found


def test_setuid_is_not_denied_where_nobody_tells_where_the_programs_are() -> None:
    assert look("setuid", f"{LOADED}allowed yes\n").verdict is SKIPPED


@pytest.mark.parametrize(
    ("text", "answers", "verdict", "words"),
    [
        ("device open\nsquashfuse_ll /x/squashfuse_ll\n", NONE, OK, "/dev/fuse, /x/squashfuse_ll"),
        ("device missing\nsquashfuse_ll /x\nunsquashfs /y\n", NONE, WARNING, "/dev/fuse is missing"),
        ("device closed\nsquashfuse_ll /x\n", NONE, FAILED, "/dev/fuse is closed"),
        ("device open\nunsquashfs /y\n", NONE, WARNING, "there is no squashfuse"),
        ("device open\n", NONE, FAILED, "there is no squashfuse, and no unsquashfs"),
        ("device missing\n", SETUID, SKIPPED, "mounts images by the kernel"),
    ],
)
def test_fuse(text: str, answers: dict[str, Answer], verdict: Verdict, words: str) -> None:
    found = look("fuse", LOADED + text, answers=answers)
    assert (found.verdict, words in found.seen) == (verdict, True), found


@pytest.mark.parametrize(
    ("text", "answers", "verdict"),
    [
        ("fuse yes\nkernel no\n", NONE, OK),
        ("fuse no\nkernel yes\n", NONE, FAILED),
        ("fuse no\nkernel yes\n", SETUID, OK),
        ("fuse yes\nkernel no\n", SETUID, FAILED),
        ("", NONE, SKIPPED),
    ],
)
def test_zstd(text: str, answers: dict[str, Answer], verdict: Verdict) -> None:
    assert look("zstd", LOADED + text, answers=answers).verdict is verdict


@pytest.mark.parametrize("name", ["setuid", "fuse", "zstd"])
def test_without_a_container_command_its_needs_are_skipped(name: str) -> None:
    assert look(name, LOADED, 4, answers=NONE).verdict is SKIPPED
    # `exit 0` in the site's own lines.
    assert look(name, "", 0, answers=NONE).verdict is SKIPPED


def test_what_is_not_needed_is_skipped() -> None:
    unpacked, gzip = site(container={"flags": ("--unsquash",)}), site(container={"compression": "gzip"})
    assert look("fuse", LOADED + "device missing\n", where=unpacked, answers=NONE).verdict is SKIPPED
    assert look("zstd", LOADED + "fuse no\n", where=gzip, answers=NONE).verdict is SKIPPED


# --- The image


RECORD = '{"image_id": "sha256:aa", "sha256": "00", "size_bytes": 1000000, "path": "/s/a-1.sif"}'
THERE = f"file /s/a-1.sif\nsize 1000000\nrecord {RECORD}\n"


def image(image_id: str) -> Image:
    return Image(ref="slipway-cpu:latest", id=image_id, labels={}, size_bytes=1)


@pytest.mark.parametrize(
    ("text", "code", "here", "verdict", "words"),
    [
        (THERE, 0, None, OK, "none here to compare"),
        (THERE, 0, image("sha256:aa"), OK, "the same as here"),
        (THERE, 0, image("sha256:bb"), WARNING, "not the one that is here"),
        (THERE.replace("size 1000000", "size 999"), 0, None, FAILED, "it is damaged"),
        ("", 3, None, FAILED, "was not sent yet"),
        ("", 4, None, FAILED, "points to an image that is gone"),
        ("file /s/a-1.sif\nsize 1000000\n", 5, None, FAILED, "has no record"),
        ("file /s/a-1.sif\nsize 1000000\nrecord {}\n", 0, None, FAILED, "is no record of an image"),
        (f"file /s/a-1.sif\nsize 1000000\nclosed yes\nrecord {RECORD}\n", 0, None, FAILED, "cannot be read"),
    ],
)
def test_image(text: str, code: int, here: Image | None, verdict: Verdict, words: str) -> None:
    found = look("image", text, code, image=here)
    assert (found.verdict, words in found.seen) == (verdict, True), found


def test_the_sif_decides_how_much_room_is_needed() -> None:
    sif = Sif(path=PurePosixPath("/x"), name="a", image_id="", sha256="", size_bytes=200_000_000_000)  # type: ignore[arg-type]
    assert look("room", DF.format(free=100_000_000, files=0, left=0), sif=sif).verdict is FAILED
