"""Looks at all elements, decides by the order's table, and submits; see slipway/steps/monitor.py."""
# ruff: noqa: UP006, UP035, UP045 - Python 3.6 has no others

from collections import Counter
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Set, Tuple

from .claim import Claim, read_claims
from .failure import END_BYTES, classify
from .look import FAILED, OK, ON_ITS_WAY, STOPPED, Look, Seen
from .poll import poll
from .run import Run, Where, read_log_end, read_run
from .status import Status
from .submit import RefusedError, Submitter

# SLURM may begin such a run again by itself, some seconds after it has called it over.
_MAY_RETURN = ("preempted", "node-failure")
_MOST_TASKS = 500


class Watch:
    """All elements of an order."""

    def __init__(self, order: Mapping[str, Any]) -> None:
        self.order = order
        self.submitter = Submitter(order)
        self.runs = {run_id: Run(run_id, values) for run_id, values in order["runs"].items()}
        self.labels = [str(one["label"]) for one in order["elements"]]
        self.tries: List[List[Where]] = [
            [(run_id, task) for run_id, task in one["tries"]] for one in order["elements"]
        ]
        self._claims: Dict[Where, Claim] = {}
        self._failures: Dict[Where, Tuple[str, str]] = {}
        self._seen: Set[Where] = set()
        self._refused: Dict[Where, Tuple[str, int]] = {}
        self._anywhere: Set[Where] = set()

    def look(self) -> Tuple[Look, Optional[str]]:
        """How all stand now, and why SLURM could not be asked, where it could not."""
        trouble = self._follow()
        self._read_failures()
        reached = self._reached()
        seen = [self._see(label, tries) for label, tries in zip(self.labels, self.tries)]  # noqa: B905
        return Look(self._with_refusals(seen), reached), trouble

    # ---- Where elements are ------------------------------------------------------------------------

    def _follow(self) -> Optional[str]:
        moved = True
        trouble = None
        while moved:
            moved = False
            trouble = poll(self.order["commands"], self._unsettled()) or trouble
            failed = [tries for tries in self.tries if self._has_failed(tries[-1])]
            self._claims = read_claims(sorted({tries[-1][0] for tries in failed}))
            submitted = self._submitted({tries[-1] for tries in failed})
            for tries in failed:
                claim = self._claims.get(tries[-1])
                if claim is not None and claim.run_id in submitted:
                    tries.append((claim.run_id, tries[-1][1]))
                    moved = True
        return trouble

    def _unsettled(self) -> List[Run]:
        doubtful = {run_id for (run_id, _), (failure, _) in self._failures.items() if failure in _MAY_RETURN}
        wanted = sorted({tries[-1][0] for tries in self.tries})
        runs = [self.runs[run_id] for run_id in wanted if run_id in self.runs]
        return [run for run in runs if not run.is_over or run.run_id in doubtful]

    def _submitted(self, places: Iterable[Where]) -> Set[str]:
        """The claimed runs that were submitted."""
        decided: Dict[str, Optional[bool]] = {}
        for place in places:
            claim = self._claims.get(place)
            if claim is None:
                continue
            if claim.run_id not in decided:
                decided[claim.run_id] = self._is_submitted(place[0], claim)
            self._claims[place] = claim._replace(is_submitted=decided[claim.run_id])
        return {run_id for run_id, is_submitted in decided.items() if is_submitted}

    def _is_submitted(self, run_id: str, claim: Claim) -> Optional[bool]:
        is_submitted, new = claim.is_submitted, self.runs.get(claim.run_id)
        if is_submitted is None and run_id in self.runs:
            is_submitted, new = self.submitter.find_out(self.runs[run_id], claim)
        if is_submitted and new is None:
            new = read_run(claim.run_id, self.runs[run_id].plan if run_id in self.runs else None)
        if is_submitted and new is not None:
            self.runs.setdefault(claim.run_id, new)
        # Without its record nobody can say how it stands; it may be read next time.
        return is_submitted if not is_submitted or claim.run_id in self.runs else None

    # ---- How they stand ----------------------------------------------------------------------------

    def _status(self, where: Where) -> Optional[Status]:
        run = self.runs.get(where[0])
        return None if run is None else run.status(where[1])

    def _has_failed(self, where: Where) -> bool:
        status = self._status(where)
        return status is None or (status.is_over and status.reason != "ok")

    def _read_failures(self) -> None:
        known = {where: why for where, why in self._failures.items() if self._has_failed(where)}
        self._seen &= set(known)
        for where in {where for tries in self.tries for where in tries} - set(known):
            if self._has_failed(where):
                status, run = self._status(where), self.runs.get(where[0])
                end = read_log_end(run, where[1], END_BYTES) if run else ""
                failure = classify(status, end, self.order["patterns"]) if status else None
                known[where] = (failure or "unknown", end)
        self._failures = known

    def _see(self, label: str, tries: Sequence[Where]) -> Seen:
        place = tries[-1]
        status = self._status(place)
        one = Seen(label, tuple(tries), ON_ITS_WAY, status)
        if not self._has_failed(place):
            return one._replace(stands=OK) if status and status.reason == "ok" else one
        claim = self._claims.get(place)
        if claim is not None and claim.is_submitted is not False:
            return one
        failure, end = self._failures[place]
        decided = self._decide(one, failure)._replace(log_end=end)
        is_first = failure in _MAY_RETURN and place not in self._seen
        self._seen.add(place)
        return one if decided.stands == FAILED and is_first else decided

    def _decide(self, one: Seen, failure: str) -> Seen:
        """What is done, by the table that the order has of what slipway/monitor/decide.py says."""
        run_id, _ = one.tries[-1]
        run, status = self.runs.get(run_id), one.status
        if run is None or status is None:
            return _stop(one, f"{one.label}: the record of {run_id} is gone")
        state = self._state(run)
        if state is None:
            words = "what it asked for is not in this monitor's order; start the monitor again"
            return _stop(one, f"{one.label}: {failure} → stop: {words}")
        row, most = state["failures"][failure], self.order["most_tries"]
        count = len(run.tries) + 1
        head = f"{one.label}: {row['why']}{self._where(failure, status)}"
        if not row["again"] and (row["is_rule"] or count < most):
            return _stop(one, f"{head} → {row['then']}")
        if count >= most:
            return _stop(one, f"{head} → stop: try {count} of {most} was the last")
        if row["next"] is None:
            return _stop(one, f"{head} → stop: this monitor's order goes no further; start the monitor again")
        exclude = () if one.tries[-1] in self._anywhere else self._excluded(failure)
        told = [str(row["then"]), *([f"not on {','.join(exclude)}"] if exclude else [])]
        told.append(f"try {count + 1} of {most}")
        return one._replace(
            stands=FAILED, words=f"{head} → {', '.join(told)}", state=row["next"], exclude=exclude
        )

    def _where(self, failure: str, status: Status) -> str:
        where = f" on {status.node}" if status.node and failure in self.order["names_node"] else ""
        code = f", exit code {status.exit_code}" if failure == "program-error" and status.exit_code else ""
        return where + code

    def _excluded(self, failure: str) -> Tuple[str, ...]:
        most = self.order["exclude_after"].get(failure)
        if not most:
            return ()
        kinds = self.order["of_a_node"]
        failed = [self._status(where) for where, (why, _) in self._failures.items() if why in kinds]
        counts = Counter(status.node for status in failed if status is not None and _is_one(status.node))
        bad = sorted(str(node) for node, count in counts.items() if count >= most)
        statuses = [self._status(where) for tries in self.tries for where in tries]
        nodes = {status.node for status in statuses if status is not None and status.node}
        # What happens wherever there was a try is no node's fault.
        return () if len(bad) > 1 and nodes <= set(bad) else tuple(bad)

    def _state(self, run: Run) -> Optional[Mapping[str, Any]]:
        """What the order has of what a run asked for."""
        plan = self.order["plans"].get(run.plan)
        state: Optional[Mapping[str, Any]] = plan and plan["states"].get(run.state)
        return state

    def _rate(self, run: Run) -> Tuple[float, float]:
        state = self._state(run)
        return (0.0, 0.0) if state is None else (state["rate"][0], state["rate"][1] or 0.0)

    def _reached(self) -> Optional[str]:
        """Which budget is spent, in words."""
        gpu_hours = cost = 0.0
        for run_id, task in {where for tries in self.tries for where in tries}:
            run = self.runs.get(run_id)
            if run is not None:
                hours = max(run.status(task).elapsed_s or 0, run.spent_s.get(task) or 0) / 3600
                gpus, price = run.rate or self._rate(run)
                gpu_hours += hours * gpus
                cost += hours * price
        most_hours, most_cost = self.order["gpu_hours"], self.order["cost"]
        if most_hours is not None and gpu_hours >= most_hours:
            return f"--gpu-hours {most_hours:g} is spent: {gpu_hours:.2f} GPU-hours"
        if most_cost is not None and cost >= most_cost:
            return f"--cost {most_cost:g} is spent: {cost:.2f} {self.order['currency']}".rstrip()
        return None

    def _with_refusals(self, seen: Sequence[Seen]) -> List[Seen]:
        """What SLURM has refused is tried again once less is on its way, and is given up where nothing is."""
        alive = sum(one.stands == ON_ITS_WAY for one in seen)

        def refused(one: Seen) -> Seen:
            said = self._refused.get(one.tries[-1])
            if said is None or one.stands != FAILED or 0 < alive < said[1]:
                return one
            if alive:
                return one._replace(stands=ON_ITS_WAY, words="")
            return _stop(one, f"{one.label}: it cannot be submitted again: {said[0]} → stop")

        return [refused(one) for one in seen]

    # ---- What is submitted -------------------------------------------------------------------------

    def act(self, look: Look) -> Tuple[List[Run], List[str]]:
        """Submit what a look has decided about: the new runs, and what was refused, in words."""
        new: List[Run] = []
        said: List[str] = []
        alive = sum(one.stands == ON_ITS_WAY for one in look.seen)
        again = [one for one in look.seen if one.stands == FAILED and one.state is not None]
        if self.order["throttle"] is not None:
            # An array has a throttle of its own, beside the sweep's.
            again = again[: max(0, self.order["throttle"] - alive)]
        if look.reached:
            return new, said
        for (run_id, state, exclude), places in _groups(again):
            claims = {place[1]: self._next_claim(place) for place in places}
            try:
                submitted = self.submitter.submit(self.runs[run_id], claims, state, exclude)
            except RefusedError as error:
                said.append(str(error))
                if exclude:
                    self._anywhere.update(places)
                else:
                    self._refused.update(dict.fromkeys(places, (str(error), alive)))
                continue
            if submitted is not None:
                self.runs[submitted.run_id] = submitted
                new.append(submitted)
        return new, said

    def _next_claim(self, place: Where) -> int:
        claim = self._claims.get(place)
        return claim.number + 1 if claim else 1


def _stop(one: Seen, words: str) -> Seen:
    return one._replace(stands=STOPPED, words=words, state=None)


def _is_one(node: Optional[str]) -> bool:
    """True for the name of one node, and not of a list of them."""
    return bool(node) and all(letter.isalnum() or letter in "_.-" for letter in str(node))


def _groups(again: Sequence[Seen]) -> List[Tuple[Tuple[str, str, Tuple[str, ...]], List[Where]]]:
    """Those of one run for which the same is done."""
    groups: Dict[Tuple[str, str, Tuple[str, ...]], List[Where]] = {}
    for one in again:
        groups.setdefault((one.tries[-1][0], str(one.state), one.exclude), []).append(one.tries[-1])
    return [
        (key, places[start : start + _MOST_TASKS])
        for key, places in groups.items()
        for start in range(0, len(places), _MOST_TASKS)
    ]
