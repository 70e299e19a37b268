"""Slipway's tasks. `invoke --list` shows them, `invoke --help TASK` explains one; slipway/cli/ has them."""

from pathlib import Path

from invoke import Collection

from slipway.cli import box, data, develop, image, job, ssh
from slipway.cli.parser import read_words
from slipway.terminal.uncaught import set_hooks

set_hooks()
read_words()
ns = Collection(
    image.base,
    image.build,
    image.push,
    image.publish,
    data.weights,
    data.stage,
    job.job,
    job.status,
    job.logs,
    job.pull,
    job.cancel,
    develop.demo,
    develop.test,
    Collection("box", box.up, box.down),
    Collection("ssh", ssh.trust),
)
ns.configure({"slipway": {"root": str(Path(__file__).resolve().parent)}})
