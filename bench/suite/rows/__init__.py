"""The rows of the suite, in the order in which they are measured and shown."""

from __future__ import annotations

from bench.suite.row import Row
from bench.suite.rows import (
    convert,
    pull,
    push,
    push_large,
    script,
    stage,
    start,
    status,
    submit,
    tree,
    unchanged,
)

ROWS: tuple[Row, ...] = (
    push.ROW,
    push_large.ROW,
    convert.ROW,
    unchanged.ROW,
    submit.ROW,
    tree.ROW,
    stage.ROW,
    status.ROW,
    start.ROW,
    pull.ROW,
    script.ROW,
)
