"""What a user asks for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from slipway.errors import UsageError
from slipway.job.bundle_request import check_bundles, job_request
from slipway.job.bundles import Bundles
from slipway.job.elements import Element, ElementFiles, element_files
from slipway.job.run import Shell
from slipway.job.script import words_file
from slipway.notify.target import Target
from slipway.profile import Profile
from slipway.resources import Resources
from slipway.scheduler.automatic import PREFERENCES, Prefer
from slipway.scheduler.limits import ResourceRequest, check_partition
from slipway.site import Site

_NAME = re.compile(r"\w[\w.+-]{0,39}")
# Said where a submission is stopped before the job is submitted.
NOTHING_SUBMITTED = "nothing was submitted; the same command begins anew"


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a user asks for: the program's arguments, and resources that go before all defaults.

    ``name`` is a short label for the run. ``notify`` are told from this machine when it has ended.
    ``shell`` asks for a job that is there for a shell. ``prefer`` is what the partition `auto` looks for: the
    earliest start, or the lowest cost. With ``elements``, each task of the array has its own arguments, and
    ``args`` is what they were made from; with ``bundles``, some of these share jobs; ``sweep`` is what they
    belong to. ``origins`` says where resources are asked for, where that is not the command line.

    Raises:
        UsageError: there is no program.
        JobError: it cannot be, or would never start, as far as that is known here.
    """

    profile: Profile
    site: Site
    args: tuple[str, ...]
    resources: Resources
    name: str | None = None
    notify: tuple[Target, ...] = ()
    shell: Shell | None = None
    prefer: Prefer | None = None
    elements: tuple[Element, ...] = ()
    bundles: Bundles | None = None
    sweep: str | None = None
    origins: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what can be refused before anybody is asked."""
        if not self.profile.program and not self.args:
            raise UsageError(
                f"there is nothing to run: profile {self.profile.name} has no PROGRAM, and nothing stands "
                "behind `--`; write the command there, such as `-- python3 train.py`, or set PROGRAM"
            )
        check_name(self.name)
        check_bundles(self.bundles, self.resource_request)
        check_partition(self.job_request, self.site)
        check_prefer(self.prefer, self.resource_request)
        _ = self.element_files if self.elements else self.argv

    @cached_property
    def argv(self) -> bytes:
        """The program and its arguments, as the job script reads them."""
        return words_file([*self.profile.program, *self.args])

    @property
    def programs(self) -> Sequence[tuple[str, ...]]:
        """The arguments of each program that is run."""
        return [element.args for element in self.elements] or [self.args]

    @cached_property
    def element_files(self) -> ElementFiles | None:
        """The same for each element, where there are any."""
        return element_files(self.profile.program, self.elements) if self.elements else None

    @cached_property
    def resource_request(self) -> ResourceRequest:
        """What SLURM is asked for, by the command line, the profile and the site together.

        Where tasks share jobs, this is for each task.
        """
        return resource_request(self.profile, self.site, self.resources, self.origins)

    @property
    def job_request(self) -> ResourceRequest:
        """The same for each job."""
        return job_request(self.resource_request, self.bundles)


def resource_request(
    profile: Profile, site: Site, resources: Resources, places: Mapping[str, str] | None = None
) -> ResourceRequest:
    """What the scheduler is asked for: by the command line, the profile and the site, in this order.

    ``places`` says where ``resources`` are from, where that is not the command line.
    """
    origins = {
        **{key: f"defaults.{key} in {site.file}" for key in _named(site.defaults)},
        **{key: _written(key.upper(), profile.origins) for key in _named(profile.resources)},
        **{key: f"--{key.replace('_', '-')}" for key in _named(resources)},
        **(places or {}),
    }
    wanted = resources.over(profile.resources).over(site.defaults)
    return ResourceRequest(resources=wanted, origins=origins)


def check_prefer(prefer: str | None, request: ResourceRequest) -> None:
    """Refuse what is no preference, or has nothing to choose from.

    Raises:
        UsageError: it is so.
    """
    if prefer is not None and prefer not in PREFERENCES:
        raise UsageError(f"--prefer {prefer}: write one of {', '.join(PREFERENCES)}")
    if prefer is not None and not request.is_auto:
        raise UsageError(
            f"--prefer {prefer} says how --partition auto chooses; add that, or leave --prefer out"
        )


def check_name(name: str | None) -> None:
    """Refuse a label that could not be typed, or shown in a table.

    Raises:
        UsageError: it is one.
    """
    if name is not None and not _NAME.fullmatch(name):
        raise UsageError(
            f"--name {name[:100]!r} cannot be a run's name: write up to 40 letters, digits and . _ + -, "
            "of which the first is a letter or digit"
        )


def _named(resources: Resources) -> Iterable[str]:
    values = resources.model_dump(exclude_none=True)
    return [key for key, value in values.items() if not isinstance(value, tuple)]


def _written(key: str, origins: Mapping[str, str]) -> str:
    where = origins.get(key, "the profile")
    return where if where.startswith("--set") else f"{key} in {where}"
