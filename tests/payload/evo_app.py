"""evo's own programs, ``evo_ape`` and ``evo_rpe``: several command lines in one process."""

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

# evo_ape and evo_rpe are these two calls behind the choice of a subcommand (evo/cli/entry_points.py).
_PROGRAM = """
import importlib, json, sys
for app, words in json.load(sys.stdin):
    parser = importlib.import_module(f"evo.cli.{app}_parser").parser()
    importlib.import_module(f"evo.cli.{app}").run(parser.parse_args(words))
"""
Figures = dict[str, float]


def run_evo(folder: Path, *commands: Sequence[str | Path]) -> list[Figures]:
    """The statistics of each command: ``("ape", "tum", truth, estimate, "-as")``."""
    files = [folder / f"evo-{place}.zip" for place in range(len(commands))]
    words = [
        (app, [str(word) for word in rest] + ["--save_results", str(file), "--no_warnings", "--silent"])
        for (app, *rest), file in zip(commands, files, strict=True)
    ]
    environment = {**os.environ, "HOME": str(folder), "MPLCONFIGDIR": str(folder), "PYTHONWARNINGS": "ignore"}
    subprocess.run(
        [sys.executable, "-c", _PROGRAM], input=json.dumps(words), env=environment, text=True, check=True,
        capture_output=True,
    )  # fmt: skip
    return [_read(file) for file in files]


def _read(file: Path) -> Figures:
    with zipfile.ZipFile(file) as archive:
        figures: Figures = json.loads(archive.read("stats.json"))
    file.unlink()
    return figures


ALIGNMENTS = {"sim3": ("-as",), "se3": ("-a",), "origin": ("--align_origin",), "none": ()}


def evo_figures(
    folder: Path, kind: str, truth: Path, estimate: Path, *options: str, alignment: str = "sim3"
) -> tuple[Figures, Figures, Figures]:
    """evo's figures for two files: absolute, and over single frames its lengths and its angles in degrees."""
    words = (kind, truth, estimate, *ALIGNMENTS[alignment], *options)
    absolute, lengths, angles = run_evo(
        folder, ("ape", *words), ("rpe", *words), ("rpe", *words, "-r", "angle_deg")
    )
    return absolute, lengths, angles
