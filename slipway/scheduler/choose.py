"""The kind of site that each scheduler has, and what jobs may ask it for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from pydantic import ValidationError

from slipway.errors import UsageError
from slipway.resources import Resources
from slipway.scheduler.host.site import HostSite
from slipway.scheduler.ngc.site import NgcSite
from slipway.scheduler.pbs.resources import PbsResources
from slipway.scheduler.pbs.site import PbsSite
from slipway.scheduler.slurm.resources import SlurmResources
from slipway.scheduler.slurm.site import SlurmSite
from slipway.site import Site
from slipway.validation import explain


class AnyResources(SlurmResources, PbsResources):
    """What any of the schedulers may be asked for."""


# The kind of site that each has, by `scheduler` in the site's file.
SITES: dict[str, type[Site]] = {"slurm": SlurmSite, "host": HostSite, "pbs": PbsSite, "ngc": NgcSite}
# Profiles and the command line do not say which scheduler they are for: they may have any scheduler's fields.
FIELDS: type[AnyResources] = AnyResources
_OF_QSUB = re.compile("-[A-Za-z]")


def parse_resources(words: Mapping[str, str | None], options: Sequence[str] = ()) -> Resources:
    """What the command line asks for.

    Args:
        words: by the names of the fields.
        options: other options of sbatch, which have two dashes, and of qsub, which have one.

    Raises:
        UsageError: a value is of the wrong kind.
    """
    try:
        return read_resources({key: str(value) for key, value in words.items() if value is not None}, options)
    except ValidationError as error:
        problem = error.errors()[0]
        option = "sbatch" if problem["loc"][0] == "qsub" else str(problem["loc"][0]).replace("_", "-")
        raise UsageError(f"--{option} {str(problem['input'])[:200]}: {explain(problem)}") from error


def read_resources(words: Mapping[str, str], options: Sequence[str]) -> Resources:
    """Resources from text, as a dotenv file or the command line has it.

    Raises:
        ValidationError: a value is of the wrong kind.
    """
    of_qsub = tuple(option for option in options if _OF_QSUB.match(option))
    of_sbatch = tuple(option for option in options if option not in of_qsub)
    others = FIELDS.model_validate({"sbatch": of_sbatch, "qsub": of_qsub})
    named: AnyResources = FIELDS.model_validate_strings(dict(words))
    return named.over(others)
