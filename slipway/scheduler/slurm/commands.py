"""SLURM's commands. Nothing here runs anything."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from slipway.scheduler.slurm.resources import SlurmResources, named_partition
from slipway.scheduler.slurm.rows import MARK

# Times are those of the cluster's own zone, which it does not print; with this they are seconds since 1970.
TIME_FORMAT = ("SLURM_TIME_FORMAT", "%s")


def submit_command(script: PurePosixPath, options: Sequence[str] = ()) -> list[str]:
    """Submit a script, and print no more than its id.

    Args:
        script: the job script, on the cluster.
        options: the same that its lines of ``#SBATCH`` have. A login shell may set SBATCH_ACCOUNT and the
            like, which go before these lines, but not before the command line.
    """
    return ["sbatch", "--parsable", *options, str(script)]


def cancel_command(job_ids: Iterable[str], *, only_waiting: bool = False) -> list[str]:
    """Cancel jobs; with ``only_waiting``, those that have not begun meanwhile."""
    return ["scancel", "--verbose", *(["--state=PENDING"] if only_waiting else []), *job_ids]


def queue_command(names: Iterable[str] | None = None) -> list[str]:
    """Ask for the user's waiting and running jobs, those of these names or all; arrays by their tasks.

    %S is when a job has begun, or, where it waits, when SLURM means to start it. The header shows that it
    was squeue that answered, also where there is no job.
    """
    named = [] if names is None else [f"--name={','.join(names)}"]
    return ["squeue", "--me", "--array", *named, f"--format={MARK}|%i|%j|%T|%M|%l|%S|%N|%r"]


def accounting_command(names: Iterable[str], since: str) -> list[str]:
    """Ask accounting for the jobs of these names that were submitted since a date (``2026-01-31``)."""
    fields = "JobID,JobName,State,ExitCode,ElapsedRaw,Timelimit,Start,End,NodeList"
    return [
        "sacct",
        "--noheader",
        "--parsable2",
        "--allocations",
        f"--starttime={since}",
        f"--name={','.join(names)}",
        f"--format={fields}",
    ]


def show_command(job_ids: Iterable[str]) -> list[str]:
    """Ask the controller for jobs by their ids; it remembers them for some minutes after their end.

    It fails for a job that it has forgotten, so each is asked for by itself.
    """
    loop = 'for id; do scontrol --oneliner show job "$id" 2>/dev/null; done; true'
    return ["sh", "-c", loop, "slipway", *job_ids]


def node_command(name: str, resources: SlurmResources, argv: Sequence[str]) -> list[str]:
    """Run a program on a node, in a job of its own that ends with it."""
    named = {
        "time": resources.time,
        "cpus-per-task": resources.cpus,
        "mem": resources.mem,
        "partition": named_partition(resources),
        "account": resources.account,
        "qos": resources.qos,
        "constraint": resources.constraint,
    }
    options = [f"--{key}={value}" for key, value in named.items() if value is not None]
    return ["srun", f"--job-name={name}", "--nodes=1", "--ntasks=1", *options, *argv]


def partitions_command() -> list[str]:
    """Ask for the partitions that the user may see."""
    return ["sinfo", "--noheader", f"--format={MARK}|%P|%l|%s|%D|%c|%m|%G|%f"]


def associations_command() -> list[str]:
    """Ask for the accounts that the user has, and the QOS of each."""
    asked = 'exec sacctmgr --noheader --parsable2 show assoc user="$(id -un)" format=Account,QOS'
    return ["sh", "-c", asked]


def qos_command() -> list[str]:
    """Ask for all QOS, what they lift and how long their jobs may be."""
    return ["sacctmgr", "--noheader", "--parsable2", "show", "qos", "format=Name,Flags,MaxWall"]
