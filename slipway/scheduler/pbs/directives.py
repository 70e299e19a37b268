"""The options of qsub that a job has, each with its value in one word: ``-Nname``."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from slipway.errors import JobError
from slipway.quantity import mebibytes, minutes
from slipway.scheduler.pbs.array import array_value, told_tasks
from slipway.scheduler.pbs.name import job_name
from slipway.scheduler.pbs.option import as_word, joined
from slipway.scheduler.pbs.resources import PbsResources
from slipway.scheduler.pbs.site import PbsSite
from slipway.scheduler.queues import AUTO

# Kinds of dependency that PBS has as well.
_AFTER = frozenset({"after", "afterany", "afterok", "afternotok"})


def directives(
    *,
    name: str,
    log: PurePosixPath,
    resources: PbsResources,
    site: PbsSite,
    shortest_minutes: int | None = None,
) -> list[str]:
    """The options of qsub, in order.

    Args:
        name: the job's name here; PBS's begins with a letter.
        log: where PBS's own words go. The script's output goes to a log of its own for each attempt.
        resources: what is asked for.
        site: how it wants that asked for, and how long before its time limit a program is warned.
        shortest_minutes: where tasks share the job, the time of the shortest that may run at its end.

    Raises:
        JobError: something is asked for that PBS has not, or of which the site's file does not say how.
    """
    if resources.continue_after_limit:
        raise JobError(
            "continue_after_limit: PBS lets only its operators begin a job again (qrerun), so none can go on "
            "by itself; leave it out, and submit the next one with `invoke retry`"
        )
    options = [
        as_word("N", job_name(name)),
        as_word("j", "oe"),
        as_word("o", str(log)),
        as_word("r", "y"),
        *(as_word("l", value) for value in _asked(resources, site)),
        *_named_options(resources, site),
        as_word("v", ",".join(_told(resources, site, shortest_minutes))),
    ]
    return [*options, *map(joined, resources.qsub)]


def _named_options(resources: PbsResources, site: PbsSite) -> Iterator[str]:
    if resources.partition not in (None, AUTO):
        if "," in str(resources.partition):
            raise JobError(f"partition {resources.partition}: PBS takes one queue; name one of them")
        yield as_word("q", str(resources.partition))
    if resources.account is not None:
        letter, _, word = site.account_option[1:].partition(" ")
        yield as_word(letter, f"{word}={resources.account}" if word else resources.account)
    if resources.array is not None:
        value = array_value(resources.array, site.dialect)
        if value is not None:
            yield as_word("t" if site.dialect == "torque" else "J", value)
    if resources.dependency is not None:
        yield as_word("W", f"depend={_dependency(resources.dependency)}")


def _asked(resources: PbsResources, site: PbsSite) -> Iterator[str]:
    """The values of ``-l``."""
    yield _torque_nodes(resources, site) if site.dialect == "torque" else _select(resources, site)
    if site.dialect == "openpbs":
        place = "scatter" if (resources.nodes or 1) > 1 else "pack"
        yield f"place={place}{':excl' if resources.exclusive else ''}"
    if resources.mem is not None and site.dialect == "torque":
        # This is for the whole job, and what is asked for is for each node.
        yield f"mem={megabytes(resources.mem) * (resources.nodes or 1)}mb"
    if resources.time is not None and (limit := walltime(resources.time)):
        yield f"walltime={limit}"


def _select(resources: PbsResources, site: PbsSite) -> str:
    chunk = [f"ncpus={resources.cpus or 1}"]
    if resources.mem is not None:
        chunk.append(f"mem={megabytes(resources.mem)}mb")
    return f"select={resources.nodes or 1}:{':'.join([*chunk, *_gpus(resources, site)])}{site.chunk}"


def _torque_nodes(resources: PbsResources, site: PbsSite) -> str:
    if resources.exclusive:
        raise JobError(
            "exclusive: Torque gives whole nodes by a rule of its scheduler's; leave it out, and write the "
            f'option that your site has for it, such as "-n", to defaults.qsub in {site.file_to_change}'
        )
    parts = [f"ppn={resources.cpus or 1}", *_gpus(resources, site)]
    return f"nodes={resources.nodes or 1}:{':'.join(parts)}{site.chunk}"


def _gpus(resources: PbsResources, site: PbsSite) -> Iterator[str]:
    if not resources.gpu_count or site.gpu_request == "none":
        return
    name = "gpus" if site.dialect == "torque" and site.gpu_request == "ngpus" else site.gpu_request
    yield f"{name}={resources.gpu_count}"
    if resources.gpu_type is None:
        return
    if site.dialect == "torque":
        # A property of the node.
        yield resources.gpu_type
    elif site.gpu_type is None:
        raise JobError(
            f"gpus {resources.gpus}: PBS has no name of its own for kinds of GPUs; write that of your site "
            f"as gpu_type (such as gpu_type: gpu_model) to {site.file_to_change}, or ask for "
            f"--gpus {resources.gpu_count}"
        )
    else:
        yield f"{site.gpu_type}={resources.gpu_type}"


def _told(resources: PbsResources, site: PbsSite, shortest_minutes: int | None) -> Iterator[str]:
    """What the job script cannot find out by itself, as variables of the job."""
    limit = limit_s(resources.time) if resources.time is not None else None
    grace = site.grace_s
    shortest = [limit, None if shortest_minutes is None else shortest_minutes * 60]
    if known := [one for one in shortest if one is not None]:
        # Never in the first half of its time.
        grace = min(grace, min(known) // 2)
    yield f"slipway_grace_s={grace}"
    if limit is not None:
        yield f"slipway_limit_s={limit}"
    if resources.array is not None and (tasks := told_tasks(resources.array, site.dialect)):
        yield f"slipway_tasks={tasks}"


def limit_s(time: str) -> int | None:
    """A time limit in seconds; ``None`` for none."""
    limit = minutes(time) * 60
    return None if limit == float("inf") else math.ceil(limit)


def walltime(time: str) -> str | None:
    """A time limit as PBS has it, ``1:30:00``; ``None`` for none."""
    limit = limit_s(time)
    return None if limit is None else f"{limit // 3600}:{limit // 60 % 60:02}:{limit % 60:02}"


def megabytes(memory: str) -> int:
    """Memory in PBS's ``mb``, which are 2^20 bytes."""
    return max(1, math.ceil(mebibytes(memory)))


def _dependency(written: str) -> str:
    """``afterok:123_4`` as PBS has it: ``afterok:123[4]``."""
    if "?" in written:
        raise JobError(
            f"dependency {written}: PBS has no `?`; all conditions have to come true, with a comma between"
        )
    for part in written.split(","):
        kind, *jobs = part.split(":")
        if kind not in _AFTER:
            raise JobError(f"dependency {kind}: PBS has {', '.join(sorted(_AFTER))}")
        if any("+" in job for job in jobs):
            raise JobError(
                f"dependency {part}: PBS has no minutes behind a job's id; leave out the + and what follows"
            )
    return re.sub(r"_([0-9]+)", r"[\1]", written)
