"""The images of a sequence as they were taken, whatever an engine has made of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from slam.dataset import sequence as data
from slam.dataset.image import read_color


def read_originals(sequence: data.Sequence, places: Sequence[int]) -> Iterator[data.Bytes]:
    """The images of the frames at these places, in order: uint8 [h, w, 3], blue, green, red, upright.

    Each is read when it is asked for.

    Raises:
        InputError: one cannot be read.
    """
    size = sequence.file_size or (sequence.width, sequence.height)
    for place in places:
        yield read_color(sequence.frames[place].image, size, sequence.values)
