"""The task that leads a port of this machine to one on the cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.tasks import task

from slipway.cli.common import PROFILE, open_session, read_task

if TYPE_CHECKING:
    from slipway.steps.session import Session
    from slipway.steps.tunnel import TunnelRequest
    from slipway.terminal.terminal import Terminal


@task(
    positional=["port"],
    help={
        "port": "The port there, or PORT:LOCAL for another one here; PORT:0 takes one that is free.",
        "run": "The run on whose node the port is. Without it, the port is on the login node.",
        "task": "Which task of an array: a number.",
        "node": "Which of the run's nodes, by its name. Default: the first.",
        "site": "With no run: the cluster whose login node it is. Default: the profile's SITE.",
        "profile": f"{PROFILE['profile']} Only its SITE counts.",
        "open_": "Show http://127.0.0.1:PORT/ in a browser, once it answers.",
    },
    auto_shortflags=False,
)
def tunnel(
    context: Context,
    port: str,
    run: str | None = None,
    task: str | None = None,
    node: str | None = None,
    site: str | None = None,
    profile: str = "base",
    open_: bool = False,
) -> None:
    """Lead a port of this machine to one of a run's node: invoke tunnel 6006 --run RUN --open.

    For TensorBoard, Jupyter or a Dask dashboard. It waits until the run has begun and the port answers, comes
    back when the line was cut, and ends with the run or with Ctrl-C. Only this machine reaches the port here.
    """
    with open_session(context) as (session, screen):
        from slipway.steps.tunnel import tunnel as lead

        request = _request(session, port, run, task, node, site, profile)
        lead(session, request, lambda address: _tell(screen, address, request.ports.remote, opens=open_))


def _request(
    session: Session,
    port: str,
    run: str | None,
    task: str | None,
    node: str | None,
    site: str | None,
    profile: str,
) -> TunnelRequest:
    from slipway.errors import UsageError
    from slipway.steps.find import find_run
    from slipway.steps.tunnel import TunnelRequest
    from slipway.tunnel.port import parse_ports

    ports = parse_ports(port)
    number = read_task(task)
    if run is None:
        if number is not None or node is not None:
            raise UsageError("--task and --node say which part of a run is meant; name it with --run")
        return TunnelRequest(site=session.choose(profile, site).site, ports=ports)
    found, at = find_run(session, run)
    if site is not None and site != at.name:
        raise UsageError(f"--site {site} and --run contradict each other: {found.run_id} is at {at.name}")
    return TunnelRequest(site=at, ports=ports, run=found, task=number, node=node)


def _tell(screen: Terminal, address: str, remote: int, *, opens: bool) -> None:
    from slipway.page.open import open_address

    screen.say(f"http://{address}/")
    screen.note(f"It leads to port {remote} there; Ctrl-C ends it")
    if opens and not open_address(f"http://{address}/"):
        screen.note("There is no browser to show it in")
