"""A run's tasks submitted once more, as slipway/steps/try_again.py does it; the lock is that of every run."""
# ruff: noqa: UP006, UP035, UP045 - Python 3.6 has no others

import io
import json
import os
import re
import secrets
import shutil
import tarfile
import time
from datetime import datetime, timezone
from itertools import groupby
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from .claim import FRESH_S, Claim, file_clock, make_claims, write_down
from .poll import poll
from .run import Run, read_run, read_text
from .slurm import Done, parse_submission, run

RUN, ARRAY, TRIES = "@slipway-run@", "@slipway-array@", "@slipway-tries@"
# A claim that was not used within this time is given up.
SOON_S = 60
_LETTERS = "bcdfghjkmnpqrstvwxz23456789"
_ANSWER_BYTES = 1 << 20
_CODE = re.compile("[0-9]{1,9}")


class RefusedError(Exception):
    """It cannot be submitted; the message says why."""


class Submitter:
    """Submits what an order says.

    Args:
        order: the order; see slipway/monitor/order.py.
    """

    def __init__(self, order: Mapping[str, Any]) -> None:
        self.order = order
        # In the C locale Python 3.6 takes paths for ASCII.
        self.root = os.getcwdb().decode("utf-8", "surrogateescape")  # noqa: PTH109

    def submit(
        self, old: Run, claims: Mapping[Optional[int], int], state: str, exclude: Sequence[str]
    ) -> Optional[Run]:
        """Submit tasks of a run again, as one new run in which they have the same numbers.

        Args:
            old: the run.
            claims: the number of the claim of each task's next try.
            state: what is asked for.
            exclude: nodes that it is kept from.

        Returns:
            The new run; ``None`` where others have claimed all of them, or it is not known yet whether SLURM
            has taken it.

        Raises:
            RefusedError: it was not submitted.
        """
        plan = self.order["plans"][old.plan]
        files, began = _files(old), time.time()
        new_id = _new_id(plan["record"]["profile"])
        tasks = make_claims(old.run_id, claims, new_id)
        if not tasks:
            return None
        record, script, options = self._filled(plan, old, new_id, tasks, state, exclude)
        files["run.json"] = _json(record)
        files["job.sh"] = script.encode("utf-8", "surrogateescape")
        new = Run(new_id, dict(record, plan=old.plan))
        if time.time() - began > SOON_S:
            self._refuse(old, new, f"{new_id} was claimed too long ago to be submitted now")
        self._make(plan, old, new, files)
        return self._submit(old, new, record, options)

    def _filled(
        self,
        plan: Mapping[str, Any],
        old: Run,
        new_id: str,
        tasks: Sequence[Optional[int]],
        state: str,
        exclude: Sequence[str],
    ) -> Tuple[Dict[str, Any], str, List[str]]:
        """The record, the script and the options of a new run."""
        asked = plan["states"][state]
        numbers = sorted(task for task in tasks if task is not None)
        array = ranges(numbers) + plan["throttle"] if numbers else None
        tries = [*old.tries, old.run_id]
        own = [f"--exclude={','.join(dict.fromkeys([*old.exclude, *exclude]))}"] if exclude else []
        resources = dict(asked["resources"])
        # The last one counts alone.
        resources["sbatch"] = [*resources["sbatch"], *(own or [f"--exclude={one}" for one in old.exclude])]
        resources["array"] = array
        options = [option.replace(RUN, new_id).replace(ARRAY, array or "") for option in asked["options"]]
        options += own or [f"--exclude={one}" for one in old.exclude]
        record = dict(plan["record"])
        record.update(
            run_id=new_id,
            run_dir=os.path.join(self.root, "runs", new_id),  # noqa: PTH118
            submitted=datetime.now(timezone.utc).isoformat(),
            resources=resources,
            resource_origins=asked["origins"],
            task_indices=numbers,
            parent=old.run_id,
            tries=tries,
            elements={str(task): plan["record"]["elements"][str(task)] for task in numbers}
            if plan["record"]["elements"]
            else {},
        )
        script = self.order["texts"][asked["script"]]
        script = script.replace(RUN, new_id).replace(ARRAY, array or "")
        word = plan["tries_word"]
        script = script.replace(word, " ".join(word.replace(TRIES, one) for one in reversed(tries)))
        return record, script, options

    def _make(self, plan: Mapping[str, Any], old: Run, new: Run, files: Mapping[str, bytes]) -> None:
        words = [self._path(new), "job.sh", plan["image"], plan["code"], *plan["packed"]]
        made = run(["sh", "-c", self.order["scripts"]["make_run"], "slipway", *words], _packed(files))
        if made.code:
            known = self.order["refusals"].get(str(made.code))
            self._refuse(old, new, known or f"the run's folder cannot be made: {made.stderr.strip()}")

    def _submit(self, old: Run, new: Run, record: Dict[str, Any], options: Sequence[str]) -> Optional[Run]:
        limit_s = self.order["submit_s"]
        script = os.path.join(self._path(new), "job.sh")  # noqa: PTH118
        words = [self._path(new), str(limit_s), "sbatch", "--parsable", *options, script]
        home = os.path.expanduser("~")  # noqa: PTH111
        argv = ["sh", "-c", self.order["scripts"]["submit"], "slipway", *words]
        done = run(argv, timeout_s=limit_s + 30, cwd=home if Path(home).is_dir() else None)
        new.job_id, refusal = parse_submission(done)
        if new.job_id is None and done.code == self.order["too_late"]:
            self._refuse(old, new, f"{new.run_id} was given up by somebody else in the meantime")
        if new.job_id is None:
            is_submitted = self.settle(new)
            if is_submitted is not None:
                write_down(old.run_id, new.run_id, is_submitted=is_submitted)
            if is_submitted is False:
                raise RefusedError(refusal or done.stderr.strip() or "sbatch did not end")
            if is_submitted is None:
                return None
        _write(new.folder / "run.json", _json(dict(record, job_id=new.job_id)))
        write_down(old.run_id, new.run_id, is_submitted=True)
        return new

    def _refuse(self, old: Run, new: Run, why: str) -> None:
        """Give a claimed run up.

        Raises:
            RefusedError: always.
        """
        self._give_up(old.run_id, new.run_id)
        raise RefusedError(why)

    def _give_up(self, old_id: str, new_id: str) -> bool:
        """Make sure that a claimed run will never be submitted; false where it may have been."""
        if self._is_given_up(new_id):
            write_down(old_id, new_id, is_submitted=False)
            return True
        return False

    def _is_given_up(self, run_id: str) -> bool:
        folder = os.path.join(self.root, "runs", run_id)  # noqa: PTH118
        done = run(["sh", "-c", self.order["scripts"]["give_up"], "slipway", folder])
        return bool(done.code != self.order["too_late"])

    def _path(self, one: Run) -> str:
        return os.path.join(self.root, str(one.folder))  # noqa: PTH118

    # ---- What others have begun --------------------------------------------------------------------

    def find_out(self, old: Run, claim: Claim) -> Tuple[Optional[bool], Optional[Run]]:
        """Whether a claimed run was submitted, of which nobody has written that down; and that run."""
        is_fresh = claim.age_s < FRESH_S
        new = read_run(claim.run_id, old.plan)
        if new is not None and new.job_id is not None:
            write_down(old.run_id, claim.run_id, is_submitted=True)
            return True, new
        if is_fresh:
            return None, None
        if new is None:
            return (False, None) if self._give_up(old.run_id, claim.run_id) else (None, None)
        is_submitted = self.settle(new)
        if is_submitted is not None:
            write_down(old.run_id, claim.run_id, is_submitted=is_submitted)
        return is_submitted, new if is_submitted else None

    def settle(self, new: Run) -> Optional[bool]:
        """Whether a run was submitted, by what sbatch has answered; ``None`` where it may still be at it.

        Where nobody has begun to submit it, it is made sure that nobody will.
        """
        content = read_text(new.folder / "answer", _ANSWER_BYTES)
        if content is None:
            if self._is_given_up(new.run_id):
                return False
            content = read_text(new.folder / "answer", _ANSWER_BYTES)
        refusal = None
        if content is not None:
            code, out, err = [*content.split("\0"), "", "", ""][:3]
            done = Done(int(code) if _CODE.fullmatch(code) else 124, out, err)
            new.job_id, refusal = parse_submission(done)
        if new.job_id is not None:
            return True
        problem = poll(self.order["commands"], [new])
        statuses = [new.status(task) for task in new.tasks]
        if problem or any(status.state == "UNKNOWN" for status in statuses):
            return None
        # Of a job that no node can run, accounting keeps a record, as of one that failed after no time.
        never_began = all(
            one.state == "FAILED" and one.script_reason is None and not one.elapsed_s for one in statuses
        )
        if new.job_id is not None and not (refusal and never_began):
            return True
        new.job_id = None
        if refusal:
            shutil.rmtree(str(new.folder), ignore_errors=True)
            return False
        lock = new.folder / "claim"
        age_s = file_clock(new.folder) - lock.lstat().st_mtime if lock.is_symlink() else 0
        return False if age_s > self.order["lost_s"] else None


def _files(old: Run) -> Dict[str, bytes]:
    """What the old run was made of, but for its record and its script.

    Raises:
        RefusedError: that is not there any more.
    """
    names = ("argv", "elements", "elements.index", "environment", "code.diff")
    try:
        files = {name: (old.folder / name).read_bytes() for name in names if (old.folder / name).exists()}
    except OSError as error:
        raise RefusedError(f"{old.folder}: {error.strerror}") from error
    if "environment" not in files or not ("argv" in files or {"elements", "elements.index"} <= set(files)):
        raise RefusedError(f"{old.run_id}: the words of its program are not there (any more)")
    return files


def _packed(files: Mapping[str, bytes]) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(content), int(time.time())
            tar.addfile(member, io.BytesIO(content))
    return archive.getvalue()


def _json(record: Mapping[str, Any]) -> bytes:
    return (json.dumps(record, indent=1) + "\n").encode()


def _write(path: Path, content: bytes) -> None:
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    part.replace(path)


def _new_id(profile: str) -> str:
    letters = "".join(secrets.choice(_LETTERS) for _ in range(4))
    return f"{letters}-{profile}-{datetime.now(timezone.utc):%Y%m%d-%H%M%S}"


def ranges(numbers: Sequence[int]) -> str:
    """Numbers in order as ``--array`` has them: ``0-3,7``."""
    parts = []
    for _, group in groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0]):
        some = [number for _, number in group]
        parts.append(str(some[0]) if len(some) == 1 else f"{some[0]}-{some[-1]}")
    return ",".join(parts)
