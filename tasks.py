"""Slipway's tasks. `invoke --list` shows them, `invoke --help TASK` explains one; slipway/cli/ has them."""

from invoke.collection import Collection

from slipway.cli import develop
from slipway.tasks import slipway_tasks

ns = slipway_tasks(__file__)
ns.add_task(develop.docs)
ns.add_task(develop.bench)
# `invoke test` is all of them.
tests = Collection("test", develop.faults, develop.fuzz)
tests.add_task(develop.test, name="all", default=True)
ns.add_collection(tests)
