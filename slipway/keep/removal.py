"""Removal on a cluster: what goes is hidden first, looked at again, and only then removed.

A job that is being submitted writes its record before it looks for its code and its image. So whoever hides
these and then finds no record that names them takes them from nobody.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from slipway.errors import RemoteError
from slipway.host.host import Host
from slipway.host.scratch import Scratch
from slipway.keep.survey import Item, Uses
from slipway.progress import Progress

# What an earlier removal has hidden and not removed goes with its namesake. Names are Slipway's own and those
# of datasets; they come by standard input, each ended by a zero byte. What mv and rm say is the reason.
_BEGIN = r"""
LC_ALL=C; export LC_ALL
token=$1
cd -- "$2" || exit
say() { printf '%s %s\0%s\0%s\n' "$token" "$1" "$item" "$2"; }
why() { printf %s "$1" | head -n 1; }
# A folder that its owner may not write to is no obstacle to its owner.
destroy() {
    rm -rf -- "$@" 2>/dev/null && return
    chmod -R u+rwX -- "$@" 2>/dev/null
    rm -rf -- "$@"
}
while IFS= read -r -d '' item; do
    kind=${item%%/*} name=${item#*/}
    hidden=$kind/.$name.gone
"""
_HIDE = (
    _BEGIN
    + r"""
    if [ -e "$hidden" ] && [ -e "$item" ]; then
        said=$(destroy "$hidden" 2>&1) || { say failed "$(why "$said")"; continue; }
    fi
    if [ -e "$item" ]; then
        said=$(mv -T -- "$item" "$hidden" 2>&1) || { say failed "$(why "$said")"; continue; }
    fi
    if [ -e "$hidden" ]; then say done; else say failed "somebody else has removed it"; fi
done
"""
)
_SHOW = (
    _BEGIN
    + r"""
    [ ! -e "$item" ] || { say failed "there is another one by now"; continue; }
    said=$(mv -T -- "$hidden" "$item" 2>&1) && say done || say failed "$(why "$said")"
done
"""
)
# What somebody else has shown again meanwhile stays.
_REMOVE = (
    _BEGIN
    + r"""
    [ -e "$hidden" ] || { say failed "it is not hidden any more"; continue; }
    case $kind in
        images)
            beside=$kind/$name.json
            case $name in *.sif) beside=$kind/${name%.sif}.json ;; esac
            ;;
        data)
            beside=$kind/.$name.sha256
            # What a fetch that was cut has left.
            rm -rf -- "$kind/.$name.fetch"
            ;;
        packed)
            beside=$kind/${name%.sqsh}.json link=$kind/${name%-????????????????.sqsh}.sqsh
            [ "$(readlink -- "$link")" != "$name" ] || rm -f -- "$link"
            ;;
        *) beside= ;;
    esac
    said=$(destroy "$hidden" ${beside:+"$beside"} 2>&1) && say done || say failed "$(why "$said")"
done
"""
)


@dataclass(frozen=True, kw_only=True)
class Removed:
    """What came of a removal.

    Attributes:
        gone: what is not there any more.
        kept: what was wanted again by then, with the reason.
        failed: what could not be removed, or not all of it, with the reason.
    """

    gone: Sequence[Item] = ()
    kept: Sequence[tuple[Item, str]] = ()
    failed: Sequence[tuple[Item, str]] = ()


def remove_items(
    host: Host,
    scratch: Scratch,
    items: Sequence[Item],
    look: Callable[[], Callable[[Item], str | None] | None],
    progress: Progress,
    on_begin: Callable[[Sequence[Item]], None] = lambda items: None,
) -> Removed:
    """Remove what lies in scratch.

    Args:
        host: the connection.
        scratch: Slipway's folder.
        items: what is to go.
        look: looks once more what is needed; gives why an item has to stay, or ``None`` where nobody could be
            asked. Then nothing is removed.
        progress: is told how far it is.
        on_begin: is told what is removed next, so that it is known also where that is cut.
    """
    if not items:
        return Removed()
    progress.step(f"Hiding {len(items):,} and looking again")
    hidden, failed = _each(host, scratch, _HIDE, items, progress)
    try:
        why = look()
    except BaseException:
        _each(host, scratch, _SHOW, hidden, progress)
        raise
    blind = "the scheduler, or a record, could not be read just now"
    reasons = {item: blind if why is None else why(item) for item in hidden}
    back = [item for item in hidden if reasons[item] is not None]
    _, lost = _each(host, scratch, _SHOW, back, progress)
    going = [item for item in hidden if reasons[item] is None]
    on_begin(going)
    progress.step(f"Removing {len(going):,}")
    gone, left = _each(host, scratch, _REMOVE, going, progress)
    return Removed(
        gone=gone,
        kept=[(item, str(reasons[item])) for item in back],
        failed=[*failed, *lost, *left],
    )


def show_again(host: Host, scratch: Scratch, items: Sequence[Item], progress: Progress) -> list[Item]:
    """Give what a removal that was cut has hidden its own name again; says what was shown."""
    return _each(host, scratch, _SHOW, items, progress)[0]


def _each(
    host: Host, scratch: Scratch, script: str, items: Sequence[Item], progress: Progress
) -> tuple[list[Item], list[tuple[Item, str]]]:
    """Do one thing with each item: those that it was done with, and why not with the others."""
    if not items:
        return [], []
    token = secrets.token_hex(8)
    by_path = {item.path: item for item in items}
    done: list[Item] = []
    failed: list[tuple[Item, str]] = []
    said: list[str] = []

    def listen(line: str) -> None:
        words = line.split("\0")
        if len(words) != 3 or words[1] not in by_path or not words[0].startswith(token):
            said.append(line)
            return
        item = by_path[words[1]]
        if words[0] == f"{token} done":
            done.append(item)
        else:
            failed.append((item, words[2]))
        progress.line(f"{len(done) + len(failed):,} of {len(items):,}: {item.path}")

    listed = "".join(f"{item.path}\0" for item in items)
    code = host.stream(["bash", "-c", script, "slipway", token, str(scratch.root)], listen, stdin=listed)
    if code or len(done) + len(failed) != len(items):
        where, words = f"{host.target}:{scratch.root}", "\n  ".join(said[-8:])
        raise RemoteError(f"{where}: the removal ended with exit code {code}:\n  {words}")
    return done, failed


def still_needed(
    uses: Uses, active: AbstractSet[str], hidden_runs: AbstractSet[str], before: AbstractSet[str]
) -> Callable[[Item], str | None]:
    """What a second look says: why an item has to stay after all.

    Args:
        uses: what records name by now.
        active: the names of jobs that wait or run by now.
        hidden_runs: the runs that are about to be removed; what only they name goes with them.
        before: the runs whose jobs were there at the first look.
    """
    alive = active | uses.young
    going = hidden_runs - alive

    def why(item: Item) -> str | None:
        if item.kind == "runs":
            return "was queued just now" if item.name in alive else None
        if item.kind == "images" and item.name in uses.newest:
            return "is the newest by now"
        users = {
            "code": (run for run, use in uses.runs.items() if use.code == item.name and run not in going),
            "images": (run for run, use in uses.runs.items() if use.sif == item.name and run in alive),
            "packed": (run for run, use in uses.runs.items() if item.name in use.packed and run in alive),
            "cache": (run for run, use in uses.runs.items() if use.cache == item.name and run in alive),
            "data": (run for run in uses.runs if run in alive - before),
        }
        found = next(users.get(item.kind, iter(())), None)
        return f"is used by {found}" if found else None

    return why
