"""Slipway's tasks for a repository's own ``tasks.py``, beside the tasks that it has already.

::

    from slipway.tasks import slipway_tasks

    ns = slipway_tasks(__file__)

``ns`` is Invoke's name for the collection that is loaded; ``ns.add_task(mine)`` adds a task of one's own.
"""

from __future__ import annotations

import gc
from pathlib import Path

from invoke.collection import Collection

from slipway.bytecode import keep_bytecode

# So many values are made before Python looks for those that refer to each other and are not used any more.
# With its own 700, a command that reads 10,000 tasks spends a third of its time so, and finds nothing.
_VALUES = 100_000


def slipway_tasks(file: str | Path) -> Collection:
    """All of Slipway's tasks, for the project in the folder that ``file``, a ``tasks.py``, lies in."""
    return collect(Path(file).resolve().parent)


def collect(root: Path) -> Collection:
    """All of Slipway's tasks, for the project at ``root``."""
    keep_bytecode()
    gc.set_threshold(max(_VALUES, gc.get_threshold()[0]), 50, 50)
    from slipway.cli import (
        box,
        cancel,
        completion,
        container,
        dask,
        data,
        datasets,
        develop,
        doctor,
        editor,
        image,
        init,
        job,
        job_file,
        keep,
        lengths,
        login,
        logs,
        monitor,
        ngc,
        pull,
        queues,
        report,
        retry,
        runs,
        shell,
        show,
        site,
        ssh,
        status,
        sweep,
        table,
        tunnel,
    )
    from slipway.cli.parser import read_words
    from slipway.terminal.uncaught import set_hooks

    set_hooks()
    read_words()
    tasks = Collection(
        init.init,
        login.login,
        login.logout,
        image.base,
        image.build,
        image.sif,
        image.push,
        image.publish,
        data.weights,
        data.stage,
        job.job,
        job_file.infer,
        job_file.train,
        sweep.sweep,
        shell.shell,
        container.start,
        container.enter,
        container.copy,
        container.stop,
        container.config,
        status.status,
        monitor.monitor,
        retry.retry,
        logs.logs,
        pull.pull,
        pull.extract,
        show.show,
        table.table,
        tunnel.tunnel,
        cancel.cancel,
        keep.keep,
        keep.restore,
        report.report,
        doctor.doctor,
        queues.queues,
        develop.demo,
        completion.completion,
        Collection("box", box.up, box.down),
        Collection("dask", dask.up, dask.status, dask.down),
        Collection("data", datasets.fetch, datasets.check, lengths.lengths, datasets.list_, datasets.remove),
        Collection("ngc", ngc.login, ngc.execute, ngc.logout),
        Collection("runs", runs.show, runs.diff, runs.prune),
        Collection("site", site.add),
        Collection("ssh", ssh.trust, ssh.setup, ssh.run, editor.config, editor.proxy),
    )
    tasks.configure({"slipway": {"root": str(root)}})
    return tasks
