"""The task that keeps runs going: what failed is submitted again, by the reason why it did."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.tasks import task

from slipway.cli.common import open_session

if TYPE_CHECKING:
    from slipway.job.run import Run
    from slipway.monitor.spending import Budget
    from slipway.steps.kept_hosts import KeptHostsSession
    from slipway.steps.monitor import Monitor
    from slipway.steps.monitored import Look
    from slipway.terminal.terminal import Terminal


@task(
    help={
        "sweep": "A sweep's id or name, or the beginning of either. Default: the newest sweep.",
        "run": "A run's id or name, or the beginning of it; may be repeated.",
        "most_tries": "How often an element is tried, the first time included. Default: 3.",
        "gpu_hours": "Nothing more is submitted once all tries together have taken so many.",
        "cost": "Nothing more is submitted once all tries have cost so much, in the site's currency.",
        "interval": "Seconds between two looks. Default: 5, up to 30 while nothing changes.",
        "explain": "Say what would be done about each element that failed, and why; nothing is submitted.",
        "dry_run": "Say what would be submitted now; nothing is submitted.",
        "remote": "It works on the login node, also while this machine is off; its log is followed.",
        "in_job": "It works as a small job that begins again by itself, where login nodes are not for this.",
        "stop": "With --remote or --in-job: stop the one that is there. What is on the way goes on.",
        "time": "With --in-job: the wall time of each job of it. Default: 1:00:00.",
        "partition": "With --in-job: SLURM partition. Default: the site's.",
        "account": "With --in-job: SLURM account. Default: the site's.",
    },
    iterable=["run"],
    auto_shortflags=False,
)
def monitor(
    context: Context,
    sweep: str | None = None,
    run: list[str] | None = None,
    most_tries: str = "3",
    gpu_hours: str | None = None,
    cost: str | None = None,
    interval: str | None = None,
    explain: bool = False,
    dry_run: bool = False,
    remote: bool = False,
    in_job: bool = False,
    stop: bool = False,
    time: str | None = None,
    partition: str | None = None,
    account: str | None = None,
) -> None:
    """Keep a sweep or runs going, within a budget: invoke monitor --sweep rates."""
    with open_session(context) as (session, screen):
        from slipway.cli.remote_monitor import keep_going_there, read_remote
        from slipway.cli.status import read_interval
        from slipway.steps.kept_hosts import KeptHostsSession
        from slipway.steps.monitor import Monitor
        from slipway.steps.monitored import find_targets

        interval_s = read_interval(interval)
        budget = _budget(most_tries, gpu_hours, cost)
        kept = KeptHostsSession(project=session.project, progress=screen, prompt=screen)
        only_look = explain or dry_run
        there = read_remote(
            {"--time": time, "--partition": partition, "--account": account},
            remote=remote,
            in_job=in_job,
            stop=stop,
            only_look=only_look,
        )
        targets = find_targets(session, sweep, run or ())
        monitors = [Monitor(session=kept, target=one, budget=budget, only_look=only_look) for one in targets]
        try:
            if there is not None:
                keep_going_there(screen, kept, targets, there, budget, interval_s)
            elif only_look:
                _look(screen, monitors, explain=explain)
            else:
                _keep_going(screen, kept, monitors, interval_s)
        finally:
            kept.hosts.close()


def _budget(most_tries: str, gpu_hours: str | None, cost: str | None) -> Budget:
    from slipway.errors import UsageError
    from slipway.monitor.spending import Budget

    if not (most_tries.isdecimal() and len(most_tries) < 10 and 0 < int(most_tries) <= 1000):
        raise UsageError(f"--most-tries {most_tries[:100]}: write how often an element is tried, from 1 on")
    return Budget(
        most_tries=int(most_tries), gpu_hours=_amount("--gpu-hours", gpu_hours), cost=_amount("--cost", cost)
    )


def _amount(option: str, word: str | None) -> float | None:
    from slipway.errors import UsageError

    if word is None:
        return None
    try:
        amount = float(word)
    except ValueError:
        amount = -1.0
    if not 0 < amount < 1e12:
        raise UsageError(f"{option} {word[:100]}: write a number above 0")
    return amount


def _look(screen: Terminal, monitors: list[Monitor], *, explain: bool) -> None:
    """One look, and what would be done."""
    from slipway.report.monitor_lines import counts_line, decision_lines, explain_lines, rule_lines

    for one in monitors:
        look = one.look()
        lines = (
            [*explain_lines(look), *rule_lines(one.target)]
            if explain
            else [counts_line(look), *decision_lines(look, None)]
        )
        for line in lines:
            screen.say(line)
        if look.reached:
            screen.say(f"{look.reached}: nothing would be submitted")


def _keep_going(
    screen: Terminal, session: KeptHostsSession, monitors: list[Monitor], interval_s: float | None
) -> None:
    import time

    from slipway.cli.monitor_end import end_with
    from slipway.report.monitor_lines import counts_line, decision_lines
    from slipway.steps.monitor_loop import Told, keep_going
    from slipway.steps.tell import Teller

    def on_look(look: Look, before: Look | None) -> None:
        for line in decision_lines(look, before):
            screen.say(line)
        if before is None or counts_line(look) != counts_line(before):
            screen.say(counts_line(look))

    def on_try(run: Run) -> None:
        count = len(run.tasks)
        screen.say(f"run {run.shown}  job {run.job_id}  {count} {'element' if count == 1 else 'elements'}")

    def pause(seconds: float) -> None:
        teller.go_on()
        time.sleep(seconds)

    teller = Teller(session)
    for one in monitors:
        one.on_try = on_try
    try:
        looks = keep_going(session, monitors, Told(on_look, screen.note), interval_s, pause)
        teller.go_on()
    finally:
        teller.finish()
        for note in teller.notes:
            screen.note(note)
    end_with(screen, [(one.target, look) for one, look in zip(monitors, looks, strict=True)])
