"""Claims: each try of an element is submitted at most once, whoever monitors it, from wherever.

Before an element is submitted again, its next try is claimed on the cluster, by a link that only one can
make: ``tries/RUN/TASK-NUMBER`` beside the folder of runs, which points to the id of the new run. A link is
never removed. Whether the new run was then submitted is written down beside it; where its monitor was killed
before that, whoever comes next finds it out by the run's name, or makes sure that it never will be: see
slipway/job/submission_lock.py. A claim that was given up is followed by one with the next number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from slipway.errors import ParseError, RemoteError
from slipway.host.host import Host
from slipway.host.scratch import Scratch

# So many seconds a claim is left alone; whoever made it has submitted its run long before.
FRESH_S = 120
_RUN_ID = r"\w[\w.+-]*"
_LINK = re.compile(r"(?P<task>run|[0-9]{1,9})-(?P<number>[0-9]{1,9})")
_MARK = re.compile(rf"(?P<run>{_RUN_ID})\.(?P<decided>submitted|given-up)")
_LINE = re.compile(rf"(?P<run>{_RUN_ID})/(?P<name>[^/ ]+) (?P<target>{_RUN_ID}) (?P<since>[0-9]{{1,18}})")
_NOW = re.compile(r"now ([0-9]{1,18})")
_END = "slipway: these are all"
_CLAIM = """cd -- "$1" || exit
mkdir -p -m 700 -- "$2" || exit
cd -- "$2" || exit
while IFS= read -r name; do
    ln -s "$3" "$name" 2>/dev/null
    [ "$(readlink "$name")" != "$3" ] || echo "$name"
done
"""
_WRITE = """word=$1 folder=$2
shift 2
for run; do ln -s "$word" "$folder/$run.$word" 2>/dev/null; done
true
"""
_READ = f"""cd -- "$1" 2>/dev/null || {{ echo '{_END}'; exit 0; }}
echo "now $(date +%s)"
while IFS= read -r run; do
    [ ! -d "$run" ] || find "$run" -maxdepth 1 -type l -printf '%p %l %Ts\\n'
done
echo '{_END}'
"""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A try of an element that somebody has taken.

    Attributes:
        number: of the claim, from 1; those that were given up count, too.
        run_id: the new run.
        age_s: for how many seconds it has been there, by the cluster's own clocks.
        is_submitted: whether the new run was submitted; ``None`` where that is not known.
    """

    number: int
    run_id: str
    age_s: int
    is_submitted: bool | None = None


# The last claim of each task of each run, by both.
Claims = Mapping[tuple[str, int | None], Claim]


def tries_folder(scratch: Scratch) -> PurePosixPath:
    """Where claims are."""
    return scratch.root / "tries"


def read_claims(host: Host, scratch: Scratch, run_ids: Iterable[str]) -> Claims:
    """The last claims of some runs' tasks, by one round trip.

    Raises:
        SshError: the connection was lost.
        RemoteError: they cannot be read.
        ParseError: the answer was cut off.
    """
    wanted = "".join(f"{run_id}\n" for run_id in run_ids)
    if not wanted:
        return {}
    done = host.run(["sh", "-c", _READ, "slipway", str(tries_folder(scratch))], stdin=wanted, timeout_s=600)
    if not done.ok:
        raise RemoteError(f"{host.target}: tries could not be read: {done.explain()}")
    return parse_claims(done.stdout)


def parse_claims(printed: str) -> Claims:
    """What the script of :func:`read_claims` has printed; names that are not ours are left out.

    Raises:
        ParseError: it was cut off.
    """
    lines = printed.splitlines()
    now_s = next((int(found[1]) for found in map(_NOW.fullmatch, lines) if found), 0)
    if not lines or lines[-1] != _END:
        raise ParseError(f"tries could not be read: the answer ends with {printed[-100:]!r}; try again")
    claims: dict[tuple[str, int | None], Claim] = {}
    decided: dict[tuple[str, str], bool] = {}
    for found in filter(None, map(_LINE.fullmatch, lines)):
        run_id, name = found["run"], found["name"]
        if mark := _MARK.fullmatch(name):
            # What was submitted was not given up, whatever somebody thought.
            key = (run_id, mark["run"])
            decided[key] = decided.get(key, False) or mark["decided"] == "submitted"
        elif link := _LINK.fullmatch(name):
            place = (run_id, None if link["task"] == "run" else int(link["task"]))
            claim = Claim(
                number=int(link["number"]), run_id=found["target"], age_s=now_s - int(found["since"])
            )
            if place not in claims or claims[place].number < claim.number:
                claims[place] = claim
    return {
        (run_id, task): Claim(
            number=claim.number,
            run_id=claim.run_id,
            age_s=claim.age_s,
            is_submitted=decided.get((run_id, claim.run_id)),
        )
        for (run_id, task), claim in claims.items()
    }


def make_claims(
    host: Host, scratch: Scratch, run_id: str, wanted: Mapping[int | None, int], new_id: str
) -> list[int | None]:
    """Claim the next try of some tasks of a run.

    Args:
        host: the connection.
        scratch: the site's.
        run_id: the run.
        wanted: the number of the claim of each task.
        new_id: the run that is to be submitted.

    Returns:
        The tasks that nobody else has claimed.

    Raises:
        SshError: the connection was lost; some of them may be claimed.
        RemoteError: the folder of claims cannot be written to.
    """
    names = {_name(task, number): task for task, number in wanted.items()}
    argv = ["sh", "-c", _CLAIM, "slipway", str(scratch.root), f"tries/{run_id}", new_id]
    done = host.run(argv, stdin="".join(f"{name}\n" for name in names), timeout_s=600)
    if not done.ok and not done.stdout:
        raise RemoteError(f"{host.target}: {tries_folder(scratch)} cannot be written to: {done.explain()}")
    return [names[name] for name in done.stdout.split() if name in names]


def write_down(
    host: Host, scratch: Scratch, run_id: str, new_ids: Sequence[str], *, is_submitted: bool
) -> None:
    """Write down what has become of claims of a run.

    Raises:
        SshError: the connection was lost.
    """
    word = "submitted" if is_submitted else "given-up"
    folder = tries_folder(scratch) / run_id
    host.run(["sh", "-c", _WRITE, "slipway", word, str(folder), *new_ids])


def _name(task: int | None, number: int) -> str:
    return f"{'run' if task is None else task}-{number}"
