"""The demo's room: what stands where, and of which material.

Lengths are metres; x to the right, y away from the camera, z up.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from slam.demo import texture
from slam.demo.light import ROOM, Blocker, Box, Sphere, irradiance
from slam.demo.raster import Surface, Texture, interpolate
from slam.demo.shape import Ball, Pixels, Quad, Shape
from slam.demo.texture import Color
from slam.trajectory import Floats

Material = Callable[[np.random.Generator, int, int, float, Color], Pixels]

# Texels a metre of walls and of things; the light changes slowly and needs fewer samples.
WALL_TEXELS, THING_TEXELS = 240.0, 420.0
LIGHT_SAMPLES = 12.0


@dataclass(frozen=True, kw_only=True)
class Thing:
    """A body with the material of its sides and, where it differs, that of its front (towards -y)."""

    body: Blocker
    side: Material
    color: Color
    front: Material | None = None


WOOD, OAK, IVORY = (0.5, 0.3, 0.16), (0.62, 0.42, 0.22), (0.82, 0.79, 0.72)

THINGS = (
    # The table and what lies on it.
    Thing(
        body=Box(centre=(1.55, 3.35, 0.73), size=(1.5, 0.8, 0.05), turn=0.12), side=texture.planks, color=OAK
    ),
    Thing(
        body=Box(centre=(0.93, 2.98, 0.35), size=(0.07, 0.07, 0.7), turn=0.12), side=texture.planks, color=OAK
    ),
    Thing(
        body=Box(centre=(2.24, 3.14, 0.35), size=(0.07, 0.07, 0.7), turn=0.12), side=texture.planks, color=OAK
    ),
    Thing(
        body=Box(centre=(0.86, 3.58, 0.35), size=(0.07, 0.07, 0.7), turn=0.12), side=texture.planks, color=OAK
    ),
    Thing(
        body=Box(centre=(2.17, 3.73, 0.35), size=(0.07, 0.07, 0.7), turn=0.12), side=texture.planks, color=OAK
    ),
    Thing(
        body=Box(centre=(1.95, 3.3, 0.785), size=(0.32, 0.24, 0.06), turn=0.5),
        side=texture.weave,
        color=(0.5, 0.1, 0.1),
    ),
    Thing(
        body=Box(centre=(1.96, 3.31, 0.84), size=(0.28, 0.2, 0.05), turn=0.2),
        side=texture.weave,
        color=(0.12, 0.25, 0.5),
    ),
    Thing(
        body=Box(centre=(1.95, 3.3, 0.885), size=(0.22, 0.16, 0.04), turn=0.8),
        side=texture.picture,
        color=(0.8, 0.7, 0.4),
    ),
    Thing(body=Box(centre=(1.2, 3.35, 0.79), size=(0.16, 0.16, 0.07)), side=texture.planks, color=WOOD),
    # Crates on the right.
    Thing(body=Box(centre=(4.45, 3.2, 0.3), size=(0.6, 0.6, 0.6), turn=0.35), side=texture.crate, color=OAK),
    Thing(
        body=Box(centre=(4.47, 3.22, 0.79), size=(0.38, 0.38, 0.38), turn=-0.2),
        side=texture.crate,
        color=(0.6, 0.47, 0.3),
    ),
    Thing(
        body=Box(centre=(5.2, 2.75, 0.22), size=(0.44, 0.44, 0.44), turn=0.75),
        side=texture.crate,
        color=(0.55, 0.36, 0.2),
    ),
    # A pedestal and a bookcase.
    Thing(
        body=Box(centre=(3.35, 4.3, 0.45), size=(0.36, 0.36, 0.9), turn=0.4),
        side=texture.terrazzo,
        color=IVORY,
    ),
    Thing(
        body=Box(centre=(5.05, 4.8, 1.0), size=(1.5, 0.36, 2.0)),
        side=texture.planks,
        color=WOOD,
        front=texture.books,
    ),
    # Pictures on the walls.
    Thing(
        body=Box(centre=(1.5, 4.98, 1.65), size=(1.3, 0.04, 0.9)),
        side=texture.picture,
        color=(0.75, 0.55, 0.25),
    ),
    Thing(
        body=Box(centre=(3.35, 4.98, 1.75), size=(0.75, 0.04, 0.95)),
        side=texture.picture,
        color=(0.2, 0.4, 0.5),
    ),
    Thing(
        body=Box(centre=(0.02, 3.6, 1.6), size=(0.04, 1.1, 0.8)), side=texture.picture, color=(0.7, 0.3, 0.25)
    ),
    Thing(
        body=Box(centre=(5.98, 3.3, 1.6), size=(0.04, 1.2, 0.85)), side=texture.picture, color=(0.3, 0.5, 0.3)
    ),
    Thing(body=Sphere(centre=(1.2, 3.35, 0.99), radius=0.18), side=texture.globe, color=(0.1, 0.3, 0.55)),
    Thing(body=Sphere(centre=(3.0, 3.3, 0.24), radius=0.24), side=texture.gores, color=(0.8, 0.1, 0.1)),
    Thing(body=Sphere(centre=(3.35, 4.3, 1.06), radius=0.16), side=texture.terrazzo, color=(0.25, 0.3, 0.35)),
)


@dataclass(frozen=True, kw_only=True)
class Part:
    """One shape of the room, still without light."""

    shape: Shape
    material: Material
    color: Color
    texels_per_metre: float


def build_room(threads: int = 1, seed: int = 0) -> list[Surface]:
    """The room's surfaces, lit. One seed always gives the same room."""
    parts = [*_walls(), *(part for thing in THINGS for part in _parts(thing))]
    seeds = np.random.SeedSequence(seed).spawn(len(parts))
    with ThreadPoolExecutor(threads) as pool:
        textures = pool.map(_texture, parts, _lights(parts), map(np.random.default_rng, seeds))
        return [Surface(shape=part.shape, texture=lit) for part, lit in zip(parts, textures, strict=True)]


def _walls() -> list[Part]:
    """Floor, rug, the three walls in sight and the ceiling."""
    x, y, z = np.diag(ROOM)
    rug_origin, rug_u, rug_v = np.array([[1.75, 3.6, 0.004], [2.5, 0, 0], [0, -1.7, 0]])
    walls: list[tuple[Material, Color, Floats, Floats, Floats]] = [
        (texture.planks, (0.5, 0.33, 0.2), y, x, -y),
        (texture.rug, (0.5, 0.08, 0.07), rug_origin, rug_u, rug_v),
        (texture.bricks, (0.55, 0.26, 0.18), y + z, x, -z),
        (texture.plaster, (0.5, 0.6, 0.55), z, y, -z),
        (texture.plaster, (0.75, 0.65, 0.48), x + y + z, -y, -z),
        (texture.plaster, (0.85, 0.85, 0.82), z, x, y),
    ]
    return [
        Part(
            shape=Quad(origin=origin, edge_u=u, edge_v=v),
            material=material,
            color=color,
            texels_per_metre=WALL_TEXELS,
        )
        for material, color, origin, u, v in walls
    ]


def _parts(thing: Thing) -> list[Part]:
    """A ball as it is; of a box the four sides, front first, and the top."""
    shapes: list[Shape]
    if isinstance(thing.body, Sphere):
        shapes = [Ball(centre=np.array(thing.body.centre), radius=thing.body.radius)]
    else:
        a, b, c = thing.body.axes * np.array(thing.body.size)[:, None]
        faces = ((-b, a, -c), (b, -a, -c), (-a, -b, -c), (a, b, -c), (c, a, -b))
        shapes = [
            Quad(origin=thing.body.centre + (outward - u - v) / 2, edge_u=u, edge_v=v)
            for outward, u, v in faces
        ]
    materials = [thing.front or thing.side] + [thing.side] * (len(shapes) - 1)
    return [
        Part(shape=shape, material=material, color=thing.color, texels_per_metre=THING_TEXELS)
        for shape, material in zip(shapes, materials, strict=True)
    ]


def _lights(parts: list[Part]) -> list[Pixels]:
    """The light [rows, columns, 3] on a lattice over each part."""
    places, normals, sizes = [], [], []
    for part in parts:
        columns, rows = (max(4, round(length * LIGHT_SAMPLES)) for length in part.shape.extent)
        v, u = (np.mgrid[0:rows, 0:columns] + 0.5).reshape(2, -1)
        points, directions = part.shape.place(u / columns, v / rows)
        places.append(points)
        normals.append(directions)
        sizes.append((rows, columns, 3))
    bodies = [thing.body for thing in THINGS]
    # All at once, because numpy's time goes into its calls.
    light = irradiance(np.concatenate(places), np.concatenate(normals), bodies).astype(np.float32)
    pieces = np.split(light, np.cumsum([len(points) for points in places])[:-1])
    return [piece.reshape(size) for piece, size in zip(pieces, sizes, strict=True)]


def _texture(part: Part, light: Pixels, random: np.random.Generator) -> Texture:
    """What a part sends out: its reflectance, from sRGB to linear, times the light that falls on it."""
    width, height = (max(8, round(length * part.texels_per_metre)) for length in part.shape.extent)
    reflectance = part.material(random, height, width, part.texels_per_metre, part.color)
    v, u = (np.mgrid[0:height, 0:width].astype(np.float32) + np.float32(0.5)).reshape(2, -1)
    spread = interpolate(light, u / width, v / height).reshape(height, width, 3)
    return Texture(reflectance ** np.float32(2.2) * spread, part.texels_per_metre)
