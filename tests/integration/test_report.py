"""What was used at a site, beside what SLURM adds up: several users, attempts, hidden jobs, no accounting."""

import csv
import io
import json
import os
import subprocess
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from slipway.errors import RemoteError
from slipway.job.run import Run
from slipway.model import read_values
from slipway.report.site_report import site_report
from slipway.scheduler.slurm.resources import SlurmResources
from slipway.steps.report import SiteUse, ask_accounts
from tests.integration.small_image import SmallImageBox, fakes
from tests.integration.task_runner import INVOKE, ROOT
from tests.waiting import PATIENCE_S, wait_until

BATCH = [
    "runuser",
    "-u",
    "colleague",
    "--",
    "sbatch",
    "-D",
    "/tmp",
    "-o",
    "/dev/null",
    "-J",
    "by|hand",
    "-t",
    "5",
]


@pytest.fixture(scope="module")
def runs(small: SmallImageBox) -> list[Run]:
    """Jobs of two users and two accounts, all of them over, two hours ago."""
    small.as_root("useradd", "-m", "colleague")
    small.as_root("sacctmgr", "-i", "add", "user", "colleague", "account=lab,other", "defaultaccount=lab")
    wanted = [{"array": "0-2"}, {"nodes": 2, "gpus": "a100:1", "partition": "long"}]
    submitted = []
    with small.connect() as host:
        for more in wanted:
            resources = read_values(SlurmResources, {"mem": "100M", "time": "10", **more})
            submitted.append(small.submit(host, "sh", "-c", "sleep 3", wanted=resources))
    for account in ("lab", "other"):
        # slurmctld hears a little later of the new user.
        wait_until(
            lambda account=account: (
                "Submitted" in small.as_root(*BATCH, "-A", account, "--wrap", "sleep 2", code=None)
            ),
            "a job of the colleague's",
        )
    requeued = small.as_root(*BATCH, "--parsable", "-A", "other", "--requeue", "--wrap", "sleep 5").strip()
    queue = lambda: small.as_root("squeue")  # noqa: E731
    wait_until(lambda: small.is_so(f"squeue -h -j {requeued} -o %T | grep -qx RUNNING"), queue)
    time.sleep(1)  # so that it has a time of its own
    small.as_root("scontrol", "requeue", requeued)

    def all_is_over() -> bool:
        small.hurry(requeued)
        return small.is_so('[ -z "$(squeue -h)" ]')

    wait_until(all_is_over, queue)
    wait_until(lambda: small.is_so("! sacct -anXD -S now-1hour -o end | grep -q Unknown"), "accounted ends")
    # Twice: nothing of where things were in between is left in what slurmdbd has added up.
    small.as_root("age-accounting", "3600")
    small.as_root("age-accounting", "3600")
    return submitted


def ask(small: SmallImageBox, **named: list[str]) -> tuple[SiteUse, dict[str, Any]]:
    """A report of whole past hours, as those of sreport are."""
    end = datetime.now(timezone.utc).replace(minute=0, second=0, microsecond=0)
    start = end - timedelta(days=1)
    given = {"accounts": [], "users": [], **named}
    use = ask_accounts(small.session, small.choice.site, start=start, end=end, **given)
    rates = {"debug": {"cost": 36, "per": "cpu-hour"}, "long": {"cost": 3600, "per": "gpu-hour"}}
    site = small.choice.site
    queues = {name: site.queues[name].model_copy(update=rate) for name, rate in rates.items()}
    priced = site.model_copy(update={"queues": queues, "currency": "EUR"})
    return use, site_report(priced, use.accounted, use.runs, start, end)


def test_sums_of_jobs_are_those_of_sreport(small: SmallImageBox, runs: list[Run]) -> None:
    _, report = ask(small)
    assert {(row["user"], row["account"]) for row in report["by_user"]} == {
        ("researcher", "lab"),
        ("colleague", "lab"),
        ("colleague", "other"),
    }
    for row in report["by_user"]:
        for key in ("node_hours", "cpu_hours", "gpu_hours"):
            assert row[key] == row[f"scheduler_{key}"], row
    (other,) = [row for row in report["by_user"] if row["account"] == "other"]
    # The attempt that was requeued counts as well.
    assert (other["jobs"], other["states"]) == (2, {"COMPLETED": 2})
    assert other["cpu_hours"] * 3600 > 7.5


def test_runs_are_named_and_priced(small: SmallImageBox, runs: list[Run]) -> None:
    _, report = ask(small)
    rows = {row["run_id"] or row["name"]: row for row in report["by_run"]}
    array, nodes = (rows[run.run_id] for run in runs)
    assert (array["jobs"], array["states"], array["partition"]) == (1, {"COMPLETED": 3}, "debug")
    assert array["cost"] == pytest.approx(array["cpu_hours"] * 36, abs=0.006)
    assert nodes["gpu_hours"] == nodes["node_hours"] > 2 * 3 / 3600 - 1e-4
    assert nodes["cost"] == pytest.approx(nodes["gpu_hours"] * 3600, abs=0.4)
    assert rows["by hand"]["user"] == "colleague"
    assert {row["partition"] for row in report["by_partition"]} >= {"debug", "long"}


def test_accounts_and_users_are_chosen(small: SmallImageBox, runs: list[Run]) -> None:
    _, report = ask(small, accounts=["other"])
    assert [(row["user"], row["account"]) for row in report["by_user"]] == [("colleague", "other")]
    _, report = ask(small, users=["researcher"])
    assert [row["user"] for row in report["by_user"]] == ["researcher"]


def test_the_task_prints_tables_csv_and_json(small: SmallImageBox, runs: list[Run]) -> None:
    words = invoke(small, "report", "--site", "box", "--from", "1d")
    assert "SREPORT CPU-H" in words
    assert runs[0].run_id in words
    rows = [*csv.DictReader(io.StringIO(invoke(small, "report", "--site", "box", "--csv", "--by", "user")))]
    assert {row["user"] for row in rows} == {"researcher", "colleague"}
    told = json.loads(invoke(small, "report", "--site", "box", "--json"))
    assert told["accounts"] == ["lab", "other"]
    assert {row["run_id"] for row in told["by_run"]} >= {run.run_id for run in runs}


def invoke(small: SmallImageBox, *words: str) -> str:
    project = small.session.project
    variables = {"SLIPWAY_STATE": str(project.state), "SLIPWAY_RESULTS": str(project.results)}
    done = subprocess.run(
        [*INVOKE, *words],
        cwd=ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def private(small: SmallImageBox) -> Iterator[None]:
    """A site that shows nobody what others do."""
    file = "/etc/slurm/slurmdbd.conf"
    has_it = "sacctmgr -n show config | grep -q 'PrivateData .*jobs,usage'"
    change_accounting(small, f"echo PrivateData=jobs,usage >>{file}", has_it)
    yield
    change_accounting(small, f"sed -i /PrivateData/d {file}", f"! {has_it}")


def change_accounting(small: SmallImageBox, change: str, is_so: str) -> None:
    """Change slurmdbd's configuration, and wait until it has it."""
    small.as_root("sh", "-c", f"{change}; pkill -HUP -x slurmdbd")
    wait_until(lambda: small.is_so(is_so), lambda: small.as_root("sacctmgr", "show", "config"))


def test_a_site_that_hides_others_is_said_to(small: SmallImageBox, runs: list[Run], private: None) -> None:
    use, report = ask(small)
    assert {job.user for job in use.accounted.jobs} == {"researcher"}
    assert report["notes"][0].startswith("box does not show what others do (PrivateData=jobs,usage)")


def test_where_sreport_refuses_sacct_serves_alone(small: SmallImageBox, runs: list[Run]) -> None:
    with fakes(small) as fake:
        fake("sreport", "echo 'sreport: error: Access/permission denied' >&2; exit 1")
        _, report = ask(small)
    assert "sreport could not be asked: sreport: error: Access/permission denied" in report["notes"][0]
    assert report["by_user"][0]["scheduler_cpu_hours"] is None
    assert report["by_user"][0]["cpu_hours"] > 0


def test_without_accounting_there_is_no_report(small: SmallImageBox) -> None:
    with fakes(small) as fake:
        for program in ("sacct", "sreport", "sacctmgr"):
            fake(program, "echo 'Slurm accounting storage is disabled' >&2; exit 1")
        with pytest.raises(RemoteError, match="accounting storage is disabled"):
            ask(small)
