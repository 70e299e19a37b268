"""The hosts of a site, and the ways between them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from slipway.errors import SlipwayError, UsageError
from slipway.host.host import Host
from slipway.site import Login, Site
from slipway.ssh.hostkey import HostKey
from slipway.ssh.target import Target, resolve_target

HERE = "here"


@dataclass(frozen=True, kw_only=True)
class Way:
    """The way from one host, or from here, to one, and why it does not work, where it does not."""

    start: str
    end: str
    problem: str | None = None


@dataclass(kw_only=True)
class Machine:
    """One host of a site.

    Attributes:
        name: as the site's file has it.
        login: the same, with all else that the file says of it.
        target: how it is reached from here.
        address: how the others reach it, and at which port.
        host: the connection.
        shown: the key that it has shown.
        public: its own key, as ``KIND BASE64``.
        problem: why it is not reached, or its key cannot be used.
    """

    name: str
    login: Login
    target: Target
    address: tuple[str, int]
    host: Host | None = None
    shown: HostKey | None = None
    public: str | None = None
    problem: SlipwayError | None = None

    @property
    def known_name(self) -> str:
        """Its name in ``known_hosts`` of the others."""
        name, port = self.address
        return name.lower() if port == 22 else f"[{name.lower()}]:{port}"


def find_machines(site: Site, state: Path) -> list[Machine]:
    """The hosts of a site, each once.

    Args:
        site: the site.
        state: Slipway's state folder.

    Raises:
        UsageError: it is this machine.
    """
    found: dict[tuple[str, int, str], Machine] = {}
    for login in (site.login, *site.hosts):
        if login.is_this_machine:
            raise UsageError(f"{site.name} is this machine: there is nothing to set up")
        target = resolve_target(login, state)
        machine = Machine(name=login.host, login=login, target=target, address=_address(login, target))
        found.setdefault((target.host, target.port, target.user), machine)
    return [*found.values()]


def _address(login: Login, target: Target) -> tuple[str, int]:
    name, _, port = (login.address or f"{target.host}:{target.port}").rpartition(":")
    return (name, int(port)) if name else (port, 22)
