"""The profile's image on the cluster, beside the one here."""

from __future__ import annotations

import re
import shlex
from pathlib import PurePosixPath

from slipway.doctor.check import Answer, Check, Facts, Place
from slipway.doctor.finding import Finding, failed, ok, skipped, warning
from slipway.errors import ParseError
from slipway.image.inputs import explain_stale
from slipway.push.upload import PushedSif, parse_record
from slipway.runtime.choose import find_runtime

_MISSING, _BROKEN, _NO_RECORD = 3, 4, 5
_SO = "`invoke job` would be refused"
_ASK = """
link=$scratch/slipway/images/$link
file=$(readlink -e -- "$link") || { [ -L "$link" ] && exit 4; exit 3; }
echo "file $file"
echo "size $(stat -c %s -- "$file")"
[ -r "$file" ] || echo "closed yes"
record=$file.json
case $file in *.sif) record=${file%.sif}.json ;; esac
[ -e "$record" ] || exit 5
echo "record $(tr -d '\\n' <"$record")"
"""


def _look(facts: Facts, answer: Answer) -> Finding:
    push = f"`invoke push --profile {facts.profile.name} --site {facts.there.name}`"
    if answer.exit_code == _MISSING:
        return failed(f"{facts.profile.image} was not sent yet", so=_SO, fix=push)
    if answer.exit_code == _BROKEN:
        seen = f"{_link(facts)} points to an image that is gone"
        return failed(seen, so=_SO, fix=f"{push}; a purge of scratch may have removed it")
    path, size = PurePosixPath(answer.value("file") or ""), answer.value("size") or "0"
    if not path.name or not re.fullmatch("[0-9]{1,18}", size):
        return skipped(f"the cluster says nothing of {_link(facts)}")
    if answer.exit_code == _NO_RECORD:
        return failed(f"{path.name} has no record beside it", so=_SO, fix=push)
    try:
        there = parse_record((answer.value("record") or "").encode("utf-8", "surrogateescape"), path)
    except ParseError as error:
        return failed(str(error), so=_SO, fix=push)
    if answer.value("closed"):
        fix = f"`chmod +r {path}` by whoever owns it"
        return failed(
            f"{path.name} cannot be read by this user", so="a job would end with launch-failure", fix=fix
        )
    return judge_image(facts, there, int(size), push)


def _link(facts: Facts) -> str:
    return facts.profile.image + find_runtime(facts.there.container.command).form.link


def judge_image(facts: Facts, there: PushedSif, size_bytes: int, push: str) -> Finding:
    """What the image there is, beside its record and beside the image here."""
    shown = f"{there.path.name}, {size_bytes / 1e6:,.0f} MB"
    if size_bytes != there.size_bytes:
        seen = f"{there.path.name} has {size_bytes} bytes, and was sent with {there.size_bytes}"
        fix = f"remove it there (`rm {shlex.quote(str(there.path))}`), then {push}"
        return failed(f"it is damaged: {seen}", so="a job would end with launch-failure", fix=fix)
    if facts.image is not None and there.image_id != facts.image.id:
        so = "a job runs the one there, not what was built last here"
        return warning(f"not the one that is here: {shown}", so=so, fix=f"{push}, or `invoke job --push`")
    if stale := explain_stale(facts.project, facts.profile, there.image_id):
        so = "a job runs without what has changed since"
        fix = f"`invoke build --profile {facts.profile.name}`, then {push}"
        return warning(f"{stale}: {shown}", so=so, fix=fix)
    if facts.image is None:
        return ok(f"{shown}; there is none here to compare it with")
    return ok(f"the same as here: {shown}")


CHECKS = (
    Check(
        name="image",
        title="image",
        place=Place.THERE,
        about="The profile's image is there, whole, the same as here, and built from files as they are now.",
        predicts="`job` is refused, or runs an older image.",
        look=_look,
        ask=lambda facts: f"link={shlex.quote(_link(facts))}{_ASK}",
    ),
)
