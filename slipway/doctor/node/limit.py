"""What a job may use of a node's memory."""

from __future__ import annotations

from slipway.doctor.check import Answer, Check, Facts, Place
from slipway.doctor.finding import Finding, ok, skipped, warning
from slipway.quantity import mebibytes
from slipway.text.number import whole

# Larger values are how a kernel writes that there is no limit.
_NO_LIMIT_BYTES = 1 << 60
# SLURM rounds to whole pages, and a site may allow a little more (AllowedRAMSpace).
_NEAR = 1.1
_ASK_MEMORY = """
echo "node ${SLURM_MEM_PER_NODE:-}"
echo "cpu ${SLURM_MEM_PER_CPU:-} ${SLURM_CPUS_ON_NODE:-1}"
while IFS=: read -r _ kinds path; do
    case ,$kinds, in
    *,memory,*) root=/sys/fs/cgroup/memory name=memory.limit_in_bytes ;;
    ,,) root=/sys/fs/cgroup name=memory.max ;;
    *) continue ;;
    esac
    path=${path%/}
    while :; do
        [ ! -r "$root$path/$name" ] || echo "limit $(cat "$root$path/$name")"
        [ -n "$path" ] || break
        path=${path%/*}
    done
done </proc/self/cgroup
"""


def _look_at_memory(facts: Facts, answer: Answer) -> Finding:
    limits = [whole(line.removeprefix("limit ")) for line in answer.text.splitlines()]
    limit = min((one for one in limits if one is not None and one < _NO_LIMIT_BYTES), default=None)
    return judge_memory(limit, given_bytes(answer) or _asked(facts))


def given_bytes(answer: Answer) -> int | None:
    """The memory that the scheduler says the job has, in bytes."""
    node = (answer.value("node") or "").strip()
    if number := whole(node):
        return number << 20
    words = [whole(word) for word in (answer.value("cpu") or "").split()]
    each, cpus = words if len(words) == 2 else (None, None)
    return None if each is None or cpus is None else each * cpus << 20


def _asked(facts: Facts) -> int | None:
    wanted = facts.wanted.resources.mem
    return int(mebibytes(wanted) * 2**20) if wanted else None


def judge_memory(limit_bytes: int | None, given: int | None) -> Finding:
    """The limit that the kernel has for the job, beside what it was given."""
    if given is None:
        if limit_bytes is None:
            return skipped("the job has asked for no memory, and has no limit")
        return ok(f"{limit_bytes / 2**20:,.0f} MiB; the job has asked for none")
    shown = f"{given / 2**20:,.0f} MiB"
    fix = "ask for as much as the program needs; whether limits are held is the site's decision"
    if limit_bytes is None or limit_bytes > given * _NEAR:
        has = "no limit" if limit_bytes is None else f"a limit of {limit_bytes / 2**20:,.0f} MiB"
        so = "a program that uses more is not stopped, or is killed by others' need, without out-of-memory"
        return warning(f"{shown} were given, and the kernel has {has}", so=so, fix=fix)
    if limit_bytes * _NEAR < given:
        seen = f"{shown} were given, and the kernel allows {limit_bytes / 2**20:,.0f} MiB"
        return warning(
            seen, so="a program is killed before it has used what was asked for", fix="ask for more"
        )
    return ok(f"{shown}, held by the kernel")


CHECKS = (
    Check(
        name="memory",
        title="memory limit",
        place=Place.NODE,
        about="The kernel holds the job to the memory that it was given.",
        predicts="Too much memory does not end as `out-of-memory`, or ends a program too early.",
        look=_look_at_memory,
        ask=lambda _: _ASK_MEMORY,
    ),
)
