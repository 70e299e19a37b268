"""PBS's commands, as scripts that find out which PBS answers. Nothing here runs anything."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

# `qstat -x` is the history of PBS Professional, and XML of Torque; only the first says pbs_version. Times are
# printed in the client's own zone, which it does not name.
BEGIN = """TZ=UTC LC_ALL=C
export TZ LC_ALL
case $(qstat --version 2>&1) in *pbs_version*) dialect=openpbs ;; *) dialect=torque ;; esac
"""
# PBS's script would be run by a login shell, which SIGTERM ends before the script could tell the program of
# it; so the program of the job is the script's own bash, where PBS can start a program. The rights of new
# files are otherwise those of the daemon that starts jobs.
_SUBMIT = (
    BEGIN
    + """script=$1
shift
if [ $dialect = openpbs ]; then exec qsub -W "umask=$(umask)" "$@" -- /bin/bash -l "$script"; fi
exec qsub -W "umask=$(umask)" -S /bin/bash "$@" "$script"
"""
)
# Where no history is kept, `-x` is refused, whatever the exit code is.
_ASK = """exec 3>&1
ask() { errors=$({ qstat "$@" >&3; } 2>&1 </dev/null); code=$?; }
if [ $dialect = openpbs ]; then
    ask -x -t -f "$@"
    case $errors in *"job history"*)
        echo "slipway: no history" >&2
        ask -t -f "$@"
        ;;
    esac
else
    ask -t -f "$@"
fi
printf '%s\\n' "$errors" >&2
exit $code
"""
_JOBS = BEGIN + _ASK
# Of jobs whose ids are not known.
_NAMED = (
    BEGIN
    + """for name; do
    shift
    some=''
    if [ $dialect = openpbs ]; then some=$(qselect -x -N "$name" 2>/dev/null); fi
    [ -n "$some" ] || some=$(qselect -N "$name") || exit
    set -- "$@" $some
done
[ $# -gt 0 ] || exit 0
"""
    + _ASK
)
_MINE = """ids=$(qselect -u "$(id -un)") || exit
[ -n "$ids" ] || exit 0
qstat -f $ids
# One that ended meanwhile is not known.
true
"""
_CANCEL = """only_waiting=$1
shift
for id; do
    if [ -n "$only_waiting" ]; then
        state=$(qstat -f "$id" 2>/dev/null | sed -n 's/^ *job_state = //p')
        case $state in Q | H | W | '') ;; *) continue ;; esac
    fi
    errors=$(qdel "$id" 2>&1 </dev/null) && continue
    # It is over already.
    case $errors in *nknown\\ [Jj]ob* | *"has finished"* | *"invalid state"* | *"nvalid request"*) ;; *)
        printf '%s\\n' "$errors" >&2
        failed=yes
        ;;
    esac
done
[ -z "$failed" ]
"""


def submit_command(script: PurePosixPath, options: Sequence[str] = ()) -> list[str]:
    """Submit a script.

    Args:
        script: the job script, on the cluster.
        options: the same that its lines of ``#PBS`` have.
    """
    return ["sh", "-c", _SUBMIT, "slipway", str(script), *options]


def jobs_command(job_ids: Sequence[str]) -> list[str]:
    """Ask for jobs by their ids, also for those that are over; arrays with all of their parts."""
    return ["sh", "-c", _JOBS, "slipway", *job_ids]


def named_jobs_command(names: Sequence[str]) -> list[str]:
    """Ask for jobs by their names in PBS."""
    return ["sh", "-c", _NAMED, "slipway", *names]


def own_jobs_command() -> list[str]:
    """Ask for all jobs of the user that wait or run, arrays as one job each."""
    return ["sh", "-c", _MINE]


def cancel_command(job_ids: Sequence[str], *, only_waiting: bool = False) -> list[str]:
    """Cancel jobs; with ``only_waiting``, those that have not begun. It fails where PBS refuses one."""
    return ["sh", "-c", _CANCEL, "slipway", "yes" if only_waiting else "", *job_ids]


def queues_command() -> list[str]:
    """Ask for all queues, as text."""
    return ["qstat", "-Q", "-f"]


def server_command() -> list[str]:
    """Ask for the server's settings, as text."""
    return ["qstat", "-B", "-f"]


def nodes_command() -> list[str]:
    """Ask for all nodes, as text."""
    return ["pbsnodes", "-a"]


def version_command() -> list[str]:
    """Ask which PBS there is; its clients answer by themselves, some on standard error."""
    return ["sh", "-c", "qstat --version 2>&1"]
