"""Frames that have no files: those of a video or a bag. For engines that read files, they become files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from PIL import Image
from PIL.ExifTags import IFD

from slam.dataset.sequence import Bytes, Sequence
from slam.errors import OutputError
from slam.progress import say

# PNG at its fastest has no loss, and both engines see the same pixels. It takes three to four times the room
# of JPEG (quality 95), and is gone with the workspace.
ENDING = ".png"
_FOCAL_35MM = 0xA405  # EXIF 4.6.6, FocalLengthIn35mmFilm


def unpack(sequence: Sequence, workspace: Path) -> Sequence:
    """The same sequence with its frames as files in ``frames/`` in a workspace; as it is if it has files.

    Raises:
        InputError: the recording cannot be read, or not any more.
        OutputError: the files cannot be written.
    """
    if sequence.recording is None:
        return sequence
    folder = workspace / "frames"
    frames = tuple(replace(frame, image=folder / frame.image.name) for frame in sequence.frames)
    try:
        folder.mkdir()
        for frame, pixels in zip(frames, sequence.recording, strict=True):
            _write(frame.image, pixels, sequence.focal_35mm)
    except OSError as error:
        raise OutputError(
            f"{sequence.name}: its frames cannot be written to {workspace.parent} ({error.strerror}); make "
            "room, take fewer with a larger --stride, or name another folder in TMPDIR"
        ) from error
    size = sum(frame.image.stat().st_size for frame in frames)
    say(f"frames     {len(frames)} unpacked, {size / 1e6:,.0f} MB until the end of the run")
    return replace(sequence, frames=frames, recording=None, is_unpacked=True)


def _write(path: Path, pixels: Bytes, focal_35mm: float | None) -> None:
    exif = Image.Exif()
    if focal_35mm:
        # COLMAP begins with it, and refines it.
        exif[IFD.Exif] = {_FOCAL_35MM: round(focal_35mm)}
    Image.fromarray(pixels[:, :, ::-1]).save(path, compress_level=1, exif=exif)
