"""Getting to know the keys of a site's hosts."""

from __future__ import annotations

from slipway.errors import UsageError
from slipway.ssh.target import resolve_target
from slipway.ssh.trust import trust_host_keys
from slipway.steps.session import Session


def trust(session: Session, name: str, *, yes: bool, replace: bool) -> list[str]:
    """Show a site's host keys and keep those that are confirmed; see :func:`trust_host_keys`.

    Args:
        session: where.
        name: the site's.
        yes: ask nobody.
        replace: put a key that has changed in the place of the known one.

    Raises:
        UsageError: the site is this machine.
    """
    login = session.site(name).login
    if login.is_this_machine:
        raise UsageError(f"{name} is this machine: it has no key to get to know")
    target = resolve_target(login, session.project.state)
    session.progress.step(f"Asking {name} for its key")
    return trust_host_keys(target, session.prompt, yes=yes, replace=replace)
