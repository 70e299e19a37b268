"""Videos decoded by FFmpeg, which PyAV's wheel carries: upright frames, each at its own time.

https://pyav.basswood-io.com
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from slam.dataset.sequence import Bytes, Numbers
from slam.errors import InputError, SlamError

# A seek ends at a frame that is whole in itself. Frames may follow it in the file that come before it in time
# and need others before it, so it goes back a little further than to the first frame that is wanted.
_LEAD_S = 2
# What a file says of its pixels' shape: nearer to 1 is rounded, and further away is a mistake.
_SQUARE, _MOST_ASPECT = 0.005, 4
# What iPhones write beside a video. Android has no such word.
_FOCAL_35MM = "com.apple.quicktime.camera.focal_length.35mm_equivalent"


@dataclass(kw_only=True)
class Track:
    """The frames of a video that can be decoded, as far as it has been gone through.

    ``times`` are in seconds, each later than the one before. ``size`` is width and height in pixels when
    upright, with pixels as wide as high; ``is_stretched`` says that the file's are not so. ``damaged`` is the
    number of frames that cannot be decoded as they were. ``end_s`` is where the file says that the video
    ends, if it does.
    """

    codec: str = ""
    size: tuple[int, int] = (0, 0)
    is_turned: bool = False
    is_stretched: bool = False
    times: list[Fraction] = field(default_factory=list)
    damaged: int = 0
    end_s: float | None = None
    focal_35mm: float | None = None

    @property
    def rate_hz(self) -> float:
        """How many frames a second has, on the mean."""
        seconds = float(self.times[-1] - self.times[0]) if len(self.times) > 1 else 0.0
        return (len(self.times) - 1) / seconds if seconds else 0.0


@dataclass(frozen=True, kw_only=True)
class Clip:
    """Frames of a video at some ``times``, decoded anew whenever they are gone through.

    They are uint8 [h, w, 3] in the order blue, green, red, and upright.
    """

    path: Path
    times: tuple[Fraction, ...]

    def __iter__(self) -> Iterator[Bytes]:
        wanted = iter(self.times)
        time = next(wanted, None)
        with _opened(self.path) as (container, stream):
            for at, frame in _decode(container, stream, self.times[0]):
                if frame is not None and at == time:
                    yield upright(_pixels(frame, _square_size(frame, stream)), _matrix_of(frame))
                    time = next(wanted, None)
                if time is None:
                    return
        raise InputError(f"{self.path}: it is not any more what it was at the beginning; stage it again")


def look_through(path: Path, start_s: float | None, end_s: float | None, track: Track) -> None:
    """Decode a video from one time to another, and put into ``track`` what frames it has.

    Raises:
        InputError: there is no video in the file, or its frames are of several sizes.
        SlamError: there is no PyAV.
    """
    with _opened(path) as (container, stream):
        track.codec = stream.codec_context.name
        track.focal_35mm = _focal_of({**container.metadata, **stream.metadata})
        if stream.duration is not None:
            track.end_s = float((stream.duration + (stream.start_time or 0)) * stream.time_base)
        for time, frame in _decode(container, stream, Fraction(start_s or 0)):
            if frame is None or time is None:
                track.damaged += 1
            elif end_s is not None and float(time) > end_s:
                break
            elif (start_s is None or float(time) >= start_s) and (not track.times or time > track.times[-1]):
                _add(track, frame, _square_size(frame, stream), time, path)


def _square_size(frame: Any, stream: Any) -> tuple[int, int]:
    """Width and height of a frame as it lies in the file, once its pixels are as wide as they are high.

    Camcorders store 1440 columns that a player shows as 1920. None of a frame is lost: it only grows.
    """
    aspect = float(stream.sample_aspect_ratio or 1)
    if abs(aspect - 1) < _SQUARE or not 1 / _MOST_ASPECT < aspect < _MOST_ASPECT:
        return frame.width, frame.height
    if aspect > 1:
        return round(frame.width * aspect), frame.height
    return frame.width, round(frame.height / aspect)


def _pixels(frame: Any, size: tuple[int, int]) -> Bytes:
    if size != (frame.width, frame.height):
        frame = frame.reformat(width=size[0], height=size[1], format="bgr24")
    pixels: Bytes = frame.to_ndarray(format="bgr24")
    return pixels


def _add(track: Track, frame: Any, square: tuple[int, int], time: Fraction, path: Path) -> None:
    matrix = _matrix_of(frame)
    track.is_stretched = square != (frame.width, frame.height)
    size = (square[1], square[0]) if matrix[0, 0] == 0 else square
    if track.times and size != track.size:
        raise InputError(
            f"{path}: its frames become {size[0]}x{size[1]} at {float(time):.2f} s, and are "
            f"{track.size[0]}x{track.size[1]} before; use one part of it, with --end or --start"
        )
    track.size, track.is_turned = size, bool((matrix != np.eye(2)).any())
    track.times.append(time)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, Any]]:
    """A video file and its first video stream.

    Raises:
        InputError: there is none.
    """
    try:
        import av
    except ImportError as error:
        raise SlamError(
            f"{error}; reading a video needs PyAV: build the image again, or `pip install av`"
        ) from error
    level = av.logging.get_level()
    av.logging.set_level(av.logging.ERROR)
    try:
        with av.logging.Capture() as said:
            container = av.open(str(path))
    except av.FFmpegError as error:
        raise InputError(f"{path}: {_explain(path, error, str(said))}") from error
    finally:
        av.logging.set_level(level)
    with container:
        if not container.streams.video:
            raise InputError(f"{path}: there is no video in it; take it out")
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        yield container, stream


def _explain(path: Path, error: Any, said: str) -> str:
    if path.is_file() and path.stat().st_size == 0:
        return "the file is empty; copy it again"
    if "moov atom not found" in said:
        return (
            "its index (moov) is missing, as where a recording or a copy was cut short; copy it again, or "
            "have it repaired (untrunc)"
        )
    return f"FFmpeg cannot read it as a video ({error.strerror}); copy it again, or convert it to MP4"


def _decode(container: Any, stream: Any, start_s: Fraction) -> Iterator[tuple[Fraction | None, Any]]:
    """Frames from ``start_s`` seconds on, and some before it, with their times; ``None`` for a damaged one.

    An AVI file has no times: its frames follow each other at one rate.
    """
    if container.format.name == "avi":
        for place, frame in enumerate(_frames(container, stream)):
            yield Fraction(place) / stream.average_rate, frame
        return
    if start_s > _LEAD_S:
        container.seek(int((start_s - _LEAD_S) / stream.time_base), stream=stream)
    for frame in _frames(container, stream):
        stamp = None if frame is None else frame.pts
        yield None if stamp is None else Fraction(stamp * stream.time_base), frame


def _frames(container: Any, stream: Any) -> Iterator[Any]:
    """All frames from where a file is at, in the order in which they are shown."""
    import av

    for packet in _demux(container, stream):
        try:
            frames = [None] if packet is None else packet.decode()
        except av.FFmpegError:
            frames = [None]
        yield from (None if frame is None or frame.is_corrupt else frame for frame in frames)


def _demux(container: Any, stream: Any) -> Iterator[Any]:
    """The packets of a stream, and ``None`` where the file cannot be read any further."""
    import av

    try:
        yield from container.demux(stream)
    except av.FFmpegError:
        yield None


def _matrix_of(frame: Any) -> Numbers:
    """The signs [2, 2] of a frame's display matrix: how the way right and the way down are turned.

    https://ffmpeg.org/doxygen/trunk/group__lavu__video__display.html
    """
    from av.sidedata.sidedata import Type

    found = frame.side_data.get(Type.DISPLAYMATRIX)
    if found is None:
        return np.eye(2)
    a, b, _, c, d = np.frombuffer(found, dtype=np.int32)[:5]
    turned = np.array([[0, np.sign(b)], [np.sign(c), 0]])
    return turned if abs(b) > abs(a) else np.diag(np.sign([a, d])).astype(np.float64)


def upright(pixels: Bytes, matrix: Numbers) -> Bytes:
    """An image [h, w, 3] as it is shown: ``x' = a x + c y``, ``y' = b x + d y`` of rows ``a b``, ``c d``."""
    (a, b), (c, d) = matrix
    shown = pixels if b == 0 else pixels.swapaxes(0, 1)
    shown = shown[:: int(b + d), :: int(a + c)]
    return np.ascontiguousarray(shown)


def _focal_of(words: dict[str, str]) -> float | None:
    text = next((value for key, value in words.items() if key.startswith(_FOCAL_35MM)), "")
    try:
        return float(text) if 0 < float(text) < 10_000 else None
    except ValueError:
        return None
