"""Ladders: how a run is submitted again, after each failure, and after each failure of that, and so on. Pure.

The rules are not written a second time for the program on the cluster. Here
:func:`slipway.monitor.decide.find_next` is asked what follows each failure of each request, and the program
looks it up in this table.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from slipway.code.checkout import Revision
from slipway.errors import JobError
from slipway.host.scratch import Scratch
from slipway.job.elements import Element
from slipway.job.inputs import Inputs
from slipway.job.plan import Plan, make_plan
from slipway.job.record import format_run
from slipway.job.replay_request import ask_again
from slipway.job.run import Run, Status
from slipway.job.template import Template
from slipway.monitor.decide import Case, describe, find_next
from slipway.monitor.rule import Failure
from slipway.monitor.spending import Budget, each_hour, unknown_cost
from slipway.monitor.there.run import state_name
from slipway.monitor.there.submit import ARRAY, RUN, TRIES
from slipway.push.upload import PushedSif
from slipway.resources import Resources
from slipway.scheduler.base import State
from slipway.scheduler.choose import parse_resources
from slipway.scheduler.find import find_scheduler
from slipway.scheduler.limits import ResourceRequest
from slipway.site import Site

# Requests that one run may come to; rules with a small factor and many tries come to more.
_MOST_STATES = 300
_ARRAY = re.compile(r"--array=[^\n]*")


@dataclass(frozen=True, kw_only=True)
class LadderMaker:
    """Makes the ladders of one site's runs.

    Args:
        site: the site.
        scratch: its folders.
        template: of the job script.
        budget: what may be spent.
        check: refuses what would wait for ever there.
        given: the bytes that runs were given on each node which have asked for no memory, by their ids.
        texts: the scripts, by the names that ladders have for them.
    """

    site: Site
    scratch: Scratch
    template: Template
    budget: Budget
    check: Callable[[ResourceRequest], None]
    given: Mapping[str, int] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)

    def plan(self, run: Run) -> dict[str, Any]:
        """How a run is submitted again: what is the same each time, and its states.

        Raises:
            JobError: it has asked for something that cannot be asked for any more.
        """
        first = self._made(run, {})
        record = json.loads(format_run(first.run))
        throttle = str(run.resources.get("array") or "").partition("%")[2]
        return {
            "record": record,
            "throttle": f"%{throttle}" if throttle else "",
            "tries_word": shlex.join([str(self.scratch.runs / TRIES)]),
            "image": run.sif,
            "code": str(self.scratch.code / run.code),
            "packed": [str(self.scratch.packed / file) for file in run.packed.values()],
            "states": self._states(run),
        }

    def _states(self, run: Run) -> dict[str, Any]:
        """What each request that may come of the rules is, and what follows each failure of it."""
        states: dict[str, Any] = {}
        todo: list[tuple[dict[str, str], int]] = [({}, len(run.tries) + 1)]
        while todo:
            changes, count = todo.pop(0)
            made = self._made(run, changes)
            name = state_name(made.run.resources)
            if name in states:
                continue
            rows = {failure.value: self._row(run, made, changes, failure) for failure in Failure}
            states[name] = {
                "options": made.options,
                "script": self._kept(made.script),
                "resources": made.run.resources,
                "origins": made.run.resource_origins,
                "rate": each_hour(made.run.resources, self.site),
                "failures": {key: row for key, (row, _) in rows.items()},
            }
            if count < self.budget.most_tries:
                following = [after for _, after in rows.values() if after is not None]
                todo += [(after, count + 1) for after in following[: _MOST_STATES - len(states) - len(todo)]]
        return _without_unknown(states)

    def _row(
        self, run: Run, made: Plan, changes: Mapping[str, str], failure: Failure
    ) -> tuple[dict[str, Any], dict[str, str] | None]:
        """What follows a failure, and the changes of the next request."""
        resources = made.run.resources
        given = None if changes.get("mem") else given_bytes(run) or self.given.get(run.run_id)
        limits = (status.limit_s for status in (*run.task_statuses.values(), run.status))
        limit_s = next((limit_s for limit_s in limits if limit_s), None)
        case = Case(
            label="",
            failure=failure,
            status=Status(state=State.FAILED, limit_s=limit_s),
            tries=0,
            resources=resources,
            given_mebibytes=given / (1 << 20) if given else None,
        )
        following = find_next(case, self.site.monitor, self.site.queues)
        row = {
            "why": describe(failure, case.status, resources),
            "then": following.words,
            "again": following.again,
            "is_rule": following.is_rule,
            "next": None,
        }
        if not following.again:
            return row, None
        after = {**changes, **following.changes}
        try:
            request = _request(run, self.site, after)
            self.check(request)
        except JobError as error:
            return {**row, "again": False, "then": f"stop: it cannot be submitted again: {error}"}, None
        asked = request.resources.model_dump(mode="json")
        if self.budget.cost is not None and each_hour(asked, self.site)[1] is None:
            return {**row, "again": False, "then": f"stop: {unknown_cost(asked, self.site)}"}, None
        return {**row, "next": state_name(asked)}, after

    def _made(self, run: Run, changes: Mapping[str, str]) -> Plan:
        """The run as it is submitted again, with marks in the place of what is not known yet."""
        request = _request(run, self.site, changes)
        plan = make_plan(
            _inputs(run), request, self.site, self.scratch, self.template, name=run.name, run_id=RUN
        )
        script = plan.script
        lines = find_scheduler(self.site.scheduler).script_lines(plan.options)
        for line in lines:
            if _ARRAY.search(line):
                script = script.replace(line, _ARRAY.sub(f"--array={ARRAY}", line))
        options = tuple(_ARRAY.sub(f"--array={ARRAY}", option) for option in plan.options)
        return Plan(run=plan.run, inputs=plan.inputs, request=request, script=script, options=options)

    def _kept(self, text: str) -> str:
        """The name of a text; the same one is kept once."""
        name = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]
        self.texts[name] = text
        return name


def given_bytes(run: Run) -> int | None:
    """The memory that a run was given on each node, as far as its record has it."""
    usage = run.usage or next(iter(run.task_usages.values()), None)
    return usage.asked_memory_bytes if usage else None


def _inputs(run: Run) -> Inputs:
    """What the run was made of; the words of its programs are copied on the cluster."""
    elements: tuple[Element, ...] = ()
    if run.elements:
        elements = tuple(
            Element(values=run.elements.get(task, {}), args=()) for task in range(max(run.elements) + 1)
        )
    return Inputs(
        profile=run.profile,
        profile_values=run.profile_values,
        program=run.program,
        args=run.args,
        argv=b"",
        environment=b"",
        image=PushedSif(
            path=PurePosixPath(run.sif), image_id=run.image_id, sha256=run.sif_sha256, size_bytes=0
        ),
        code=run.code,
        revision=Revision(commit=run.commit, dirty=run.dirty, diff=None),
        parent=run.run_id,
        elements=elements,
        sweep=run.sweep,
        packed=dict(run.packed),
        tries=(TRIES,),
    )


def _request(run: Run, site: Site, changes: Mapping[str, str]) -> ResourceRequest:
    """What is asked for, without the nodes that it is kept from, which come later.

    Raises:
        JobError: the run has asked for something that cannot be asked for any more.
    """
    request, _ = ask_again(run, site, None, (), parse_resources(dict(changes), []))
    return ResourceRequest(resources=_without_nodes(request.resources), origins=request.origins)


def _without_nodes(resources: Resources) -> Resources:
    options = getattr(resources, "sbatch", ())
    left = tuple(option for option in options if not option.startswith("--exclude="))
    return resources if left == options else resources.model_copy(update={"sbatch": left})


def _without_unknown(states: dict[str, Any]) -> dict[str, Any]:
    """Where the table ends too early, the element stops, and says so."""
    for state in states.values():
        for row in state["failures"].values():
            if row["next"] is not None and row["next"] not in states:
                row["next"] = None
    return states
