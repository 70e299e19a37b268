"""PBS: the options of qsub, and what its programs print; data/pbs/README.md says where that is from."""

from datetime import datetime, timezone
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.errors import JobError, ParseError, UsageError
from slipway.model import read_values
from slipway.quantity import parse_array
from slipway.scheduler.base import Job, JobQuery, State, Submission
from slipway.scheduler.choose import FIELDS, parse_resources
from slipway.scheduler.find import find_health, find_scheduler
from slipway.scheduler.pbs.array import array_value, range_of, task_of, told_tasks
from slipway.scheduler.pbs.attributes import parse_jobs
from slipway.scheduler.pbs.check import parse_version
from slipway.scheduler.pbs.directives import directives
from slipway.scheduler.pbs.job import make_job, parse_clock, parse_time
from slipway.scheduler.pbs.name import JobId, job_name, own_name, parse_id
from slipway.scheduler.pbs.option import as_line, check_option, joined
from slipway.scheduler.pbs.query import found_jobs
from slipway.scheduler.pbs.resources import PbsResources, own
from slipway.scheduler.pbs.scheduler import Pbs
from slipway.scheduler.pbs.site import PbsSite
from slipway.scheduler.pbs.submission import parse_submission
from slipway.scheduler.pbs.usage import given_bytes, parse_size, usage_of
from slipway.scheduler.slurm.resources import SlurmResources
from slipway.scheduler.slurm.resources import own as own_of_slurm
from slipway.scheduler.usage import Usage
from slipway.site import Login, Paths

DATA = Path(__file__).parent / "data" / "pbs"
SITE = PbsSite(name="hpc", login=Login(host="h"), paths=Paths(scratch="/s"))
TORQUE = SITE.model_copy(update={"dialect": "torque"})
LOG = PurePosixPath("/s/slurm.log")


def options(site: PbsSite = SITE, **wanted: object) -> list[str]:
    resources = read_values(PbsResources, wanted)
    return directives(name="k3f9-cpu", log=LOG, resources=resources, site=site)


def recorded(name: str, *names: str) -> dict[tuple[str, int | None], Job]:
    """Jobs of a recorded answer by their names, each asked for as an array of four tasks or as none."""
    attributes = parse_jobs((DATA / name).read_text())
    tasks: list[int | None] = [0, 1, 2, 3]
    wanted = [
        JobQuery(
            name=one,
            submitted=datetime(2026, 1, 31, tzinfo=timezone.utc),
            job_id=None,
            tasks=tasks if one.endswith("arr") else [None],
        )
        for one in names
    ]
    return {(job.name, job.task): job for job, _ in found_jobs(attributes, wanted)}


def test_options_of_a_plain_job() -> None:
    assert options() == [
        "-Nk3f9-cpu",
        "-joe",
        "-o/s/slurm.log",
        "-ry",
        "-lselect=1:ncpus=1",
        "-lplace=pack",
        "-vslipway_grace_s=120",
    ]


def test_all_that_can_be_asked_for() -> None:
    site = SITE.model_copy(update={"account_option": "-P", "gpu_type": "gpu_model", "chunk": ":arch=linux"})
    asked = options(
        site,
        time="1-02:30",
        cpus=8,
        mem="1536M",
        gpus="a100:2",
        nodes=2,
        exclusive=True,
        partition="gpuq",
        account="lab",
        array="0-9%3",
        dependency="afterok:12:13_4,afterany:14[].pbs",
        qsub=("-p 100", "-l software=1", "-h"),
    )
    assert asked[4:] == [
        "-lselect=2:ncpus=8:mem=1536mb:ngpus=2:gpu_model=a100:arch=linux",
        "-lplace=scatter:excl",
        "-lwalltime=26:30:00",
        "-qgpuq",
        "-Plab",
        "-J0-9%3",
        "-Wdepend=afterok:12:13[4],afterany:14[].pbs",
        "-vslipway_grace_s=120,slipway_limit_s=95400",
        "-p100",
        "-lsoftware=1",
        "-h",
    ]


def test_the_same_for_torque() -> None:
    asked = options(
        TORQUE, time="90", cpus=4, mem="2G", gpus="k80:1", nodes=2, account="lab", array="1,3,5-7:2%2"
    )
    assert asked[4:] == [
        "-lnodes=2:ppn=4:gpus=1:k80",
        "-lmem=4096mb",
        "-lwalltime=1:30:00",
        "-Alab",
        "-t1,3,5,7%2",
        "-vslipway_grace_s=120,slipway_limit_s=5400",
    ]


def test_groups_pay_where_the_site_says_so() -> None:
    site = SITE.model_copy(update={"account_option": "-W group_list"})
    assert "-Wgroup_list=lab" in options(site, account="lab")


@pytest.mark.parametrize(
    ("site", "wanted", "words"),
    [
        (SITE, {"gpus": "a100:2"}, "gpu_type"),
        (SITE, {"partition": "a,b"}, "one queue"),
        (SITE, {"continue_after_limit": 2}, "operators"),
        (SITE, {"dependency": "afterok:1?afterok:2"}, "no `?`"),
        (SITE, {"dependency": "aftercorr:1"}, "dependency aftercorr: PBS has after, afterany"),
        (SITE, {"dependency": "after:1+5"}, "no minutes"),
        (TORQUE, {"exclusive": True}, "whole nodes"),
    ],
)
def test_what_pbs_has_not_is_refused(site: PbsSite, wanted: dict[str, object], words: str) -> None:
    with pytest.raises(JobError, match=words.replace("?", r"\?")):
        options(site, **wanted)


def test_the_warning_is_never_in_the_first_half() -> None:
    assert "-vslipway_grace_s=30,slipway_limit_s=60" in options(time="1")
    resources = PbsResources(time="60")
    shared = directives(name="k", log=LOG, resources=resources, site=SITE, shortest_minutes=2)
    assert "-vslipway_grace_s=60,slipway_limit_s=3600" in shared


def test_without_a_limit_there_is_none() -> None:
    assert not [word for word in options(time="0") if "walltime" in word]


def test_gpus_that_come_with_the_queue() -> None:
    assert "-lselect=1:ncpus=1" in options(SITE.model_copy(update={"gpu_request": "none"}), gpus="1")


@pytest.mark.parametrize(
    ("word", "key"),
    [({"qos": "fast"}, "qos"), ({"constraint": "ib"}, "constraint"), ({"sbatch": ("--hold",)}, "sbatch")],
)
def test_what_only_slurm_has_is_refused(word: dict[str, object], key: str) -> None:
    with pytest.raises(JobError, match=f"^{key} .*: PBS has no such thing"):
        own(read_values(FIELDS, word))


def test_what_is_asked_for_of_any_scheduler_over_a_sites_defaults() -> None:
    defaults = PbsResources(cpus=2, qsub=("-p 1",))
    plain = FIELDS(mem="1G", qsub=("-h",)).over(defaults)
    assert plain == FIELDS(cpus=2, mem="1G", qsub=("-p 1", "-h"))
    assert own(plain) == PbsResources(cpus=2, mem="1G", qsub=("-p 1", "-h"))
    assert own_of_slurm(FIELDS(mem="1G").over(SlurmResources(qos="a"))) == SlurmResources(mem="1G", qos="a")


@pytest.mark.parametrize(
    ("word", "words"),
    [
        ("--comment=x", "write one option"),
        ("p 100", "write one option"),
        ("-", "write one option"),
        ("-N x", "Slipway's own -N"),
        ("-o/x", "Slipway's own -o"),
        ("-V", "Slipway's own -V"),
        ("-q fast", "--partition"),
        ("-l walltime=1:00:00", "--time"),
        ("-l software=1,mem=3gb", "--mem"),
        ("-Wdepend=afterok:1", "--dependency"),
        ("-p 1\n#PBS -q x", "control characters"),
    ],
)
def test_options_that_are_no_users_own(word: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        check_option(word)


@pytest.mark.parametrize(
    ("word", "one", "line"),
    [
        ("-p 100", "-p100", "-p 100"),
        ("-p100", "-p100", "-p 100"),
        ("-h", "-h", "-h"),
        ("-l software=a b", "-lsoftware=a b", "-l software=a b"),
        ("-W sandbox=PRIVATE", "-Wsandbox=PRIVATE", "-W sandbox=PRIVATE"),
    ],
)
def test_an_option_is_one_word_there_and_a_line_here(word: str, one: str, line: str) -> None:
    assert check_option(word) == word
    assert joined(word) == one
    assert as_line(one) == line
    assert Pbs().script_lines([one]) == [f"#PBS {line}"]


def test_mail() -> None:
    assert Pbs().mail_options("a@b.org") == ["-mae", "-Ma@b.org"]
    assert Pbs().mail_options(None) == ["-mae"]


# ---- Arrays -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "value", "told"),
    [
        ("0-9", "0-9", None),
        ("0-9%2", "0-9%2", None),
        ("4-10:3", "4-10:3", None),
        ("1,2,3", "1-3", None),
        ("5", None, "5"),
        ("0-0", None, "0"),
        ("1,3,7", "0-2", "1+3+7"),
        ("1,3,5-9%4", "0-6%4", "1+3+5-9"),
    ],
)
def test_arrays_of_pbs_professional(spec: str, value: str | None, told: str | None) -> None:
    assert array_value(spec, "openpbs") == value
    assert told_tasks(spec, "openpbs") == told


@given(st.sets(st.integers(0, 60), min_size=1, max_size=20))
def test_each_task_is_behind_one_index(tasks: set[int]) -> None:
    spec = ",".join(map(str, sorted(tasks)))
    known = parse_array(spec)
    value = array_value(spec, "openpbs")
    if value is None:
        assert len(known) == 1
        return
    assert [task_of(index, known) for index in parse_array(value)] == known
    assert array_value(spec, "torque") is not None
    assert parse_array(str(array_value(spec, "torque"))) == known


def test_an_index_that_a_run_has_not() -> None:
    assert task_of(7, [0, 1, 2]) is None
    assert task_of(3, [1, 3, 7]) is None
    assert range_of([3]) is None


# ---- Names and ids ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("12", JobId(number="12")),
        ("12.pbs", JobId(number="12", server=".pbs")),
        ("12.pbs-1.example.org", JobId(number="12", server=".pbs-1.example.org")),
        ("12[].pbs", JobId(number="12", is_array=True, server=".pbs")),
        ("12[4].pbs", JobId(number="12", is_array=True, index=4, server=".pbs")),
        ("12[4", None),
        ("qsub: error", None),
        ("12 13", None),
        ("", None),
        ("²", None),
    ],
)
def test_ids(text: str, known: JobId | None) -> None:
    assert parse_id(text) == known
    if known is not None:
        assert known.whole == text.replace("[4]", "[]")


def test_names_begin_with_a_letter_there() -> None:
    assert job_name("k3f9-cpu-20260131-142530") == "k3f9-cpu-20260131-142530"
    assert job_name("9f3k-cpu-20260131-142530") == "x-9f3k-cpu-20260131-142530"
    assert own_name("x-9f3k-cpu", None) == "9f3k-cpu"
    assert own_name("k3f9-cpu-4", 4) == "k3f9-cpu"
    assert own_name("k3f9-cpu-4", None) == "k3f9-cpu-4"


# ---- Submission -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "stdout", "stderr", "submission"),
    [
        (0, "12.pbs\n", "", Submission(job_id="12.pbs")),
        (0, "Welcome\n80 %\n12[].pbs\nThanks\n", "", Submission(job_id="12[].pbs")),
        (170, "", "qsub: Unknown queue\n", Submission(refusal="Unknown queue")),
        (187, "", "qsub: Unknown resource: nosuch\n", Submission(refusal="Unknown resource: nosuch")),
        (
            180,
            "",
            "qsub: submit error (Job exceeds queue resource limits MSG=cannot satisfy)\n",
            Submission(refusal="Job exceeds queue resource limits MSG=cannot satisfy"),
        ),
        (
            2,
            "",
            "The -J option can only be used in conjunction with -P\n",
            Submission(refusal="The -J option can only be used in conjunction with -P"),
        ),
        (1, "", "", Submission(refusal="it gave no reason")),
        (124, "", "", Submission()),
        (137, "", "", Submission()),
        (0, "", "", Submission()),
        (0, "notice\n", "qsub: Invalid credential\n", Submission(refusal="Invalid credential")),
    ],
)
def test_what_came_of_a_submission(code: int, stdout: str, stderr: str, submission: Submission) -> None:
    assert parse_submission(code, stdout, stderr) == submission


# ---- How jobs stand ---------------------------------------------------------------------------------


def test_jobs_that_wait_and_run() -> None:
    jobs = recorded("openpbs-running.txt", "k3f9-arr", "k3f9-big", "k3f9-held", "9f3k-run", "k3f9-a.b-q")
    assert {key: (job.job_id, job.state, job.native_state) for key, job in jobs.items()} == {
        ("k3f9-arr", None): ("29[].pbs", State.RUNNING, "B"),
        ("k3f9-arr", 0): ("29[].pbs", State.RUNNING, "R"),
        ("k3f9-arr", 1): ("29[].pbs", State.RUNNING, "R"),
        ("k3f9-arr", 2): ("29[].pbs", State.PENDING, "Q"),
        ("k3f9-arr", 3): ("29[].pbs", State.PENDING, "Q"),
        ("k3f9-big", None): ("30.pbs", State.PENDING, "Q"),
        ("k3f9-held", None): ("31.pbs", State.PENDING, "H"),
        ("9f3k-run", None): ("33.pbs", State.RUNNING, "R"),
        ("k3f9-a.b-q", None): ("35.pbs", State.PENDING, "Q"),
    }
    assert jobs["k3f9-big", None].pending_reason == (
        "Can Never Run: Insufficient amount of resource: ncpus (R: 64 A: 4 T: 4)"
    )
    assert jobs["k3f9-held", None].pending_reason == "held by the user"
    running = jobs["9f3k-run", None]
    assert (running.node, running.limit_s) == ("pbs", 3600)
    assert running.started_s == parse_time("Mon Nov 30 08:55:42 2026")
    assert running.ended_s is None


def test_jobs_that_are_over() -> None:
    names = (
        "arr",
        "exit3",
        "sig",
        "term",
        "ignored",
        "k3f9-limit",
        "k3f9-held",
        "k3f9-dep",
        "k3f9-big",
        "9f3k-run",
    )
    jobs = recorded("openpbs-over.txt", *names)
    ended = {key: (job.state, job.exit_code, job.signal) for key, job in jobs.items()}
    assert ended == {
        ("arr", None): (State.COMPLETED, 0, None),
        ("arr", 0): (State.COMPLETED, 0, None),
        ("arr", 1): (State.COMPLETED, 0, None),
        ("arr", 2): (State.FAILED, 3, None),
        ("arr", 3): (State.COMPLETED, 0, None),
        ("sig", None): (State.FAILED, None, 11),
        # It ended by itself after SIGTERM.
        ("term", None): (State.CANCELLED, 143, None),
        ("ignored", None): (State.CANCELLED, None, 9),
        ("k3f9-limit", None): (State.TIMEOUT, None, None),
        ("k3f9-held", None): (State.CANCELLED, None, None),
        ("k3f9-dep", None): (State.PENDING, None, None),
        ("k3f9-big", None): (State.CANCELLED, None, None),
        ("9f3k-run", None): (State.COMPLETED, 0, None),
    }
    task = jobs["arr", 3]
    assert (task.elapsed_s, task.ended_s) == (6, parse_time("Mon Nov 30 08:55:11 2026"))
    assert jobs["k3f9-held", None].started_s is None


def test_a_job_by_an_id_that_is_another_ones_by_now() -> None:
    assert recorded("openpbs-over.txt", "k3f9-mine") == {}


def test_tasks_that_pbs_counts_otherwise() -> None:
    attributes = parse_jobs((DATA / "openpbs-over.txt").read_text())
    submitted = datetime(2026, 1, 31, tzinfo=timezone.utc)
    wanted = [JobQuery(name="arr", submitted=submitted, job_id="15[].pbs", tasks=[1, 3, 7, 20])]
    found = {job.task: job.state for job, _ in found_jobs(attributes, wanted)}
    assert found == {
        None: State.COMPLETED,
        1: State.COMPLETED,
        3: State.COMPLETED,
        7: State.FAILED,
        20: State.COMPLETED,
    }
    alone = [JobQuery(name="sig", submitted=submitted, job_id="19.pbs", tasks=[5])]
    assert [job.task for job, _ in found_jobs(attributes, alone)] == [5]


def test_jobs_of_torque() -> None:
    attributes = parse_jobs((DATA / "torque-over.txt").read_text())
    submitted = datetime(2018, 5, 29, tzinfo=timezone.utc)
    names = {"k3f9-fine": [None], "k3f9-array": [1, 2], "k3f9-refused": [None]}
    wanted = [
        JobQuery(name=name, submitted=submitted, job_id=None, tasks=tasks) for name, tasks in names.items()
    ]
    jobs = {(job.name, job.task): job for job, _ in found_jobs(attributes, wanted)}
    fine = jobs["k3f9-fine", None]
    assert (fine.state, fine.exit_code, fine.elapsed_s, fine.node) == (
        State.COMPLETED,
        0,
        60,
        "torque01.example.org",
    )
    assert (fine.started_s, fine.ended_s) == (1527586621, 1527586681)
    array = jobs["k3f9-array", 1]
    assert (array.job_id, array.state, array.signal) == ("48[].torque01.example.org", State.CANCELLED, 15)
    assert jobs["k3f9-refused", None].state is State.FAILED
    for status, state in (("-11", State.TIMEOUT), ("-10", State.OUT_OF_MEMORY)):
        job = make_job(JobId(number="1"), {"job_state": "C", "exit_status": status}, [None])
        assert job.state is state


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("-29", State.TIMEOUT),
        ("-27", State.OUT_OF_MEMORY),
        ("-10", State.FAILED),
        ("-4", State.NODE_FAIL),
        ("1", State.FAILED),
        ("0", State.COMPLETED),
        ("what", State.CANCELLED),
    ],
)
def test_exit_statuses_of_pbs_professional(status: str, state: State) -> None:
    job = make_job(JobId(number="1"), {"job_state": "F", "Exit_status": status, "substate": "93"}, [None])
    assert job.state is state


def test_a_state_that_is_not_documented() -> None:
    assert make_job(JobId(number="1"), {"job_state": "Z"}, [None]).state is State.UNKNOWN


@pytest.mark.parametrize("printed", ["Welcome to the cluster\n", '{"Jobs": 3}', "<Data></Data>"])
def test_anything_else_is_no_job(printed: str) -> None:
    with pytest.raises(ParseError, match="expected jobs"):
        parse_jobs(printed)


def test_words_of_a_wrapper_before_the_jobs() -> None:
    text = "Your quota:\n  80 % = full\n" + (DATA / "openpbs-running.txt").read_text()
    assert parse_jobs(text) == parse_jobs((DATA / "openpbs-running.txt").read_text())


def test_a_long_value_is_put_together() -> None:
    jobs = parse_jobs((DATA / "openpbs-running.txt").read_text())
    assert jobs["33.pbs"]["Variable_List"].endswith("PBS_O_QUEUE=workq,PBS_O_HOST=pbs")
    assert (
        "PBS_O_PATH=/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games:/opt/pbs/bin:/opt/pbs/bin,"
        in (jobs["33.pbs"]["Variable_List"])
    )


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        jobs = parse_jobs(text)
    except ParseError:
        return
    for job_id, attributes in jobs.items():
        known = parse_id(job_id)
        if known is not None:
            make_job(known, attributes, [None])


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Mon Nov 30 08:55:42 2026", 1796028942),
        ("Tue Jan  6 08:00:00 2026", 1767686400),
        ("1796028942", 1796028942),
        ("Mon Foo 30 08:55:42 2026", None),
        ("Mon Feb 31 08:55:42 2026", None),
        ("N/A", None),
        ("", None),
        ("9" * 30, None),
    ],
)
def test_times(text: str, seconds: int | None) -> None:
    assert parse_time(text) == seconds


def test_clocks() -> None:
    assert [parse_clock(text) for text in ("00:01:05", "100:00:00", "65", "", "-3", "1:2")] == [
        65,
        360000,
        65,
        None,
        None,
        None,
    ]


# ---- What jobs used ---------------------------------------------------------------------------------


def test_what_a_job_of_torque_used() -> None:
    attributes = parse_jobs((DATA / "torque-over.txt").read_text())["9.torque01.example.org"]
    job = make_job(JobId(number="9"), attributes, [None])
    assert usage_of(job, attributes) == Usage(
        elapsed_s=60,
        longest_s=60,
        limit_s=3600,
        nodes=1,
        cpus=4,
        cpu_s=40.0,
        core_s=240.0,
        peak_memory_bytes=3624 * 1024,
        gpus=1,
    )


def test_what_a_job_of_pbs_professional_used() -> None:
    attributes = parse_jobs((DATA / "openpbs-over.txt").read_text())["33.pbs"]
    usage = usage_of(make_job(JobId(number="33"), attributes, [None]), attributes)
    assert (usage.nodes, usage.cpus, usage.limit_s) == (1, 1, 3600)
    assert usage.asked_memory_bytes == given_bytes(attributes) == 300 << 20


@pytest.mark.parametrize(
    ("text", "size"),
    [("16gb", 16 << 30), ("300MB", 300 << 20), ("12", 12), ("2mw", 16 << 20), ("", None), ("lots", None)],
)
def test_sizes(text: str, size: int | None) -> None:
    assert parse_size(text) == size


# ---- Which PBS --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("printed", "dialect"),
    [
        ("pbs_version = 23.06.06\n", "openpbs"),
        ("Version: 6.1.3\nCommit: 1a2b3c\n", "torque"),
        ("version: 2.5.13\n", "torque"),
        ("sh: qstat: not found\n", None),
    ],
)
def test_versions(printed: str, dialect: str | None) -> None:
    assert parse_version(printed) == dialect


def test_health() -> None:
    health = find_health("pbs")
    assert set(health.commands([])) == {"queue", "history", "partitions", "accounts", "trial"}
    printed = (DATA / "openpbs-queues.txt").read_text() + (DATA / "openpbs-server.txt").read_text()
    [queue] = health.read_partitions(printed)
    assert (queue.name, queue.is_default, queue.state) == ("workq", True, "UP")
    with pytest.raises(ParseError):
        health.read_partitions("what?")
    with pytest.raises(ParseError, match="no list of accounts"):
        health.read_accounts("")
    assert health.read_trial(0, "").refusal is None


def test_a_site_of_slurm_is_none_of_pbs() -> None:
    with pytest.raises(TypeError):
        find_scheduler("pbs").directives(
            name="k",
            log=LOG,
            resources=FIELDS(),
            site=SITE.__class__.__base__(**_plain()),  # type: ignore[misc]
        )


def _plain() -> dict[str, object]:
    return {"name": "x", "login": Login(host="h"), "scheduler": "slurm", "paths": Paths(scratch="/s")}


def test_options_of_qsub_are_given_as_those_of_sbatch_are() -> None:
    resources = parse_resources({}, ["-p 100", "--hold", "-lsoftware=1"])
    assert resources == FIELDS(sbatch=("--hold",), qsub=("-p 100", "-lsoftware=1"))
    with pytest.raises(UsageError, match=r"^--sbatch -N x: that is Slipway's own -N"):
        parse_resources({}, ["-N x"])
    with pytest.raises(JobError, match="--sbatch -p 100: write one long option of sbatch"):
        own_of_slurm(FIELDS(qsub=("-p 100",)))
    mail = parse_resources({}, Pbs().mail_options("a@b.org"))
    assert own(mail).qsub == ("-mae", "-Ma@b.org")
