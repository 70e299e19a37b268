"""What a site's accounting says of many jobs, of several users: neutral values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from slipway.scheduler.base import State


@dataclass(frozen=True, kw_only=True)
class AccountQuery:
    """Which jobs are asked for.

    Attributes:
        start_s: the beginning of the span, in seconds since 1970. What a job ran before does not count.
        end_s: its end, likewise.
        accounts: of these accounts; none and no users is all accounts of the user's own.
        users: of these users.
    """

    start_s: int
    end_s: int
    accounts: tuple[str, ...] = ()
    users: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class AccountedJob:
    """One attempt of a job or of an array's task, as far as it ran in the span.

    Attributes:
        job_id: of an array, the whole array's.
        task: its index in the array; ``None`` for a job that is none.
        name: the job's name.
        user: whose it is.
        account: who pays.
        partition: where it ran; where it waits for several, all of them.
        state: how it stands.
        elapsed_s: its wall time.
        nodes: how many it had.
        cpus: its cores, on all nodes.
        gpus: its GPUs, on all nodes.
    """

    job_id: str
    task: int | None
    name: str
    user: str
    account: str
    partition: str
    state: State
    elapsed_s: int
    nodes: int
    cpus: int
    gpus: int


@dataclass(frozen=True, kw_only=True)
class UserTotal:
    """What one user had of one account, as the scheduler itself adds it up."""

    user: str
    account: str
    node_s: int
    cpu_s: int
    gpu_s: int


@dataclass(frozen=True, kw_only=True)
class Accounted:
    """What accounting has.

    Attributes:
        jobs: attempts of jobs, the first of each job first.
        totals: what the scheduler adds up by itself; ``None`` where it refused.
        totals_problem: why it did.
        accounts: the accounts that were asked for; none for all.
        hidden: the site's word for what it does not show of other users; ``None`` where it shows all.
    """

    jobs: Sequence[AccountedJob]
    totals: Sequence[UserTotal] | None = None
    totals_problem: str | None = None
    accounts: tuple[str, ...] = ()
    hidden: str | None = None
