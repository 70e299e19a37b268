"""What is asked for a new project: which cluster, and how it is reached."""

from __future__ import annotations

import re
from dataclasses import dataclass

from slipway.errors import UsageError
from slipway.model import WrongValueError, read_values
from slipway.site import Paths
from slipway.validation import explain

BOX = "box"
SCRATCH = "$SCRATCH"


@dataclass(frozen=True, kw_only=True)
class Answers:
    """The site that jobs go to, and what its file says; without a host there is nothing to write into one."""

    site: str
    host: str | None = None
    user: str | None = None
    scratch: str = SCRATCH


def check_site(name: str) -> str:
    """A site's name, as it can be a file's.

    Raises:
        UsageError: it cannot.
    """
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name, re.ASCII) or name == "example":
        raise UsageError(f"--site {name!r}: write a short name of letters and digits, such as hpc")
    return name


def check_host(host: str) -> str:
    """A host's name, an address or an alias.

    Raises:
        UsageError: it has characters that none of them has.
    """
    if not re.fullmatch(r"[\w.:%-]+", host) or host.startswith("-"):
        raise UsageError(f"--host {host!r}: write a host's name, or an alias of ~/.ssh/config")
    return host


def check_user(user: str) -> str:
    """A user's name on a cluster.

    Raises:
        UsageError: it has spaces or characters that cannot be seen.
    """
    if not user or not user.isprintable() or " " in user or user.startswith("-"):
        raise UsageError(f"--user {user!r}: write your user name on the cluster, without spaces")
    return user


def check_scratch(path: str) -> str:
    """A folder on a cluster, as a site's file may name it.

    Raises:
        UsageError: it is not absolute, or has characters that jobs cannot take.
    """
    try:
        return read_values(Paths, {"scratch": path}).scratch
    except WrongValueError as error:
        raise UsageError(f"--scratch {path!r}: {explain(error.problem)}") from error


def guess_site(host: str) -> str | None:
    """A name for the site with this login node: its own, or the one of the network that it is in."""
    words = [word for word in host.lower().split(".") if re.fullmatch(r"[a-z][a-z0-9-]*", word)]
    plain = [
        word for word in words if not re.fullmatch(r"(login|ssh|head|front|gateway)[a-z]*-?[0-9]*", word)
    ]
    return next(iter(plain or words), None)
