"""The task that submits again what has not ended well."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.tasks import task

from slipway.cli.common import RUNS, open_session, read_targets
from slipway.cli.job import RESOURCES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slipway.errors import SlipwayError
    from slipway.job.run import Run
    from slipway.resources import Resources
    from slipway.site import Site
    from slipway.steps.kept_hosts import KeptHostsSession
    from slipway.steps.retry import Retry
    from slipway.terminal.terminal import Terminal


@task(
    help={
        **RUNS,
        "sweep": "Those of a sweep that have not ended well: its id or name, or the beginning of either.",
        "failed": "Only what failed; what was cancelled is left as it is.",
        "dry_run": "Say what would be submitted again; send and submit nothing.",
        "wait": "Follow the logs, and exit with the worst exit code.",
        "pull": "With --wait: bring the results home at the end, however it ends.",
        "raw": "With --wait: the programs' bytes as they are, also on a terminal.",
        "notify": "Who is told of the end, too: mail, mail:ADDRESS, desktop or a webhook; may be repeated.",
        **RESOURCES,
    },
    iterable=["run", "notify", "sbatch"],
    auto_shortflags=False,
)
def retry(
    context: Context,
    run: list[str] | None = None,
    sweep: str | None = None,
    failed: bool = False,
    dry_run: bool = False,
    wait: bool = False,
    pull: bool = False,
    raw: bool = False,
    notify: list[str] | None = None,
    time: str | None = None,
    cpus: str | None = None,
    mem: str | None = None,
    gpus: str | None = None,
    partition: str | None = None,
    account: str | None = None,
    qos: str | None = None,
    exclusive: bool = False,
    constraint: str | None = None,
    sbatch: list[str] | None = None,
) -> None:
    """Submit again what has not ended well: invoke retry --sweep rates --failed --mem 8G.

    With the same image, code, arguments and data, and with what it wrote as /previous. What waits, runs or
    is done is never touched.
    """
    with open_session(context) as (session, screen):
        from slipway.cli.read import check_wait
        from slipway.scheduler.choose import parse_resources
        from slipway.steps.find import find_record
        from slipway.steps.kept_hosts import KeptHostsSession
        from slipway.steps.monitored import find_targets
        from slipway.steps.retry import Retry

        check_wait(wait=wait, pull=pull)
        words = {"time": time, "cpus": cpus, "mem": mem, "gpus": gpus, "partition": partition}
        words |= {"account": account, "qos": qos, "exclusive": "true" if exclusive else None}
        asked = parse_resources({**words, "constraint": constraint}, sbatch or ())
        targets = read_targets(notify or ())
        if not run and sweep is None:
            newest = find_record(session, None)
            screen.note(f"The newest run is {newest.shown}")
            run = [newest.run_id]
        kept = KeptHostsSession(project=session.project, progress=screen, prompt=screen)
        retries = [
            Retry(
                session=kept,
                target=one,
                only_failed=failed,
                asked=asked,
                notify=targets,
                only_look=dry_run,
            )
            for one in find_targets(session, sweep, run or ())
        ]
        try:
            _retry(screen, kept, retries, asked, dry_run=dry_run, wait=wait, pull=pull, raw=raw)
        finally:
            kept.hosts.close()


def _retry(
    screen: Terminal,
    session: KeptHostsSession,
    retries: Sequence[Retry],
    asked: Resources,
    *,
    dry_run: bool,
    wait: bool,
    pull: bool,
    raw: bool,
) -> None:
    from slipway.report.retry_lines import left_lines, nothing_line, retry_lines, taken_line

    new: list[tuple[Run, Site]] = []
    errors: list[SlipwayError] = []
    for one in retries:
        picked = one.look()
        screen.done()
        for line in retry_lines(picked, asked) if picked.again else [nothing_line(picked)]:
            screen.say(line)
        for line in left_lines(picked):
            screen.note(line)
        if dry_run or not picked.again:
            continue
        done = one.submit(picked, lambda run: screen.say(f"run {run.shown}  job {run.job_id}{_count(run)}"))
        new += [(run, one.target.site) for run in done.runs]
        errors += [done.error] if done.error else []
        if done.taken:
            screen.note(taken_line(done.taken))
        if one.target.sweep is not None and not wait:
            screen.note(f"`invoke status --sweep {one.target.sweep.sweep_id}` shows how they stand")
    if wait:
        _follow(screen, session, new, pull=pull, raw=raw, is_last=not errors)
    for error in errors[:-1]:
        screen.error(str(error))
    if errors:
        raise errors[-1]


def _count(run: Run) -> str:
    if not run.task_indices:
        return ""
    what = "element" if run.elements else "task"
    return f"  {len(run.tasks)} {what}{'' if len(run.tasks) == 1 else 's'}"


def _follow(
    screen: Terminal,
    session: KeptHostsSession,
    runs: Sequence[tuple[Run, Site]],
    *,
    pull: bool,
    raw: bool,
    is_last: bool,
) -> None:
    """Follow runs to their ends; where nothing else is to be said, exit as the worst of them did."""
    from slipway.cli.logs import exit_as, follow_run
    from slipway.cli.pull import bring_home

    ended = []
    for run, site in runs:
        with session.connect(site) as host:
            ended.append(follow_run(session, screen, host, run, site, raw=raw))
            if pull:
                bring_home(session, screen, host, ended[-1], site)
    for one in sorted(ended, key=lambda run: -run.status.wait_code)[:1] if is_last else ():
        exit_as(one)
