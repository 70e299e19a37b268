"""Runs with results at home, as programs of several kinds leave them, for tests of pages."""

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

from slipway.job.record import format_run, parse_run
from slipway.job.run import Run, Status
from slipway.scheduler.base import State

DATA = Path(__file__).parent / "unit" / "data"
EVENTS = DATA / "tensorboard"
START = 1_769_869_700
OK = Status(state=State.COMPLETED, reason="ok", exit_code=0, elapsed_s=162)
FAILED = Status(state=State.FAILED, reason="program-error", exit_code=1, elapsed_s=20)


def make_run(run_id: str = "k3f9-cpu-20260131-142530", **values: object) -> Run:
    """A run of the record in tests/unit/data, with other values."""
    run = parse_run((DATA / "run-2.json").read_bytes())
    plain: dict[str, object] = {
        "run_id": run_id,
        "run_dir": f"/scratch/user/slipway/runs/{run_id}",
        "submitted": datetime.fromtimestamp(START - 60, timezone.utc),
        "args": ("--task", "infer", "--dataset", "room"),
        "resources": {**run.resources, "array": None},
        "task_indices": (),
        "task_statuses": {},
        "status": OK,
    }
    return replace(run, **{**plain, **values})  # type: ignore[arg-type]


def bring_home(
    results: Path, run: Run, files: Mapping[str, str | bytes] | None = None, *, log: str = "done\n"
) -> Path:
    """The run's folder with one attempt that has left these files; returns its output folder."""
    home = results / run.run_id
    out = home / "attempt-1" / "out"
    out.mkdir(parents=True)
    (home / "run.json").write_text(format_run(run))
    (home / "attempt-1" / "log").write_text(log)
    (home / "attempt-1" / "result.json").write_text(result())
    for name, content in (files or {}).items():
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return out


def result(start: int = START, end: int = START + 162, reason: str = "ok", exit_code: int = 0) -> str:
    """A result.json as the job script writes it."""
    values = {"exit_code": exit_code, "signal": None, "reason": reason, "start": start, "end": end}
    return json.dumps({**values, "node": "node2", "job_id": "42"})


def tum(poses: int = 60, *, scale: float = 1.0, sway: float = 0.0) -> str:
    """A camera on a circle that looks ahead; ``sway`` moves it up and down, ``scale`` is its unit."""
    lines = ["# timestamp tx ty tz qx qy qz qw"]
    for index in range(poses):
        angle = index / 20
        x, y, z = 2 * math.cos(angle), 2 * math.sin(angle), 1 + sway * math.sin(5 * angle)
        # First from camera to a level world (x right, y ahead, z up), then about the vertical.
        half, s = angle / 2, math.sqrt(0.5)
        c, d = math.cos(half), math.sin(half)
        quaternion = (-c * s, -d * s, d * s, c * s)
        numbers = (x / scale, y / scale, z / scale, *quaternion)
        lines.append(" ".join([f"{1_700_000_000 + index / 10:.1f}", *(f"{value:.9f}" for value in numbers)]))
    return "\n".join(lines) + "\n"


def ply(points: int = 4000, *, header_points: int | None = None) -> bytes:
    """A coloured sphere, as the payload writes clouds."""
    count = points if header_points is None else header_points
    header = f"ply\nformat binary_little_endian 1.0\nelement vertex {count}\n"
    header += "".join(f"property float {axis}\n" for axis in "xyz")
    header += "".join(f"property uchar {colour}\n" for colour in ("red", "green", "blue")) + "end_header\n"
    rows = []
    for index in range(points):
        z = 1 - 2 * (index + 0.5) / points
        r, turn = math.sqrt(1 - z * z), 2.4 * index
        red, green, blue = int(127 + 127 * z), index % 256, 200
        rows.append(struct.pack("<fff3B", r * math.cos(turn), r * math.sin(turn), z, red, green, blue))
    return header.encode() + b"".join(rows)


# The smallest PNG there is: one grey pixel.
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b550000000a49444154789c63680000008200817"
    "7cd72b60000000049454e44ae426082"
)


def slam_files() -> dict[str, str | bytes]:
    """What the payload's inference leaves."""
    return {
        "trajectory.tum": tum(scale=2.5, sway=0.02),
        "groundtruth.tum": tum(),
        "keyframes.tum": tum(12, scale=2.5, sway=0.02),
        "cloud.ply": ply(),
        "ate.json": json.dumps({"rmse": 0.0123, "alignment": "sim3"}),
        "summary.json": json.dumps({"frames_registered": 60, "camera": {"model": "PINHOLE"}}),
        "trajectory.png": PNG,
    }
