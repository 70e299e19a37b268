"""The task that submits a job."""

from __future__ import annotations

from invoke.context import Context
from invoke.tasks import task

from slipway.cli.common import PROFILE, SITE
from slipway.cli.submission import JobOptions, submit

# What a job asks for, and so does that of a shell.
RESOURCES = {
    "time": "Wall time: minutes, H:MM:SS or D-HH:MM:SS. A handler for SIGUSR1 is called before its end.",
    "cpus": "Processor cores.",
    "mem": "Memory a node, such as 16G.",
    "gpus": "GPUs: a number, or a type and a number such as a100:2.",
    "partition": "SLURM partition; auto: of those that can take the job, where it begins first.",
    "account": "SLURM account.",
    "qos": "SLURM quality of service.",
    "exclusive": "Whole nodes, shared with nobody.",
    "constraint": "Features that the nodes must have.",
    "sbatch": "Any other option of sbatch, such as --sbatch=--comment=mine, or of qsub; may be repeated.",
}
ITERABLE = ("set_", "sbatch", "notify", "each")
OPTIONAL = ("continue_after_limit",)


@task(
    help={
        "config": "A file that describes the job, with images and other files of this machine.",
        **PROFILE,
        **SITE,
        "name": "A short label; `invoke status` shows it, and other tasks find the run by it.",
        "wait": "Follow the log, and exit with the job's own exit code.",
        "pull": "With --wait: bring the results home at the end, however it ends.",
        "raw": "With --wait: the program's bytes as they are, also on a terminal.",
        "push": "Build, convert and send the image first, where the site does not have it.",
        "no_push": "Use the site's image, and ask nothing.",
        "notify": "Who is told of its end: mail, mail:ADDRESS, desktop or a webhook's address; repeatable.",
        "replay": "An earlier run, once more: its image, code, arguments and resources, but for what is "
        "given here as well.",
        "local": "Run the program here, in a container of the image here, to its end; no cluster is asked.",
        "engine": "dask: the program finds the site's Dask cluster (`invoke dask.up`) by Client().",
        "dry_run": "Print the job script; send and submit nothing.",
        **RESOURCES,
        "prefer": "With --partition auto: start (the earliest), or cost (the lowest, by the site's file).",
        "nodes": "Nodes; the program starts once on each.",
        "each": "NAME=VALUE,VALUE or NAME=FIRST..LAST: a sweep, with {NAME} in the arguments; repeatable.",
        "throttle": "With --each: so many elements run at once, at most.",
        "pack_minutes": "With --each: short elements share a job of at most so many minutes.",
        "per_node": "With --each: so many elements run side by side in one job, on one node.",
        "again": "With --each: also run what is done or on its way with the same image, code and arguments.",
        "array": "Tasks of one run: 0-9, 1,3,5 or 0-99%4; $SLIPWAY_TASK is the program's own.",
        "dependency": "What must be over before, with the scheduler's job ids: afterok:123.",
        "continue_after_limit": "Begin again after the time limit, with /out as /previous: 10 times, or N.",
    },
    iterable=ITERABLE,
    optional=OPTIONAL,
    auto_shortflags=False,
)
def job(
    context: Context,
    config: str | None = None,
    profile: str | None = None,
    site: str | None = None,
    set_: list[str] | None = None,
    name: str | None = None,
    wait: bool = False,
    pull: bool = False,
    raw: bool = False,
    local: bool = False,
    dry_run: bool = False,
    push: bool = False,
    no_push: bool = False,
    replay: str | None = None,
    engine: str | None = None,
    notify: list[str] | None = None,
    time: str | None = None,
    cpus: str | None = None,
    mem: str | None = None,
    gpus: str | None = None,
    partition: str | None = None,
    prefer: str | None = None,
    account: str | None = None,
    qos: str | None = None,
    nodes: str | None = None,
    exclusive: bool = False,
    constraint: str | None = None,
    each: list[str] | None = None,
    throttle: str | None = None,
    pack_minutes: str | None = None,
    per_node: str | None = None,
    again: bool = False,
    array: str | None = None,
    dependency: str | None = None,
    continue_after_limit: str | bool | None = None,
    sbatch: list[str] | None = None,
) -> None:
    """Submit a job: invoke job --push --wait -- python3 train.py.

    Everything behind -- reaches the program exactly as typed. It runs in /code, which is read-only, and
    writes to the folder $SLIPWAY_OUT (/out), which `invoke pull` brings home.
    """
    submit(
        context,
        JobOptions(
            config=config,
            profile=profile,
            site=site,
            set_=set_,
            name=name,
            wait=wait,
            pull=pull,
            raw=raw,
            local=local,
            dry_run=dry_run,
            push=push,
            no_push=no_push,
            replay=replay,
            engine=engine,
            notify=notify,
            time=time,
            cpus=cpus,
            mem=mem,
            gpus=gpus,
            partition=partition,
            prefer=prefer,
            account=account,
            qos=qos,
            nodes=nodes,
            exclusive=exclusive,
            constraint=constraint,
            each=each,
            throttle=throttle,
            pack_minutes=pack_minutes,
            per_node=per_node,
            again=again,
            array=array,
            dependency=dependency,
            continue_after_limit=continue_after_limit,
            sbatch=sbatch,
        ),
    )
