"""The loop: until all is over, a budget is spent, somebody stops it, or its job's time is up."""
# ruff: noqa: UP006, UP035, UP045 - Python 3.6 has no others

import json
import signal
import time
import traceback
from datetime import datetime
from pathlib import Path
from typing import Any, List, Mapping, Optional, Set, Tuple

from .look import FAILED, Look, lines
from .place import Holder, Place
from .slurm import parse_submission, run
from .watch import Watch

# As slipway/steps/monitor_loop.py: 5 s, 7.5 s, … at most this many.
_FIRST_S, _LONGEST_S, _GROWS = 5.0, 30.0, 1.5
_TICK_S = 0.5
# A job ends itself so long before its limit, or in the middle of a short one.
_MARGIN_S = 120.0


class StoppedError(Exception):
    """Somebody wants it to stop."""


class Loop:
    """The monitor at work, in a folder that it holds."""

    def __init__(self, place: Place, mine: Holder) -> None:
        self.place = place
        self.mine = mine
        self.began = time.monotonic()
        self.is_stopped = False
        self._said: Set[str] = set()

    def run(self) -> None:
        """Work to the end, and write down why it ended."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        for number in (signal.SIGHUP, signal.SIGUSR1):
            signal.signal(number, signal.SIG_IGN)
        self.place.keep_beating()
        self.say(f"{datetime.now():%Y-%m-%d %H:%M:%S}  monitor on {self.mine.shown}")  # noqa: DTZ005
        try:
            order = json.loads(self.place.order.read_bytes().decode("ascii"))
            watch = Watch(order)
            look = self._keep_going(watch, order)
            if look is None:
                self._hand_over(order)
                return
            self.say(f"{look.reached}: nothing more is submitted" if _is_spent(look) else "all is over")
            self.place.end("over")
        except StoppedError as error:
            self.say(str(error))
            self.place.end("stopped", str(error))
        except Exception as error:
            self.say(traceback.format_exc())
            self.place.end("error", f"{type(error).__name__}: {error}")
        finally:
            self.place.release(self.mine)

    def _keep_going(self, watch: Watch, order: Mapping[str, Any]) -> Optional[Look]:
        """Look, decide and submit; the last look, or ``None`` where the job's time is up before that."""
        before: Optional[Look] = None
        pause_s = _FIRST_S
        while True:
            changed = False
            try:
                look, trouble = watch.look()
                changed = before is None or look.standing != before.standing
                if changed:
                    self._say_all(lines(look, before))
                    self._said.clear()
                    before = look
                if trouble:
                    self._say_once(f"{trouble}\nIt is tried again")
                if look.is_over:
                    return look
                self._act(watch, look)
            except OSError as error:
                self._say_once(f"{error}\nIt is tried again")
            pause_s = _FIRST_S if changed else min(pause_s * _GROWS, _LONGEST_S)
            if not self._wait(order["interval_s"] or pause_s, _most_s(order)):
                return None

    def _act(self, watch: Watch, look: Look) -> None:
        new, said = watch.act(look)
        for one in new:
            count = len(one.tasks)
            name = one.run_id + (f" ({one.name})" if one.name else "")
            self.say(f"run {name}  job {one.job_id}  {count} element{'' if count == 1 else 's'}")
        for words in said:
            self._say_once(words)

    def _wait(self, pause_s: float, most_s: Optional[float]) -> bool:
        """Wait; false where the job's time is up.

        Raises:
            StoppedError: somebody wants it to stop, or another holds the folder.
        """
        until = time.monotonic() + pause_s
        while True:
            if self.is_stopped or self.place.is_to_stop:
                raise StoppedError("it was stopped; what is on the way goes on")
            if self.place.holder() != self.mine:
                raise StoppedError("another monitor has taken its place")
            if most_s is not None and time.monotonic() - self.began >= most_s:
                return False
            if time.monotonic() >= until:
                return True
            time.sleep(_TICK_S)

    def _hand_over(self, order: Mapping[str, Any]) -> None:
        """Submit the job that goes on after this one; it is tried until this job is ended.

        Raises:
            StoppedError: somebody wants it to stop.
        """
        while True:
            options = [*order["job"]["options"], f"--dependency=afterany:{self.mine.job}"]
            job_id, refusal = submit_job(self.place, options)
            if job_id is not None:
                self.say(f"this job's time is up; job {job_id} goes on")
                return
            self._say_once(f"the job that is to go on was refused: {refusal}\nIt is tried again")
            self._wait(_FIRST_S, None)

    def _on_signal(self, number: int, frame: object) -> None:
        self.is_stopped = True

    # ---- The log -----------------------------------------------------------------------------------

    def say(self, text: str) -> None:
        """Write a line to the log."""
        with self.place.log.open("ab") as log:
            log.write(f"{text}\n".encode("utf-8", "replace"))

    def _say_all(self, texts: List[str]) -> None:
        for text in texts:
            self.say(text)

    def _say_once(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self.say(text)


def submit_job(place: Place, options: List[str]) -> Tuple[Optional[str], str]:
    """Submit the monitor's job; its id, or why there is none."""
    script = str(Path.cwd() / place.script)
    job_id, refusal = parse_submission(run(["sbatch", "--parsable", *options, script]))
    if job_id is not None:
        place.write_job(job_id)
    return job_id, refusal or "sbatch did not answer"


def _most_s(order: Mapping[str, Any]) -> Optional[float]:
    """How long one job of it works."""
    if order["job"] is None:
        return None
    limit_s = float(order["job"]["limit_s"])
    return limit_s - min(_MARGIN_S, limit_s / 2)


def _is_spent(look: Look) -> bool:
    return bool(look.reached) and any(one.stands == FAILED for one in look.seen)
