"""What a cluster is asked about itself for a site's file, and what it answers. Nothing here runs anything."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

# Words in the names of variables that lead to large folders, the best first.
_LARGE = ("SCRATCH", "WORK", "LUSTRE", "GPFS", "PROJECT", "STORE", "DATA")
# Where such folders are without a variable.
_FOLDERS = ("/scratch", "/scratch/users", "/work", "/lustre/scratch", "/cluster/scratch", "/data")
_CONTAINERS = ("apptainer", "singularity")
_MODULE = re.compile(r"[A-Za-z0-9][\w.+-]*(/[\w.+-]+)*")
# Squashfs reads zstd from this kernel on.
_ZSTD_KERNEL = (4, 14)
_MARK = "slipway"
_NUMBER = re.compile(r"[0-9]{1,18}")

_FACTS = r"""
say() { printf 'slipway|%s|%s\n' "$1" "$2"; }
say user "$(id -un)"
say kernel "$(uname -r)"
say shell "$(getent passwd "$(id -un)" 2>/dev/null | cut -d: -f7)"
for name in sbatch sinfo qsub bsub condor_submit rsync apptainer singularity; do
    found=$(command -v "$name") && say "$name" "$found"
done
for name in apptainer singularity; do
    version=$(timeout 10 "$name" --version 2>/dev/null) && say "$name.version" "$version"
done
command -v scontrol >/dev/null || exit 0
say tmp_folder "$(scontrol show config 2>/dev/null | sed -n 's/^TmpFS *= *//p')"
say tmp_mb "$(sinfo --noheader --format=%d 2>/dev/null | sort -n | tail -n 1)"
default=$(sacctmgr --noheader --parsable2 show user "$(id -un)" format=DefaultAccount 2>/dev/null | tail -n 1)
say account "$default"
"""
_SCRATCH = r"""
show() { # name, folder
    [ -d "$2" ] && [ -w "$2" ] || return 0
    free=$(timeout 5 df -Pk -- "$2" 2>/dev/null | awk 'END { print $4 }')
    printf 'slipway|%s|%s|%s\n' "$1" "$free" "$2"
}
for name in $(env | sed -n 's/^\([A-Za-z_][A-Za-z0-9_]*\)=\/.*/\1/p' | grep -E "$1"); do
    eval "value=\$$name"
    show "$name" "$value"
done
shift
user=$(id -un)
for folder; do show '' "$folder/$user"; done
show HOME "$HOME"
"""
# All of it has to be done in a minute. Lmod and Tcl's modules both print to standard error. Where modules
# have to be loaded before others are seen, Lmod's `spider` knows them all.
_MODULES = r"""
found=$(timeout 20 bash -lc 'module -t avail' 2>&1 </dev/null | grep -iE "$1")
[ -n "$found" ] || found=$(timeout 20 bash -lc '[ -z "$LMOD_CMD" ] || for n in apptainer singularity; do
    module -t spider $n; done' 2>&1 </dev/null | grep -iE "$1")
printf '%s\n' "$found" | head -n 200
"""


@dataclass(frozen=True, kw_only=True)
class Folder:
    """A folder that can be written to: by which variable it is known, and how much is free."""

    name: str | None
    path: str
    free_bytes: int | None

    @property
    def written(self) -> str:
        """As a site's file has it."""
        return f"${self.name}" if self.name else self.path


@dataclass(frozen=True, kw_only=True)
class ClusterFacts:
    """What a cluster says of itself.

    Attributes:
        values: single facts by their names, such as ``user``, ``kernel``, ``sbatch``.
        folders: large ones that the user may write to, the likeliest scratch first, the home folder last.
        modules: those that have to do with containers or a proxy, as ``module avail`` names them.
        default_modules: those of them that are marked as a default.
    """

    values: Mapping[str, str] = field(default_factory=dict)
    folders: Sequence[Folder] = ()
    modules: Sequence[str] = ()
    default_modules: frozenset[str] = frozenset()

    @property
    def container(self) -> tuple[str, str | None] | None:
        """The command that starts containers, and the module that it needs; ``None`` where there is none."""
        for command in _CONTAINERS:
            if command in self.values:
                return command, None
        for command in _CONTAINERS:
            if found := self._newest(command):
                return command, found
        return None

    def _newest(self, command: str) -> str | None:
        found = [one for one in self.modules if command in one.lower()]
        # The command's own module before those that are only named after it.
        found = [one for one in found if one.lower().startswith(command)] or found
        marked = [one for one in found if one in self.default_modules]
        return max(marked or found, key=_version, default=None)

    @property
    def proxies(self) -> list[str]:
        """Modules by which nodes may reach the internet."""
        return [one for one in self.modules if "proxy" in one.lower()]

    @property
    def reads_zstd(self) -> bool:
        """False where the login node's kernel is too old for images with zstd."""
        numbers = re.match(r"([0-9]{1,9})\.([0-9]{1,9})", self.values.get("kernel", ""))
        return numbers is None or (int(numbers[1]), int(numbers[2])) >= _ZSTD_KERNEL


def facts_command() -> list[str]:
    """Ask for single facts."""
    return ["sh", "-c", _FACTS]


def scratch_command() -> list[str]:
    """Ask for large folders that the user may write to."""
    return ["sh", "-c", _SCRATCH, "slipway", "|".join(_LARGE), *_FOLDERS]


def modules_command() -> list[str]:
    """Ask for modules that have containers, or a proxy."""
    return ["sh", "-c", _MODULES, "slipway", "|".join((*_CONTAINERS, "proxy"))]


def parse_facts(facts: str, scratch: str, modules: str) -> ClusterFacts:
    """Read the answers to the three commands; lines of another form are left out."""
    values = {row[0]: row[1].strip() for row in _rows(facts, 2) if row[1].strip()}
    names = [name for line in modules.splitlines() if (name := _module(line)) is not None]
    return ClusterFacts(
        values=values,
        folders=_folders(scratch),
        modules=[*dict.fromkeys(name for name, _ in names)],
        default_modules=frozenset(name for name, is_default in names if is_default),
    )


def _rows(text: str, count: int) -> list[list[str]]:
    fields = (line.split("|", count)[1:] for line in text.splitlines() if line.startswith(f"{_MARK}|"))
    return [row for row in fields if len(row) == count]


def _folders(scratch: str) -> list[Folder]:
    found: dict[str, Folder] = {}
    for name, free, path in _rows(scratch, 3):
        known = Folder(
            name=name or None, path=path, free_bytes=int(free) * 1024 if _NUMBER.fullmatch(free) else None
        )
        found.setdefault(path, known)
    return sorted(found.values(), key=_rank)


def _rank(folder: Folder) -> tuple[int, int]:
    name = folder.name or ""
    if name == "HOME":
        return (len(_LARGE) + 1, 0)
    place = next((place for place, word in enumerate(_LARGE) if word in name), len(_LARGE))
    # $SCRATCH itself before those that are called after it.
    return (place, len(name) - len(_LARGE[place]) if place < len(_LARGE) else 0)


def _module(line: str) -> tuple[str, bool] | None:
    word = line.strip().split(" ")[0].split("(")[0].split("<")[0]
    is_meant = any(wanted in word.lower() for wanted in (*_CONTAINERS, "proxy"))
    if line.strip().endswith(":") or not (is_meant and _MODULE.fullmatch(word)):
        return None
    return word, "(default)" in line.lower() or "(D)" in line


def _version(name: str) -> list[tuple[int, str]]:
    return [
        (int(part), "") if _NUMBER.fullmatch(part) else (-1, part)
        for part in re.findall(r"[0-9]+|[^0-9]+", name)
    ]
