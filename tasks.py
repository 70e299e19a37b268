"""Slipway's tasks. `invoke --list` shows them, `invoke --help TASK` explains one; slipway/cli/ has them."""

from slipway.cli import develop
from slipway.tasks import slipway_tasks

ns = slipway_tasks(__file__)
ns.add_task(develop.test)
ns.add_task(develop.docs)
ns.add_task(develop.bench)
