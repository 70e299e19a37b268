"""Older images on a cluster: which of them no job uses, and their removal."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import PurePosixPath

from slipway.errors import ParseError, RemoteError
from slipway.host.host import Host
from slipway.host.scratch import Scratch
from slipway.progress import Progress
from slipway.push.upload import newest_image
from slipway.runtime.base import FORMS, SIF, SUFFIXES
from slipway.scheduler.base import Scheduler

# Between a record and SLURM's word about its job, for a submission that is under way.
YOUNG_MINUTES = 15
# What an earlier removal has hidden, and did not come to remove, is first an image again, unless the same was
# pushed anew.
_FILES = """
cd -- "$1" || exit
for hidden in ."$2"-????????????????.*.gone; do
    shown=${hidden#.} shown=${shown%.gone}
    test -e "$hidden" || continue
    if test -e "$shown"; then rm -f -- "$hidden"; else mv -- "$hidden" "$shown"; fi || exit
done
find . -maxdepth 1 -type f -name "$2-*.*" -printf '%s %f\\0'
"""
# The newest of each form.
_NEWEST = """
for link; do [ ! -L "$link" ] || readlink -- "$link" || exit; done
"""
# The record's own line, and not what an argument or a setting may hold. To see none in a file is no failure.
_RECORDS = """
find "$1" -mindepth 2 -maxdepth 2 -name run.json -exec sh -c \
    'grep -HoZ "^ \\"sif\\": \\".*\\"" -- "$@"; test $? -lt 2' sh {} +
"""
_YOUNG = """
cd -- "$1" || exit
find . -mindepth 2 -maxdepth 2 -name run.json -mmin "-$2" -printf '%h\\n' | while read -r run; do
    set -- "$run"/attempt-*/result.json
    test -e "$1" || echo "${run#./}"
done
"""
_SUFFIX = "|".join(map(re.escape, SUFFIXES))
_RECORD = '/run.json\0 "sif": "'


@dataclass(frozen=True, kw_only=True)
class Uses:
    """What images are used for: the newest of each form, and the runs that need one, by its name."""

    newest: AbstractSet[str]
    runs: Mapping[str, str]

    def why(self, file_name: str) -> str | None:
        """Why an image has to stay, or ``None``."""
        if file_name in self.newest:
            return "is the newest"
        return f"is used by {self.runs[file_name]}" if file_name in self.runs else None


def prune_images(
    host: Host,
    scratch: Scratch,
    name: str,
    scheduler: Scheduler,
    progress: Progress,
    *,
    tell_kept: bool = True,
    forget: Callable[[Sequence[PurePosixPath]], None] = lambda paths: None,
) -> None:
    """Remove the images of a name that are older than the newest and that no job uses.

    ``forget`` is told of the files that are gone.

    An image is hidden first, and is removed only if the records of runs, which are written before their jobs
    are submitted, still do not name it. Where these or the scheduler cannot be asked, nothing is removed.
    """
    progress.step(f"Looking for older images of {name} that no job uses")
    if not host.runs_commands:
        progress.note(
            f"No older image of {name} was removed: the scheduler cannot be asked over file transfer alone"
        )
        return
    try:
        images = _find_images(host, scratch, name)
        if not images:
            return
        uses = _find_uses(host, scratch, name, scheduler)
        if uses is None:
            progress.note(
                f"No older image of {name} was removed: the scheduler, or a record in {scratch.runs}, "
                "cannot be read"
            )
            return
        kept = {file: why for file in images if (why := uses.why(file))}
        freed = _remove(host, scratch, name, scheduler, [file for file in images if file not in kept])
        forget([scratch.images / file for file in freed])
    except ParseError as error:
        progress.note(f"No older image of {name} was removed: {error}")
        return
    if freed or tell_kept:
        progress.note(describe(images, freed, kept if tell_kept else {}))


def describe(images: Mapping[str, int], removed: Iterable[str], kept: Mapping[str, str]) -> str:
    """What was removed and what was not, for a person.

    Args:
        images: sizes in bytes by file name.
        removed: those that are gone.
        kept: why others stay.
    """
    gone = list(removed)
    freed = sum(images[file] for file in gone)
    first = "No older image removed"
    if gone:
        some = "image" if len(gone) == 1 else "images"
        first = f"{len(gone)} older {some} removed, {freed / 1e6:,.1f} MB freed"
    return "\n".join([first, *(f"  {file} {why}" for file, why in kept.items())])


def parse_records(stdout: str) -> dict[str, list[str]]:
    """Runs by the name of their image, as grep prints the line of each record."""
    runs: dict[str, list[str]] = {}
    for line in stdout.split("\n")[:-1]:
        folder, is_record, sif = line.partition(_RECORD)
        if is_record and sif.endswith('"'):
            runs.setdefault(PurePosixPath(sif[:-1]).name, []).append(PurePosixPath(folder).name)
    return runs


def parse_images(stdout: str, name: str) -> dict[str, int]:
    """Sizes in bytes of the images of exactly this name, by file name."""
    named = re.compile(rf"{re.escape(name)}-[0-9a-f]{{16}}({_SUFFIX})")
    pairs = (entry.partition(" ") for entry in stdout.split("\0") if entry)
    return {file: int(size) for size, _, file in pairs if named.fullmatch(file)}


def _find_images(host: Host, scratch: Scratch, name: str) -> dict[str, int]:
    return parse_images(host.check(["sh", "-c", _FILES, "slipway", str(scratch.images), name]).stdout, name)


def _find_uses(host: Host, scratch: Scratch, name: str, scheduler: Scheduler) -> Uses | None:
    links = (str(newest_image(scratch, name, form)) for form in FORMS)
    newest = host.run(["sh", "-c", _NEWEST, "slipway", *links])
    records = host.run(["sh", "-c", _RECORDS, "slipway", str(scratch.runs)], timeout_s=600)
    young = host.run(["sh", "-c", _YOUNG, "slipway", str(scratch.runs), str(YOUNG_MINUTES)], timeout_s=600)
    active = scheduler.active_names(host)
    if active is None or not newest.stdout or not all(one.ok for one in (newest, records, young)):
        return None
    alive = active | set(young.stdout.split())
    runs = parse_records(records.stdout)
    used = {file: next((run for run in names if run in alive), None) for file, names in runs.items()}
    return Uses(newest=set(newest.stdout.splitlines()), runs={file: run for file, run in used.items() if run})


def _remove(host: Host, scratch: Scratch, name: str, scheduler: Scheduler, files: list[str]) -> list[str]:
    places = {file: scratch.images / f".{file}.gone" for file in files}
    hidden = {file: place for file, place in places.items() if _move(host, scratch.images / file, place)}
    uses = _find_uses(host, scratch, name, scheduler) if files else None
    removed = []
    for file, place in hidden.items():
        if uses is None or uses.why(file):
            _move(host, place, scratch.images / file)
            continue
        host.remove(place)
        removed.append(file)
    if uses is not None or not files:
        _forget(host, scratch, name)
    return removed


def _move(host: Host, old: PurePosixPath, new: PurePosixPath) -> bool:
    """Rename; false where somebody else, who removes the same, was faster."""
    try:
        host.move(old, new)
    except RemoteError:
        if host.size(old) is not None:
            raise
        return False
    return True


def _forget(host: Host, scratch: Scratch, name: str) -> None:
    """Remove what was written beside images that are gone."""
    there = set(host.list(scratch.images))
    record = re.compile(rf"({re.escape(name)}-[0-9a-f]{{16}})({_SUFFIX})?\.json")
    for file in there:
        match = record.fullmatch(file)
        image = match and match[1] + (match[2] or SIF.files[0])
        if image and not {image, f".{image}.gone"} & there:
            host.remove(scratch.images / file)
