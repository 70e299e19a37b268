"""PBS's programs asked by the scripts of slipway/scheduler/pbs/: stand-ins for them under a real shell."""

import os
import subprocess
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from slipway.errors import JobError, RemoteError
from slipway.progress import NullProgress
from slipway.scheduler.base import JobQuery, Node, State
from slipway.scheduler.choose import FIELDS
from slipway.scheduler.limits import ResourceRequest
from slipway.scheduler.pbs.resources import PbsResources
from slipway.scheduler.pbs.scheduler import Pbs
from slipway.scheduler.pbs.site import PbsSite
from slipway.scheduler.slurm.check import describe_partitions
from slipway.shell import Result
from slipway.site import Login, Paths

DATA = Path(__file__).parent / "data" / "pbs"
SITE = PbsSite(name="hpc", login=Login(host="h"), paths=Paths(scratch="/s"))
NOW = datetime(2026, 1, 31, tzinfo=timezone.utc)
OPENPBS = "echo pbs_version = 23.06.06"
TORQUE = "echo Version: 6.1.3 >&2; echo Commit: 1a2b3c >&2"


class There:
    """A login shell that finds stand-ins; it notes how they were called."""

    target = "me@hpc"

    def __init__(self, folder: Path, version: str = OPENPBS) -> None:
        self.folder = folder
        self.called = folder / "called"
        self.called.write_text("")
        self.version = version
        (folder / ".bash_profile").write_text(f"PATH={folder}:$PATH\n")
        self.program("qstat")
        self.program("qselect")

    def program(self, name: str, body: str = "") -> None:
        version = f'[ "$1" != --version ] || {{ {self.version}; exit; }}\n'
        text = f'#!/bin/bash\n{version}printf "%s\\n" "{name} $*" >>{self.called}\n{body}\n'
        (self.folder / name).write_text(text)
        (self.folder / name).chmod(0o755)

    def run_in_login_shell(self, argv: Sequence[str]) -> Result:
        environment = {"PATH": f"{self.folder}:{os.environ['PATH']}", "HOME": str(self.folder)}
        done = subprocess.run(argv, capture_output=True, text=True, env=environment, timeout=60, check=False)
        return Result(argv=tuple(argv), exit_code=done.returncode, stdout=done.stdout, stderr=done.stderr)

    @property
    def calls(self) -> list[str]:
        return self.called.read_text().splitlines()


@pytest.fixture
def there(tmp_path: Path) -> Any:
    return There(tmp_path)


def query(name: str, job_id: str | None, tasks: Sequence[int | None] = (None,)) -> JobQuery:
    return JobQuery(name=name, submitted=NOW, job_id=job_id, tasks=tasks)


def test_jobs_are_asked_for_by_ids_and_names(there: Any) -> None:
    there.program("qstat", f"cat {DATA}/openpbs-over.txt")
    there.program("qselect", "echo '15[].pbs'")
    found = Pbs().query(there, [query("sig", "19.pbs"), query("arr", None, [0, 1, 2, 3])])
    assert found.problem is None
    assert found.history_problem is None
    assert found.jobs["sig", None].state is State.FAILED
    assert found.jobs["arr", 2].exit_code == 3
    assert there.calls == [
        "qstat -x -t -f 19.pbs",
        "qselect -x -N arr",
        "qstat -x -t -f 15[].pbs",
    ]


def test_jobs_that_nobody_knows(there: Any) -> None:
    there.program("qstat", "echo 'qstat: Unknown Job Id 19.pbs' >&2; exit 153")
    found = Pbs().query(there, [query("sig", "19.pbs"), query("arr", None)])
    assert (dict(found.jobs), found.problem, found.history_problem) == ({}, None, None)


def test_no_history(there: Any) -> None:
    there.program(
        "qstat",
        'case $* in *-x*) echo "qstat: PBS is not configured to maintain job history" >&2; exit ;; esac\n'
        f"cat {DATA}/openpbs-running.txt",
    )
    found = Pbs().query(there, [query("9f3k-run", "33.pbs")])
    assert found.jobs["9f3k-run", None].state is State.RUNNING
    assert "no history" in str(found.history_problem)
    assert there.calls == ["qstat -x -t -f 33.pbs", "qstat -t -f 33.pbs"]


def test_torque_is_asked_as_torque(tmp_path: Path) -> None:
    there: Any = There(tmp_path, TORQUE)
    there.program("qstat", f"cat {DATA}/torque-over.txt")
    there.program("qselect", "echo 48[1].torque01.example.org")
    found = Pbs().query(there, [query("k3f9-array", None, [1])])
    assert found.jobs["k3f9-array", 1].state is State.CANCELLED
    assert there.calls == ["qselect -N k3f9-array", "qstat -t -f 48[1].torque01.example.org"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (
            "echo refused >&2; echo 'qstat: cannot connect to server pbs (errno=111)' >&2; exit 111",
            "errno=111",
        ),
        ("echo 'Under maintenance until noon'", "expected jobs"),
        ("exit 1", "exit code 1"),
    ],
)
def test_a_server_that_does_not_answer(there: Any, body: str, words: str) -> None:
    there.program("qstat", body)
    found = Pbs().query(there, [query("a", "1.pbs")])
    assert words in str(found.problem)
    assert found.jobs == {}


def test_many_jobs_are_asked_for_in_parts(there: Any) -> None:
    Pbs().query(there, [query(f"r{number}", f"{number}.pbs") for number in range(1100)])
    assert [len(call.split()) - 4 for call in there.calls] == [500, 500, 100]


def test_names_of_jobs_that_wait_and_run(there: Any) -> None:
    there.program("qselect", "printf '29[].pbs\\n33.pbs\\n'")
    there.program("qstat", f"cat {DATA}/openpbs-running.txt")
    assert Pbs().active_names(there) >= {"k3f9-arr", "9f3k-run"}
    there.program("qselect", "")
    assert Pbs().active_names(there) == set()
    there.program("qselect", "exit 1")
    assert Pbs().active_names(there) is None


def test_cancelling(there: Any) -> None:
    there.program("qdel", "case $1 in 2.pbs) echo 'qdel: Unknown Job Id 2.pbs' >&2; exit 153 ;; esac")
    Pbs().cancel(there, ["1.pbs", "2.pbs", "3[].pbs"])
    assert there.calls == ["qdel 1.pbs", "qdel 2.pbs", "qdel 3[].pbs"]


def test_a_job_that_pbs_does_not_cancel(there: Any) -> None:
    there.program("qdel", "echo 'qdel: Unauthorized Request 2.pbs' >&2; exit 159")
    with pytest.raises(RemoteError, match=r"job 2\.pbs was not cancelled: qdel: Unauthorized Request"):
        Pbs().cancel(there, ["2.pbs"])


def test_only_what_waits_is_cancelled(there: Any) -> None:
    there.program(
        "qstat", 'case $2 in 1.pbs) echo "    job_state = Q" ;; *) echo "    job_state = R" ;; esac'
    )
    there.program("qdel")
    Pbs().cancel(there, ["1.pbs", "2.pbs"], only_waiting=True)
    assert [call for call in there.calls if call.startswith("qdel")] == ["qdel 1.pbs"]


def test_submission(there: Any) -> None:
    there.program("qsub", "echo 12.pbs")
    script = PurePosixPath("/s/a/job.sh")
    result = there.run_in_login_shell(
        ["sh", "-c", 'umask 027; exec "$@"', "-", *Pbs().submit_command(script, ["-Na"])]
    )
    assert Pbs().read_submission(result.exit_code, result.stdout, result.stderr).job_id == "12.pbs"
    assert there.calls == ["qsub -W umask=0027 -Na -- /bin/bash -l /s/a/job.sh"]


def test_submission_to_torque(tmp_path: Path) -> None:
    there: Any = There(tmp_path, TORQUE)
    there.program("qsub", "echo 12.torque01")
    there.run_in_login_shell(Pbs().submit_command(PurePosixPath("/s/a/job.sh"), ["-Na"]))
    [call] = there.calls
    assert call.endswith("-S /bin/bash -Na /s/a/job.sh")


def test_another_pbs_than_the_sites_file_says(tmp_path: Path) -> None:
    there: Any = There(tmp_path, TORQUE)
    request = ResourceRequest(resources=PbsResources())
    with pytest.raises(
        JobError, match=r"has Torque, and cluster/hpc\.yaml says dialect: openpbs; write dialect: torque"
    ):
        Pbs().check(there, request, SITE, NullProgress())
    Pbs().check(there, request, SITE.model_copy(update={"dialect": "torque"}), NullProgress())


def all_queues(there: Any) -> None:
    there.program(
        "qstat",
        f"case $* in *-Q*) cat {DATA}/openpbs-queues.txt ;; *-B*) cat {DATA}/openpbs-server.txt ;; esac",
    )
    there.program("pbsnodes", f"cat {DATA}/openpbs-nodes.txt")


def test_queues(there: Any) -> None:
    all_queues(there)
    [queue] = Pbs().queues(there).queues
    assert (queue.name, queue.is_default, queue.refused, queue.waiting) == ("workq", True, None, 4)
    assert (queue.nodes, queue.idle_nodes, queue.cpus, queue.idle_cpus, queue.gpus) == (1, 0, 4, 0, 0)
    assert (queue.offer.max_cpus, queue.offer.max_mem) == (4, "24105M")
    lines = Pbs().describe_resources(there, ResourceRequest(resources=PbsResources(cpus=9, qsub=("-p 1",))))
    assert lines.splitlines()[1:] == [
        "  asked for: cpus 9",
        "  asked for: -p 1",
        "  queue workq (the default): 1 nodes; at most 4 cpus and 24105M on one",
    ]


def test_queues_of_torque(tmp_path: Path) -> None:
    there: Any = There(tmp_path, TORQUE)
    rules = (
        "Queue: batch\\n    queue_type = Execution\\n    enabled = True\\n    started = True\\n"
        "    state_count = Transit:0 Queued:2 Held:1 Waiting:0 Running:4 Exiting:0 Complete:3 \\n"
        "    resources_max.walltime = 240:00:00\\n    resources_default.neednodes = gold\\n"
        "    acl_group_enable = True\\n    acl_groups = nobodys@host\\n\\n"
        "Queue: closed\\n    queue_type = Execution\\n    enabled = False\\n    started = True\\n\\n"
        "Queue: route\\n    queue_type = Route\\n    enabled = True\\n    started = True\\n"
    )
    there.program("qstat", f"case $* in *-Q*) printf '{rules}' ;; esac")
    there.program("pbsnodes", f"cat {DATA}/torque-nodes.txt")
    batch, closed, route = Pbs().queues(there).queues
    assert (batch.offer.max_time, batch.waiting, batch.refused) == (
        "240:00:00",
        3,
        "it is for some groups only",
    )
    assert (batch.nodes, batch.idle_nodes, batch.cpus, batch.idle_cpus, batch.gpus) == (2, 0, 8, 2, 2)
    assert closed.refused == "it takes no jobs (enabled)"
    assert closed.nodes == 3
    assert (route.nodes, route.refused) == (0, None)


def test_no_queues(there: Any) -> None:
    there.program("qstat", "echo 'qstat: cannot connect to server pbs (errno=111)' >&2; exit 111")
    there.program("pbsnodes", "exit 1")
    with pytest.raises(RemoteError, match="cannot connect"):
        Pbs().queues(there)


def test_how_large_an_array_may_be(there: Any) -> None:
    all_queues(there)
    assert Pbs().most_tasks(there, PbsResources()) == 10000
    there.program("qstat", "exit 1")
    assert Pbs().most_tasks(there, PbsResources()) is None


# What sshd does: the words of the command are one text for a shell.
SSH = 'while :; do case $1 in -o) shift 2 ;; -*) shift ;; *) break ;; esac; done; shift; exec sh -c "$*"'


def test_joining_a_job(there: Any) -> None:
    there.program("ssh", SSH)
    there.program("qstat", f"cat {DATA}/openpbs-running.txt")
    hostile = ["it's", '"two"', "$HOME", "a\nb", "é", "!x", "\\n"]
    argv = Pbs().join("33.pbs", ["printf", "%s|", *hostile])
    done = there.run_in_login_shell(argv)
    assert done.stdout == "".join(f"{word}|" for word in hostile)
    assert there.calls[-1].startswith("ssh -T -o BatchMode=yes pbs exec /bin/sh")


def test_joining_a_task(there: Any) -> None:
    there.program("ssh", SSH)
    told = "    Variable_List = A=1,slipway_tasks=1+3+\\n\\t7-9,B=2\\n"
    body = f"printf '{told}    exec_host = node3/0*2+node4/1\\n'"
    there.program("qstat", body)
    done = there.run_in_login_shell(Pbs().join("15[].pbs", ["sh", "-c", "echo $SLIPWAY_JOB_ID"], task=8))
    assert done.stdout == "15[3].pbs\n"
    assert there.calls[-1].startswith("ssh -T -o BatchMode=yes node3 ")
    done = there.run_in_login_shell(
        Pbs().join("15.pbs", ["sh", "-c", "echo $SLIPWAY_JOB_ID"], task=0, node="node4")
    )
    assert done.stdout == "15.pbs\n"
    assert there.calls[-1].startswith("ssh -T -o BatchMode=yes node4 ")


def test_joining_a_job_that_runs_nowhere(there: Any) -> None:
    done = there.run_in_login_shell(Pbs().join("33.pbs", ["true"]))
    assert done.exit_code == 1
    assert "PBS does not say on which node 33.pbs runs" in done.stderr


def test_a_program_on_a_node(there: Any) -> None:
    # A queue that runs a job at once.
    there.program("qsub", 'for last; do :; done; bash "$last" >/dev/null 2>&1 & echo 12.pbs')
    there.program("qstat", "echo '    job_state = R'")
    there.program("qdel")
    wanted = PbsResources(cpus=2, mem="1G", time="10", partition="short", account="lab")
    show = 'echo "out $1"; echo err >&2; exit 7'
    done = there.run_in_login_shell(
        Pbs().run_on_node("slipway-pull", wanted, ["sh", "-c", show, "x", "it's $HOME"])
    )
    assert (done.exit_code, done.stdout, done.stderr) == (7, "out it's $HOME\n", "err\n")
    call = next(call for call in there.calls if call.startswith("qsub"))
    assert "-l select=1:ncpus=2:mem=1024mb -q short -A lab -l walltime=0:10:00" in call
    assert not list(there.folder.glob(".slipway-node.*"))
    assert not [call for call in there.calls if call.startswith("qdel")]


def test_a_job_that_is_refused_on_the_way_to_a_node(there: Any) -> None:
    there.program("qsub", "echo 'qsub: Unknown queue' >&2; exit 170")
    done = there.run_in_login_shell(Pbs().run_on_node("slipway-pull", PbsResources(), ["true"]))
    assert done.exit_code != 0
    assert "qsub: Unknown queue" in done.stderr


def test_what_cannot_be_asked(there: Any) -> None:
    with pytest.raises(RemoteError, match="no accounting"):
        Pbs().accounted(there, None)  # type: ignore[arg-type]
    with pytest.raises(JobError, match="name one of a, b"):
        Pbs().find_starts(there, [PbsResources(partition="a"), PbsResources(partition="b")], SITE)


def test_nodes(there: Any) -> None:
    assert Pbs().nodes(there, "n1,n2") == [Node(name="n1", address="n1"), Node(name="n2", address="n2")]


def test_usage_and_memory(there: Any) -> None:
    there.program("qstat", f"cat {DATA}/openpbs-over.txt")
    wanted = [query("9f3k-run", "33.pbs"), query("arr", "15[].pbs", [0, 1, 2, 3])]
    answer = Pbs().usage(there, wanted)
    assert set(answer.usages) == {("9f3k-run", None), *(("arr", task) for task in range(4))}
    assert answer.usages["arr", 0].elapsed_s == 6
    assert Pbs().given_memory(there, wanted) == {"9f3k-run": 300 << 20}
    assert Pbs().given_memory(there, []) == {}


def test_what_slurm_was_asked_for_has_no_options_of_qsub(there: Any) -> None:
    for name in ("sinfo", "sacctmgr"):
        there.program(name, "exit 1")
    shown = describe_partitions(there, ResourceRequest(resources=FIELDS(cpus=1)))
    assert shown.splitlines()[1] == "  asked for: cpus 1"
