"""Many questions in one program: checks' scripts, run side by side, and what each has printed. Pure.

A script that hangs, on a file system that does not answer, say, keeps no other from being heard: each writes
to a file of its own, and after the limit what there is is read.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import PurePosixPath

from slipway.doctor.check import Answer
from slipway.runtime.choose import find_runtime
from slipway.site import Site
from slipway.text.number import whole

# What a script may print; more is cut off.
_MOST_BYTES = 100_000
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_BEGIN = r"""
# What start files may have set.
set +efuC +o pipefail
shopt -u nullglob failglob
unalias -a
IFS=$' \t\n'
export LC_ALL=C
slipway_kept=''
trap '[ -z "$slipway_kept" ] || rm -rf -- "$slipway_kept"' EXIT
trap 'exit 129' HUP; trap 'exit 130' INT; trap 'exit 141' PIPE; trap 'exit 143' TERM
for place in "${XDG_RUNTIME_DIR:-}" /tmp /dev/shm "$HOME"; do
    [ -n "$place" ] && slipway_kept=$(mktemp -d "$place/slipway-doctor.XXXXXX" 2>/dev/null) && break
done
[ -n "$slipway_kept" ] || { echo "no folder for temporary files can be written"; exit 1; }
slipway_asked=() slipway_groups=()
set -m
ask() { # name, script
    {
        (eval "$2") >"$slipway_kept/$1.out" 2>&1 </dev/null
        echo $? >"$slipway_kept/$1.code"
    } 2>/dev/null &
    slipway_asked+=("$1") slipway_groups+=($!)
}
tell() {
    local name code end=$((SECONDS + $1)) open=yes
    while [ -n "$open" ] && [ "$SECONDS" -lt "$end" ]; do
        open=''
        for name in "${slipway_asked[@]}"; do [ -s "$slipway_kept/$name.code" ] || open=yes; done
        [ -z "$open" ] || sleep 0.1
    done
    for name in "${slipway_asked[@]}"; do
        code=$(cat "$slipway_kept/$name.code" 2>/dev/null)
        printf '\n%s %s %s\n' "$slipway_mark" "$name" "${code:-none}"
        head -c "$slipway_most" "$slipway_kept/$name.out" 2>/dev/null
    done
    printf '\n%s end 0\n' "$slipway_mark"
    [ -z "$open" ] || for code in "${slipway_groups[@]}"; do kill -KILL -- "-$code"; done 2>/dev/null
}
# The deepest folder of a path that is there.
nearest() {
    local folder=$1
    while [ -n "$folder" ] && [ ! -d "$folder" ]; do folder=${folder%/*}; done
    echo "${folder:-/}"
}
"""


def compose(
    scripts: Mapping[str, str], site: Site, mark: str, limit_s: int, *, scratch: PurePosixPath | None = None
) -> str:
    """The text of a program for bash.

    Args:
        scripts: by the names of the checks.
        site: scripts have ``$scratch`` and ``$container`` of it, and the function ``load_site``.
        mark: begins each answer, and stands nowhere else.
        limit_s: seconds after which those that have not ended are given up.
        scratch: what ``$scratch`` is. By default it is the same as ``$scratch_here``: what the file has, with
            variables as they are where the program runs.
    """
    asked = [f"ask {shlex.quote(name)} {shlex.quote(script)}" for name, script in scripts.items()]
    lines = [
        f"slipway_mark={shlex.quote(mark)} slipway_most={_MOST_BYTES}",
        _BEGIN.strip("\n"),
        f"scratch_here={shell_path(site.paths.scratch)}",
        "scratch=$scratch_here" if scratch is None else f"scratch={shlex.quote(str(scratch))}",
        f"container={shlex.quote(find_runtime(site.container.command).program)}",
        "load_site() {",
        *(f"    {shlex.join(['module', 'load', name])} || return" for name in site.modules),
        # How the last of the site's own lines ends is of no account in a job either.
        f"    eval {shlex.quote(site.before)}",
        "    true",
        "}",
        *asked,
        f"tell {limit_s}",
    ]
    return "\n".join(lines) + "\n"


def parse_answers(printed: str, mark: str) -> dict[str, Answer] | None:
    """What the program has printed, by the names of the checks; ``None`` where it did not come to its end."""
    parts = printed.split(f"\n{mark} ")[1:]
    if not parts or not parts[-1].startswith("end "):
        return None
    answers = {}
    for part in parts[:-1]:
        head, _, text = part.partition("\n")
        name, _, code = head.rpartition(" ")
        answers[name] = Answer(exit_code=whole(code), text=text)
    return answers


def shell_path(written: str) -> str:
    """A path of a site's file as a word for bash: its variables are filled in, and nothing else is obeyed."""
    words, end = "", 0
    for match in _VARIABLE.finditer(written):
        words += _quoted(written[end : match.start()]) + f'"${{{match[1] or match[2]}-}}"'
        end = match.end()
    return words + _quoted(written[end:])


def variables(written: str) -> list[str]:
    """The names of a path's variables."""
    return sorted({one or other for one, other in _VARIABLE.findall(written)})


def _quoted(text: str) -> str:
    return shlex.quote(text) if text else ""
