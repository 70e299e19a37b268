"""What SLURM's commands print, as values; slipway/scheduler/slurm/parse.py has the reasons."""
# ruff: noqa: UP006, UP035, UP045 - Python 3.6 has no others

import re
from typing import List, Optional, Set, Tuple

from .status import OVER, UNFINISHED, Job

_MARK = "slipway|"
_WORDS = {
    "CONFIGURING": "PENDING",
    "REQUEUED": "PENDING",
    "REQUEUE_FED": "PENDING",
    "REQUEUE_HOLD": "PENDING",
    "SPECIAL_EXIT": "PENDING",
    "RESV_DEL_HOLD": "PENDING",
    "RESIZING": "RUNNING",
    "SIGNALING": "RUNNING",
    "STAGE_OUT": "COMPLETING",
    "STOPPED": "SUSPENDED",
    "BOOT_FAIL": "NODE_FAIL",
    "DEADLINE": "TIMEOUT",
    "REVOKED": "CANCELLED",
}
_SHOWN = re.compile(r"(?<!\S)(JobId|ArrayJobId|ArrayTaskId|JobName|JobState|ExitCode|RunTime|NodeList)=(\S*)")
_NODES = re.compile(r"[\w.-][\w.,\[\]-]*")
_ID = re.compile(r"([0-9]{1,18})(?:_(?:([0-9]{1,18})|\[(.*)\]))?")
_ELAPSED = re.compile(r"(?:([0-9]{1,9})-)?(?:([0-9]{1,9}):)?([0-9]{1,9}):([0-9]{1,9})(?:\.[0-9]+)?")
_RANGE = r"[0-9]{1,9}(-[0-9]{1,9}(:[0-9]{1,9})?)?"
_RANGES = re.compile(rf"{_RANGE}(,{_RANGE})*(%[0-9]{{1,9}})?")
_MOST_TASKS = 100000
_MOST_JOBS = 150000


class UnreadableError(Exception):
    """A program printed something other than what is documented."""


def parse_queue(stdout: str) -> List[Job]:
    """Read what squeue prints; a header or other words of a site's wrapper are left out."""
    lines = [line.strip() for line in stdout.splitlines()]
    rows = [line[len(_MARK) :].split("|", 7) for line in lines if line.startswith(_MARK)]
    if not rows or any(len(row) != 8 for row in rows):
        raise UnreadableError(f"squeue printed {stdout[:200]!r}; expected rows that begin with {_MARK}")
    jobs = []
    for shown_id, name, state, elapsed, _, _, nodes, _ in rows:
        if shown_id != "JOBID":
            for job_id, task in parse_tasks(shown_id, "squeue"):
                jobs.append(
                    Job(
                        job_id,
                        name,
                        parse_state(state),
                        task,
                        None,
                        None,
                        parse_elapsed(elapsed),
                        _nodes(nodes),
                    )
                )
        _check_count(jobs, "squeue")
    return jobs


def parse_accounting(stdout: str) -> List[Job]:
    """Read what sacct prints."""
    fields = [line.split("|") for line in stdout.splitlines()]
    rows = [row for row in fields if len(row) == 9 and _ID.fullmatch(row[0])]
    if not rows and stdout.strip():
        raise UnreadableError(f"sacct printed {stdout[:200]!r}; expected 9 fields with | between them")
    jobs = []
    for shown_id, name, state, codes, elapsed, _, _, _, nodes in rows:
        code, signal = _codes(codes)
        for job_id, task in parse_tasks(shown_id, "sacct"):
            word = parse_state(state.partition(" ")[0])
            jobs.append(Job(job_id, name, word, task, code, signal, _number(elapsed), _nodes(nodes)))
        _check_count(jobs, "sacct")
    return jobs


def parse_shown(stdout: str) -> List[Job]:
    """Read what scontrol prints of jobs."""
    lines = [line.strip() for line in stdout.splitlines()]
    shown = [line for line in lines if line.startswith("JobId=")]
    if not shown and any(lines):
        raise UnreadableError(f"scontrol printed {stdout[:200]!r}; expected JobId=")
    jobs = []
    for line in shown:
        fields = dict(_SHOWN.findall(line))
        if not {"JobId", "JobName", "JobState"} <= set(fields):
            raise UnreadableError(f"scontrol printed {line[:200]!r}; expected JobName= and JobState=")
        code, signal = _codes(fields.get("ExitCode", ""))
        shown_id = fields["JobId"]
        if "ArrayJobId" in fields:
            index = fields.get("ArrayTaskId", "")
            shown_id = f"{fields['ArrayJobId']}_{index if _number(index) is not None else f'[{index}]'}"
        elapsed_s, nodes = parse_elapsed(fields.get("RunTime", "")), _nodes(fields.get("NodeList", ""))
        for job_id, task in parse_tasks(shown_id, "scontrol"):
            state = parse_state(fields["JobState"])
            jobs.append(Job(job_id, fields["JobName"], state, task, code, signal, elapsed_s, nodes))
        _check_count(jobs, "scontrol")
    return jobs


def parse_state(word: str) -> str:
    """A state as SLURM writes it; one that is not documented is UNKNOWN."""
    known = _WORDS.get(word, word)
    return known if known in OVER or known in UNFINISHED else "UNKNOWN"


def parse_elapsed(text: str) -> Optional[int]:
    """``D-HH:MM:SS`` or less of it, in seconds; ``None`` where it is no time."""
    match = _ELAPSED.fullmatch(text)
    if match is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def _check_count(jobs: List[Job], program: str) -> None:
    if len(jobs) > _MOST_JOBS:
        raise UnreadableError(f"{program} printed rows of more than {_MOST_JOBS} tasks")


def parse_tasks(shown_id: str, program: str) -> List[Tuple[str, Optional[int]]]:
    """The job's id, and the tasks of it that this id means."""
    match = _ID.fullmatch(shown_id)
    if match is None:
        raise UnreadableError(f"{program} printed the job id {shown_id[:200]!r}")
    job_id, index, rest = match.groups()
    if rest is None:
        return [(job_id, None if index is None else int(index))]
    if not _RANGES.fullmatch(rest):
        # Where there are many gaps in it, SLURM cuts it off: "1,3,5,...".
        return [(job_id, None)]
    tasks: Set[int] = set()
    for part in rest.partition("%")[0].split(","):
        ends, _, step = part.partition(":")
        first, _, last = ends.partition("-")
        if step and not int(step):
            return [(job_id, None)]
        some = range(int(first), int(last or first) + 1, int(step or 1))
        if not some or len(some) > _MOST_TASKS:
            return [(job_id, None)]
        tasks.update(some)
    return [(job_id, task) for task in sorted(tasks)]


def _nodes(text: str) -> Optional[str]:
    return text if _NODES.fullmatch(text) else None


def _codes(text: str) -> Tuple[Optional[int], Optional[int]]:
    code, _, signal = text.partition(":")
    return _number(code), _number(signal) or None


def _number(text: str) -> Optional[int]:
    return int(text) if re.fullmatch("[0-9]{1,18}", text) else None
