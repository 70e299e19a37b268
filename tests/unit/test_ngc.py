"""NVIDIA's platform: commands, scripts, and what its program prints, as values; nothing here runs it.

The objects are of the form that NVIDIA's package ``ngcsdk`` 3.60.2 declares and prints for ``ngc batch``;
their values are made up, but for those of a job of November 2024 that its user has published.
"""

import json
import re
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from slipway.errors import ConfigError, JobError, ParseError
from slipway.job.run import JOB_ID, Shell
from slipway.job.script import Job, directives, render_script
from slipway.job.template import load_template
from slipway.model import read_json
from slipway.scheduler.base import JobQuery, State
from slipway.scheduler.limits import ResourceRequest
from slipway.scheduler.ngc.commands import exec_command, kill_command, list_command, run_label, split_id
from slipway.scheduler.ngc.instances import parse_instances
from slipway.scheduler.ngc.options import refuse, run_options, split_options
from slipway.scheduler.ngc.parse import by_tasks, explain, parse_job, parse_jobs
from slipway.scheduler.ngc.results import parse_notes
from slipway.scheduler.ngc.scheduler import Ngc
from slipway.scheduler.ngc.site import NgcSite
from slipway.scheduler.ngc.submit import parse_submission, submit_command
from slipway.scheduler.slurm.resources import SlurmResources
from slipway.site_file import load_site

ROOT = Path(__file__).parents[2]
RECORDED = Path(__file__).parent / "data" / "ngc"
RUN_ID = "k3f9-cpu-20260131-142530"
SITE = read_json(
    NgcSite,
    json.dumps(
        {
            "name": "dgx",
            "login": {"host": "this-machine"},
            "paths": {"scratch": "/s"},
            "ngc": {
                "org": "l9lkbxzngzmv",
                "ace": "sap-scus-ace",
                "team": "robots",
                "workspace": "slipway",
                "datasets": {"door": "77"},
            },
        }
    ),
)
WANTED = SlurmResources(partition="dgxa100.80g.1.norm", time="1:00:00", qos="HIGH")


def row(number: int = 7180359, status: str = "RUNNING", **more: Any) -> dict[str, Any]:
    """A job as the service has it."""
    job: dict[str, Any] = {
        "id": number,
        "aceId": 357,
        "aceName": "sap-scus-ace",
        "createdDate": "2024-11-25T07:59:10.000Z",
        "jobDefinition": {
            "name": RUN_ID,
            "command": "exec bash /mnt/slipway/slipway/runs/x/job.sh",
            "dockerImage": "nvidia/nemo:24.09",
            "jobType": "BATCH",
            "resources": {
                "name": "dgxa100.80g.1.norm",
                "gpus": 1,
                "cpuCores": 11.0,
                "systemMemory": 131072,
                "type": "GPU",
            },
            "runPolicy": {"preemptClass": "RUNONCE", "totalRuntimeSeconds": 3720},
        },
        "jobStatus": {
            "status": status,
            "startedAt": "2024-11-25T08:00:10.000Z",
            "createdDate": "2024-11-25T07:59:10.000Z",
            "selectedNodes": [{"ipAddress": "10.0.0.7", "name": "node7"}],
        },
        "labels": {"isLocked": False, "userLabels": {"values": ["slipway", run_label(RUN_ID)]}},
        "teamName": "robots",
        "submittedByUser": "A Researcher",
    }
    job["jobStatus"] |= more
    return job


def test_a_submission_says_where_what_and_how_long() -> None:
    options = run_options(name=RUN_ID, resources=WANTED, site=SITE)
    assert options == [
        f"--name={RUN_ID}",
        "--org=l9lkbxzngzmv",
        "--team=robots",
        "--ace=sap-scus-ace",
        "--instance=dgxa100.80g.1.norm",
        "--priority=HIGH",
        "--preempt=RUNONCE",
        "--total-runtime=3720S",
        "--result=/result",
        "--workspace=slipway:/mnt/slipway:RW",
        "--datasetid=77:/mnt/slipway-data/door",
        "--label=slipway",
        "--label=slipway_k3f9_cpu_20260131_142530",
        "slipway-workspace=slipway",
        "slipway-mount=/mnt/slipway",
        "slipway-rclone=",
        "slipway-tasks=",
        "slipway-limit-s=3600",
        "slipway-grace-s=120",
    ]
    split = split_options(options)
    assert split.run == tuple(options[:-6])
    assert split.where == ("--org=l9lkbxzngzmv", "--team=robots", "--ace=sap-scus-ace")
    assert (split.tasks, split.limit_s, split.grace_s) == ((), 3600, 120)


def test_the_account_is_the_team_and_an_array_is_its_tasks() -> None:
    wanted = WANTED.model_copy(update={"account": "others", "array": "1-5:2", "time": "2"})
    split = split_options(run_options(name=RUN_ID, resources=wanted, site=SITE))
    assert split.where == ("--org=l9lkbxzngzmv", "--ace=sap-scus-ace", "--team=others")
    assert split.tasks == (1, 3, 5)
    # A program is never warned in the first half of its time.
    assert split.grace_s == 60


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"partition": None}, "needs the name of one instance"),
        ({"partition": "auto"}, "needs the name of one instance"),
        ({"partition": "a,b"}, "needs the name of one instance"),
        ({"qos": "normal"}, "qos normal is no priority there: write LOW, NORMAL, HIGH"),
        ({"nodes": 2}, "only jobs of one node"),
        ({"array": "0-9%2"}, "leave the % and what follows out"),
        ({"continue_after_limit": 3}, "leave continue_after_limit out"),
        ({"time": "7-01:00:00"}, "jobs of up to 168 hours run here"),
        ({"dependency": "afterok:1"}, "dependency is SLURM's"),
        ({"sbatch": ("--comment=x",)}, "sbatch is SLURM's"),
    ],
)
def test_what_the_platform_does_not_have_is_refused(changes: dict[str, Any], words: str) -> None:
    wanted = WANTED.model_copy(update=changes)
    with pytest.raises(JobError, match=re.escape(words)):
        refuse(ResourceRequest(resources=wanted), SITE)


def test_the_submission_is_one_program_without_the_users_words(tmp_path: Path) -> None:
    options = run_options(name=RUN_ID, resources=WANTED, site=SITE)
    script = PurePosixPath(f"/s/slipway/runs/{RUN_ID}/job.sh")
    argv = submit_command(script, options)
    assert argv[:2] == ["bash", "-c"]
    words = "SLIPWAY_LIMIT_S=3600 SLIPWAY_GRACE_S=120"
    assert argv[3:10] == ["slipway", str(script), "slipway", "/mnt/slipway", "", words, ""]
    assert argv[10:14] == [*split_options(options).where, "--"]
    assert argv[14:] == options[:-6]
    checked(tmp_path, "#!/bin/bash\n" + argv[2])


def test_the_scripts_for_results_and_logs_are_clean(tmp_path: Path) -> None:
    from slipway.scheduler.ngc.results import Place, bring_command, log_command

    run = PurePosixPath(f"/s/slipway/runs/{RUN_ID}")
    place = Place(platform=SITE.ngc, run=run, task=3, number=7)
    assert bring_command(place)[3:8] == ["slipway", "slipway", "", str(run), "3"]
    assert log_command(place)[3:6] == ["slipway", f"{run}/task-3", "7"]
    for argv in (bring_command(place), log_command(place)):
        assert argv[-3:] == SITE.ngc.where
        checked(tmp_path, "#!/bin/bash\n" + argv[2])


@pytest.mark.parametrize(
    "parts", [{}, {"elements": True}, {"tries": (PurePosixPath("/s/slipway/runs/old"),)}]
)
def test_the_job_script_runs_in_the_image_and_is_clean_shell(tmp_path: Path, parts: dict[str, Any]) -> None:
    job = Job(
        run_id=RUN_ID,
        run_dir=PurePosixPath(f"/s/slipway/runs/{RUN_ID}"),
        image=PurePosixPath("/s/slipway/images/a-1.image"),
        code=PurePosixPath("/s/slipway/code/c0de"),
        data=PurePosixPath("/s/slipway/data"),
        weights=PurePosixPath("/s/slipway/weights"),
        resources=WANTED,
        cache=PurePosixPath("/s/slipway/cache/pip"),
        **parts,
    )
    script = render_script(job, SITE, load_template(ROOT / "cluster"))
    mounts = "/s/slipway/code/c0de=/code /s/slipway/data=/data /s/slipway/weights=/weights"
    assert f"container=({mounts})\n" in script
    assert "apptainer" not in script.replace("apptainer expands every $", "").replace("APPTAINERENV_", "")
    assert "SLURM" not in script
    assert f"#NGC --name={RUN_ID}\n" in script
    assert directives(job, SITE)[0] == f"--name={RUN_ID}"
    checked(tmp_path, script)


def checked(folder: Path, text: str) -> None:
    """Refuse what shellcheck refuses."""
    file = folder / "script.sh"
    file.write_text(text)
    shellcheck = Path(sys.executable).with_name("shellcheck")
    done = subprocess.run(
        [shellcheck, "--exclude=SC2329,SC2317", file], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_notes_say_what_is_home_already() -> None:
    text = "./k3f9:7 0 ok\n./k3f9.3:8 0 time-limit\n./k3f9.4:9 1700000000\n./k3f9.5:10 0 \nodd\n"
    assert parse_notes(text) == {(None, 7): "ok", (3, 8): "time-limit", (5, 10): ""}


def test_tasks_that_would_share_a_job_are_refused() -> None:
    with pytest.raises(JobError, match="leave pack_minutes and per_node out"):
        run_options(name=RUN_ID, resources=WANTED, site=SITE, shortest_minutes=3)


def test_jobs_are_listed_in_utc_whatever_the_span() -> None:
    since = datetime(2026, 1, 31, 14, 25, 30, tzinfo=timezone.utc)
    until = datetime(2026, 2, 7, 14, 25, 30, tzinfo=timezone.utc)
    assert list_command(["--org=o"], since=since, until=until, label="slipway_x") == [
        "ngc",
        "batch",
        "list",
        "--org=o",
        "--format_type=json",
        "--begin-time=2026-01-31::14:25:30",
        "--end-time=2026-02-07::14:25:30",
        "--label=slipway_x",
    ]
    assert kill_command(["--org=o"], ["1", "2"]) == ["ngc", "batch", "kill", "--org=o", "1,2"]
    assert exec_command([], "1", "a 'b'") == ["ngc", "batch", "exec", "--commandline=a 'b'", "1"]


def test_labels_have_nothing_but_what_the_platform_takes() -> None:
    assert re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", run_label("k3f9-ü .x-2026"))
    assert len(run_label("x" * 300)) == 256


def test_what_nvidias_own_printers_print_is_read() -> None:
    """Recorded from the classes and printers of ``ngcsdk`` 3.60.2, which were given made-up values."""
    job = row()
    job["labels"]["userLabels"]["values"].append("slipway_task_3")
    made = parse_job(json.dumps(job))
    assert parse_job((RECORDED / "info.json").read_text()) == made
    assert parse_jobs((RECORDED / "list.json").read_text()) == [made]
    (state,) = parse_instances((RECORDED / "ace-list.json").read_text())
    assert (state.name, state.offer.max_cpus, state.offer.max_mem) == ("dgxa100.80g.8.norm", 120, "1024000M")
    # What a submission reads where it has to end what it has begun.
    assert re.findall(r"(?m)^[0-9]+", (RECORDED / "list.csv").read_text()) == ["7180359"]


def test_a_jobs_id_says_in_which_organization_it_is() -> None:
    job = parse_job(json.dumps({"job": row(), "jobStatusHistory": []}), "l9lkbxzngzmv").job
    assert job.job_id == "7180359@l9lkbxzngzmv"
    assert JOB_ID.fullmatch(job.job_id)
    assert split_id(job.job_id) == ("7180359", ["--org=l9lkbxzngzmv"])
    assert split_id("7180359") == ("7180359", [])


def test_a_running_job_is_read_whole() -> None:
    (found,) = parse_jobs(f"A new version of NGC CLI is available.\n{json.dumps([row()], indent=4)}\n")
    job = found.job
    assert (job.name, job.state, job.native_state) == (RUN_ID, State.RUNNING, "RUNNING")
    assert (job.started_s, job.ended_s, job.node, job.limit_s) == (1732521610, None, "node7", 3600)
    assert (found.gpus, found.cpus, found.memory_bytes) == (1, 11, 128 << 30)
    assert (found.instance, found.team, found.ace) == ("dgxa100.80g.1.norm", "robots", "sap-scus-ace")


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("CREATED", State.PENDING),
        ("QUEUED", State.PENDING),
        ("STARTING", State.PENDING),
        ("PENDING_TERMINATION", State.COMPLETING),
        ("PREEMPTED", State.SUSPENDED),
        ("FINISHED_SUCCESS", State.COMPLETED),
        ("FAILED", State.FAILED),
        ("FAILED_RUN_LIMIT_EXCEEDED", State.TIMEOUT),
        ("KILLED_BY_USER", State.CANCELLED),
        ("KILLED_BY_ADMIN", State.CANCELLED),
        ("CANCELED", State.CANCELLED),
        ("TASK_LOST", State.NODE_FAIL),
        ("IM_INTERNAL_ERROR", State.NODE_FAIL),
        ("UNKNOWN", State.UNKNOWN),
        ("A_WORD_OF_TOMORROW", State.UNKNOWN),
    ],
)
def test_every_word_of_the_platforms_is_a_state(word: str, state: State) -> None:
    (found,) = parse_jobs(json.dumps([row(status=word)]))
    assert (found.job.state, found.job.native_state) == (state, word)


def test_what_the_system_kills_at_its_limit_is_a_time_limit() -> None:
    late = row(status="KILLED_BY_SYSTEM", totalRuntimeSeconds=3721)
    early = row(status="KILLED_BY_SYSTEM", totalRuntimeSeconds=100)
    assert [one.job.state for one in parse_jobs(json.dumps([late]))] == [State.TIMEOUT]
    assert [one.job.state for one in parse_jobs(json.dumps([early]))] == [State.NODE_FAIL]


def test_tasks_have_the_first_jobs_id_and_of_a_task_the_newest_counts() -> None:
    rows = []
    for number, task in ((12, 1), (10, 0), (11, 1), (13, 2)):
        one = row(number)
        one["labels"]["userLabels"]["values"].append(f"slipway_task_{task}")
        rows.append(one)
    found = list(by_tasks(parse_jobs(json.dumps(rows), "o")))
    assert [(one.job.task, one.number, one.job.job_id) for one in found] == [
        (0, 10, "10@o"),
        (1, 12, "10@o"),
        (2, 13, "10@o"),
    ]


@pytest.mark.parametrize(
    "text",
    ["", "Error: no JSON\n", "[{]", "{}", '[{"id": "x"}]', '[{"id": 1, "jobDefinition": 3}]', "[[]]"],
)
def test_another_answer_is_no_list_of_jobs(text: str) -> None:
    with pytest.raises(ParseError, match=r"^ngc "):
        parse_jobs(text)


def test_a_submissions_answer_is_the_first_jobs_id() -> None:
    answer = json.dumps({"job": row(7180360), "jobStatusHistory": []}, indent=4)
    other = json.dumps(row(7180359), indent=4)
    printed = f"slipway-ngc: task 0 ended 0\n{answer}\nslipway-ngc: task 1 ended 0\n{other}\n"
    assert parse_submission(0, printed, "").job_id == "7180359"
    assert parse_submission(0, "slipway-ngc: task  ended 0\ncut {", "").job_id is None
    refused = parse_submission(
        1, "slipway-ngc: task  ended 1\n", '{\n  "error": "Client Error: \\"403\\""\n}\n'
    )
    assert (refused.job_id, refused.refusal) == (None, 'Client Error: "403"')


def test_where_there_is_no_ngc_it_is_told_how_to_get_it() -> None:
    assert "install the NGC CLI" in explain("bash: ngc: command not found", 127)
    assert explain("", 1) == "it ended with exit code 1"


def test_instances_are_partitions() -> None:
    instances = [
        {"name": "dgxa100.80g.8.norm", "gpus": 8, "cpuCores": 120.0, "systemMemory": 1024000},
        {"name": "cpu.x86.tiny", "gpus": 0, "cpuCores": 1.0, "systemMemory": 4096},
    ]
    big, tiny = parse_instances(json.dumps([{"name": "ace", "instances": instances}, {"name": "empty"}]))
    assert (big.name, big.offer.max_gpus, big.offer.max_cpus) == ("dgxa100.80g.8.norm", {"dgxa100": 8}, 120)
    assert (tiny.offer.max_gpus, tiny.offer.max_mem) == ({}, "4096M")
    with pytest.raises(ParseError):
        parse_instances('[{"instances": [{"gpus": "many", "name": 1}]}]')


def test_no_shell_joins_a_job() -> None:
    with pytest.raises(JobError, match=r"`invoke ngc.exec SITE --run RUN` opens a shell"):
        Ngc().join("7@o", ["echo"])
    job = Job(
        run_id=RUN_ID,
        run_dir=PurePosixPath("/s/slipway/runs/r"),
        image=PurePosixPath("/s/i.ref"),
        code=PurePosixPath("/s/c"),
        data=PurePosixPath("/s/d"),
        weights=PurePosixPath("/s/w"),
        resources=WANTED,
        shell=Shell.ENDS,
    )
    with pytest.raises(JobError, match=r"dgx: no shell joins a job there.*`invoke ngc.login dgx`"):
        render_script(job, SITE, load_template(ROOT / "cluster"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("login: {host: h}\n", "login.host has to be this-machine"),
        ("login: {host: this-machine}\nngc: {org: o, ace: a}\n", "ngc.workspace is missing"),
        (
            "login: {host: this-machine}\nngc: {org: -o, ace: a, workspace: w}\n",
            "ngc.org: write it as letters",
        ),
        (
            "login: {host: this-machine}\nngc: {org: o, ace: a, workspace: w, mount: /data/x}\n",
            "ngc.mount: jobs have something else in /code",
        ),
        ("login: {host: this-machine}\nngc: {org: o, ace: a, workspace: w, tem: t}\n", "did you mean team?"),
        (
            "login: {host: this-machine}\ncontainer: {command: apptainer}\n",
            "the platform starts the image itself",
        ),
        (
            "login: {host: this-machine}\nngc: {org: o, ace: a, workspace: w, datasets: {'a b': '7'}}\n",
            "datasets",
        ),
    ],
)
def test_a_sites_file_that_is_wrong_is_told(tmp_path: Path, text: str, words: str) -> None:
    rest = "" if "ngc:" in text else "ngc: {org: o, ace: a, workspace: w}\n"
    (tmp_path / "dgx.yaml").write_text(f"scheduler: ngc\npaths: {{scratch: /s}}\n{text}{rest}")
    with pytest.raises(ConfigError, match=re.escape(words)):
        load_site([tmp_path], "dgx")


def test_no_other_scheduler_is_in_an_image_already(tmp_path: Path) -> None:
    text = "login: {host: h}\npaths: {scratch: /s}\ncontainer: {command: inside}\n"
    (tmp_path / "hpc.yaml").write_text(text)
    with pytest.raises(ConfigError, match="a scheduler that starts images itself has this"):
        load_site([tmp_path], "hpc")


def test_a_query_without_a_site_asks_nobody() -> None:
    from slipway.scheduler.ngc.query import query_jobs

    query = JobQuery(
        name=RUN_ID, submitted=datetime(2026, 1, 31, tzinfo=timezone.utc), job_id=None, tasks=(None,)
    )
    assert query_jobs(None, [query]).jobs == {}  # type: ignore[arg-type]  # nothing is asked
