"""Jobs: what is to run, and the script that runs it. Nothing here talks to anybody."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from slipway.errors import ConfigError, JobError
from slipway.profile import Resources
from slipway.site import Site

# SLURM warns the script by this signal before the time limit; `B:` means the script, not its steps.
_WARNING = "B:USR1"


@dataclass(frozen=True, kw_only=True)
class Job:
    """One program in one container on one cluster; all paths are the cluster's."""

    run_id: str
    run_dir: PurePosixPath
    image: PurePosixPath
    code: PurePosixPath
    data: PurePosixPath
    weights: PurePosixPath
    resources: Resources


def render_script(job: Job, site: Site, template: str) -> str:
    """The text of the job script.

    Args:
        job: what is to run.
        site: where; its modules, its lines, its container command and how it wants GPUs asked for.
        template: ``cluster/job.sh``, whose lines ``# @name@`` are replaced.

    Raises:
        ConfigError: the template lacks one of these lines.
    """
    blocks = {
        "directives": [f"#SBATCH {option}" for option in directives(job, site)],
        "settings": _settings(job, site),
        "modules": [
            f"{shlex.join(['module', 'load', name])} || finish 1 launch-failure" for name in site.modules
        ],
        "before": site.before.splitlines(),
    }
    lines = template.splitlines()
    for name, block in blocks.items():
        mark = f"# @{name}@"
        if mark not in lines:
            raise ConfigError(f"cluster/job.sh has no line `{mark}`; put it back where the {name} belong")
        place = lines.index(mark)
        lines[place : place + 1] = block
    return "\n".join(lines) + "\n"


def directives(job: Job, site: Site) -> list[str]:
    """The options of sbatch, in order."""
    wanted = job.resources
    options = [
        f"--job-name={job.run_id}",
        # What SLURM itself says. The script's own output goes to a log of its own for each attempt.
        f"--output={job.run_dir}/slurm.log",
        "--open-mode=append",
        "--requeue",
        f"--signal={_WARNING}@{site.grace_s}",
        "--nodes=1",
        "--ntasks=1",
    ]
    named = {
        "time": wanted.time,
        "cpus-per-task": wanted.cpus,
        "mem": wanted.mem,
        "partition": wanted.partition,
        "account": wanted.account,
        "qos": wanted.qos,
    }
    options += [f"--{name}={value}" for name, value in named.items() if value is not None]
    if has_gpus(wanted) and site.gpu_request != "none":
        request = f"--gres=gpu:{wanted.gpus}" if site.gpu_request == "gres" else f"--gpus={wanted.gpus}"
        options.append(request)
    return options


def container_command(job: Job, site: Site) -> list[str]:
    """The argv that starts the container, without the image, the output folder and the program."""
    binds = [
        f"{job.code}:/code:ro",
        f"{job.data}:/data:ro",
        f"{job.weights}:/weights:ro",
        *site.container.binds,
    ]
    return [
        site.container.command,
        "exec",
        "--cleanenv",
        "--no-home",
        "--pwd",
        "/code",
        *(["--nv"] if has_gpus(job.resources) else []),
        *site.container.flags,
        *(word for bind in binds for word in ("--bind", bind)),
    ]


def words_file(words: Sequence[str]) -> bytes:
    """Arguments or settings as the script reads them: each ended by a zero byte.

    Raises:
        JobError: a word has a zero byte in it, which no program can be given.
    """
    for word in words:
        if "\0" in word:
            raise JobError(f"{word!r} has a zero byte in it, which no program can be given")
    return b"".join(word.encode("utf-8", errors="surrogateescape") + b"\0" for word in words)


def has_gpus(wanted: Resources) -> bool:
    """True where GPUs are asked for."""
    return wanted.gpus is not None and wanted.gpus != "0"


def check_partition(wanted: Resources, site: Site) -> None:
    """Refuse a request that the site's file says would never start.

    Raises:
        JobError: the partition is unknown, or its time limit is shorter than what is asked for.
    """
    if not site.queues or wanted.partition is None:
        return
    queue = site.queues.get(wanted.partition)
    if queue is None:
        raise JobError(
            f"site {site.name} has no partition {wanted.partition!r}; cluster/{site.name}.yaml lists: "
            + ", ".join(site.queues)
        )
    if queue.max_time and wanted.time and minutes(wanted.time) > minutes(queue.max_time):
        raise JobError(
            f"time {wanted.time} is longer than the {queue.max_time} that partition {wanted.partition} of "
            f"{site.name} allows; SLURM would keep the job waiting for ever"
        )


def minutes(time: str) -> float:
    """A wall time as SLURM writes it, in minutes (``man sbatch``, ``--time``).

    The forms are ``minutes``, ``minutes:seconds``, ``hours:minutes:seconds``, ``days-hours``,
    ``days-hours:minutes`` and ``days-hours:minutes:seconds``.
    """
    days, dash, rest = time.rpartition("-")
    parts = [int(part) for part in rest.split(":")]
    if dash:
        hours, mins, seconds = (*parts, 0, 0)[:3]
    elif len(parts) == 3:
        hours, mins, seconds = parts
    else:
        hours, mins, seconds = 0, parts[0], (parts[1] if len(parts) > 1 else 0)
    return int(days or 0) * 1440 + hours * 60 + mins + seconds / 60


def _settings(job: Job, site: Site) -> list[str]:
    return [
        f"run_id={shlex.quote(job.run_id)}",
        f"run_dir={shlex.quote(str(job.run_dir))}",
        f"image={shlex.quote(str(job.image))}",
        f"container=({shlex.join(container_command(job, site))})",
    ]
