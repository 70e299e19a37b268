"""Tasks on jobs: submitted, watched, brought home, cancelled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from slipway.cli.common import PROFILE, RUN, SITE, open_session, program_arguments

if TYPE_CHECKING:
    from slipway.host.host import Host
    from slipway.job.run import Run
    from slipway.site import Site
    from slipway.steps.session import Session
    from slipway.steps.submit import Push
    from slipway.terminal.terminal import Terminal


@task(
    help={
        **PROFILE,
        **SITE,
        "wait": "Follow the log, and exit with the job's own exit code.",
        "raw": "With --wait: the program's bytes as they are, also on a terminal.",
        "push": "Build, convert and send the image first, where the site does not have it.",
        "no_push": "Use the site's image, and ask nothing.",
        "dry_run": "Print the job script; send and submit nothing.",
        "time": "Wall time: minutes, H:MM:SS or D-HH:MM:SS. A handler for SIGUSR1 is called before its end.",
        "cpus": "Processor cores.",
        "mem": "Memory a node, such as 16G.",
        "gpus": "GPUs: a number, or a type and a number such as a100:2.",
        "partition": "SLURM partition.",
        "account": "SLURM account.",
        "qos": "SLURM quality of service.",
        "nodes": "Nodes; the program starts once on each.",
        "exclusive": "Whole nodes, shared with nobody.",
        "constraint": "Features that the nodes must have.",
        "array": "Tasks of one run: 0-9, 1,3,5 or 0-99%4; $SLURM_ARRAY_TASK_ID is the program's own.",
        "dependency": "What must be over before, with SLURM's job ids: afterok:123.",
        "sbatch": "Any other option of sbatch, such as --sbatch=--comment=mine; may be repeated.",
    },
    iterable=["set_", "sbatch"],
    auto_shortflags=False,
)
def job(
    context: Context,
    profile: str = "base",
    site: str | None = None,
    set_: list[str] | None = None,
    wait: bool = False,
    raw: bool = False,
    dry_run: bool = False,
    push: bool = False,
    no_push: bool = False,
    time: str | None = None,
    cpus: str | None = None,
    mem: str | None = None,
    gpus: str | None = None,
    partition: str | None = None,
    account: str | None = None,
    qos: str | None = None,
    nodes: str | None = None,
    exclusive: bool = False,
    constraint: str | None = None,
    array: str | None = None,
    dependency: str | None = None,
    sbatch: list[str] | None = None,
) -> None:
    """Submit a job: invoke job --push --wait -- python3 train.py.

    Everything behind -- reaches the program exactly as typed. It runs in /code, which is read-only, and
    writes to the folder $SLIPWAY_OUT (/out), which `invoke pull` brings home.
    """
    with open_session(context) as (session, screen):
        from slipway.scheduler.choose import parse_resources
        from slipway.steps.submit import make_request, preview, submitted

        wanted = {"time": time, "cpus": cpus, "mem": mem, "gpus": gpus}
        wanted |= {"partition": partition, "account": account, "qos": qos, "nodes": nodes}
        wanted |= {"exclusive": "true" if exclusive else None, "constraint": constraint}
        wanted |= {"array": array, "dependency": dependency}
        resources = parse_resources(wanted, sbatch or ())
        choice = session.choose(profile, site, set_ or ())
        request = make_request(choice, program_arguments(), resources)
        if dry_run:
            screen.log(preview(session, request))
            return
        with submitted(session, request, _push(push, no_push)) as done:
            run = done.run
            log = f"{run.site}:{run.run_dir}/{'task-*/' if resources.array else ''}attempt-1/log"
            screen.say(f"run {run.run_id}  job {run.job_id}  log {log}")
            if limit := run.resources.get("time"):
                screen.note(f"Time limit {limit}; a program with a handler for SIGUSR1 is warned before")
            if wait:
                _follow(session, screen, done.host, run, choice.site, raw=raw)


@task(
    help={**RUN, "json": "As JSON.", "count": "How many runs, the newest first."},
    auto_shortflags=False,
)
def status(context: Context, run: str | None = None, json: bool = False, count: str = "20") -> None:
    """Show how runs stand."""
    with open_session(context) as (session, screen):
        from slipway.errors import UsageError
        from slipway.report.values import run_values
        from slipway.steps.runs import list_runs
        from slipway.terminal.terminal import print_json
        from slipway.terminal.view import show_runs

        if not count.isdigit():
            raise UsageError(f"--count {count}: write how many runs as a number")
        runs, error = list_runs(session, run, int(count))
        if json:
            print_json([run_values(one) for one in runs])
        elif runs:
            show_runs(screen, runs)
        else:
            screen.say("There are no runs yet; `invoke job -- …` starts one.")
        if error:
            raise error


@task(
    help={
        **RUN,
        "follow": "Go on until the run is over.",
        "raw": "The program's bytes as they are, also on a terminal: it obeys what is in them.",
    },
    auto_shortflags=False,
)
def logs(context: Context, run: str | None = None, follow: bool = False, raw: bool = False) -> None:
    """Show what a run has printed: invoke logs RUN."""
    with open_session(context) as (session, screen):
        from slipway.steps.runs import find_run, print_log

        if not follow:
            print_log(session, run, screen.raw if raw else screen.log)
            return
        found, site = find_run(session, run)
        with session.connect(site) as host:
            _follow(session, screen, host, found, site, raw=raw)


@task(help=RUN, auto_shortflags=False)
def pull(context: Context, run: str | None = None) -> None:
    """Bring a run's results home, to results/<run>/, and show its figures: invoke pull RUN."""
    with open_session(context) as (session, screen):
        from slipway.skipped import some_of
        from slipway.steps import runs
        from slipway.terminal.view import show_output
        from slipway.text.wording import megabytes, short

        pulled = runs.pull(session, run)
        found, results = pulled.run, pulled.results
        transfer = results.transfer
        screen.done()
        show_output(screen, results.output)
        if transfer.left_out:
            screen.note(
                f"{len(transfer.left_out):,} left there, since they are pipes, sockets or devices: "
                + some_of(transfer.left_out)
            )
        state = found.status.state.value
        if not found.status.state.is_over:
            screen.note(f"{found.run_id} is {state}: these are not its last results; pull again later")
        received = megabytes(transfer.received_bytes)
        screen.note(f"{found.run_id} {state}: {received} brought to {short(results.home)}/")
        results.check()


@task(help={"run": "The run's id or the beginning of it. Without one you are asked."}, auto_shortflags=False)
def cancel(context: Context, run: str | None = None) -> None:
    """Cancel a run's job: invoke cancel RUN."""
    with open_session(context) as (session, screen):
        from slipway.steps import runs

        found, was_over = runs.cancel(session, run)
        screen.say(
            f"{found.run_id} is {found.status.state.value}{' (it was over already)' if was_over else ''}"
        )


def _push(push: bool, no_push: bool) -> Push:
    from slipway.errors import UsageError
    from slipway.steps.submit import Push

    if push and no_push:
        raise UsageError("--push and --no-push contradict each other; leave one of them out")
    return Push.ALWAYS if push else Push.NEVER if no_push else Push.ASK


def _follow(session: Session, screen: Terminal, host: Host, run: Run, site: Site, *, raw: bool) -> None:
    """Show a run's log to its end, and exit as the job did."""
    from slipway.steps import runs

    run = runs.follow(session, host, run, site, screen.raw if raw else screen.log)
    status = run.status
    code = "no exit code" if status.exit_code is None else f"exit code {status.exit_code}"
    screen.say(f"run {run.run_id}  {status.state.value}  {status.reason}  {code}")
    if status.note:
        screen.note(status.note)
    if status.wait_code:
        raise Exit(code=status.wait_code)
