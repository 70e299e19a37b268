"""What jobs used and were given, by the attributes of jobs that are over."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from slipway.host.host import Host
from slipway.scheduler.base import Job, JobQuery
from slipway.scheduler.pbs.attributes import Attributes
from slipway.scheduler.pbs.job import hosts_of, parse_clock, parse_number
from slipway.scheduler.pbs.query import ask_all, found_jobs
from slipway.scheduler.usage import Usage, UsageAnswer

_SIZE = re.compile(r"([0-9]{1,18})(b|kb|mb|gb|tb|pb|w|kw|mw|gw|tw|pw)?")
_PREFIXES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}
# A word is one of the machine's that PBS runs on.
_WORD_BYTES = 8
_CHUNK = re.compile(r"(?:([0-9]{1,9}):)?(.*)")


def find_usage(host: Host, wanted: Sequence[JobQuery]) -> UsageAnswer:
    """What PBS knows of these jobs, of their last attempt; where it keeps no history, nothing.

    Raises:
        SshError: the connection was lost.
    """
    answer = ask_all(host, wanted)
    usages = {
        (job.name, job.task): usage_of(job, attributes)
        for job, attributes in found_jobs(answer.jobs, wanted)
        if job.state.is_over and not _is_whole_array(job)
    }
    return UsageAnswer(usages=usages, problem=answer.problem)


def find_memory(host: Host, wanted: Sequence[JobQuery]) -> Mapping[str, int]:
    """The bytes that jobs were given on each node, by their names, as far as they have asked for some.

    Raises:
        SshError: the connection was lost.
    """
    if not wanted:
        return {}
    found = {}
    for job, attributes in found_jobs(ask_all(host, wanted).jobs, wanted):
        size = given_bytes(attributes)
        if size:
            found[job.name] = size
    return found


def usage_of(job: Job, attributes: Attributes) -> Usage:
    """What one job used."""
    elapsed_s = job.elapsed_s or 0
    cpus = parse_number(attributes.get("Resource_List.ncpus", "")) or _torque_cpus(attributes)
    cpu_s = parse_clock(attributes.get("resources_used.cput", ""))
    return Usage(
        elapsed_s=elapsed_s,
        longest_s=elapsed_s,
        limit_s=job.limit_s,
        nodes=len(hosts_of(attributes)) or None,
        cpus=cpus,
        cpu_s=None if cpu_s is None else float(cpu_s),
        core_s=None if cpus is None or cpu_s is None else float(cpus * elapsed_s),
        # It is of all nodes together.
        peak_memory_bytes=_on_one_node(parse_size(attributes.get("resources_used.mem", "")), attributes),
        asked_memory_bytes=given_bytes(attributes),
        gpus=_gpus(attributes),
    )


def given_bytes(attributes: Attributes) -> int | None:
    """The memory that a job has on each node; PBS has that of all nodes together."""
    return _on_one_node(parse_size(attributes.get("Resource_List.mem", "")), attributes)


def parse_size(text: str) -> int | None:
    """``16gb`` in bytes; ``None`` where it is no size."""
    match = _SIZE.fullmatch(text.strip().lower())
    if match is None:
        return None
    unit = match[2] or "b"
    return int(match[1]) * _PREFIXES[unit[:-1]] * (_WORD_BYTES if unit.endswith("w") else 1)


def _on_one_node(size: int | None, attributes: Attributes) -> int | None:
    return None if size is None else size // (parse_number(attributes.get("Resource_List.nodect", "")) or 1)


def _gpus(attributes: Attributes) -> int | None:
    """GPUs of all nodes: a resource of the job's in PBS Professional, and part of ``nodes`` in Torque."""
    if "Resource_List.ngpus" in attributes:
        return parse_number(attributes["Resource_List.ngpus"])
    nodes = attributes.get("Resource_List.nodes")
    return _of_chunks(nodes, "gpus") if nodes else 0


def _torque_cpus(attributes: Attributes) -> int | None:
    nodes = attributes.get("Resource_List.nodes")
    return _of_chunks(nodes, "ppn") or None if nodes else None


def _of_chunks(text: str, name: str) -> int:
    """A number of ``2:ppn=4:gpus=1+1:ppn=2``, of all its nodes."""
    total = 0
    for chunk in text.split("+"):
        match = _CHUNK.fullmatch(chunk)
        words = dict(word.partition("=")[::2] for word in match[2].split(":")) if match else {}
        total += int(match[1] or 1) * (parse_number(words.get(name, "")) or 0) if match else 0
    return total


def _is_whole_array(job: Job) -> bool:
    return "[]" in job.job_id and job.task is None
