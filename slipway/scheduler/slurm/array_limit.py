"""How many tasks an array may have, by SLURM's own settings and by what this user may submit."""

from __future__ import annotations

import re
from typing import Any

from slipway.host.host import Host
from slipway.scheduler.slurm.answers import Answers, run_all
from slipway.scheduler.slurm.limits import (
    own_associations_command,
    parse_own_associations,
    parse_qos_limits,
    qos_limits_command,
)
from slipway.scheduler.slurm.resources import SlurmResources


def array_size_command() -> list[str]:
    """Ask ``scontrol`` for the size of the largest array (``man slurm.conf``, MaxArraySize)."""
    return ["sh", "-c", 'all=$(scontrol show config) && printf "%s\\n" "$all" | grep -E "^MaxArraySize "']


def default_account_command() -> list[str]:
    """Ask for the account that jobs have which name none."""
    asked = 'exec sacctmgr --noheader --parsable2 show user "$(id -un)" format=DefaultAccount'
    return ["sh", "-c", asked]


def parse_default_account(stdout: str) -> list[str]:
    """Read the answer to :func:`default_account_command`: the account, or nothing."""
    lines = [line for line in stdout.splitlines() if re.fullmatch(r"[\w.@+-]+", line)]
    return lines[-1:]


def parse_array_size(stdout: str) -> list[int]:
    """Read the answer to :func:`array_size_command`: the size, or nothing where it is not there.

    Indices are below it, so that an array from 0 has as many tasks.
    """
    found = re.search(r"^MaxArraySize\s*=\s*(\d{1,9})\s*$", stdout, re.M)
    return [int(found[1])] if found else []


def find_most_tasks(host: Host, wanted: SlurmResources) -> int | None:
    """The most tasks of one array; see :meth:`slipway.scheduler.base.Scheduler.most_tasks`.

    What cannot be asked does not count, and of QOS only one that is asked for by its name: which one is the
    default may be a plugin's to say. Where that has less room, SLURM refuses what is too much.
    """
    size = Answers("scontrol", parse_array_size)
    mine, qos = Answers("sacctmgr", parse_own_associations), Answers("sacctmgr", parse_qos_limits)
    default = Answers("sacctmgr", parse_default_account)
    asked: list[tuple[Answers[Any], list[str]]] = [
        (size, array_size_command()),
        (mine, own_associations_command()),
        (qos, qos_limits_command()),
        (default, default_account_command()),
    ]
    for (answers, _), result in zip(asked, run_all(host, [command for _, command in asked]), strict=True):
        answers.add(result)
    account = wanted.account or next(iter(default.rows), None)
    limits = [
        *(one.limit for one in mine.rows if one.account == account),
        *(limit for limit in qos.rows if limit.name == wanted.qos),
    ]
    known = [*size.rows, *(limit.submitted for limit in limits if limit.submitted is not None)]
    return min((one for one in known if one > 0), default=None)
