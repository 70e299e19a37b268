"""What jobs have left in the workspace comes down to scratch, and what those print that run.

The folders of runs are then as on any cluster, so that all that reads them there reads them here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from slipway.errors import RemoteError
from slipway.host.host import Host
from slipway.scheduler.ngc.site import Platform

# An attempt takes the place of what of it was there before. What could not be brought is tried again for a
# quarter of an hour.
_BRING = r"""
workspace=$1 remote=$2 run=$3 task=$4 number=$5
shift 5
root=${run%/*/*} name=${run##*/}
known=$root/.workspace/$workspace/home
note=$known/$name${task:+.$task}
mkdir -p "$known" && exec 9>>"$note.lock" && flock 9 || exit
rm -f "$note.lock"
read -r brought failed 2>/dev/null <"$note"
reason() { # what the script of the newest attempt has said
    find "$run${task:+/task-$task}" -maxdepth 2 -path '*/attempt-*/result.json' | sort -V | tail -n 1 |
        xargs -r -d '\n' sed -n 's/.*"reason": "\([a-z-]*\)".*/\1/p'
}
if [ "${brought:-}" = "$number" ] && [ "${failed:-0}" -le $(($(date +%s) - 900)) ]; then reason; exit 0; fi
[ -d "$run" ] || exit 0
down=$(mktemp -d "$known/down.XXXXXX") || exit
trap 'rm -rf "$down"' EXIT
from=slipway/runs/$name${task:+/task-$task} to=$run${task:+/task-$task}
ngc batch log "$@" "$number" >"$down/log" 2>/dev/null </dev/null
fetch=(ngc workspace download "$@" --dir="$from" --dest="$down" "$workspace")
case $remote in
'') ;;
*: | */) fetch=(rclone copy --ask-password=false "$remote$from" "$down/$from") ;;
*) fetch=(rclone copy --ask-password=false "$remote/$from" "$down/$from") ;;
esac
if ! words=$("${fetch[@]}" 2>&1 </dev/null); then
    [ "${brought:-}" = "$number" ] || printf '%s %s\n' "$number" "$(date +%s)" >"$note"
    printf '%s\n' "$words" >&2
    exit 1
fi
# It may keep the workspace's id above the folder, or not.
folder=$(find "$down" -type d -path "*/$from" -print -quit)
mkdir -p "$to" || exit
if [ -n "$folder" ]; then
    for attempt in "$folder"/attempt-*; do
        [ -d "$attempt" ] || continue
        rm -rf "$to/${attempt##*/}.old"
        [ ! -e "$to/${attempt##*/}" ] || mv "$to/${attempt##*/}" "$to/${attempt##*/}.old" || exit
        mv "$attempt" "$to/${attempt##*/}" || exit
        rm -rf "$to/${attempt##*/}.old"
    done
fi
[ ! -s "$down/log" ] || mv "$down/log" "$to/slurm.log"
printf '%s 0 %s\n' "$number" "$(reason)" >"$note"
reason
"""
# One program reads all notes of a run, however many tasks it has.
_NOTES = r"""
workspace=$1 run=$2
cd "${run%/*/*}/.workspace/$workspace/home" 2>/dev/null || exit 0
name=${run##*/}
find . -maxdepth 1 -type f \( -name "$name" -o -name "$name.[0-9]*" \) ! -name '*.lock' -exec grep -H '' {} +
true
"""
_NOTE = re.compile(r"\./[^:]*?(?:\.([0-9]{1,9}))?:([0-9]{1,18}) 0 ?([a-z-]*)")
# The job's own log is behind this line of what the job prints, with which attempt it is.
LOG_LINE = "slipway: what follows is also in the log of attempt "
_LOG = rf"""
folder=$1 number=$2
shift 2
new=$(mktemp "$folder/.log.XXXXXX") || exit
trap 'rm -f "$new" "$new.own"' EXIT
ngc batch log "$@" "$number" >"$new" 2>/dev/null </dev/null || exit 0
attempt=$(LC_ALL=C grep -a '^{LOG_LINE}[0-9]*$' "$new" | tail -n 1) attempt=${{attempt##* }}
[ -n "$attempt" ] || exit 0
LC_ALL=C sed "1,/^{LOG_LINE}$attempt\$/d" "$new" >"$new.own"
mkdir -p "$folder/attempt-$attempt" || exit
old=$(stat -c %s "$folder/attempt-$attempt/log" 2>/dev/null)
# What a reader has seen does not become less.
[ "$(stat -c %s "$new.own")" -le "${{old:-0}}" ] || mv "$new.own" "$folder/attempt-$attempt/log"
"""
BRING_S = 6 * 3600.0
_LOG_S = 120.0


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a job's files belong.

    Attributes:
        platform: the site's.
        run: the run's folder in scratch.
        task: which task of an array.
        number: the job's id at the platform.
    """

    platform: Platform
    run: PurePosixPath
    task: int | None
    number: int


def bring_command(place: Place) -> list[str]:
    """The argv that has what a job has written in scratch, once; and what the platform has of its output."""
    platform = place.platform
    remote = platform.rclone or ""
    words = [platform.workspace, remote, str(place.run), _word(place.task), str(place.number)]
    return ["bash", "-c", _BRING, "slipway", *words, *platform.where]


def notes_command(platform: Platform, run: PurePosixPath) -> list[str]:
    """The argv that says which jobs of a run have brought what they wrote."""
    return ["sh", "-c", _NOTES, "slipway", platform.workspace, str(run)]


def parse_notes(text: str) -> dict[tuple[int | None, int], str]:
    """The reasons that the scripts of such jobs have written, by tasks and ids."""
    found = filter(None, map(_NOTE.fullmatch, text.splitlines()))
    return {(None if one[1] is None else int(one[1]), int(one[2])): one[3] for one in found}


def log_command(place: Place) -> list[str]:
    """The argv that has in scratch what a running job has printed so far."""
    folder = place.run if place.task is None else place.run / f"task-{place.task}"
    words = [str(folder), str(place.number)]
    return ["bash", "-c", _LOG, "slipway", *words, *place.platform.where]


def bring(host: Host, place: Place) -> str:
    """Have what a job has written in scratch.

    Returns:
        The reason of its end that its script has written; nothing where it has not.

    Raises:
        RemoteError: it could not be brought.
    """
    done = host.run_in_login_shell(bring_command(place), timeout_s=BRING_S)
    if not done.ok:
        words = done.stderr.strip()[:300]
        raise RemoteError(f"what job {place.number} wrote was not brought from the workspace: {words}")
    return done.stdout.strip()


def refresh_log(host: Host, place: Place) -> None:
    """Have what a running job has printed; where that fails, it is there once the job is over."""
    folder = place.run if place.task is None else place.run / f"task-{place.task}"
    host.run_in_login_shell(["mkdir", "-p", str(folder)])
    host.run_in_login_shell(log_command(place), timeout_s=_LOG_S)


def _word(task: int | None) -> str:
    return "" if task is None else str(task)
