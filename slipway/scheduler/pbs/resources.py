"""What a job may ask PBS for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from slipway.checked import Check
from slipway.errors import JobError
from slipway.model import field_names
from slipway.resources import Resources
from slipway.scheduler.pbs.option import check_option

_Option = Annotated[str, Check(check_option)]
# Fields that other schedulers have, and what a PBS user writes in their place.
_FOREIGN = {
    "qos": "a queue (`partition`), or an option of qsub such as -l qos=NAME in defaults.qsub",
    "constraint": 'a resource of the site, by chunk in the site\'s file: chunk: ":arch=linux"',
    "sbatch": "options of qsub, which have one dash: -p100",
}


@dataclass(frozen=True, kw_only=True)
class PbsResources(Resources):
    """What any scheduler is asked for, and what is PBS's own.

    ``qsub`` has other options of qsub: ``-p 100``.
    """

    qsub: tuple[_Option, ...] = ()


def own(resources: Resources) -> PbsResources:
    """Resources with PBS's own fields, none of which is set where they had none.

    Raises:
        JobError: something is asked for that only another scheduler has.
    """
    values = dict(resources)
    for key, instead in _FOREIGN.items():
        if values.get(key):
            raise JobError(
                f"{key} {_shown(values[key])}: PBS has no such thing; leave it out, and write {instead}"
            )
    return PbsResources(**{key: values[key] for key in field_names(PbsResources) if key in values})


def _shown(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
