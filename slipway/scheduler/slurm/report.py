"""What a site's accounting says of many jobs: ``sacct`` and ``sreport``, asked and read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from slipway.errors import RemoteError
from slipway.host.host import Host
from slipway.scheduler.accounts import Accounted, AccountedJob, AccountQuery, UserTotal
from slipway.scheduler.slurm.answers import Answers, run_all
from slipway.scheduler.slurm.commands import associations_command
from slipway.scheduler.slurm.parse import check_count, parse_state, parse_tasks
from slipway.scheduler.slurm.partitions import parse_associations
from slipway.scheduler.slurm.rows import parse_number, rows_of
from slipway.scheduler.slurm.usage import gpu_count, parse_tres

# The name is the last: it is the one that may have | in it.
_FIELDS = ("JobID", "User", "Account", "Partition", "State", "ElapsedRaw", "AllocTRES", "JobName")
_JOB_ID = re.compile(r"[0-9]{1,18}(_([0-9]{1,18}|\[.*\]))?")
_TOTALS = ("node", "cpu", "gres/gpu")
# Words of PrivateData by which other users' jobs or their sums are not shown (`man slurmdbd.conf`).
_HIDING = frozenset({"jobs", "usage", "all"})


def jobs_command(query: AccountQuery) -> list[str]:
    """Ask ``sacct`` for all attempts of jobs, with no more of each than was in the span.

    Without accounts and users it is for the user's own jobs.
    """
    named = [f"--accounts={','.join(query.accounts)}"] if query.accounts else []
    if query.users:
        named.append(f"--user={','.join(query.users)}")
    elif query.accounts:
        named.append("--allusers")
    return [
        "sacct",
        "--noheader",
        "--parsable2",
        "--allocations",
        "--duplicates",
        "--truncate",
        f"--starttime=uts{query.start_s}",
        f"--endtime=uts{query.end_s}",
        *named,
        f"--format={','.join(_FIELDS)}",
    ]


def totals_command(query: AccountQuery) -> list[str]:
    """Ask ``sreport`` for what users had of accounts; it knows whole past hours only."""
    named = [f"accounts={','.join(query.accounts)}"] if query.accounts else []
    if query.users:
        named.append(f"users={','.join(query.users)}")
    return [
        "sreport",
        "--noheader",
        "--parsable2",
        "-t",
        "Seconds",
        "-T",
        ",".join(_TOTALS),
        "cluster",
        "AccountUtilizationByUser",
        f"start=uts{query.start_s}",
        f"end=uts{query.end_s}",
        *named,
        "format=Accounts,Login,TresName,Used",
    ]


def private_command() -> list[str]:
    """Ask what the cluster and its accounting do not show of other users."""
    return ["sh", "-c", "sacctmgr --noheader --parsable2 show configuration | grep PrivateData"]


def find_accounted(host: Host, query: AccountQuery) -> Accounted:
    """What accounting has; without accounts and users, of all accounts that the user is in.

    Raises:
        RemoteError: there is no accounting that could be asked.
        ParseError: the answers were cut off.
        SshError: the connection was lost.
    """
    associations, private = Answers("sacctmgr", parse_associations), Answers("sacctmgr", parse_private)
    mine, hiding = run_all(host, [associations_command(), private_command()])
    associations.add(mine)
    private.add(hiding)
    if not (query.accounts or query.users):
        query = replace(query, accounts=tuple(sorted({account for account, _ in associations.rows})))
    jobs, totals = Answers("sacct", parse_jobs), Answers("sreport", parse_totals)
    listed, added_up = run_all(host, [jobs_command(query), totals_command(query)])
    jobs.add(listed)
    totals.add(added_up)
    if not (query.accounts or query.users):
        # Then sacct lists the user's own jobs, and sreport everybody's sums.
        totals.problem = "sreport was not asked: the user's accounts are not known"
    if jobs.problem:
        raise RemoteError(
            f"{host.target}: {jobs.problem}. A report needs the site's accounting, and names that it knows"
        )
    return Accounted(
        jobs=jobs.rows,
        totals=None if totals.problem else totals.rows,
        totals_problem=totals.problem,
        accounts=query.accounts,
        hidden=next(iter(private.rows), None),
    )


def parse_jobs(stdout: str) -> list[AccountedJob]:
    """Read the answer to :func:`jobs_command`.

    Raises:
        ParseError: there are words and no row among them.
    """
    lines = (line.split("|", len(_FIELDS) - 1) for line in stdout.splitlines())
    text = "\n".join("|".join([*line[:-1], line[-1].replace("|", " ")]) for line in lines)
    rows = rows_of(text, len(_FIELDS), "sacct", lambda row: bool(_JOB_ID.fullmatch(row[0])))
    jobs: list[AccountedJob] = []
    for row in rows:
        jobs += _jobs(row)
        check_count(len(jobs), "sacct")
    return jobs


def _jobs(row: Sequence[str]) -> list[AccountedJob]:
    shown_id, user, account, partition, state, elapsed, given, name = row
    tres = parse_tres(given)
    return [
        AccountedJob(
            job_id=job_id,
            task=task,
            name=name,
            user=user,
            account=account,
            partition=partition,
            state=parse_state(state.partition(" ")[0]),
            elapsed_s=parse_number(elapsed) or 0,
            nodes=parse_number(tres.get("node", "")) or 0,
            cpus=parse_number(tres.get("cpu", "")) or 0,
            gpus=gpu_count(tres),
        )
        for job_id, task in parse_tasks(shown_id, "sacct")
    ]


def parse_totals(stdout: str) -> list[UserTotal]:
    """Read the answer to :func:`totals_command`: rows of users; those of whole accounts are left out.

    Raises:
        ParseError: there are words and no row among them.
    """
    rows = rows_of(stdout, 4, "sreport", lambda row: row[2] in _TOTALS and parse_number(row[3]) is not None)
    found: dict[tuple[str, str], dict[str, int]] = {}
    for account, user, tres, used in rows:
        if user:
            found.setdefault((user, account), {})[tres] = int(used)
    return [
        UserTotal(
            user=user,
            account=account,
            node_s=used.get("node", 0),
            cpu_s=used.get("cpu", 0),
            gpu_s=used.get("gres/gpu", 0),
        )
        for (user, account), used in found.items()
    ]


def parse_private(stdout: str) -> list[str]:
    """Read the answer to :func:`private_command`: the words that hide other users, if there are any."""
    words = {word.strip() for line in stdout.splitlines() for word in line.partition("=")[2].split(",")}
    hiding = sorted(words & _HIDING)
    return [",".join(hiding)] if hiding else []
