"""What lies in a cluster's scratch and home: how much of it, how old, and what runs need of it.

One program there looks through everything, and says a line for each run, snapshot, dataset and so on.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath

from slipway.errors import ParseError, RemoteError
from slipway.host.host import Host
from slipway.host.scratch import Scratch
from slipway.jsontext import load_json
from slipway.progress import Progress
from slipway.push.prune import YOUNG_MINUTES

KINDS = ("runs", "code", "cache", "data", "packed", "weights", "images")
# Names may hold anything but zero bytes; a newline in one becomes a question mark, and the name is then that
# of nothing. A file with several names is counted once. awk of old prints large numbers only by %.0f.
_COSTS = r"""
cost() {
    cd -- "$1" || return
    place=$2
    shift 2
    for kind; do
        [ ! -d "$kind" ] || set -- "$@" "$kind"
        shift
    done
    [ $# -gt 0 ] || return 0
    find "$@" -mindepth 1 -printf '%y %n %D:%i %s %T@ %A@ %C@ %u %H/%P\0' | tr '\n\0' '?\n' |
    awk -v token="$token" -v place="$place" '
    NR % 50000 == 0 { printf "%s at %.0f %s\n", token, NR, place; fflush() }
    {
        start = 9
        for (i = 1; i <= 8; i++) start += length($i)
        parts = split(substr($0, start), part, "/")
        name = part[2]
        hidden = name ~ /^\..*\.gone$/
        if (hidden) name = substr(name, 2, length(name) - 6)
        # What is written beside an image or packed data belongs to it.
        if (part[1] == "images" && sub(/\.json$/, "", name))
            if (name !~ /\.(tar|id|ref|sqsh)$/) name = name ".sif"
        if (part[1] == "packed") sub(/\.json$/, ".sqsh", name)
        key = part[1] "/" name
        if (parts == 2) {
            if ($1 == "l") { delete known[key]; link[key] = 1; next }
            owner[key] = $8
            arrived[key] = $7
        }
        known[key] = 1
        if (hidden) gone[key] = 1
        if (part[1] == "runs" && (part[3] ~ /^attempt-/ || part[4] ~ /^attempt-/)) begun[key] = 1
        if ($1 != "f") next
        if ($2 > 1) { if ($3 in seen) next; seen[$3] = 1 }
        files[key]++
        bytes[key] += $4
        if ($5 > newest[key]) newest[key] = $5
        used = $5 > $6 ? $5 : $6
        if (!(key in oldest) || used < oldest[key]) oldest[key] = used
    }
    END {
        for (key in known) {
            flags = (key in begun ? "b" : "-") (key in gone ? "g" : "-")
            printf "%s item %s %s %.0f %.0f %.0f %.0f %.0f %s %s\n", token, place, flags, files[key],
                bytes[key], newest[key], oldest[key], arrived[key], owner[key], key
        }
    }'
}
"""
# The record's own lines, and not what an argument or a setting may hold: see job/record.py.
_USES = r"""
uses() {
    cd -- "$1" || exit
    printf '%s user %s\n' "$token" "$(id -un)"
    {
        find runs -mindepth 2 -maxdepth 2 -name run.json -exec sh -c \
            'grep -HoZ "^ \"\(sif\|code\)\": \".*\"\|^  \"cache\": \".*\"\|$0" -- "$@"; test $? -lt 2' \
            '^  "[^"]*": "[^"]*-[0-9a-f]\{16\}\.sqsh"' {} + ||
            printf 'blind\0\n'
    } | tr '\0' '\t' | sed "s/^/$token uses /"
    find runs -mindepth 2 -maxdepth 2 -name run.json -mmin "-$young" -printf '%h\n' |
    while read -r run; do
        set -- "$run"/attempt-*/result.json "$run"/task-*/attempt-*/result.json
        [ -e "$1" ] || [ -e "$2" ] || printf '%s young %s\n' "$token" "${run#runs/}"
    done
    find images -maxdepth 1 -type l -regex '.*\.\(sif\|image\|ref\|sqsh\)' -printf "$token newest %l\n"
    [ ! -d packed ] || find packed -maxdepth 1 -type l -name '*.sqsh' -printf "$token newest %l\n"
}
"""
_SURVEY = (
    _COSTS
    + _USES
    + r"""
LC_ALL=C; export LC_ALL
token=$1 root=$2 kept=$3 young=$4
if [ -d "$root" ]; then
    (cost "$root" scratch runs code cache data packed weights images)
    (uses "$root") || exit
fi
if [ -d "$kept" ]; then
    (cost "$kept" home runs code data packed images)
    find "$kept/.sha256" -type f -printf "$token kept %f\n" 2>/dev/null
fi
printf '%s end\n' "$token"
"""
)
_LOOK_AGAIN = (
    _USES
    + r"""
LC_ALL=C; export LC_ALL
token=$1 young=$3
(uses "$2") || exit
printf '%s end\n' "$token"
"""
)
_DATA = (
    _COSTS
    + r"""
LC_ALL=C; export LC_ALL
token=$1
[ ! -d "$2" ] || (cost "$2" scratch data packed)
printf '%s end\n' "$token"
"""
)
_USE = re.compile(r"runs/(.*)/run\.json\t *\"([^\"]*)\": (\".*\")")
_PACKED = re.compile(r".+-[0-9a-f]{16}\.sqsh")
_HIDDEN = re.compile(r"\.(.*)\.gone")


@dataclass(frozen=True, kw_only=True)
class Item:
    """A run's folder, a snapshot of code, a dataset and so on, with all that is in it.

    Attributes:
        kind: one of :data:`KINDS`.
        name: its name in the folder of that kind.
        files: how many files.
        size_bytes: of all of them.
        written_s: when the newest file was written, in seconds since 1970; of an empty one, when it came.
        unused_s: since when the file that was left alone the longest was neither written nor read.
        arrived_s: when it got its name.
        owner: whose it is.
        has_begun: of a run: an attempt has begun.
        is_hidden: a removal that was cut has left it.
    """

    kind: str
    name: str
    files: int = 0
    size_bytes: int = 0
    written_s: int = 0
    unused_s: int | None = None
    arrived_s: int = 0
    owner: str = ""
    has_begun: bool = False
    is_hidden: bool = False

    @property
    def path(self) -> str:
        """Its place below ``slipway/``."""
        return f"{self.kind}/{self.name}"


@dataclass(frozen=True, kw_only=True)
class Use:
    """What the record of a run on the cluster names: files of its image and packed data, code and cache."""

    sif: str | None = None
    code: str | None = None
    cache: str | None = None
    packed: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Uses:
    """What runs need.

    Attributes:
        runs: by the ids of runs.
        young: runs whose submission may be under way.
        newest: the images that `<name>.sif` and its like lead to, and the packed data of `<name>.sqsh`.
        is_whole: False where a record could not be read.
    """

    runs: Mapping[str, Use] = field(default_factory=dict)
    young: frozenset[str] = frozenset()
    newest: frozenset[str] = frozenset()
    is_whole: bool = True


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What lies on a cluster.

    Attributes:
        user: who looked.
        scratch: what is in ``slipway/``.
        home: what is kept in the home folder.
        kept: what is kept there as a whole, as ``runs-ID``, ``data-NAME`` and ``images-FILE``.
        uses: what runs need.
        problems: what could not be looked at.
    """

    user: str = ""
    scratch: Sequence[Item] = ()
    home: Sequence[Item] = ()
    kept: frozenset[str] = frozenset()
    uses: Uses = field(default_factory=Uses)
    problems: Sequence[str] = ()

    @cached_property
    def runs(self) -> Mapping[str, Item]:
        """The folders of runs in scratch, by their ids."""
        return {item.name: item for item in self.scratch if item.kind == "runs"}

    @cached_property
    def kept_runs(self) -> Mapping[str, Item]:
        """The copies of runs that are kept as a whole, and still there, by their ids."""
        runs = (item for item in self.home if item.kind == "runs" and not item.is_hidden)
        return {item.name: item for item in runs if f"runs-{item.name}" in self.kept}


def take_survey(host: Host, scratch: Scratch, kept: PurePosixPath, progress: Progress) -> Survey:
    """Look through scratch and what is kept, in one go, however many files there are.

    Raises:
        RemoteError: the program there did not come to its end.
        SshError: the connection was lost.
    """
    token = secrets.token_hex(8)
    return parse_survey(_listen(host, survey_command(token, scratch, kept), progress), token)


def survey_data(host: Host, scratch: Scratch, progress: Progress) -> list[Item]:
    """The datasets in scratch, folders and packed versions, by their names; what is on its way is none.

    Raises:
        RemoteError: the program there did not come to its end.
        SshError: the connection was lost.
    """
    token = secrets.token_hex(8)
    found = parse_survey(
        _listen(host, ["sh", "-c", _DATA, "slipway", token, str(scratch.root)], progress), token
    )
    items = (item for item in found.scratch if not item.name.startswith(".") and not item.is_hidden)
    return sorted(items, key=lambda item: item.name)


def survey_command(token: str, scratch: Scratch, kept: PurePosixPath) -> list[str]:
    """Look through scratch and what is kept; lines that begin with the token are for :func:`parse_survey`."""
    return ["sh", "-c", _SURVEY, "slipway", token, str(scratch.root), str(kept), str(YOUNG_MINUTES)]


def look_again(host: Host, scratch: Scratch, progress: Progress) -> Uses:
    """What runs need by now.

    Raises:
        RemoteError: the program there did not come to its end.
        SshError: the connection was lost.
    """
    token = secrets.token_hex(8)
    argv = ["sh", "-c", _LOOK_AGAIN, "slipway", token, str(scratch.root), str(YOUNG_MINUTES)]
    return parse_survey(_listen(host, argv, progress), token).uses


def parse_survey(lines: Iterable[str], token: str) -> Survey:
    """Read what the program there has said; lines without the token are what others said, such as find.

    Raises:
        ParseError: a line is not of the form.
    """
    said: dict[str, list[str]] = {}
    problems = []
    for line in lines:
        mark, _, rest = line.partition(" ")
        if mark == token:
            word, _, value = rest.partition(" ")
            said.setdefault(word, []).append(value)
        elif line.strip():
            problems.append(line)
    items: dict[str, list[Item]] = {"scratch": [], "home": []}
    for value in said.get("item", ()):
        place, item = _parse_item(value)
        if place not in items:
            raise ParseError(f"the cluster said {value[:200]!r} of what lies in scratch")
        items[place].append(item)
    return Survey(
        user="".join(said.get("user", ())),
        scratch=items["scratch"],
        home=items["home"],
        kept=frozenset(said.get("kept", ())),
        uses=_parse_uses(said),
        problems=problems,
    )


def _listen(host: Host, argv: Sequence[str], progress: Progress) -> list[str]:
    token, where = argv[4], f"{host.target}:{argv[5]}"
    lines: list[str] = []

    def listen(line: str) -> None:
        if line.startswith(f"{token} at "):
            count, place = line.split(" ")[2:4]
            progress.line(f"{int(count):,} files and folders in {place} so far")
        else:
            lines.append(line)

    code = host.stream(argv, listen)
    if code or lines[-1:] != [f"{token} end"]:
        said = "\n  ".join(line for line in lines[-8:] if not line.startswith(token))
        raise RemoteError(f"{where} could not be looked through (exit code {code}):\n  {said}")
    return lines


def _parse_item(value: str) -> tuple[str, Item]:
    words = value.split(" ", 8)
    try:
        place, flags, files, size, newest, oldest, arrived, owner, path = words
        kind, _, name = path.partition("/")
        return place, Item(
            kind=kind,
            name=name,
            files=int(files),
            size_bytes=int(size),
            written_s=int(newest) if int(files) else int(arrived),
            unused_s=int(oldest) if int(files) else None,
            arrived_s=int(arrived),
            owner=owner,
            has_begun="b" in flags,
            is_hidden="g" in flags,
        )
    except ValueError as error:
        raise ParseError(f"the cluster said {value[:200]!r} of what lies in scratch") from error


def _parse_uses(said: Mapping[str, Sequence[str]]) -> Uses:
    runs: dict[str, dict[str, str]] = {}
    packed: dict[str, set[str]] = {}
    is_whole = True
    for value in said.get("uses", ()):
        found = _USE.fullmatch(value)
        content = _text(found[3]) if found else None
        if not found or content is None:
            is_whole = False
            continue
        hidden = _HIDDEN.fullmatch(found[1])
        run_id = hidden[1] if hidden else found[1]
        run = runs.setdefault(run_id, {})
        # A dataset may be called what it likes, but an image has its whole path.
        if not content.startswith("/") and _PACKED.fullmatch(content):
            packed.setdefault(run_id, set()).add(content)
        elif found[2] in ("sif", "code", "cache"):
            run[found[2]] = PurePosixPath(content).name if found[2] == "sif" else content
    return Uses(
        runs={
            run_id: Use(**values, packed=frozenset(packed.get(run_id, ()))) for run_id, values in runs.items()
        },
        young=frozenset(said.get("young", ())),
        newest=frozenset(said.get("newest", ())),
        is_whole=is_whole,
    )


def _text(quoted: str) -> str | None:
    try:
        content = load_json(quoted)
    except ValueError:
        return None
    return content if isinstance(content, str) else None
