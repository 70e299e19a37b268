"""The Python API: what `from slipway import …` gives; see ``docs/api.md`` for how it is used."""

from slipway.api.function import Call, call
from slipway.api.project import Project
from slipway.api.run import Results, Run
from slipway.progress import Amount, Progress
from slipway.scheduler.base import State

__all__ = ["Amount", "Call", "Progress", "Project", "Results", "Run", "State", "call"]
