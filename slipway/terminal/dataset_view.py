"""Datasets as a terminal shows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from slipway.report.dataset_table import dataset_columns
from slipway.report.queue_table import table_rows
from slipway.terminal.styled import row_text
from slipway.terminal.terminal import Terminal


def show_datasets(screen: Terminal, values: Sequence[dict[str, Any]], site: str | None) -> None:
    """A table of what :func:`slipway.report.dataset_table.dataset_values` says."""
    widths, (titles, *lines) = table_rows(dataset_columns(values, site), screen.width)
    screen.show(row_text([(title, "bold") for title in titles], widths))
    for line in lines:
        screen.show(row_text([(cell, "") for cell in line], widths))
