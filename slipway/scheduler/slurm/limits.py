"""What ``sacctmgr`` says of a user's own limits. Nothing here runs anything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from slipway.scheduler.queues import OwnLimit
from slipway.scheduler.slurm.rows import parse_number, rows_of

_ASSOCIATION = (
    "Account",
    "Partition",
    "QOS",
    "DefaultQOS",
    "MaxJobs",
    "MaxSubmit",
    "MaxWall",
    "MaxTRES",
    "GrpTRES",
)
_QOS = ("Name", "MaxJobsPU", "MaxSubmitPU", "MaxWall", "MaxTRES", "MaxTRESPU", "GrpTRES")


@dataclass(frozen=True, kw_only=True)
class Association:
    """What a user has of an account.

    Attributes:
        account: the account.
        partition: the one that it is for; ``None`` for all.
        qos: the QOS that may be asked for, the default first.
        limit: what it allows.
    """

    account: str
    partition: str | None
    qos: tuple[str, ...]
    limit: OwnLimit


def own_associations_command() -> list[str]:
    """Ask for the accounts that the user has, with their limits."""
    fields = ",".join(_ASSOCIATION)
    asked = f'exec sacctmgr --noheader --parsable2 show assoc user="$(id -un)" format={fields}'
    return ["sh", "-c", asked]


def qos_limits_command() -> list[str]:
    """Ask for the limits of all QOS."""
    return ["sacctmgr", "--noheader", "--parsable2", "show", "qos", f"format={','.join(_QOS)}"]


def parse_own_associations(stdout: str) -> list[Association]:
    """Read the answer to :func:`own_associations_command`.

    Raises:
        ParseError: there are words and no row of so many fields.
    """
    rows = rows_of(stdout, len(_ASSOCIATION), "sacctmgr", lambda row: bool(row[0]) and " " not in row[0])
    return [_association(dict(zip(_ASSOCIATION, row, strict=True))) for row in rows]


def _association(row: Mapping[str, str]) -> Association:
    names = [row["DefaultQOS"], *row["QOS"].split(",")]
    return Association(
        account=row["Account"],
        partition=row["Partition"] or None,
        qos=tuple(dict.fromkeys(name for name in names if name)),
        limit=OwnLimit(
            kind="account",
            name=row["Account"],
            jobs=parse_number(row["MaxJobs"]),
            submitted=parse_number(row["MaxSubmit"]),
            time=row["MaxWall"] or None,
            resources=_resources(job=row["MaxTRES"], all=row["GrpTRES"]),
        ),
    )


def parse_qos_limits(stdout: str) -> list[OwnLimit]:
    """Read the answer to :func:`qos_limits_command`.

    Raises:
        ParseError: there are words and no row of so many fields.
    """
    rows = rows_of(stdout, len(_QOS), "sacctmgr", lambda row: bool(row[0]) and " " not in row[0])
    return [_qos(dict(zip(_QOS, row, strict=True))) for row in rows]


def _qos(row: Mapping[str, str]) -> OwnLimit:
    return OwnLimit(
        kind="qos",
        name=row["Name"],
        jobs=parse_number(row["MaxJobsPU"]),
        submitted=parse_number(row["MaxSubmitPU"]),
        time=row["MaxWall"] or None,
        resources=_resources(job=row["MaxTRES"], user=row["MaxTRESPU"], all=row["GrpTRES"]),
    )


def _resources(**words: str) -> dict[str, str]:
    return {whose: word for whose, word in words.items() if word}


def own_limits(
    associations: Sequence[Association], qos: Iterable[OwnLimit], of_partitions: Iterable[str]
) -> list[OwnLimit]:
    """The limits that hold for a user: of their accounts, of the QOS of these, and of partitions' own."""
    mine = [association.limit for association in associations]
    names = {name for association in associations for name in association.qos} | {*of_partitions}
    both = [*mine, *(limit for limit in qos if limit.name in names)]
    return [limit for place, limit in enumerate(both) if limit.is_any and limit not in both[:place]]
