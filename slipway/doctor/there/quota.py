"""The user's quota, by whichever command the cluster has for it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from slipway.doctor.check import Answer, Check, Facts, Place
from slipway.doctor.finding import Finding, failed, ok, skipped, warning
from slipway.text.number import whole

_MUCH = 0.9
# It prints first which command it is. `quota` tells all file systems, of which that of scratch is chosen.
_ASK = """
folder=$(nearest "$scratch/slipway") user=$(id -un)
echo "disk $(df -P -- "$folder" | tail -n 1 | cut -d' ' -f1)"
if command -v lfs >/dev/null && lfs getstripe -d "$folder" >/dev/null 2>&1; then
    echo "command lfs"; lfs quota -q -u "$user" "$folder"
elif command -v beegfs-ctl >/dev/null && [ "$(stat -f -c %T "$folder" 2>/dev/null)" = beegfs ]; then
    echo "command beegfs"; beegfs-ctl --getquota --csv --uid "$user" --mount="$folder"
elif command -v mmlsquota >/dev/null && [ "$(stat -f -c %T "$folder" 2>/dev/null)" = gpfs ]; then
    echo "command gpfs"; mmlsquota -Y
elif command -v quota >/dev/null; then
    echo "command quota"; quota -w -v 2>&1
fi
"""
_DIGITS = r"([0-9]{1,18})"
_NUMBER = rf"{_DIGITS}\*?"
# lfs: kbytes quota limit grace files quota limit grace; of quota, each grace may be missing.
_LIMITS = rf"\s+{_DIGITS}\s+{_DIGITS}"
_LFS = re.compile(rf"^\s*\S+\s+\[?{_NUMBER}\]?{_LIMITS}\s+\S+\s+{_NUMBER}{_LIMITS}", re.M)
_QUOTA = re.compile(rf"^\s*(\S+)\s+{_NUMBER}{_LIMITS}\s+(?:[\w:]*[a-z:][\w:]*\s+)?{_NUMBER}{_LIMITS}", re.M)


@dataclass(frozen=True, kw_only=True)
class Quota:
    """Bytes and files that are used, and how many may be; ``None`` for no limit."""

    used_bytes: int
    most_bytes: int | None
    used_files: int
    most_files: int | None

    @property
    def share(self) -> float:
        """How much of it is used, of whichever is nearer to its end."""
        parts = [self.used_bytes / self.most_bytes] if self.most_bytes else []
        parts += [self.used_files / self.most_files] if self.most_files else []
        return max(parts, default=0.0)


def parse_quota(printed: str) -> Quota | None:
    """Read what the script prints; ``None`` where nothing there tells of this user and this disk."""
    answer = Answer(exit_code=0, text=printed)
    kind, disk = answer.value("command"), answer.value("disk") or ""
    found = next(_READERS[kind](printed, disk), None) if kind in _READERS else None
    if found is None:
        return None
    used, soft, hard, files, soft_files, hard_files = found
    return Quota(
        used_bytes=used * 1024,
        most_bytes=(soft or hard) * 1024 or None,
        used_files=files,
        most_files=soft_files or hard_files or None,
    )


def _read_lfs(printed: str, _: str) -> Iterator[list[int]]:
    return (list(map(int, row)) for row in _LFS.findall(printed))


def _read_quota(printed: str, disk: str) -> Iterator[list[int]]:
    return (list(map(int, row[1:])) for row in _QUOTA.findall(printed) if row[0] == disk)


def _read_beegfs(printed: str, _: str) -> Iterator[list[int]]:
    """``name,id,size,hard,files,hard``: sizes in bytes, and ``unlimited`` for no limit."""
    for line in printed.splitlines():
        row = line.strip().split(",")
        size, hard, files, most = map(whole, row[2:]) if len(row) == 6 else (None, None, None, None)
        if size is not None and files is not None:
            yield [size // 1024, 0, (hard or 0) // 1024, files, 0, most or 0]


def _read_gpfs(printed: str, disk: str) -> Iterator[list[int]]:
    """Lines of ``mmlsquota -Y``, whose header names the fields; sizes in KiB."""
    names: list[str] = []
    for line in printed.splitlines():
        row = line.split(":")
        if "HEADER" in row:
            names = row
        elif names and len(row) >= len(names) - 1:
            values = dict(zip(names, row, strict=False))
            keys = ("blockUsage", "blockQuota", "blockLimit", "filesUsage", "filesQuota", "filesLimit")
            if values.get("quotaType") == "USR" and values.get("filesystemName") == disk.rpartition("/")[2]:
                yield [whole(values.get(key, "")) or 0 for key in keys]


_READERS = {"lfs": _read_lfs, "quota": _read_quota, "beegfs": _read_beegfs, "gpfs": _read_gpfs}


def _look(facts: Facts, answer: Answer) -> Finding:
    kind = answer.value("command")
    if kind is None:
        return skipped("this cluster has none of lfs, beegfs-ctl, mmlsquota and quota")
    quota = parse_quota(answer.text)
    if quota is None:
        return skipped(f"`{kind}` tells nothing of this user on the disk of scratch")
    return judge_quota(quota, facts.there.name, facts.sif.size_bytes if facts.sif else 0)


def judge_quota(quota: Quota, site: str, needed_bytes: int) -> Finding:
    """What is left of a quota."""
    parts = []
    if quota.most_bytes:
        parts.append(f"{quota.used_bytes / 1e9:,.1f} of {quota.most_bytes / 1e9:,.1f} GB")
    if quota.most_files:
        parts.append(f"{quota.used_files:,} of {quota.most_files:,} files")
    if not parts:
        return ok(f"no limit; {quota.used_bytes / 1e9:,.1f} GB used")
    seen = f"{' and '.join(parts)} used"
    fix = f"`invoke runs.prune --site {site}` shows what of Slipway's may go; or ask the site for more"
    left = quota.most_bytes - quota.used_bytes if quota.most_bytes else None
    if quota.share >= 1 or (left is not None and left < needed_bytes):
        so = "`push` would end with: disk quota exceeded; a job could not write its results"
        return failed(seen, so=so, fix=fix)
    if quota.share > _MUCH:
        return warning(seen, so="a job's results may not fit", fix=fix)
    return ok(seen)


CHECKS = (
    Check(
        name="quota",
        title="quota",
        place=Place.THERE,
        about="What is used of the quota on scratch, by `lfs`, `beegfs-ctl`, `mmlsquota` or `quota`.",
        predicts="`push` ends with: disk quota exceeded; a job loses its results.",
        look=_look,
        ask=lambda _: _ASK,
        needs=("scratch",),
    ),
)
