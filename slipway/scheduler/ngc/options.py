"""What a job is submitted with: the options of ``ngc batch run``. Nothing here runs anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from slipway.errors import JobError
from slipway.quantity import minutes, parse_array
from slipway.scheduler.limits import ResourceRequest
from slipway.scheduler.ngc.commands import LABEL, run_label, runtime_word
from slipway.scheduler.ngc.parse import SLACK_S
from slipway.scheduler.ngc.site import NgcSite
from slipway.scheduler.queues import AUTO
from slipway.scheduler.slurm.resources import SlurmResources

PRIORITIES = ("LOW", "NORMAL", "HIGH")
# Where jobs have the platform's own datasets; the job script makes links to them.
DATASETS = "/mnt/slipway-data"
# What is not the platform's but ours, among the options of a submission.
_OURS = "slipway-"
# The platform ends what has run for longer (a login node's week is one of these, too).
MOST_HOURS = 168


@dataclass(frozen=True, kw_only=True)
class Split:
    """Options as :func:`run_options` makes them, taken apart.

    Attributes:
        run: those of ``ngc batch run``.
        where: those of them that every command has.
        workspace: the workspace.
        mount: where jobs have it.
        remote: rclone's remote that is the workspace; empty where ``ngc`` moves files.
        tasks: the indices of an array's tasks; none for a job that is none.
        limit_s: seconds after which the job's script ends it; 0 where nothing was asked.
        grace_s: so many seconds before that the program is warned.
    """

    run: tuple[str, ...]
    where: tuple[str, ...]
    workspace: str
    mount: str
    remote: str
    tasks: tuple[int, ...]
    limit_s: int
    grace_s: int


def run_options(
    *, name: str, resources: SlurmResources, site: NgcSite, shortest_minutes: int | None = None
) -> list[str]:
    """The options of a submission, in order; what is ours begins with ``slipway-``.

    Raises:
        JobError: there is no instance among them, or what is asked for is not to be had there.
    """
    refuse(ResourceRequest(resources=resources), site)
    if shortest_minutes is not None:
        raise JobError(f"{site.name}: tasks share no job there; leave pack_minutes and per_node out")
    platform, limit_s = site.ngc, _limit_s(resources)
    own = {
        "workspace": platform.workspace,
        "mount": platform.mount,
        "rclone": platform.rclone or "",
        "tasks": ",".join(map(str, parse_array(resources.array))) if resources.array else "",
        "limit-s": str(limit_s),
        # A program is never warned in the first half of its time.
        "grace-s": str(int(min(site.grace_s, limit_s / 2))),
    }
    return [
        f"--name={name}",
        *_where(resources, site),
        f"--instance={resources.partition}",
        f"--priority={resources.qos or 'NORMAL'}",
        f"--preempt={platform.preempt}",
        *([f"--total-runtime={runtime_word(limit_s + SLACK_S)}"] if limit_s else []),
        f"--result={platform.result}",
        f"--workspace={platform.workspace}:{platform.mount}:RW",
        *(f"--datasetid={number}:{DATASETS}/{name}" for name, number in platform.datasets.items()),
        f"--label={LABEL}",
        f"--label={run_label(name)}",
        *(f"{_OURS}{key}={value}" for key, value in own.items()),
    ]


def split_options(options: Sequence[str]) -> Split:
    """Take apart what :func:`run_options` has made."""
    pairs = (option.removeprefix(_OURS).partition("=") for option in options if option.startswith(_OURS))
    own = {key: value for key, _, value in pairs}
    run = tuple(option for option in options if not option.startswith(_OURS))
    return Split(
        run=run,
        where=tuple(option for option in run if option.startswith(("--org=", "--team=", "--ace="))),
        workspace=own["workspace"],
        mount=own["mount"],
        remote=own["rclone"],
        tasks=tuple(int(task) for task in own["tasks"].split(",") if task),
        limit_s=int(own["limit-s"]),
        grace_s=int(own["grace-s"]),
    )


def refuse(request: ResourceRequest, site: NgcSite) -> None:
    """Refuse what the platform does not have.

    Raises:
        JobError: it would not be run as it is asked for.
    """
    problem = _problem(request)
    if problem:
        raise JobError(f"{site.name}: {problem}")


def _problem(request: ResourceRequest) -> str | None:
    wanted = request.resources
    qos = getattr(wanted, "qos", None)
    if wanted.partition in (None, AUTO) or "," in (wanted.partition or ""):
        return (
            "a job here needs the name of one instance: --partition dgxa100.80g.1.norm, say, or "
            "defaults.partition in the site's file; `ngc ace info ACE` lists them"
        )
    if qos is not None and qos not in PRIORITIES:
        return f"{request.named('qos', f'qos {qos}')} is no priority there: write {', '.join(PRIORITIES)}"
    if (wanted.nodes or 1) > 1:
        return f"{request.named('nodes', f'{wanted.nodes} nodes')}: only jobs of one node are submitted there"
    if wanted.array and "%" in wanted.array:
        return "the platform runs as many jobs at once as it has room for; leave the % and what follows out"
    if wanted.continue_after_limit:
        return "a job there does not begin again after its time limit; leave continue_after_limit out"
    if wanted.time and not 0 < minutes(wanted.time) <= MOST_HOURS * 60:
        return f"{request.named('time', f'time {wanted.time}')}: jobs of up to {MOST_HOURS} hours run here"
    for key in ("dependency", "constraint", "sbatch"):
        if getattr(wanted, key, None):
            return f"{key} is SLURM's, and means nothing to the platform; leave it out"
    if getattr(wanted, "qsub", None):
        return "options of qsub are PBS's, and mean nothing to the platform; leave them out"
    return None


def _where(resources: SlurmResources, site: NgcSite) -> list[str]:
    team = resources.account
    if team is None:
        return site.ngc.where
    return [*(word for word in site.ngc.where if not word.startswith("--team=")), f"--team={team}"]


def _limit_s(resources: SlurmResources) -> int:
    return int(minutes(resources.time) * 60) if resources.time else 0
