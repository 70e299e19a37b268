"""What a replay asks its scheduler for, and in what its site is not as it was. Nobody is asked."""

from __future__ import annotations

import json
from collections.abc import Collection

from slipway.errors import JobError
from slipway.job.flat import flatten
from slipway.job.run import Run
from slipway.job.secret import without_commands
from slipway.model import WrongValueError, field_names, read_json
from slipway.profile import Profile
from slipway.resources import Resources
from slipway.scheduler.choose import FIELDS
from slipway.scheduler.limits import ResourceRequest
from slipway.scheduler.slurm.resources import SlurmResources
from slipway.site import Site

# What of a request is a site's own, and means nothing at another.
_SITE_FIELDS = ("partition", "account", "qos", "constraint", "sbatch", "qsub")
# What of a site's file decides how a job runs that has its resources already.
_SITE_VALUES = (
    *("scheduler", "before", "modules", "container", "gpu_request", "grace_s", "paths", "output"),
    # With PBS.
    *("dialect", "account_option", "gpu_type", "chunk"),
)


def ask_again(
    run: Run, site: Site, profile: Profile | None, changed: Collection[str], resources: Resources
) -> tuple[ResourceRequest, list[str]]:
    """What is asked for: by the command line, by ``--set``, and as the run had it; and what is left out.

    Args:
        run: the run.
        site: where it is to run.
        profile: with the keys that are ``changed``; ``None`` where none is.
        changed: the keys that ``--set`` names.
        resources: what the command line asks for.

    Raises:
        JobError: the run has asked for something that is not known any more.
    """
    old, notes, is_elsewhere = _recorded(run), [], site.name != run.site
    if old.dependency is not None:
        notes.append(
            f"{run.run_id} waited for {old.dependency}; this one does not, unless --dependency is given"
        )
    gone = [key for key in (*(_SITE_FIELDS if is_elsewhere else ()), "dependency") if getattr(old, key)]
    if left := [key for key in gone if key != "dependency"]:
        notes.append(f"{', '.join(left)}: left out, since they are {run.site}'s own")
    nothing = FIELDS()
    base = old.model_copy(update={key: getattr(nothing, key) for key in gone})
    origins = dict.fromkeys(_named(base), f"as in {run.run_id}")
    if is_elsewhere:
        defaults = {key: f"defaults.{key} in {site.file}" for key in _named(site.defaults)}
        origins, base = defaults | origins, base.over(site.defaults)
    if profile is not None:
        keys = [key for key in field_names(FIELDS) if key.upper() in changed]
        base = base.model_copy(update={key: getattr(profile.resources, key) for key in keys})
        origins |= {key: f"--set {key.upper()}" for key in keys}
    origins |= {key: f"--{key}" for key in _named(resources)}
    return ResourceRequest(resources=resources.over(base), origins=origins), notes


def site_changes(run: Run, site: Site) -> list[str]:
    """The keys of a site's file that say something else than when the run was submitted."""
    if site.name != run.site:
        return []
    new = without_commands(site.model_dump(mode="json"))
    # What only one of the two has may be a key that another Slipway knows.
    both = [key for key in _SITE_VALUES if key in new and key in run.site_values]
    now, then = (flatten({key: values[key] for key in both}) for values in (new, run.site_values))
    return sorted(key for key in {*now, *then} if now.get(key) != then.get(key))


def _recorded(run: Run) -> SlurmResources:
    values = {key: value for key, value in run.resources.items() if key in field_names(FIELDS)}
    try:
        # As JSON, whose lists may be what is a tuple here.
        return read_json(FIELDS, json.dumps(values))
    except WrongValueError as error:
        problem = error.problem
        raise JobError(
            f"{run.run_id} asked for {problem['loc'][0]} {problem['input']!r}, which cannot be asked for any "
            f"more: {problem['msg']}"
        ) from error


def _named(resources: Resources) -> list[str]:
    values = resources.model_dump(exclude_none=True)
    return [key for key, value in values.items() if not isinstance(value, tuple)]
