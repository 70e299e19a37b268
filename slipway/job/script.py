"""Jobs: what is to run, and the script that runs it. Nothing here talks to anybody."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from slipway.errors import JobError
from slipway.job.bundles import Bundles
from slipway.job.run import RunPaths, Shell
from slipway.job.template import Template
from slipway.quantity import mebibytes
from slipway.resources import Resources
from slipway.runtime.base import Image, Mount, Wanted
from slipway.runtime.choose import find_runtime
from slipway.scheduler.find import find_scheduler
from slipway.site import Site

# Those of cluster/job/ that bear the name of what they are for.
_BLOCKS = (
    "packed",
    "image_guard",
    "node_local",
    "multi_node",
    "node_output",
    "usage",
    "chain",
    "shell",
    "elements",
    "bundles",
    "lanes",
    "tries",
)
# What Linux takes: one argument (MAX_ARG_STRLEN, with its zero byte), and all of them with a stack of 8 MiB.
_WORD_BYTES = 128 * 1024
_WORDS_BYTES = 2 * 1024 * 1024 - 64 * 1024


@dataclass(frozen=True, kw_only=True)
class Job:
    """One program in one container on one cluster; all paths are the cluster's."""

    run_id: str
    run_dir: PurePosixPath
    image: PurePosixPath
    code: PurePosixPath
    data: PurePosixPath
    weights: PurePosixPath
    resources: Resources
    # The id of the Docker image that the image came from.
    image_id: str = ""
    # Whether the container gets the user's home folder.
    home: bool = False
    # Datasets that are each one file, by the names that they have below /data.
    packed: Mapping[str, PurePosixPath] = field(default_factory=dict)
    # A folder of caches that outlives the job.
    cache: PurePosixPath | None = None
    # What is run is whatever joins the job.
    shell: Shell | None = None
    # Each task of the array has arguments of its own.
    elements: bool = False
    # Which tasks of the array share a job.
    bundles: Bundles | None = None
    # The folders of the runs that this one tries once more, the first one first.
    tries: tuple[PurePosixPath, ...] = ()


def render_script(job: Job, site: Site, template: Template) -> str:
    """The text of the job script, with the blocks that this job uses and no others.

    Args:
        job: what is to run.
        site: where; its modules, its lines, its container command and how it wants GPUs asked for.
        template: ``cluster/job.sh`` and ``cluster/job/``.

    Raises:
        ConfigError: the template lacks one of the lines or blocks.
        JobError: data that the job sees are packed, and its container runtime cannot bind those; or it is
            there for a shell, and no shell can join it.
    """
    parts = _parts(job, site)
    values = {
        "directives": find_scheduler(site.scheduler).script_lines(directives(job, site)),
        "settings": _settings(job, site),
        "modules": [
            f"{shlex.join(['module', 'load', name])} || finish 1 launch-failure" for name in site.modules
        ],
        "before": site.before.splitlines(),
        "node_local_path": [f'node_local="{site.paths.node_local}"'] if "node_local" in parts else [],
    }
    runtime = find_runtime(site.container.command)
    if job.shell is not None and not site.jobs_are_joined:
        raise JobError(
            f"{site.name}: no shell joins a job there as on a cluster; `invoke ngc.login {site.name}` has "
            "one that is there for shells"
        )
    if job.packed and not runtime.binds_packed:
        raise JobError(
            f"{', '.join(sorted(job.packed))}: packed data, which {site.container.command} cannot bind; "
            f"`invoke data.stage` without --pack makes a folder of them at {site.name}"
        )
    blocks: dict[str, str] = {"scheduler": site.scheduler, **runtime.blocks}
    blocks |= {name: name for name in _BLOCKS if name in parts}
    if "multi_node" in parts:
        blocks["on_each_node"] = f"{site.scheduler}_nodes"
    if "chain" in parts:
        blocks["begin_again"] = f"{site.scheduler}_requeue"
    if {"node_local", "cache"} <= parts:
        blocks["node_cache"] = "node_cache"
    if {"node_local", "image_file"} <= parts:
        blocks["node_image"] = "node_image"
    return template.fill(values, blocks, parts)


def _parts(job: Job, site: Site) -> frozenset[str]:
    """What of the template this job uses."""
    several, bundles = (job.resources.nodes or 1) > 1, job.bundles
    runtime = find_runtime(site.container.command)
    used = {
        "single_node": not several,
        "multi_node": several,
        "node_local": site.paths.node_local is not None,
        "cache": job.cache is not None,
        "usage": bool(job.resources.gpu_count and site.usage_sample_s),
        "chain": bool(job.resources.continue_after_limit),
        "shell": job.shell is not None,
        "no_shell": job.shell is None,
        # Where a container ends with its standard input, a shell's does so by itself.
        "own_stdin": job.shell is not None or "engine" not in runtime.parts,
        "elements": job.elements,
        "alone": bundles is None,
        "bundles": bundles is not None,
        "lanes": bundles is not None and bundles.width > 1,
        "same_words": not job.elements,
        "tries": bool(job.tries),
        # Several nodes share /out, which is then on scratch.
        "node_output": site.output == "node-local" and not several,
        "packed": bool(job.packed),
        "image_guard": runtime.guards_image(site.container.flags, packed=bool(job.packed)),
        **dict.fromkeys(runtime.parts, True),
    }
    used["notes"] = any(used[name] for name in ("chain", "node_output", "shell", "bundles"))
    return frozenset(name for name, wanted in used.items() if wanted)


def directives(job: Job, site: Site) -> list[str]:
    """The options of the submission, in order.

    Raises:
        JobError: they contradict each other.
    """
    log = RunPaths(job.run_dir).slurm_log
    shortest = job.bundles.shortest_minutes if job.bundles else None
    return find_scheduler(site.scheduler).directives(
        name=job.run_id, log=log, resources=job.resources, site=site, shortest_minutes=shortest
    )


def container_command(job: Job, site: Site) -> list[str]:
    """The argv that starts the container, without the image, the output folder and the program."""
    return find_runtime(site.container.command).command(_wanted(job, site))


def _wanted(job: Job, site: Site) -> Wanted:
    mounts = [
        Mount(source=job.code, target="/code"),
        # Where data are packed, the script binds each dataset by itself.
        *([] if job.packed else [Mount(source=job.data, target="/data")]),
        Mount(source=job.weights, target="/weights"),
    ]
    # SLURM's 0 is all that the node has.
    memory = mebibytes(job.resources.mem) if job.resources.mem else 0
    return Wanted(
        mounts=mounts,
        home=job.home,
        gpus=bool(job.resources.gpu_count),
        memory_mib=memory or None,
        flags=site.container.flags,
        binds=site.container.binds,
    )


def words_file(words: Sequence[str]) -> bytes:
    """Arguments or settings as the script reads them: each ended by a zero byte.

    Raises:
        JobError: a word has a zero byte in it, or they are longer than what a program can be given.
    """
    encoded = [word.encode("utf-8", errors="surrogateescape") for word in words]
    for word in encoded:
        if b"\0" in word:
            raise JobError(f"{_shown(word)} has a zero byte in it, which no program can be given")
        if len(word) >= _WORD_BYTES:
            raise JobError(
                f"{_shown(word)} has {len(word)} bytes; Linux gives a program at most "
                f"{_WORD_BYTES - 1} in one argument: put it in a file of the code or the data"
            )
    # Each has a pointer, too.
    size_bytes = sum(len(word) + 1 + 8 for word in encoded)
    if size_bytes > _WORDS_BYTES:
        raise JobError(
            f"{len(words)} words of {size_bytes} bytes are more than the {_WORDS_BYTES} that Linux gives a "
            "program: put them in a file of the code or the data"
        )
    return b"".join(word + b"\0" for word in encoded)


def _shown(word: bytes) -> str:
    text = repr(word.decode("utf-8", errors="backslashreplace"))
    return text if len(text) <= 60 else f"{text[:57]}…"


def _settings(job: Job, site: Site) -> list[str]:
    parts, runtime = _parts(job, site), find_runtime(site.container.command)
    image = Image(path=job.image, image_id=job.image_id)
    return [
        f"run_id={shlex.quote(job.run_id)}",
        f"run_dir={shlex.quote(str(job.run_dir))}",
        f"image={shlex.quote(str(job.image))}",
        *(_packed_settings(job) if "packed" in parts else []),
        *([f"nodes={job.resources.nodes}"] if "multi_node" in parts else []),
        *([f"tries=({shlex.join(map(str, reversed(job.tries)))})"] if "tries" in parts else []),
        *([f"cache={shlex.quote(str(job.cache))}"] if "cache" in parts else []),
        *([f"continue_after_limit={job.resources.continue_after_limit}"] if "chain" in parts else []),
        *([f"shell_stays={'yes' if job.shell is Shell.STAYS else ''}"] if "shell" in parts else []),
        *([f"output_interval_s={site.output_interval_s}"] if "node_output" in parts else []),
        *(_bundle_settings(job.bundles, job.resources, site) if job.bundles else []),
        *([f"usage_sample_s={site.usage_sample_s}"] if "usage" in parts else []),
        *runtime.settings(_wanted(job, site), image),
        f"container=({shlex.join(container_command(job, site))})",
    ]


def _bundle_settings(bundles: Bundles, wanted: Resources, site: Site) -> list[str]:
    settings = [f"job_s={60 * (bundles.job_minutes or 0)}", f"grace_s={site.grace_s}"]
    if bundles.width > 1:
        settings += [f"side_by_side={bundles.width}", f"gpus_each={wanted.gpu_count // bundles.width}"]
    return settings


def _packed_settings(job: Job) -> list[str]:
    words = (f"{name}={path}" for name, path in sorted(job.packed.items()))
    return [f"data={shlex.quote(str(job.data))}", f"packed=({shlex.join(words)})"]
