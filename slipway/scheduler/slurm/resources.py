"""What a job may ask SLURM for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from slipway.checked import Check, form
from slipway.errors import JobError
from slipway.model import field_names
from slipway.resources import Name, Resources
from slipway.scheduler.queues import AUTO
from slipway.scheduler.slurm.option import check_option

_Constraint = Annotated[
    str | None,
    form(r"[\w.,:&|*()\[\]=-]+", "features of nodes, with & | and brackets between them, such as a100&ib"),
]
_Option = Annotated[str, Check(check_option)]


@dataclass(frozen=True, kw_only=True)
class SlurmResources(Resources):
    """What any scheduler is asked for, and what is SLURM's own.

    ``sbatch`` has other options of sbatch: ``--comment=mine``.
    """

    qos: Name = None
    constraint: _Constraint = None
    sbatch: tuple[_Option, ...] = ()


def named_partition(resources: Resources) -> str | None:
    """The partition that SLURM is told; for one that is still to be found out, its default does."""
    return None if resources.partition == AUTO else resources.partition


def own(resources: Resources) -> SlurmResources:
    """Resources with SLURM's own fields, none of which is set where they had none.

    Raises:
        JobError: options are asked for that only another scheduler has.
    """
    if options := getattr(resources, "qsub", ()):
        raise JobError(
            f"--sbatch {options[0]}: write one long option of sbatch, such as --comment=mine or --hold"
        )
    known = field_names(SlurmResources)
    return SlurmResources(**{key: value for key, value in resources if key in known})
