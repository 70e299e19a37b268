"""Procedural materials with detail at every scale, as reflectance [h, w, 3] from 0 to 1."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from slam.demo.shape import Pixels

Random = np.random.Generator
Color = tuple[float, float, float]

# Leather and cloth that books are bound in, and what is printed on it.
BINDINGS = np.array(
    [
        (0.45, 0.12, 0.1), (0.1, 0.17, 0.35), (0.1, 0.3, 0.2), (0.5, 0.35, 0.18), (0.65, 0.6, 0.48),
        (0.14, 0.13, 0.13), (0.35, 0.1, 0.22), (0.12, 0.35, 0.4), (0.65, 0.4, 0.1), (0.28, 0.2, 0.15),
    ],
    np.float32,
)  # fmt: skip
GILT = np.array((0.8, 0.7, 0.45), np.float32)


def noise(random: Random, height: int, width: int, *, slope: float = 1.2, stretch: float = 1.0) -> Pixels:
    """Noise [height, width] of mean 0 and deviation 1 whose amplitude falls with frequency to the ``slope``.

    It is ``stretch`` times as long along the rows as it is across them.
    """
    across = np.fft.rfftfreq(width)[None, :] * stretch
    down = np.fft.fftfreq(height)[:, None]
    frequency = np.hypot(across, down)
    frequency[0, 0] = np.inf
    spectrum = np.fft.rfft2(random.standard_normal((height, width))) * frequency**-slope
    values = np.fft.irfft2(spectrum, s=(height, width))
    return np.asarray(values / values.std(), np.float32)


def grid(height: int, width: int, density: float) -> tuple[Pixels, Pixels]:
    """Each texel's place in metres: x [1, width] along the rows and y [height, 1] down them."""
    x = ((np.arange(width) + 0.5) / density).astype(np.float32)[None, :]
    y = ((np.arange(height) + 0.5) / density).astype(np.float32)[:, None]
    return x, y


def paint(color: Color, tone: npt.NDArray[np.floating[Any]]) -> Pixels:
    """A colour made lighter and darker by ``tone`` [h, w], 1 leaving it as it is."""
    return clipped(np.asarray(color, np.float32) * tone[..., None])


def clipped(image: npt.NDArray[np.floating[Any]]) -> Pixels:
    """An image held between almost black and almost white, in single precision."""
    return np.asarray(np.clip(image, 0.01, 0.97), np.float32)


def hashed(random: Random, *keys: Pixels) -> Pixels:
    """A number from 0 to 1 for each combination of whole numbers in ``keys``, which are broadcast."""
    table = random.random(4096).astype(np.float32)
    mixed = np.zeros(np.broadcast_shapes(*(key.shape for key in keys)), np.int64)
    for key in keys:
        mixed = (mixed * 131 + key.astype(np.int64) * 71 + 17) % 4093
    values: Pixels = table[mixed]
    return values


def plaster(random: Random, height: int, width: int, density: float, color: Color) -> Pixels:
    """A painted wall, slightly stained and grained."""
    stains = noise(random, height, width, slope=1.6)
    grain = noise(random, height, width, slope=0.7)
    return paint(color, 1 + 0.05 * stains + 0.06 * grain)


def planks(random: Random, height: int, width: int, density: float, color: Color) -> Pixels:
    """Floor boards along the rows."""
    x, y = grid(height, width, density)
    row = np.floor(y / 0.15)
    along = x + 7 * hashed(random, row)
    board = np.floor(along / 1.3)
    tone = 0.62 + 0.6 * hashed(random, row, board)
    grain = noise(random, height, width, slope=1.1, stretch=12)
    fine = noise(random, height, width, slope=0.8, stretch=3)
    gaps = np.minimum(_seam(y / 0.15, 0.03), _seam(along / 1.3, 0.004))
    return paint(color, tone * (1 + 0.16 * grain + 0.07 * fine) * (0.25 + 0.75 * gaps))


def _seam(place: npt.NDArray[np.floating[Any]], width: float) -> Pixels:
    """0 at whole numbers, 1 from ``width`` on."""
    return np.asarray(np.clip(np.abs(place - np.rint(place)) / width, 0, 1), np.float32)


def bricks(random: Random, height: int, width: int, density: float, color: Color) -> Pixels:
    """A wall of bricks, every one of its own shade, with pale mortar."""
    x, y = grid(height, width, density)
    row = np.floor(y / 0.075)
    along = x / 0.24 + 0.5 * (row % 2)
    column = np.floor(along)
    tone = 0.65 + 0.6 * hashed(random, row, column)
    wear = noise(random, height, width, slope=1.0)
    body = paint(color, tone * (1 + 0.16 * wear))
    stone = np.minimum(_seam(y / 0.075, 0.11), _seam(along, 0.035))[..., None]
    mortar = paint((0.66, 0.63, 0.58), 1 + 0.1 * wear)
    return clipped(body * stone + mortar * (1 - stone))


def cells(random: Random, height: int, width: int, size: float) -> tuple[Pixels, Pixels]:
    """Irregular cells of about ``size`` texels: a number from 0 to 1 for each, and how near its border is.

    The cells are Voronoi's, around one random point in each square of a grid.
    """
    rows, columns = int(height / size) + 3, int(width / size) + 3
    shift = random.random((rows, columns, 2)).astype(np.float32)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) / np.float32(size) + 1
    first, second = (np.full((height, width), np.inf, np.float32) for _ in range(2))
    owner = np.zeros((height, width), np.float32)
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            row, column = y.astype(np.int32) + down, x.astype(np.int32) + right
            offset = shift[row, column]
            distance = np.hypot(row + offset[..., 0] - y, column + offset[..., 1] - x)
            nearer = distance < first
            second = np.where(nearer, first, np.minimum(second, distance))
            owner = np.where(nearer, row * columns + column, owner).astype(np.float32)
            first = np.where(nearer, distance, first)
    return hashed(random, owner), second - first


def terrazzo(random: Random, height: int, width: int, density: float, color: Color) -> Pixels:
    """Chips of stone of many sizes in a pale ground."""
    image = paint(color, 1 + 0.05 * noise(random, height, width, slope=0.8))
    for size in (0.09, 0.045, 0.02):
        shade, border = cells(random, height, width, max(2.0, size * density))
        chip = ((shade > 0.45) & (border > 0.18))[..., None]
        tint = np.stack([shade, np.sqrt(shade) * 0.8, (1.2 - shade) * 0.8], axis=-1)
        image = np.where(chip, 0.15 + 0.7 * tint * (shade[..., None] * 7 % 1), image)
    return clipped(image)


def weave(random: Random, height: int, width: int, density: float, color: Color) -> Pixels:
    """Coarse cloth with threads of uneven shade."""
    x, y = grid(height, width, density)
    threads = hashed(random, np.floor(x / 0.012)) + hashed(random, np.floor(y / 0.012))
    return paint(color, 0.62 + 0.38 * threads + 0.1 * noise(random, height, width, slope=1.2))


def rug(random: Random, height: int, width: int, density: float, color: Color) -> Pixels:
    """Borders around a field of diamonds."""
    x, y = grid(height, width, density)
    inward = np.minimum(np.minimum(x, width / density - x), np.minimum(y, height / density - y))
    palette = np.array([color, (0.82, 0.72, 0.5), (0.1, 0.14, 0.3), (0.75, 0.3, 0.15)], np.float32)
    border = np.floor(inward / 0.06).astype(int)
    diamond = np.abs(x % 0.36 - 0.18) + np.abs(y % 0.36 - 0.18)
    motif = hashed(random, np.floor(x / 0.36), np.floor(y / 0.36), np.floor(diamond / 0.06))
    field = (motif * 4).astype(int) % 4
    image = palette[np.where(border < 5, border * 3 % 4, field)]
    threads = (
        1 + 0.16 * noise(random, height, width, slope=0.9) + 0.08 * noise(random, height, width, slope=0.3)
    )
    return clipped(image * threads[..., None])


def crate(random: Random, height: int, width: int, density: float, color: Color) -> Pixels:
    """Boards in a frame, with a brace across and nails."""
    x, y = grid(height, width, density)
    wide, tall = width / density, height / density
    board = np.floor(y / tall * 5)
    tone = (0.55 + 0.45 * hashed(random, board)) * (0.35 + 0.65 * _seam(y / tall * 5, 0.06))
    edge = np.minimum(np.minimum(x, wide - x), np.minimum(y, tall - y)) / min(wide, tall)
    brace = np.abs(x / wide - y / tall)
    tone = np.where((edge < 0.13) | (brace < 0.1), 1.05 + 0 * tone, tone)
    rim = np.minimum(np.clip(np.abs(edge - 0.13) / 0.012, 0, 1), np.clip(np.abs(brace - 0.1) / 0.014, 0.4, 1))
    tone = tone * np.where((edge < 0.13) & (np.abs(edge - 0.13) > 0.012), 1, 0.4 + 0.6 * rim)
    grain = noise(random, height, width, slope=1.1, stretch=8) + 0.5 * noise(random, height, width, slope=0.7)
    nails = np.hypot((x / wide * 6) % 1 - 0.5, (y / tall * 6) % 1 - 0.5) < 0.06
    tone = np.where(nails & (edge < 0.13), 0.2, tone)
    return paint(color, tone * (1 + 0.14 * grain))


def books(random: Random, height: int, width: int, density: float, color: Color) -> Pixels:
    """Shelves of books, seen from the front."""
    shelves = max(1, round(height / density / 0.36))
    image = paint(color, 1 + 0.15 * noise(random, height, width, slope=1.0, stretch=6))
    step, board = height / shelves, max(2, int(0.028 * density))
    for shelf in range(shelves):
        top, bottom = int(shelf * step) + board, int((shelf + 1) * step) - board // 2
        image[top:bottom, board : width - board] = 0.03
        left = board
        while left < width - board:
            thick = int(density * random.uniform(0.022, 0.065))
            right = min(left + max(3, thick), width - board)
            first = bottom - int((bottom - top) * random.uniform(0.62, 0.95))
            image[first:bottom, left:right] = _spine(random, bottom - first, right - left)
            left = right
    return clipped(image * (1 + 0.1 * noise(random, height, width, slope=0.8))[..., None])


def _spine(random: Random, height: int, width: int) -> Pixels:
    """The back of a book: a colour, darker at both sides, with bands and a title of sorts."""
    spine: Pixels = np.empty((height, width, 3), np.float32)
    spine[:] = BINDINGS[random.integers(len(BINDINGS))] * random.uniform(0.6, 1.4)
    for _ in range(random.integers(1, 4)):
        row = int(random.uniform(0.05, 0.9) * height)
        spine[row : row + max(1, height // 40)] = GILT * random.uniform(0.4, 1.1)
    letters = random.random((height // 3 + 1, width // 3 + 1)) < 0.5
    ink = np.kron(letters, np.ones((3, 3), bool))[:height, :width]
    title = (
        slice(int(height * 0.25), int(height * 0.7)),
        slice(width // 3, max(width // 3 + 1, 2 * width // 3)),
    )
    spine[title] = np.where(ink[title][..., None], random.uniform(0.4, 0.95), spine[title])
    shade = 1 - 0.45 * np.abs(np.linspace(-1, 1, width, dtype=np.float32)) ** 3
    return clipped(spine * shade[None, :, None])


def picture(random: Random, height: int, width: int, density: float, color: Color) -> Pixels:
    """An abstract painting in a frame: discs and bars over a mottled ground."""
    x, y = grid(height, width, density)
    wide, tall = width / density, height / density
    mottled = noise(random, height, width, slope=1.5)
    image = paint(color, 1 + 0.25 * mottled + 0.1 * noise(random, height, width, slope=0.8))
    for _ in range(26):
        centre_x, centre_y = random.uniform(0, wide), random.uniform(0, tall)
        size, turn = random.uniform(0.02, 0.2) * tall, random.uniform(0, np.pi)
        along = (x - centre_x) * np.cos(turn) + (y - centre_y) * np.sin(turn)
        aside = (y - centre_y) * np.cos(turn) - (x - centre_x) * np.sin(turn)
        disc = np.hypot(along, aside) < size
        bar = (np.abs(along) < 2.5 * size) & (np.abs(aside) < size / 5)
        shape = disc if random.random() < 0.5 else bar
        image[shape] = random.uniform(0.03, 0.9, 3) * (0.9 + 0.1 * mottled[shape])[:, None]
    edge = np.minimum(np.minimum(x, wide - x), np.minimum(y, tall - y))
    image[edge < 0.07] = (0.85, 0.83, 0.78)
    wood = paint((0.16, 0.1, 0.06), 1 + 0.25 * noise(random, height, width, slope=1.0))
    return np.where((edge < 0.035)[..., None], wood, image).astype(np.float32)


def globe(random: Random, height: int, width: int, density: float, color: Color) -> Pixels:
    """Land and sea with lines of latitude and longitude."""
    terrain = noise(random, height, width, slope=1.7)
    # Mirrored, so that it closes where the ball's two ends meet.
    terrain = np.concatenate([terrain[:, ::2], terrain[:, ::-2]], axis=1)[:, :width]
    detail = noise(random, height, width, slope=0.9)
    land = paint((0.45, 0.55, 0.2), 0.8 + 0.3 * terrain + 0.2 * detail)
    sea = paint(color, 0.9 + 0.25 * terrain + 0.1 * detail)
    image = np.where((terrain > 0.25)[..., None], land, sea)
    x, y = grid(height, width, 1)
    lines = np.minimum(_seam(x / width * 24, 0.03), _seam(y / height * 12, 0.03))
    return (image * (0.45 + 0.55 * lines[..., None])).astype(np.float32)


def gores(random: Random, height: int, width: int, density: float, color: Color) -> Pixels:
    """A beach ball's coloured segments, spotted."""
    x, _ = grid(height, width, 1)
    palette = np.array(
        [color, (0.9, 0.88, 0.8), (0.1, 0.3, 0.65), (0.9, 0.88, 0.8), (0.9, 0.6, 0.1), (0.9, 0.88, 0.8)],
        np.float32,
    )
    image = palette[np.broadcast_to(np.floor(x / width * 6).astype(int) % 6, (height, width))]
    shade, border = cells(random, height, width, width / 22)
    spots = (shade > 0.6) & (border > 0.35)
    image = np.where(spots[..., None], palette[(shade * 97).astype(int) % 6] * 0.7, image)
    return clipped(image * (1 + 0.08 * noise(random, height, width, slope=0.9))[..., None])
