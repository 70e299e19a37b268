"""A cluster's folder on a host: its files sent, its program started and asked, its processes ended."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path, PurePosixPath

from slipway.code.package import pack_files
from slipway.dask.answer import ClusterState, Versions, parse_state, parse_status, parse_versions
from slipway.dask.wrapper import PYTHON
from slipway.errors import RemoteError
from slipway.host.host import Host
from slipway.host.scratch import Scratch
from slipway.text.number import whole

_PACKAGE = "slipway_dask"
STATE, STOP, LOG = "state.json", "stop", "lead.log"
# The first start on a host reads the image for the first time.
_PATIENCE_S = 180
_BEGIN_S, _END_S, _LOOK_S = 300.0, 45.0, 0.5
_UNPACK = """umask 077; mkdir -p -- "$1/logs" && cd -- "$1" && tar -xf - --no-same-owner && chmod 700 "$2"
"""
_BEGIN = """umask 077; cd -- "$1" || exit
rm -f state.json stop-*
# Its id from the first moment on, by which it is looked for.
SLIPWAY_DASK=$4 SLIPWAY_DASK_LEADS=yes setsid -f "./$2" -m "$3" lead >lead.log 2>&1 </dev/null
"""
# The same where SLURM's commands are run for it, which its container has not.
_BEGIN_WITH_SLURM = """umask 077; cd -- "$1" || exit
rm -rf state.json stop-* door; mkdir door || exit
SLIPWAY_DASK=$4 setsid -f sh -c '
    SLIPWAY_DASK_LEADS=yes "./$1" -m "$2" lead &
    lead=$!
    while kill -0 "$lead" 2>/dev/null; do
        for request in door/*.request; do
            [ -e "$request" ] || continue
            name=${request%.request}
            xargs -0 env -u SLIPWAY_DASK <"$request" >"$name.out" 2>"$name.err"
            echo "$?" >"$name.part" && rm -f "$request" && mv "$name.part" "$name.code"
        done
        sleep 0.3
    done
' slipway "$2" "$3" >lead.log 2>&1 </dev/null
"""
# By the cluster's id, which is in the environment of all that was started for it, and of nothing else.
_END = """
find_all() {
    for process in /proc/[0-9]*; do
        if grep -Fqxz "SLIPWAY_DASK=$1" "$process/environ" 2>/dev/null; then echo "${process#/proc/}"; fi
    done
}
# What was told to end may be about to do so.
for try in 1 2 3 4 5 6; do
    count=$(find_all "$1" | wc -l)
    [ "$count" -gt 0 ] || break
    sleep 0.5
done
echo "$count"
[ "$count" -gt 0 ] || exit 0
find_all "$1" | xargs -r kill -TERM 2>/dev/null
for try in 1 2 3 4 5 6 7 8 9 10; do
    [ -n "$(find_all "$1")" ] || exit 0
    sleep 0.5
done
find_all "$1" | xargs -r kill -KILL 2>/dev/null
exit 0
"""
_ALIVE = """for process in /proc/[0-9]*; do
    if grep -Fqxz "SLIPWAY_DASK=$1" "$process/environ" 2>/dev/null; then echo yes; exit; fi
done
"""


def cluster_folder(scratch: Scratch) -> PurePosixPath:
    """Where a site's cluster is, on each of its hosts."""
    return scratch.root / "dask"


@cache
def program_files() -> Mapping[str, bytes]:
    """The program's files, by their names there."""
    folder = Path(__file__).parent / "there"
    return {f"{_PACKAGE}/{file.name}": file.read_bytes() for file in sorted(folder.glob("*.py"))}


def send(host: Host, folder: PurePosixPath, files: Mapping[str, bytes]) -> None:
    """Put the program there, and files beside it; only the user reads them.

    Raises:
        RemoteError: they cannot be written there.
    """
    archive = pack_files({**program_files(), **files})
    done = host.run_in_login_shell(
        ["sh", "-c", _UNPACK, "slipway", str(folder), PYTHON],
        stdin=[archive],
        stdin_bytes=len(archive),
        timeout_s=_PATIENCE_S,
    )
    if not done.ok:
        raise RemoteError(f"{host.target}:{folder}: it cannot be written: {done.explain()}")


def ask_versions(host: Host, folder: PurePosixPath) -> Versions:
    """What the image has there; that also shows that it starts.

    Raises:
        RemoteError: it does not start.
    """
    return parse_versions(_call(host, folder, "versions"))


def ask_status(host: Host, folder: PurePosixPath) -> ClusterState:
    """How the cluster stands, asked of its scheduler.

    Raises:
        RemoteError: the image does not start.
    """
    return parse_status(_call(host, folder, "status"))


def _call(host: Host, folder: PurePosixPath, word: str) -> str:
    argv = [str(folder / PYTHON), "-m", _PACKAGE, word]
    done = host.run(argv, timeout_s=_PATIENCE_S)
    if not done.ok:
        raise RemoteError(f"{host.target}: the image's python3 does not start: {done.explain()}")
    return done.stdout


def begin(host: Host, folder: PurePosixPath, cluster: str, *, with_slurm: bool = False) -> None:
    """Start the cluster's own process, which stays when this connection ends.

    Args:
        host: the first host, or the login node.
        folder: of the cluster.
        cluster: its id.
        with_slurm: SLURM's commands are run for it.

    Raises:
        RemoteError: it cannot be started.
    """
    script = _BEGIN_WITH_SLURM if with_slurm else _BEGIN
    done = host.run_in_login_shell(["sh", "-c", script, "slipway", str(folder), PYTHON, _PACKAGE, cluster])
    if not done.ok:
        raise RemoteError(f"{host.target}: Dask's cluster cannot be started: {done.explain()}")


def note(host: Host, folder: PurePosixPath) -> ClusterState:
    """What the cluster's own process has noted last.

    Raises:
        ParseError: it is something else.
    """
    return parse_state(host.read(folder / STATE))


def read_log(host: Host, folder: PurePosixPath) -> str:
    """What the cluster's own process has printed."""
    return (host.read(folder / LOG) or b"").decode("utf-8", "replace")


def ask_to_stop(host: Host, folder: PurePosixPath, cluster: str) -> None:
    """Tell the cluster's own process to end it."""
    host.write(folder / f"{STOP}-{cluster}", b"")


def is_alive(host: Host, cluster: str) -> bool:
    """Whether a process of a cluster is on a host."""
    return host.run(["sh", "-c", _ALIVE, "slipway", cluster]).stdout.strip() == "yes"


def end_processes(host: Host, cluster: str) -> int:
    """End what is left of a cluster on a host.

    Returns:
        How many processes that were.
    """
    printed = host.run(["sh", "-c", _END, "slipway", cluster], timeout_s=_PATIENCE_S).stdout.split()
    return (whole(printed[0]) if printed else None) or 0


def end_jobs(host: Host, cluster: str) -> None:
    """End the jobs of a cluster whose workers are jobs; where there are none, nothing is wrong."""
    host.run_in_login_shell(["scancel", f"--jobname={cluster}"], timeout_s=_PATIENCE_S)


def forget(host: Host, folder: PurePosixPath) -> None:
    """Remove what says how the cluster stands."""
    host.run(["sh", "-c", 'cd -- "$1" && rm -f state.json stop-*', "slipway", str(folder)])


def wait_for_end(host: Host, folder: PurePosixPath, cluster: str) -> None:
    """Wait until a cluster that was told to end has done so, or does not come to it."""
    deadline = time.monotonic() + _END_S
    while time.monotonic() < deadline:
        if not note(host, folder).is_alive or not is_alive(host, cluster):
            return
        time.sleep(_LOOK_S)


def wait_for_begin(host: Host, folder: PurePosixPath, cluster: str) -> ClusterState:
    """Wait until a cluster runs.

    Raises:
        RemoteError: it does not come to that.
    """
    deadline, noted = time.monotonic() + _BEGIN_S, ClusterState(state="none")
    why = f"it does not run after {_BEGIN_S:.0f} s"
    while time.monotonic() < deadline:
        noted = note(host, folder)
        if noted.state == "runs":
            return noted
        # Before it has noted anything, its container starts.
        if noted.state == "failed" or not is_alive(host, cluster):
            why = noted.why or "its process has ended"
            break
        time.sleep(_LOOK_S)
    said = f"{host.target}: Dask's cluster has not started: {why}"
    if not noted.why:
        said = "\n  ".join([said, *read_log(host, folder).splitlines()[-20:]])
    raise RemoteError(said)
