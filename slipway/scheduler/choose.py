"""What jobs may ask any scheduler for, as the command line and profiles say it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from slipway.errors import UsageError
from slipway.model import WrongValueError, read_values
from slipway.resources import Resources
from slipway.scheduler.pbs.resources import PbsResources
from slipway.scheduler.slurm.resources import SlurmResources
from slipway.validation import explain


@dataclass(frozen=True, kw_only=True)
class AnyResources(SlurmResources, PbsResources):
    """What any of the schedulers may be asked for."""


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
    except WrongValueError as error:
        problem = error.problem
        option = "sbatch" if problem["loc"][0] == "qsub" else str(problem["loc"][0]).replace("_", "-")
        raise UsageError(f"--{option} {str(problem['input'])[:200]}: {explain(problem)}") from error


def read_resources(words: Mapping[str, str], options: Sequence[str]) -> Resources:
    """Resources from text, as a dotenv file or the command line has it.

    Raises:
        WrongValueError: a value is of the wrong kind.
    """
    of_qsub = tuple(option for option in options if _OF_QSUB.match(option))
    of_sbatch = tuple(option for option in options if option not in of_qsub)
    return read_values(FIELDS, {**words, "sbatch": of_sbatch, "qsub": of_qsub})
