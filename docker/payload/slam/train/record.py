"""What a training leaves to look at: a table of losses, TensorBoard's logs, a figure, a summary."""

from __future__ import annotations

import csv
import math
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from slam.errors import OutputError
from slam.output.cache import writable_cache
from slam.output.results import replacing
from slam.progress import say

LOSSES = "losses.csv"
FIGURE = "training.png"
SUMMARY = "summary.json"
WEIGHTS = "weights.pth"
TENSORBOARD = "tensorboard"
FILES = (LOSSES, FIGURE, SUMMARY, WEIGHTS)

# A figure shows no more than this many points of a curve, each the mean of its part.
_POINTS = 1000


@contextmanager
def writing(out: Path) -> Iterator[None]:
    """Within it, what cannot be written to the output folder is told as such.

    Raises:
        OutputError: a file could not be written.
    """
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{error.filename or out}: it cannot be written ({error.strerror or error}); make room, then go "
            f"on with --resume {out}, or name another folder with --out"
        ) from error


class Record:
    """Takes every step; ``log_every`` of them make one line in the log and one point in TensorBoard."""

    def __init__(self, out: Path, *, log_every: int, steps: int) -> None:
        self.out, self.log_every, self.steps = out, log_every, steps
        self.recent: list[dict[str, float]] = []
        self.writer: Any = None
        self.file: Any = None

    def open(self, step: int) -> None:
        """Begin after a step; what an earlier attempt wrote of later ones is taken away."""
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(self.out / TENSORBOARD), purge_step=step + 1)
        path = self.out / LOSSES
        rows = [row for row in read_losses(path) if float(row["step"]) <= step]
        if rows:
            with replacing(path) as part, part.open("w", newline="") as file:
                table = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
                table.writeheader()
                table.writerows(rows)
        else:
            path.unlink(missing_ok=True)
        self.file = path.open("a", newline="")

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Write down a step; the numbers are written so that they can be read back exactly."""
        row = {"step": step, **values}
        table = csv.DictWriter(self.file, list(row), lineterminator="\n")
        if self.file.tell() == 0:
            table.writeheader()
        table.writerow(row)
        self.file.flush()
        self.recent.append(dict(values))
        if step % self.log_every == 0 or step == self.steps:
            self._log(step)

    def _log(self, step: int) -> None:
        means = {name: float(np.mean([values[name] for values in self.recent])) for name in self.recent[0]}
        for name, value in means.items():
            self.writer.add_scalar(name, value, step)
        self.writer.flush()
        shown = ", ".join(f"{name} {value:.4g}" for name, value in means.items())
        say(f"step       {step:,}/{self.steps:,}: {shown}")
        self.recent.clear()

    def close(self) -> None:
        """Close the files."""
        if self.writer is not None:
            with writing(self.out):
                self.writer.close()
                self.file.close()


def carry(source: Path, out: Path) -> None:
    """Copy the curves of an earlier attempt, so that they go on here."""
    if source.resolve() == out.resolve():
        return
    with writing(out):
        if (source / LOSSES).exists():
            with replacing(out / LOSSES) as part:
                shutil.copyfile(source / LOSSES, part)
        if (source / TENSORBOARD).is_dir():
            shutil.copytree(
                source / TENSORBOARD, out / TENSORBOARD, dirs_exist_ok=True, copy_function=shutil.copyfile
            )


def read_losses(path: Path) -> list[dict[str, str]]:
    """The rows of a table of losses, as text; a last row that was cut off is left out."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [row for row in csv.DictReader(file) if None not in row.values() and row["step"].isdecimal()]


def draw(out: Path, *, title: str) -> None:
    """Draw the loss and its parts over the steps."""
    from slam.output.figure.style import BLUE, STYLE

    rows = read_losses(out / LOSSES)
    names = [name for name in (rows[0] if rows else {}) if name not in ("step", "epoch")]
    if not names:
        return
    with writable_cache(out), replacing(out / FIGURE) as part:
        import matplotlib as mpl
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        with mpl.rc_context(STYLE):
            across = 3
            down = -(-len(names) // across)
            figure = Figure(figsize=(9, 1.95 * down), dpi=147, layout="constrained")
            FigureCanvasAgg(figure)
            grid = figure.subplots(down, across, squeeze=False).ravel()
            steps = np.array([float(row["step"]) for row in rows])
            for axes, name in zip(grid, names, strict=False):
                values = np.array([float(row[name]) for row in rows])
                axes.plot(*_thin(steps, values), color=BLUE, lw=1.4)
                axes.set(title=name, xlabel="step")
            for axes in grid[len(names) :]:
                axes.remove()
            plain = title.encode(errors="replace").decode()
            figure.suptitle(plain, x=0.01, ha="left", fontweight="bold", fontsize=12, parse_math=False)
            figure.savefig(part)


def _thin(steps: np.ndarray[Any, Any], values: np.ndarray[Any, Any]) -> tuple[Any, Any]:
    size = math.ceil(len(steps) / _POINTS)
    whole = len(steps) // size * size
    return tuple(part[:whole].reshape(-1, size).mean(1) for part in (steps, values))
