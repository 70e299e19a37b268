"""rsync on the cluster."""

from __future__ import annotations

from slipway.doctor.check import Answer, Check, Facts, Place
from slipway.doctor.finding import Finding, ok, skipped
from slipway.doctor.here.rsync import missing
from slipway.transfer.choice import LEAST_THERE, parse_version

_NOT_FOUND = 127


def _look(facts: Facts, answer: Answer) -> Finding:
    if facts.there.login.transfer == "sftp":
        return skipped(f"files of {facts.there.name} go by SFTP (login.transfer)")
    wanted = ".".join(map(str, LEAST_THERE))
    fix = f"ask the site for rsync {wanted} or newer, where `ssh HOST rsync` finds it"
    if answer.exit_code == _NOT_FOUND:
        return missing(facts, "rsync is not installed there", fix)
    # What a start file prints may stand before it.
    begin = max(answer.text.find("rsync  version"), 0)
    version = parse_version(answer.text[begin:])
    if version is None or version < LEAST_THERE:
        return missing(facts, f"it says {answer.words[:60]!r}, which is too old", fix)
    return ok(f"rsync {version[0]}.{version[1]}")


CHECKS = (
    Check(
        name="rsync-there",
        title="rsync there",
        place=Place.THERE,
        about="rsync of the login node, and its version.",
        predicts="Files go by SFTP; with `transfer: rsync` not at all.",
        look=_look,
        ask=lambda _: "exec rsync --version",
        # As it is started when files go.
        is_plain=True,
    ),
)
