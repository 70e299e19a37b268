"""Commands for people at a terminal: what runs beside a job's own program. Nothing here runs anything."""

from __future__ import annotations

from collections.abc import Sequence

from slipway.scheduler.slurm.rows import MARK

# What srun has to say of an exit code, which is told as such, is left out.
_RUN = (
    '{ srun "$@" 2>&1 >&3 3>&- | '
    'grep -v --line-buffered "^srun: error: .*: Exited with exit code " >&2 3>&-; '
    'exit "${PIPESTATUS[0]}"; } 3>&1'
)
# srun wants the number by which the controller knows a task of an array, and squeue tells it.
_FIND = (
    f'id=$(squeue --noheader --jobs="$1" --states=all --format="{MARK}|%A") || exit; '
    f"id=${{id##*{MARK}|}}; "
    '[ -n "$id" ] || { echo "SLURM does not know $1 any more" >&2; exit 1; }; '
    'shift; set -- --jobid="$id" "$@"; '
)


def join_command(
    job_id: str,
    argv: Sequence[str],
    *,
    task: int | None = None,
    node: str | None = None,
    terminal: bool = False,
    unbuffered: bool = False,
) -> list[str]:
    """Run a program on a node of a running job, beside all that runs there already.

    Args:
        job_id: the job's id; of an array, the whole array's.
        argv: the program and its arguments.
        task: which task of an array.
        node: which of several nodes. Default: the job's first.
        terminal: give it a terminal, which is the one that this is started in.
        unbuffered: hand on each byte at once. SLURM gives the program a terminal for its output then, which
            leaves bytes as they are.
    """
    options = ["--overlap", "--nodes=1", "--ntasks=1", "--mpi=none", "--chdir=/"]
    options += [f"--nodelist={node}"] if node else []
    options += ["--pty"] if terminal else []
    options += ["--unbuffered"] if unbuffered else []
    if task is None:
        return ["bash", "-lc", _RUN, "slipway", f"--jobid={job_id}", *options, *argv]
    return ["bash", "-lc", _FIND + _RUN, "slipway", f"{job_id}_{task}", *options, *argv]
