"""Rules: what the monitor does about each kind of failure, as a site's file says it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, Literal

from slipway.checked import Before, Between, Check, form
from slipway.errors import ParseError
from slipway.model import Model
from slipway.quantity import mebibytes, minutes
from slipway.resources import Name

# What rules that change a number do without a word of the site's.
_FACTOR = 2.0


class Failure(str, Enum):
    """Why a run failed, as far as that decides what helps."""

    OUT_OF_MEMORY = "out-of-memory"
    OUT_OF_GPU_MEMORY = "out-of-gpu-memory"
    TIME_LIMIT = "time-limit"
    PREEMPTED = "preempted"
    NODE_FAILURE = "node-failure"
    LAUNCH_FAILURE = "launch-failure"
    # Something that passes, such as a server of files that was away.
    FILE_SYSTEM = "file-system"
    PROGRAM_ERROR = "program-error"
    # Somebody wanted it so.
    CANCELLED = "cancelled"
    # Nobody can say how it ended: it may have ended well.
    UNKNOWN = "unknown"

    @property
    def key(self) -> str:
        """The key of its rule in a site's file."""
        return self.value.replace("-", "_")


class Action(str, Enum):
    """What is done about a failure."""

    STOP = "stop"
    AGAIN = "again"
    MORE_MEMORY = "more-memory"
    NEXT_GPU = "next-gpu"
    LONGER = "longer"
    CONTINUE = "continue"


def _check_amount(word: str, read: Callable[[str], float]) -> None:
    try:
        read(word)
    except ParseError as error:
        raise ValueError(str(error)) from error


def _from_word(value: Any) -> Any:
    return {"do": value} if isinstance(value, str) else value


def _check_factor(value: float) -> None:
    if value <= 1:
        raise ValueError("write more than 1")


@dataclass(frozen=True, kw_only=True)
class Rule(Model):
    """One rule; a word alone is what it does.

    Attributes:
        do: an :class:`Action`.
        factor: so many times the memory, or the time.
        up_to: the most of it; what the partition has is never passed.
        exclude_node_after: a node on which so many have failed like this is left out.
    """

    do: Literal["stop", "again", "more-memory", "next-gpu", "longer", "continue"]
    factor: Annotated[float, Between(1, 100), Check(_check_factor)] | None = None
    up_to: str | None = None
    exclude_node_after: Annotated[int, Between(1, 1000)] | None = None

    @property
    def action(self) -> Action:
        """What it does."""
        return Action(self.do)

    @property
    def times(self) -> float:
        """Its factor, or the usual one."""
        return self.factor or _FACTOR

    def __post_init__(self) -> None:
        """Refuse keys that are not of what it does.

        Raises:
            ValueError: one is not.
        """
        grows = self.action in (Action.MORE_MEMORY, Action.LONGER, Action.CONTINUE)
        if not grows and (self.factor is not None or self.up_to is not None):
            raise ValueError(f"factor and up_to are of more-memory, longer and continue, not of {self.do}")
        if self.action is Action.STOP and self.exclude_node_after is not None:
            raise ValueError("exclude_node_after is of what is submitted again, not of stop")
        if self.up_to is not None:
            _check_amount(self.up_to, mebibytes if self.action is Action.MORE_MEMORY else minutes)


@dataclass(frozen=True, kw_only=True)
class Rung(Model):
    """One rung of the ladder of GPUs: a word such as ``a100:1``, or with the partition that has them."""

    gpus: Annotated[str, form(r"[A-Za-z][\w.-]*:[0-9]{1,6}", "a type and a number, such as a100:1")]
    partition: Name = None

    @property
    def type(self) -> str:
        """Which GPUs."""
        return self.gpus.partition(":")[0]


def _rung(value: Any) -> Any:
    return {"gpus": value} if isinstance(value, str) else value


_Rule = Annotated[Rule, Before(_from_word)]
_Rungs = tuple[Annotated[Rung, Before(_rung)], ...]


@dataclass(frozen=True, kw_only=True)
class Rules(Model):
    """What is done about each kind of failure; ``gpu_ladder`` has the site's GPUs, the smallest first."""

    gpu_ladder: _Rungs = ()
    out_of_memory: _Rule = Rule(do="more-memory")
    out_of_gpu_memory: _Rule = Rule(do="next-gpu")
    time_limit: _Rule = Rule(do="continue")
    preempted: _Rule = Rule(do="again")
    node_failure: _Rule = Rule(do="again", exclude_node_after=2)
    launch_failure: _Rule = Rule(do="again", exclude_node_after=2)
    file_system: _Rule = Rule(do="again", exclude_node_after=2)
    program_error: _Rule = Rule(do="stop")

    def __post_init__(self) -> None:
        """Refuse what does not help.

        Raises:
            ValueError: a rule does not.
        """
        for name in ("out_of_memory", "out_of_gpu_memory", "program_error"):
            if getattr(self, name).action is Action.CONTINUE:
                raise ValueError(f"{name}: continue is of what was ended before it was done")
        if self.out_of_gpu_memory.action is Action.MORE_MEMORY:
            raise ValueError("out_of_gpu_memory: more memory of the node is none of a GPU; write next-gpu")

    def of(self, failure: Failure) -> Rule:
        """The rule for a failure; what somebody wanted so, and what nobody knows, is left as it is."""
        if failure in (Failure.CANCELLED, Failure.UNKNOWN):
            return Rule(do="stop")
        rule: Rule = getattr(self, failure.key)
        return rule
