"""Scratch: set, there, writable, with room."""

from __future__ import annotations

import re

from slipway.doctor.check import Answer, Check, Facts, Place
from slipway.doctor.finding import Finding, failed, ok, warning
from slipway.doctor.program import variables

_UNSET, _UNWRITABLE, _FULL = 3, 4, 5
_LITTLE_BYTES, _HARDLY_ANY_BYTES = 5e9, 100e6
_FEW_FILES, _HARDLY_ANY_FILES = 20_000, 500
_ROW = re.compile(r"\s([0-9]{1,18})\s+([0-9]{1,18})\s+(-?[0-9]{1,18})\s+(?:[0-9]{1,18}%|-)\s")
_SO = "`invoke push`, `stage` and `job` would be refused"
# Nothing is made but a file that is removed at once; the next `push` makes the folder itself.
_ASK = """
folder=$(nearest "$scratch/slipway")
echo "scratch $scratch"
echo "nearest $folder"
[ -d "$scratch" ] || echo "missing yes"
file=$(mktemp "$folder/.slipway-doctor.XXXXXX") || exit 4
head -c 65536 /dev/zero >"$file"
code=$?
rm -f -- "$file"
[ "$code" -eq 0 ] || exit 5
"""


def _ask(facts: Facts) -> str:
    names = " ".join(variables(facts.there.paths.scratch))
    unset = f'for name in {names}; do [ -n "${{!name-}}" ] || {{ echo "unset $name"; exit 3; }}; done\n'
    return (unset if names else "") + _ASK


def _look(facts: Facts, answer: Answer) -> Finding:
    written, key = facts.there.paths.scratch, f"paths.scratch in {facts.file}"
    folder, nearest = answer.value("scratch") or written, answer.value("nearest") or ""
    if answer.exit_code == _UNSET:
        seen = f"{written}, but ${answer.value('unset')} is not set in a login shell there"
        return failed(seen, so=_SO, fix=f"write the path itself as {key}, or set the variable there")
    missing = answer.value("missing") is not None
    if answer.exit_code == _FULL:
        so = f"{_SO}: no space left on device"
        return failed(f"{folder} takes no more: {_last(answer)}", so=so, fix=_make_room(facts))
    if answer.exit_code == _UNWRITABLE:
        what = "does not exist and cannot be made" if missing else f"cannot be written to ({nearest})"
        fix = f"correct {key}, or ask the site for a folder of yours there"
        return failed(f"{folder} {what}: {_last(answer)}", so=_SO, fix=fix)
    if missing:
        so = "the first `invoke push` would make it; is that meant?"
        return warning(f"{folder} does not exist yet", so=so, fix=f"correct {key}, or make it there")
    return ok(folder)


def _last(answer: Answer) -> str:
    lines = answer.text.strip().splitlines()
    return lines[-1][:200] if lines else "it does not say why"


def _make_room(facts: Facts) -> str:
    return (
        f"`invoke runs.prune --site {facts.there.name}` shows what of Slipway's may go; `invoke push --prune`"
    )


def _look_at_room(facts: Facts, answer: Answer) -> Finding:
    rows = [tuple(map(int, row)) for row in _ROW.findall(answer.text)]
    if not rows:
        return warning(
            f"df there says {answer.words[:100]!r}", so="the room is not known", fix="look by hand"
        )
    files = (rows[1][0], rows[1][2]) if len(rows) > 1 else (0, 0)
    needed = facts.sif.size_bytes if facts.sif else 0
    return judge_room(facts, rows[0][2] * 1024, files, needed)


def judge_room(facts: Facts, free_bytes: int, files: tuple[int, int], needed_bytes: int) -> Finding:
    """What so much room is enough for.

    Args:
        facts: for words.
        free_bytes: on the disk of scratch.
        files: how many files it can have at all, and how many more; file systems without a limit say 0.
        needed_bytes: the size of the image that is to be sent.
    """
    most, left = files
    shown = f"{free_bytes / 1e9:,.1f} GB" + (f" and {left:,} files" if most else "")
    seen, fix = f"{shown} free", _make_room(facts)
    if free_bytes < max(_HARDLY_ANY_BYTES, needed_bytes):
        wanted = f", and the image takes {needed_bytes / 1e9:,.1f} GB" if needed_bytes else ""
        return failed(f"{seen}{wanted}", so="`invoke push` would end for lack of room", fix=fix)
    if most and left < _HARDLY_ANY_FILES:
        return failed(seen, so="no more files can be made, however much room there is", fix=fix)
    if free_bytes < _LITTLE_BYTES or (most and left < _FEW_FILES):
        return warning(seen, so="a job's results may not fit", fix=fix)
    return ok(seen)


CHECKS = (
    Check(
        name="scratch",
        title="scratch",
        place=Place.THERE,
        about="`paths.scratch` is set there, exists or can be made, and can be written to.",
        predicts="`push`, `stage` and `job` are refused.",
        look=_look,
        ask=_ask,
    ),
    Check(
        name="room",
        title="room there",
        place=Place.THERE,
        about="Free bytes and files (inodes) of scratch, beside the size of the image.",
        predicts="`push` ends for lack of room; a job loses its results.",
        look=_look_at_room,
        ask=lambda _: 'folder=$(nearest "$scratch/slipway"); df -Pk -- "$folder"; df -Pi -- "$folder"',
        needs=("scratch",),
    ),
)
