"""Files that a job's file may name: images, a camera, true poses, weights."""

import struct
import zlib
from pathlib import Path

WEIGHTS = Path(__file__).parent / "unit" / "data" / "tensors.pth"
CAMERA = "# fx fy cx cy\n500.5, 500.5, 320, 240\n"
TRUTH = "# time x y z qx qy qz qw\n0 0 0 0 0 0 0 1\n1 0.1 0 0 0 0 0 1\n"


def make_png(value: int) -> bytes:
    """A grey square."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0)
    rows = (b"\0" + bytes([value] * 8)) * 8
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def make_files(folder: Path) -> Path:
    """A folder ``kitchen`` of images, and the files beside it."""
    (folder / "kitchen").mkdir(parents=True)
    for number in range(3):
        (folder / "kitchen" / f"{number}.png").write_bytes(make_png(number))
    (folder / "cam.txt").write_text(CAMERA)
    (folder / "truth.tum").write_text(TRUTH)
    (folder / "mine.pth").write_bytes(WEIGHTS.read_bytes())
    return folder
