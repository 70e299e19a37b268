"""Which dataset, sequences and images are read."""

from __future__ import annotations

import argparse
from pathlib import Path

from slam.grammar import clock, name, place, positive, whole


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options about what is read."""
    parser.add_argument("--dataset", type=name, metavar="NAME", help="a folder in the data root")
    parser.add_argument("--data-root", type=place, default=Path("/data"), metavar="FOLDER")
    images = parser.add_argument_group("images")
    images.add_argument(
        "--sequence",
        type=name,
        action="append",
        metavar="NAME",
        help="a sequence of the dataset, also by a part of its name (fr1/xyz); may be given several times "
        "(default: all that are there)",
    )
    images.add_argument(
        "--stride",
        type=whole(1),
        metavar="N",
        help="take every N-th image (default: as the dataset is usually read; of a video about ten a second)",
    )
    images.add_argument(
        "--t0", type=whole(0), default=0, metavar="N", help="leave out the first N of these (default: 0)"
    )
    images.add_argument("--start", type=clock, metavar="TIME", help="of a video: seconds, m:s or h:m:s")
    images.add_argument("--end", type=clock, metavar="TIME", help="of a video")
    images.add_argument("--max-frames", type=whole(1), metavar="N", help="take at most N images")
    images.add_argument(
        "--max-image-size",
        type=positive,
        metavar="PIXELS",
        help="work on images whose longer side is at most this (default: as the dataset has it)",
    )
