"""A submission: what the job needs goes to the workspace, then the platform is asked to run it. Pure.

It is one program on this machine, which the run's submission lock starts. What was sent before is not sent
again: ``.workspace/`` in scratch notes what the workspace has.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from slipway.errors import ParseError
from slipway.scheduler.base import Submission
from slipway.scheduler.ngc.options import split_options
from slipway.scheduler.ngc.parse import explain, parse_job
from slipway.scheduler.ngc.places import NOTE

_MARK = "slipway-ngc: task"
_ROW = re.compile(rf"^{_MARK} ([0-9]{{0,9}}) ended ([0-9]{{1,18}})\n", re.M)
# In the workspace, `slipway/` is laid out as in scratch, but for code, which goes as one file a tree: `ngc`
# refuses names with <>:;,?"*%| in them, and is slow with many files.
_SUBMIT = r"""
script=$1 workspace=$2 mount=$3 remote=$4 words=$5 tasks=$6
shift 6
where=()
while [ "$1" != -- ]; do where+=("$1"); shift; done
shift
run=${script%/*} root=${script%/*/*/*}
known=$root/.workspace/$workspace
mkdir -p "$known/code" "$known/data" "$known/weights" || exit
container=()
eval "$(grep -m 1 '^image=' "$script")" && eval "$(grep -m 1 '^container=' "$script")" || exit
code=${container[0]%=/code}
read -r image <"$image" || { echo "$image cannot be read; push the image again" >&2; exit 1; }
stage=$(mktemp -d "$known/up.XXXXXX") || exit
trap 'rm -rf "$stage"' EXIT
# A folder of the workspace, as rclone is told it.
under() { case $remote in *: | */) echo "$remote$1" ;; *) echo "$remote/$1" ;; esac; }
upload() { # what, the folder in the workspace
    local code send=(ngc workspace upload "${where[@]}" --source="$1" --destination="$2" "$workspace")
    if [ -n "$remote" ]; then send=(rclone copy --ask-password=false --copy-links "$1" "$(under "$2")"); fi
    "${send[@]}" >"$stage.words" 2>&1 </dev/null
    code=$?
    if [ "$code" -ne 0 ]; then
        echo "$1 was not uploaded to the workspace $workspace:" >&2
        cat "$stage.words" >&2
    fi
    rm -f "$stage.words"
    return "$code"
}
# One submission at a time uploads what several need.
exec 9>>"$known/lock" && flock 9 || exit
for folder in data weights; do
    for entry in "$root/$folder"/*; do
        [ -e "$entry" ] || continue
        note=$known/$folder/${entry##*/}
        now=$(cd "$root/$folder" && find "./${entry##*/}" -printf '%y %p %s %T@ %l\n' |
            LC_ALL=C sort | sha256sum)
        [ "$(cat "$note" 2>/dev/null)" = "$now" ] && continue
        to=slipway/$folder
        if [ -d "$entry" ]; then to=$to/${entry##*/}; fi
        upload "$entry" "$to" || exit
        printf '%s\n' "$now" >"$note"
    done
done
tree=${code##*/}
if [ ! -e "$known/code/$tree" ]; then
    mkdir "$stage/code" && tar -C "$code" --owner=0 --group=0 -cf "$stage/code/$tree.tar" . || exit
    (cd "$stage/code" && sha256sum "$tree.tar" >"$tree.tar.sha256") || exit
fi
mkdir -p "$stage/runs/${run##*/}" || exit
for file in "$run"/*; do
    case ${file##*/} in claim | answer*) continue ;; esac
    cp -- "$file" "$stage/runs/${run##*/}/" || exit
done
upload "$stage" slipway || exit
: >"$known/code/$tree"
exec 9>&-
# @places@
label=''
for word; do case $word in --label=slipway_*) label=${word#--label=} ;; esac; done
for task in ${tasks:--}; do
    of_task=()
    if [ "$task" = - ]; then task=''; else of_task=("--label=slipway_task_$task"); fi
    line="exec env SLIPWAY_SCRATCH=$mount/slipway $words${task:+ SLIPWAY_TASK=$task}"
    line+=" bash $mount/slipway/runs/${run##*/}/job.sh"
    ngc batch run --format_type=json "$@" "${of_task[@]}" --image="$image" --commandline="$line" \
        >"$stage/out" 2>"$stage/err" </dev/null
    code=$?
    echo "slipway-ngc: task $task ended $code"
    cat "$stage/out"
    [ "$code" -ne 0 ] || continue
    cat "$stage/err" >&2
    # Of an array all run, or none.
    if [ -n "$task" ]; then
        ngc batch list "${where[@]}" --format_type=csv --label="$label" </dev/null |
            grep -oE '^[0-9]+' | while read -r id; do
                ngc batch kill "${where[@]}" "$id" </dev/null >&2
            done
    fi
    exit "$code"
done
"""


_SUBMIT = _SUBMIT.replace("# @places@\n", NOTE.lstrip("\n"))


def submit_command(script: PurePosixPath, options: Sequence[str]) -> list[str]:
    """The argv that submits a run.

    Args:
        script: the job script; the run's folder is around it, and scratch around that.
        options: as :func:`slipway.scheduler.ngc.options.run_options` makes them.
    """
    split = split_options(options)
    words = f"SLIPWAY_LIMIT_S={split.limit_s} SLIPWAY_GRACE_S={split.grace_s}"
    tasks = " ".join(map(str, split.tasks))
    given = [str(script), split.workspace, split.mount, split.remote, words, tasks]
    return ["bash", "-c", _SUBMIT, "slipway", *given, *split.where, "--", *split.run]


def parse_submission(exit_code: int, stdout: str, stderr: str) -> Submission:
    """What came of it: the id of the first job, which stands for all of an array's.

    The organization is not in it; :func:`slipway.scheduler.ngc.query.query_jobs` adds that.
    """
    if exit_code != 0:
        return Submission(refusal=explain(stderr, exit_code))
    parts = _ROW.split(stdout)[1:]
    try:
        # Each row: its task, its exit code, and what was printed behind it.
        ids = [parse_job(answer).job.job_id for answer in parts[2::3]]
    except ParseError:
        return Submission()
    return Submission(job_id=min(ids, key=int) if ids else None)
