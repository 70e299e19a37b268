"""Small videos, as cameras write them."""

import struct
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

MILLISECOND = Fraction(1, 1000)
# (a, b, c, d) of ISO/IEC 14496-12's matrix, x' = a x + c y and y' = b x + d y, and what it asks a player for.
SHOWN = {
    (1, 0, 0, 1): lambda pixels: pixels,
    (0, 1, -1, 0): lambda pixels: np.rot90(pixels, -1),  # clockwise: a phone that is held upright
    (-1, 0, 0, -1): lambda pixels: np.rot90(pixels, 2),
    (0, -1, 1, 0): lambda pixels: np.rot90(pixels, 1),
    (-1, 0, 0, 1): lambda pixels: pixels[:, ::-1],
    (1, 0, 0, -1): lambda pixels: pixels[::-1],
    (0, 1, 1, 0): lambda pixels: pixels.swapaxes(0, 1),
    (0, -1, -1, 0): lambda pixels: pixels.swapaxes(0, 1)[::-1, ::-1],
}
UPRIGHT, PORTRAIT = (1, 0, 0, 1), (0, 1, -1, 0)


def film(
    path: Path,
    images: Iterable[np.ndarray],
    times_ms: Sequence[int] | None = None,
    *,
    codec: str = "libx264",
    matrix: tuple[int, int, int, int] = UPRIGHT,
    aspect: Fraction | None = None,
    **options: str,
) -> Path:
    """A video of images [h, w, 3], at 30 Hz where nothing else is said.

    The codecs ``png`` and ``libx264rgb`` (``qp="0"``) have no loss. ``movflags="faststart"`` puts the index
    before the frames. ``aspect`` is the width of a pixel, if it is not its height.
    """
    pixels = list(images)
    times = times_ms or [round(place * 1000 / 30) for place in range(len(pixels))]
    flags = {"movflags": options.pop("movflags")} if "movflags" in options else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", options=flags) as container:
        stream = container.add_stream(codec, rate=30, options=options)
        stream.height, stream.width = pixels[0].shape[:2]
        stream.pix_fmt = "rgb24" if codec in ("png", "libx264rgb") else "yuv420p"
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        # AVI has a rate, and no times.
        base = Fraction(1, 30) if path.suffix == ".avi" else MILLISECOND
        stream.time_base = stream.codec_context.time_base = base
        for time, image in zip(times, pixels, strict=True):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            frame.pts, frame.time_base = round(time * MILLISECOND / base), base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    if matrix != UPRIGHT:
        turn(path, matrix)
    return path


def turn(path: Path, matrix: tuple[int, int, int, int]) -> None:
    """Write how a player shall turn a video, as phones do, into its track header.

    ISO/IEC 14496-12, 8.3.2.
    """
    data = path.read_bytes()
    a, b, c, d = (value << 16 for value in matrix)
    place = data.index(b"tkhd") + 4 + 40
    words = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data[:place] + words + data[place + len(words) :])
