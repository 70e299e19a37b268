"""The whole line of one checkout."""

from __future__ import annotations

from slipway.steps.box import BoxSteps
from slipway.steps.data import DataSteps
from slipway.steps.run import RunSteps


class Steps(BoxSteps, DataSteps, RunSteps):
    """All steps, from a Dockerfile to results."""
