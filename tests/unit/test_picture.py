"""Images that are cut off."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from slipway.job_file.picture import is_cut_off
from tests.job_files import make_png

FILM = b"film\xff\xd8" * 9


def jpeg(**options: object) -> bytes:
    file = io.BytesIO()
    image = Image.effect_noise((64, 48), 50).convert("RGB")
    image.save(file, "JPEG", **options)
    return file.getvalue()


def thumbnail() -> bytes:
    """EXIF that has an image of its own, with an end of its own."""
    return b"Exif\0\0" + jpeg(quality=20)


KINDS = {
    "png": make_png(7),
    "jpeg": jpeg(),
    "progressive": jpeg(progressive=True),
    "restarts": jpeg(restart_marker_blocks=2),
    "thumbnail": jpeg(exif=thumbnail()),
    "filled": jpeg().replace(b"\xff\xdb", b"\xff\xff\xff\xdb", 1),
}


@pytest.mark.parametrize("content", KINDS.values(), ids=KINDS)
def test_whole_and_cut(content: bytes) -> None:
    assert not is_cut_off(io.BytesIO(content))
    assert not is_cut_off(io.BytesIO(content + FILM))
    for left in range(8, len(content)):
        assert is_cut_off(io.BytesIO(content[:left])), left


def test_an_end_between_two_pieces_that_are_read() -> None:
    head = jpeg()
    scan = head.index(b"\xff\xda") + 2
    for pad in range((1 << 16) - 30, (1 << 16) + 3):
        length = int.from_bytes(head[scan : scan + 2], "big")
        content = head[: scan + length] + b"\0" * pad + b"\xff\xd9"
        assert not is_cut_off(io.BytesIO(content))
        assert is_cut_off(io.BytesIO(content[:-1]))


@given(st.sampled_from([b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b""]), st.binary(max_size=300))
def test_any_bytes_have_an_answer(head: bytes, rest: bytes) -> None:
    assert is_cut_off(io.BytesIO(head + rest)) in (True, False)
