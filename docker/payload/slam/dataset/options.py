"""Which dataset, sequences and images are read."""

from __future__ import annotations

import argparse
from pathlib import Path

from slam.errors import UsageError
from slam.grammar import clock, name, place, positive, whole


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options about what is read."""
    parser.add_argument(
        "--dataset", type=name, metavar="NAME", help="a folder in the data root, or a whole path"
    )
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
    images.add_argument(
        "--start", type=clock, metavar="TIME", help="of a video or bag: seconds, m:s or h:m:s"
    )
    images.add_argument("--end", type=clock, metavar="TIME", help="of a video or bag")
    images.add_argument("--topic", metavar="NAME", help="the images of a ROS bag that has several")
    images.add_argument("--max-frames", type=whole(1), metavar="N", help="take at most N images")
    images.add_argument(
        "--max-image-size",
        type=positive,
        metavar="PIXELS",
        help="work on images whose longer side is at most this (default: as the dataset has it)",
    )


def place_dataset(arguments: argparse.Namespace) -> None:
    """Take a dataset that is named by its whole path for one in the data root, or else in a root of its own.

    Raises:
        UsageError: the path is that of no folder in another.
    """
    path = Path(arguments.dataset or "")
    if not path.is_absolute():
        return
    if not path.name:
        raise UsageError(f"--dataset {arguments.dataset} is no folder in another; name one that is")
    if not path.is_relative_to(arguments.data_root) or path == arguments.data_root:
        arguments.data_root = path.parent
    arguments.dataset = path.relative_to(arguments.data_root).as_posix()
