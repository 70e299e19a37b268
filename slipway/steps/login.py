"""Logging in for the commands to come, and logging out."""

from __future__ import annotations

from collections.abc import Sequence

from slipway.errors import ConfigError, UsageError
from slipway.host.host import keep_login
from slipway.multiplex.folder import is_possible, require_possible
from slipway.multiplex.kept import Kept, end_kept, find_kept, list_kept, parse_kept, path_of
from slipway.site import Login
from slipway.ssh.target import Target, resolve_target
from slipway.steps.session import Session


def log_in(session: Session, name: str) -> tuple[Kept, bool]:
    """Log in to a site and leave that for other commands.

    Returns:
        What is kept, and whether it was there already.

    Raises:
        HostError: this machine cannot keep it, or somebody else can get at the folder for it.
        SshError: there is no way in.
    """
    require_possible()
    site = session.site(name)
    if site.login.is_this_machine:
        raise UsageError(f"{name} is this machine: there is nothing to log in to")
    target = resolve_target(site.login, session.project.state)
    session.progress.step(f"Logging in to {name}")
    transport = keep_login(target, site.login, session.project.state, session.prompt, name)
    transport.close()
    return parse_kept(transport.path, transport.state), transport.was_there


def leave_login(session: Session, login: Login, name: str) -> Kept | None:
    """Log in to a site that has no file yet, and leave that for other commands.

    A host that is not known yet is shown to the person.

    Returns:
        What is kept; ``None`` where it was there already, or where this machine cannot keep it.

    Raises:
        HostError: somebody else can get at the folder for it.
        SshError: there is no way in.
    """
    state = session.project.state
    target = resolve_target(login, state)
    if not is_possible() or _openssh(target) is not None:
        return None
    transport = keep_login(target, login, state, session.prompt, name, meets_hosts=True)
    transport.close()
    return None if transport.was_there else parse_kept(transport.path, transport.state)


def find_openssh(session: Session, name: str) -> str | None:
    """The user and host of a connection that OpenSSH keeps to a site, which all commands use then."""
    return _openssh(resolve_target(session.site(name).login, session.project.state))


def _openssh(target: Target) -> str | None:
    if find_kept(target) is not None or not target.control_paths:
        return None
    from slipway.multiplex.openssh import find_master

    master = find_master(target)
    if master is not None:
        master.close()
    return None if master is None else str(target)


def log_out(session: Session, name: str | None) -> Sequence[Kept]:
    """End the login of a site, or all of them, with what is under way on it; those that were ended.

    Raises:
        HostError: somebody else can get at the folder for them.
        UsageError: there is no such site.
    """
    kept: Sequence[Kept] = list_kept()
    if name is not None:
        kept = _of_site(session, name, kept)
    return [one for one in kept if end_kept(one.path)]


def _of_site(session: Session, name: str, kept: Sequence[Kept]) -> Sequence[Kept]:
    """Those to a site; where it cannot be found out how it is reached, those that were used by its name."""
    login = session.site(name).login
    try:
        path = path_of(resolve_target(login, session.project.state))
    except ConfigError:  # as of a box that is down
        return [one for one in kept if name in one.names]
    return [one for one in kept if one.path == path]


def require_none(site: str | None, json: bool) -> None:
    """Refuse ``--json`` where it is not a question.

    Raises:
        UsageError: a site is named, too.
    """
    if site is not None and json:
        raise UsageError("--json lists all logins; leave out the site")
