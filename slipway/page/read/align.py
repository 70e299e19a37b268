"""An estimate laid upon the ground truth: pairs by time, then the similarity of least squares."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from math import hypot, isfinite, sqrt

from slipway.page.read.tum import Path3, distance

Point = tuple[float, float, float]
Rotation = tuple[Point, Point, Point]

# That of evo_ape, and of the payload.
MOST_APART_S = 0.01
_FEWEST_PAIRS = 3
_IDENTITY: Rotation = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


@dataclass(frozen=True, kw_only=True)
class Similarity:
    """``scale * rotation @ point + translation``."""

    scale: float = 1.0
    rotation: Rotation = _IDENTITY
    translation: Point = (0.0, 0.0, 0.0)

    def apply(self, point: Point) -> Point:
        """Where a point comes to lie."""
        x, y, z = (
            self.scale * _dot(row, point) + moved
            for row, moved in zip(self.rotation, self.translation, strict=True)
        )
        return x, y, z

    def after(self, first: Similarity) -> Similarity:
        """Another similarity, and then this one."""
        return Similarity(
            scale=self.scale * first.scale,
            rotation=_product(self.rotation, first.rotation),
            translation=self.apply(first.translation),
        )

    @property
    def columns(self) -> list[float]:
        """The 4x4 matrix, column by column."""
        rows = [
            [*(self.scale * value for value in row), moved]
            for row, moved in zip(self.rotation, self.translation, strict=True)
        ] + [[0.0, 0.0, 0.0, 1.0]]
        return [rows[row][column] for column in range(4) for row in range(4)]


IDENTITY = Similarity()


@dataclass(frozen=True, kw_only=True)
class Error:
    """How far an aligned estimate is from the truth: ``times`` and ``errors`` [n], and its ``poses`` [n]."""

    similarity: Similarity
    kind: str
    poses: Sequence[int]
    times: array[float]
    errors: array[float]

    @property
    def rmse(self) -> float:
        """The root of the mean square."""
        return sqrt(sum(one * one for one in self.errors) / len(self.errors))


def compare(truth: Path3, estimate: Path3, kind: str = "sim3", apart_s: float = MOST_APART_S) -> Error | None:
    """Lay an estimate upon the truth and measure; ``None`` where they share fewer than three moments.

    Args:
        truth: the ground truth.
        estimate: the estimate.
        kind: ``sim3``, ``se3`` without a change of scale, ``origin`` by the first pose, or ``none``.
        apart_s: how far apart two stamps of one moment may be.
    """
    pairs = match(truth, estimate, apart_s)
    if len(pairs) < _FEWEST_PAIRS:
        return None
    goal = [truth.position(there) for there, _ in pairs]
    points = [estimate.position(here) for _, here in pairs]
    similarity = _find(kind, points, goal, truth, estimate, pairs[0])
    errors = array("d", (distance(similarity.apply(a), b) for a, b in zip(points, goal, strict=True)))
    if not all(isfinite(one) for one in errors):
        return None
    return Error(
        similarity=similarity,
        kind=kind,
        poses=[here for _, here in pairs],
        times=array("d", (truth.times[there] for there, _ in pairs)),
        errors=errors,
    )


def match(truth: Path3, estimate: Path3, apart_s: float) -> list[tuple[int, int]]:
    """Indices of poses of one moment in both, each used once."""
    pairs: list[tuple[int, int]] = []
    for here, time in enumerate(estimate.times):
        after = bisect_left(truth.times, time)
        near = [one for one in (after - 1, after) if 0 <= one < len(truth)]
        there = min(near, key=lambda one: abs(truth.times[one] - time), default=None)
        if there is None or abs(truth.times[there] - time) > apart_s:
            continue
        if not pairs or there > pairs[-1][0]:
            pairs.append((there, here))
    return pairs


def _find(
    kind: str,
    points: Sequence[Point],
    goal: Sequence[Point],
    truth: Path3,
    estimate: Path3,
    first: tuple[int, int],
) -> Similarity:
    if kind == "none":
        return IDENTITY
    if kind == "origin":
        there, here = first
        rotation = _product(_matrix(truth, there), _transposed(_matrix(estimate, here)))
        return _through(1.0, rotation, estimate.position(here), truth.position(there))
    return align(points, goal, with_scale=kind == "sim3")


def align(points: Sequence[Point], goal: Sequence[Point], *, with_scale: bool) -> Similarity:
    """The similarity of least squares that brings points to their goals.

    B. K. P. Horn, Closed-form solution of absolute orientation using unit quaternions, JOSA A 4, 1987. The
    scale is Umeyama's (1991), as evo computes it.
    """
    middle, middle_goal = _mean(points), _mean(goal)
    moved = [_minus(point, middle) for point in points]
    moved_goal = [_minus(point, middle_goal) for point in goal]
    products = [
        [sum(a[i] * b[j] for a, b in zip(moved, moved_goal, strict=True)) for j in range(3)] for i in range(3)
    ]
    rotation = rotation_of(*_largest_eigenvector(_horn(products)))
    scale = 1.0
    if with_scale:
        spread = sum(_dot(a, a) for a in moved)
        turned = [_turn(rotation, a) for a in moved]
        scale = (
            sum(_dot(a, b) for a, b in zip(turned, moved_goal, strict=True)) / spread if spread > 0 else 1.0
        )
    return _through(scale, rotation, middle, middle_goal)


def _horn(s: Sequence[Sequence[float]]) -> list[list[float]]:
    """Horn's symmetric 4x4 matrix; its eigenvector of the largest eigenvalue is the quaternion w x y z."""
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = s
    return [
        [xx + yy + zz, yz - zy, zx - xz, xy - yx],
        [yz - zy, xx - yy - zz, xy + yx, zx + xz],
        [zx - xz, xy + yx, yy - xx - zz, yz + zy],
        [xy - yx, zx + xz, yz + zy, zz - xx - yy],
    ]


def _largest_eigenvector(matrix: list[list[float]]) -> tuple[float, float, float, float]:
    """By Jacobi's rotations, which converge for any symmetric matrix."""
    size = len(matrix)
    a = [row[:] for row in matrix]
    vectors = [[float(i == j) for j in range(size)] for i in range(size)]
    for _ in range(60):
        pairs = [(i, j) for i in range(size) for j in range(i + 1, size)]
        if all(abs(a[i][j]) <= 1e-15 * (abs(a[i][i]) + abs(a[j][j])) for i, j in pairs):
            break
        for i, j in pairs:
            _jacobi(a, vectors, i, j)
    best = max(range(size), key=lambda k: a[k][k])
    w, x, y, z = (vectors[row][best] for row in range(size))
    return w, x, y, z


def _jacobi(a: list[list[float]], vectors: list[list[float]], i: int, j: int) -> None:
    if a[i][j] == 0:
        return
    theta = (a[j][j] - a[i][i]) / (2 * a[i][j])
    t = (1 if theta >= 0 else -1) / (abs(theta) + hypot(theta, 1))
    c = 1 / hypot(t, 1)
    s = t * c
    for row in (*a, *vectors):
        row[i], row[j] = c * row[i] - s * row[j], s * row[i] + c * row[j]
    for k in range(len(a)):
        a[i][k], a[j][k] = c * a[i][k] - s * a[j][k], s * a[i][k] + c * a[j][k]


def rotation_of(w: float, x: float, y: float, z: float) -> Rotation:
    """The rotation matrix of a quaternion, whatever its length; the identity for one of length 0."""
    norm = w * w + x * x + y * y + z * z
    if not norm > 0 or not isfinite(norm):
        return _IDENTITY
    s = 2 / norm
    return (
        (1 - s * (y * y + z * z), s * (x * y - w * z), s * (x * z + w * y)),
        (s * (x * y + w * z), 1 - s * (x * x + z * z), s * (y * z - w * x)),
        (s * (x * z - w * y), s * (y * z + w * x), 1 - s * (x * x + y * y)),
    )


def _matrix(path: Path3, index: int) -> Rotation:
    x, y, z, w = path.quaternions[4 * index : 4 * index + 4]
    return rotation_of(w, x, y, z)


def _through(scale: float, rotation: Rotation, start: Point, end: Point) -> Similarity:
    """The similarity that brings one point to another."""
    x, y, z = (there - scale * moved for there, moved in zip(end, _turn(rotation, start), strict=True))
    return Similarity(scale=scale, rotation=rotation, translation=(x, y, z))


def _product(a: Rotation, b: Rotation) -> Rotation:
    columns = _transposed(b)
    first, second, third = (
        (_dot(row, columns[0]), _dot(row, columns[1]), _dot(row, columns[2])) for row in a
    )
    return first, second, third


def _transposed(a: Rotation) -> Rotation:
    (ax, ay, az), (bx, by, bz), (cx, cy, cz) = a
    return (ax, bx, cx), (ay, by, cy), (az, bz, cz)


def _turn(rotation: Rotation, point: Point) -> Point:
    return _dot(rotation[0], point), _dot(rotation[1], point), _dot(rotation[2], point)


def _dot(a: Point, b: Point) -> float:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _minus(a: Point, b: Point) -> Point:
    return a[0] - b[0], a[1] - b[1], a[2] - b[2]


def _mean(points: Sequence[Point]) -> Point:
    x, y, z = (sum(point[axis] for point in points) / len(points) for axis in range(3))
    return x, y, z
