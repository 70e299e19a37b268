"""What is compared, and how."""

from __future__ import annotations

import argparse

from slam.grammar import number, one_of, place, positive_number, seconds, shown

ALIGNMENTS = ("sim3", "se3", "origin", "none")
BENCHMARKS = ("tum",)
FRAMES = ("body", "camera", "raw-camera", "as-is")
STEP_UNITS = ("frames", "meters", "degrees", "radians", "seconds")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of evaluate, and of infer where there is ground truth."""
    compared = parser.add_argument_group("evaluate, and infer where there is ground truth")
    compared.add_argument(
        "--estimate",
        type=place,
        metavar="FILE",
        help="trajectory in the format of TUM, KITTI, EuRoC or TartanAir, or a ROS bag (evaluate)",
    )
    compared.add_argument(
        "--groundtruth", type=place, metavar="FILE", help="the same for the truth (default: the dataset's)"
    )
    for whose in ("estimate", "groundtruth"):
        compared.add_argument(
            f"--{whose}-topic",
            metavar="TOPIC",
            help="where the poses are in a ROS bag, if several topics have some",
        )
    compared.add_argument(
        "--frame",
        type=one_of(FRAMES),
        metavar=shown(FRAMES),
        help="what the estimate is of: the body (IMU), the left camera after rectification or before it; "
        "EuRoC's truth, which is of the body, is turned to that (default: as the estimate says, else as-is)",
    )
    compared.add_argument(
        "--align", type=one_of(ALIGNMENTS), metavar=shown(ALIGNMENTS), help="(default: sim3)"
    )
    compared.add_argument(
        "--max-difference",
        type=seconds,
        default=0.01,
        metavar="S",
        help="how far apart two timestamps of one moment may be (default: 0.01 s)",
    )
    compared.add_argument(
        "--time-offset",
        type=number,
        default=0.0,
        metavar="S",
        help="add S seconds to the estimate's timestamps, as evo's --t_offset does",
    )
    compared.add_argument(
        "--strict",
        action="store_true",
        help="refuse files with rows that are double, unsorted or without numbers, and do not tidy them",
    )
    compared.add_argument(
        "--require-groundtruth",
        action="store_true",
        help="end before the work (4) where there is no ground truth that fits (infer)",
    )
    several = parser.add_argument_group("several sequences or runs")
    several.add_argument(
        "--benchmark",
        type=one_of(BENCHMARKS),
        metavar=shown(BENCHMARKS),
        help="infer a benchmark's sequences, and lay the errors beside published ones",
    )
    several.add_argument(
        "--runs",
        type=place,
        nargs="+",
        metavar="FOLDER",
        help="output folders of infer, or folders of such (evaluate)",
    )
    drift = parser.add_argument_group("the relative error (evaluate)")
    drift.add_argument(
        "--rpe-delta", type=positive_number, default=1.0, metavar="N", help="over N units (default: 1)"
    )
    drift.add_argument("--rpe-unit", type=one_of(STEP_UNITS), metavar=shown(STEP_UNITS), default="frames")
    drift.add_argument("--rpe-all-pairs", action="store_true", help="begin a step at every pose")
