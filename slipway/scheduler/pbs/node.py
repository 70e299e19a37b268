"""Programs on nodes: beside a running job, and in a job of their own. Nothing here runs anything.

PBS has no way to put a program into a job that runs from outside: `qsub -I` is a new job. What sites with PBS
have is ``ssh`` to the nodes of one's own jobs, so that is what joins one.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from slipway.host.command_line import script_words
from slipway.scheduler.base import Node
from slipway.scheduler.pbs.commands import BEGIN
from slipway.scheduler.pbs.directives import megabytes, walltime
from slipway.scheduler.pbs.name import parse_id
from slipway.scheduler.pbs.resources import PbsResources
from slipway.scheduler.queues import AUTO

# What Slipway counts by other numbers than PBS does is in a variable of the job.
_FIND = r"""id=$1 task=$2 node=$3 options=$4 start=$5 line=$6
if [ -n "$task" ]; then
    tasks=$(qstat -f "${id}" 2>/dev/null | tr -d '\n\t' | sed -n 's/.*slipway_tasks=\([0-9+-]*\).*/\1/p')
    index=$task
    if [ -n "$tasks" ]; then
        index=0
        for part in $(printf %s "$tasks" | tr + ' '); do
            for one in $(seq "${part%-*}" "${part#*-}"); do
                [ "$one" -ne "$task" ] || break 2
                index=$((index + 1))
            done
        done
    fi
    id=$(printf %s "$id" | sed "s/\[\]/[$index]/")
fi
if [ -z "$node" ]; then
    node=$(qstat -f "$id" | tr -d '\n\t' | sed -n 's/.* exec_host = \([^/+ ]*\).*/\1/p')
    [ -n "$node" ] || { echo "PBS does not say on which node $id runs" >&2; exit 1; }
fi
# shellcheck disable=SC2086 # these are several words
exec ssh $options "$node" "$start '$id' $line"
"""
# The login shell on the node may be any.
_START = 'exec /bin/sh -c \'SLIPWAY_JOB_ID=$1; export SLIPWAY_JOB_ID; shift; eval "$(printf %b "$@")"\' sh'
# In a job of its own, in a folder that all nodes see. What it prints comes as it is written.
_RUN = (
    BEGIN
    + r"""name=$1 openpbs=$2 torque=$3
shift 3
folder=$(mktemp -d "$HOME/.slipway-node.XXXXXX") || exit
id=''
trap 'rm -rf "$folder"; [ -z "$id" ] || qdel "$id" >/dev/null 2>&1' EXIT
trap 'exit 143' TERM HUP INT
: >"$folder/out"
: >"$folder/err"
{
    printf '#!/bin/bash -l\n'
    printf '%q ' "$@"
    printf '</dev/null >>%q 2>>%q\n' "$folder/out" "$folder/err"
    printf 'echo $? >%q\nmv %q %q\n' "$folder/code.part" "$folder/code.part" "$folder/code"
} >"$folder/job"
eval "set -- ${!dialect}"
id=$(qsub -N "$name" -j oe -o "$folder/log" -S /bin/bash "$@" "$folder/job" | tail -n 1)
[ -n "$id" ] || exit 1
tail -n +1 -f "$folder/out" &
out=$!
tail -n +1 -f "$folder/err" >&2 &
err=$!
until [ -e "$folder/code" ]; do
    sleep 2
    case $(qstat -f "$id" 2>/dev/null | sed -n 's/^ *job_state = //p') in
    Q | H | W | T | R | E | S | U) continue ;;
    esac
    # A network file system may show the file some seconds late.
    sleep 5
    [ -e "$folder/code" ] && break
    cat "$folder/log" >&2
    echo "job $id ended before its program did" >&2
    echo 1 >"$folder/code"
done
sleep 1
kill "$out" "$err"
wait "$out" "$err" 2>/dev/null
id=''
exit "$(cat "$folder/code")"
"""
)


def join_command(
    job_id: str,
    argv: Sequence[str],
    *,
    task: int | None = None,
    node: str | None = None,
    terminal: bool = False,
) -> list[str]:
    """Run a program on a node of a running job, by ``ssh`` from where this runs.

    Args:
        job_id: the job's id; of an array, the whole array's.
        argv: the program and its arguments.
        task: which task of an array.
        node: which of several nodes. Default: the job's first.
        terminal: give it a terminal.
    """
    known = parse_id(job_id)
    # A task alone is no array.
    asked = "" if task is None or known is None or not known.is_array else str(task)
    options = ["-tt"] if terminal else ["-T", "-o", "BatchMode=yes"]
    line = script_words(f"exec {shlex.join(argv)}")
    return ["bash", "-lc", _FIND, "slipway", job_id, asked, node or "", shlex.join(options), _START, line]


def node_command(name: str, resources: PbsResources, argv: Sequence[str]) -> list[str]:
    """Run a program on a node, in a job of its own that ends with it."""
    cpus = resources.cpus or 1
    memory = None if resources.mem is None else megabytes(resources.mem)
    select = f"select=1:ncpus={cpus}{'' if memory is None else f':mem={memory}mb'}"
    nodes = [f"nodes=1:ppn={cpus}", *([] if memory is None else [f"mem={memory}mb"])]
    named = [] if resources.partition in (None, AUTO) else ["-q", str(resources.partition)]
    named += [] if resources.account is None else ["-A", resources.account]
    if resources.time is not None and (limit := walltime(resources.time)):
        named += ["-l", f"walltime={limit}"]
    openpbs, torque = (shlex.join(["-l", asked, *named]) for asked in (select, ",".join(nodes)))
    return ["bash", "-lc", _RUN, "slipway", name, openpbs, torque, *argv]


def parse_hosts(nodes: str) -> list[Node]:
    """The nodes of a job, which the network has by the names that PBS has for them."""
    return [Node(name=name, address=name) for name in nodes.split(",") if name]
