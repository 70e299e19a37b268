"""What was used at a site: the questions to SLURM, its answers, and the tables made of them."""

import csv
import io
import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from slipway.errors import ParseError, UsageError
from slipway.model import read_values
from slipway.report.report_table import fit, report_columns, report_csv
from slipway.report.site_report import site_report
from slipway.scheduler.accounts import Accounted, AccountQuery, UserTotal
from slipway.scheduler.slurm.report import (
    jobs_command,
    parse_jobs,
    parse_private,
    parse_totals,
    totals_command,
)
from slipway.scheduler.slurm.site import SlurmSite
from slipway.steps.report import parse_names, parse_span
from tests.unit.test_run import make_run

# Recorded from SLURM 24.11; names, users and partitions are made up.
JOBS = """\
1|ada|lab|gpu|COMPLETED|3600|billing=2,cpu=4,gres/gpu:a100=2,gres/gpu=2,mem=1000M,node=2|k3f9-cpu-20260131-142530
3|ada|lab|cpu|COMPLETED|1800|billing=2,cpu=2,mem=1000M,node=1|by | hand
2_0|ben|lab|gpu|COMPLETED|900|billing=1,cpu=1,gres/gpu=1,mem=500M,node=1|arr
2_1|ben|lab|gpu|FAILED|900|billing=1,cpu=1,gres/gpu=1,mem=500M,node=1|arr
5|ada|other|old|REQUEUED|60|billing=1,cpu=1,mem=700M,node=1|req
5|ada|other|old|CANCELLED by 1000|120|billing=1,cpu=1,mem=700M,node=1|req
7_[0-3%2]|ada|lab|cpu,gpu|PENDING|0||waits
"""
TOTALS = """\
root||cpu|54
lab||cpu|18000
lab|ada|cpu|18000
lab|ada|node|9000
lab|ada|gres/gpu|7200
lab|eve|cpu|36
"""
START = datetime(2026, 1, 1, tzinfo=timezone.utc)
END = START + timedelta(days=30)


def site(**more: Any) -> SlurmSite:
    queues = {"gpu": {"cost": 1.5}, "cpu": {"cost": 0.1, "per": "cpu-hour"}, "old": {}}
    return read_values(
        SlurmSite,
        {"name": "hpc", "login": {"host": "h"}, "paths": {"scratch": "/s"}, "queues": queues, **more},
    )


def told(jobs: str = JOBS, **changes: Any) -> dict[str, Any]:
    accounted = Accounted(jobs=parse_jobs(jobs), totals=parse_totals(TOTALS), accounts=("lab",))
    runs = [make_run("k3f9-cpu-20260131-142530")]
    return site_report(site(currency="EUR"), accounted, runs, START, END) | changes


def test_the_commands() -> None:
    query = AccountQuery(start_s=1, end_s=2, accounts=("lab", "other"))
    assert jobs_command(query) == [
        "sacct",
        "--noheader",
        "--parsable2",
        "--allocations",
        "--duplicates",
        "--truncate",
        "--starttime=uts1",
        "--endtime=uts2",
        "--accounts=lab,other",
        "--allusers",
        "--format=JobID,User,Account,Partition,State,ElapsedRaw,AllocTRES,JobName",
    ]
    assert totals_command(query) == [
        "sreport",
        "--noheader",
        "--parsable2",
        "-t",
        "Seconds",
        "-T",
        "node,cpu,gres/gpu",
        "cluster",
        "AccountUtilizationByUser",
        "start=uts1",
        "end=uts2",
        "accounts=lab,other",
        "format=Accounts,Login,TresName,Used",
    ]
    named = AccountQuery(start_s=1, end_s=2, users=("ada",))
    assert jobs_command(named)[8:-1] == ["--user=ada"]
    assert totals_command(named)[11:-1] == ["users=ada"]
    # Without either it is for the user's own jobs.
    assert jobs_command(AccountQuery(start_s=1, end_s=2))[8:-1] == []


def test_jobs_are_read_among_other_words() -> None:
    jobs = parse_jobs(f"Welcome\n{JOBS}")
    assert len(jobs) == 10
    assert (jobs[0].nodes, jobs[0].cpus, jobs[0].gpus, jobs[0].elapsed_s) == (2, 4, 2, 3600)
    assert (jobs[1].name, jobs[3].task, jobs[3].state.value) == ("by   hand", 1, "FAILED")
    assert [(job.task, job.partition) for job in jobs[6:8]] == [(0, "cpu,gpu"), (1, "cpu,gpu")]
    assert parse_jobs("") == []
    with pytest.raises(ParseError, match="sacct printed"):
        parse_jobs("accounting is off")


def test_totals_are_those_of_users() -> None:
    assert parse_totals(TOTALS) == [
        UserTotal(user="ada", account="lab", node_s=9000, cpu_s=18000, gpu_s=7200),
        UserTotal(user="eve", account="lab", node_s=0, cpu_s=36, gpu_s=0),
    ]


def test_what_a_site_hides() -> None:
    assert parse_private("PrivateData            = none\nPrivateData = none\n") == []
    assert parse_private("PrivateData = none\nPrivateData            = accounts,jobs,usage\n") == [
        "jobs,usage"
    ]


def test_by_user() -> None:
    report = told()
    assert [(row["user"], row["account"]) for row in report["by_user"]] == [
        ("ada", "lab"),
        ("ben", "lab"),
        ("ada", "other"),
        ("eve", "lab"),
    ]
    ada = report["by_user"][0]
    assert (ada["jobs"], ada["node_hours"], ada["cpu_hours"], ada["gpu_hours"]) == (3, 2.5, 5.0, 2.0)
    # Two node-hours at 1.5, and one cpu-hour at 0.1.
    assert ada["cost"] == 3.1
    assert ada["states"] == {"COMPLETED": 2, "PENDING": 4}
    assert (ada["scheduler_node_hours"], ada["scheduler_cpu_hours"], ada["scheduler_gpu_hours"]) == (
        2.5,
        5,
        2,
    )
    # Her jobs cannot be seen, their sum can.
    eve = report["by_user"][3]
    assert (eve["jobs"], eve["cpu_hours"], eve["scheduler_cpu_hours"]) == (0, 0, 0.01)


def test_by_run_and_partition() -> None:
    report = told()
    run, hand, array, requeued, _ = report["by_run"]
    assert (run["run_id"], run["name"], run["cost"]) == ("k3f9-cpu-20260131-142530", None, 3.0)
    assert (hand["run_id"], hand["name"], hand["cost"]) == (None, "by   hand", 0.1)
    assert (array["job_id"], array["jobs"], array["states"]) == ("2", 1, {"COMPLETED": 1, "FAILED": 1})
    # All attempts cost; how it stands is how it ended.
    assert (requeued["node_hours"], requeued["states"]) == (0.05, {"CANCELLED": 1})
    assert [(row["partition"], row["cost"]) for row in report["by_partition"]] == [
        ("gpu", 3.75),
        ("cpu", 0.1),
        ("old", None),
        ("cpu,gpu", None),
    ]
    assert report["total"]["cost"] == 3.85
    json.dumps(report)


def test_rates_are_by_what_they_are_for() -> None:
    accounted = Accounted(jobs=parse_jobs(JOBS.splitlines()[0]))
    for per, cost in (("node-hour", 4), ("gpu-hour", 4), ("cpu-hour", 8)):
        priced = site(queues={"gpu": {"cost": 2, "per": per}})
        assert site_report(priced, accounted, [], START, END)["total"]["cost"] == cost


def test_what_is_to_be_said() -> None:
    assert told()["notes"] == [
        "sreport counts whole past hours only, so that it may be behind",
        "no cost is known for old: queues in cluster/hpc.yaml has none",
    ]
    accounted = Accounted(jobs=[], totals_problem="sreport could not be asked: no", hidden="jobs")
    report = site_report(site(queues={}), accounted, [], START, END)
    assert report["notes"] == [
        "hpc does not show what others do (PrivateData=jobs): only what you may see is counted",
        "sreport could not be asked: no; the sums are of single jobs alone",
    ]
    assert (report["by_user"], report["total"]["jobs"], report["total"]["cost"]) == ([], 0, None)


def test_the_table_of_users() -> None:
    columns = report_columns(told(), "user", 2)
    assert columns == {
        "USER": ["ada", "ben"],
        "ACCOUNT": ["lab", "lab"],
        "JOBS": ["   3", "   1"],
        "NODE-H": ["  2.50", "  0.50"],
        "CPU-H": [" 5.00", " 0.50"],
        "GPU-H": [" 2.00", " 0.50"],
        "SREPORT CPU-H": ["         5.00", "         0.00"],
        "COST EUR": ["    3.10", "    0.75"],
        "STATES": ["2 COMPLETED, 4 PENDING", "1 COMPLETED, 1 FAILED"],
    }


def test_a_narrow_terminal_cuts_states_first_and_numbers_never() -> None:
    columns = report_columns(told(), "run", 20)
    assert fit(dict(columns), None)["STATES"] == len("1 COMPLETED, 1 FAILED")
    narrow = dict(columns)
    widths = fit(narrow, 90)
    assert (widths["STATES"], widths["NODE-H"]) == (10, 6)
    assert narrow["STATES"][2].endswith("…")
    assert sum(widths.values()) + 2 * (len(widths) - 1) <= 90


def test_csv_has_every_row_and_plain_numbers() -> None:
    rows = [*csv.DictReader(io.StringIO(report_csv(told(), "run")))]
    assert len(rows) == 5
    assert rows[0]["run_id"] == "k3f9-cpu-20260131-142530"
    assert (rows[0]["node_hours"], rows[0]["cost"], rows[0]["currency"]) == ("2.0", "3.0", "EUR")
    assert rows[2]["states"] == "COMPLETED:1 FAILED:1"
    (eve,) = [row for row in csv.DictReader(io.StringIO(report_csv(told(), "user"))) if row["user"] == "eve"]
    assert (eve["scheduler_cpu_hours"], eve["cost"]) == ("0.01", "")
    assert report_csv(told(), "partition").startswith("partition,jobs,node_hours,")


def test_the_default_span_is_the_last_30_days() -> None:
    assert parse_span(None, None, END) == (START, END)
    assert parse_span("7d", None, END) == (END - timedelta(days=7), END)


def test_the_day_of_the_end_is_in_the_span() -> None:
    start, end = parse_span("2026-01-10", "2026-01-11", END)
    assert end - start == timedelta(days=2)
    start, end = parse_span("2026-01-10T00:00", "2026-01-10T06:30", END)
    assert end - start == timedelta(hours=6, minutes=30)
    # What is to come was not used yet.
    assert parse_span(None, "2999-01-01", END)[1] == END


@pytest.mark.parametrize(
    ("first", "last", "message"),
    [
        ("yesterday", None, "--from yesterday: write how long ago"),
        (None, "soon", "--to soon: write how long ago"),
        ("2026-01-12", "2026-01-10", "--from 2026-01-12 is not before --to 2026-01-10"),
        ("2999-01-01", None, "--from 2999-01-01 is not before --to now"),
    ],
)
def test_a_span_that_is_none(first: str | None, last: str | None, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_span(first, last, END)


def test_names_are_words_of_commands() -> None:
    assert parse_names("--user", ["ada,ben", "r-d@x.org"]) == ("ada", "ben", "r-d@x.org")
    for name in ("", "-x", "a b", "a;b", "$(id)", "a,"):
        with pytest.raises(UsageError, match="--user"):
            parse_names("--user", [name])
