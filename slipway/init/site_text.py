"""The text of a site's file, of what a cluster says of itself and a person has chosen. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from slipway.init.cluster import ClusterFacts, Folder
from slipway.yaml_text import Entries, entry_lines, flow


@dataclass(frozen=True, kw_only=True)
class SiteChoice:
    """What is written into a site's file.

    Attributes:
        name: the site's.
        host: the login node.
        user: there; ``None`` for what ssh's configuration says.
        scratch: as written.
        container: the command, and the module that it needs; ``None`` where neither was found.
        account: who pays; ``None`` where nothing has to be said.
        partition: where jobs go that name none.
        gpu_request: how GPUs are asked for; ``None`` where there are none.
        accounts: those that there are, with their QOS.
        queues: the partitions, as :func:`slipway.steps.queues.missing_entries` has them.
    """

    name: str
    host: str
    user: str | None = None
    scratch: str
    container: tuple[str, str | None] | None = None
    account: str | None = None
    partition: str | None = None
    gpu_request: str | None = None
    accounts: Mapping[str, Sequence[str]]
    queues: Entries


def render_site(choice: SiteChoice, facts: ClusterFacts, day: date) -> str:
    """The text of ``cluster/<site>.yaml``."""
    return "".join(f"{line}\n" for line in _lines(choice, facts, day))


def free_words(folder: Folder) -> str:
    """A folder as a person reads it: ``$SCRATCH (/scratch/me, 1,234 GB free)``."""
    known = folder.path if folder.name else ""
    free = "" if folder.free_bytes is None else f"{folder.free_bytes / 1e9:,.0f} GB free"
    inside = ", ".join(word for word in (known, free) if word)
    return f"{folder.written} ({inside})" if inside else folder.written


def _lines(choice: SiteChoice, facts: ClusterFacts, day: date) -> Iterator[str]:
    yield f"# {choice.name}, as `slipway site.add` found it on {day}. `slipway queues --write` adds what is"
    yield "# new in queues; cluster/example.yaml, which comes with Slipway, explains every key."
    yield "login:"
    yield f"  host: {flow(choice.host)}"
    if choice.user:
        yield f"  user: {flow(choice.user)}"
    yield "scheduler: slurm"
    yield "paths:"
    yield from _comment(f"What could be written to: {'; '.join(map(free_words, facts.folders))}.", 2)
    yield f"  scratch: {flow(choice.scratch)}"
    yield from _node_local(facts)
    yield from _container(choice, facts)
    yield from _defaults(choice)
    if choice.gpu_request:
        yield f"gpu_request: {choice.gpu_request}"
    yield "queues:"
    yield from (f"  {line}" for line in entry_lines(choice.queues))


def _node_local(facts: ClusterFacts) -> Iterator[str]:
    folder, size = facts.values.get("tmp_folder"), facts.values.get("tmp_mb", "0").rstrip("+")
    if folder and re.fullmatch(r"[1-9][0-9]{0,17}", size):
        yield from _comment(
            f"The nodes' own disk, of {int(size) / 1000:,.0f} GB at most, by SLURM's settings. To read "
            "images from there, if jobs may use it:",
            2,
        )
        yield f"  # node_local: {folder}"


def _container(choice: SiteChoice, facts: ClusterFacts) -> Iterator[str]:
    command, module = choice.container or ("apptainer", None)
    others = [one for one in facts.modules if one != module and one not in facts.proxies]
    if others:
        yield from _comment(f"Others of this sort: {', '.join(others[:10])}.", 0)
    if facts.proxies:
        yield from _comment(
            "By which nodes may reach the internet, where they cannot by themselves: "
            f"{', '.join(facts.proxies)}.",
            0,
        )
    if module:
        yield f"modules: [{flow(module)}]"
    elif choice.container is None:
        yield "# Neither Apptainer nor Singularity was found, and no module of that name:"
        yield "# modules: [apptainer]"
    yield "container:"
    yield f"  command: {command}"
    if not facts.reads_zstd:
        yield f"  # The kernel there, {facts.values['kernel']}, cannot read zstd."
        yield "  compression: gzip"


def _defaults(choice: SiteChoice) -> Iterator[str]:
    yield "defaults:"
    for account, qos in choice.accounts.items():
        yield from _comment(f"Your account {account}{f', with qos {_list(qos)}' if qos else ''}.", 2)
    values: dict[str, Any] = {"account": choice.account, "partition": choice.partition}
    for key, value in values.items():
        if value:
            yield f"  {key}: {flow(value)}"
    # Else a job may have the longest time there is, and wait the longest.
    yield '  time: "1:00:00"'


def _list(words: Sequence[str]) -> str:
    return ", ".join(words)


def _comment(text: str, indent: int) -> Iterator[str]:
    import textwrap

    begin = f"{' ' * indent}# "
    yield from textwrap.wrap(
        text,
        110,
        initial_indent=begin,
        subsequent_indent=begin,
        break_long_words=False,
        break_on_hyphens=False,
    )
