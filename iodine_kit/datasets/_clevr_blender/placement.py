# SPDX-License-Identifier: Apache-2.0
# Part of a program that runs inside Blender's Python (GPL-3.0-or-later); Apache-2.0 is compatible with that licence.
"""Positions of CLEVR's objects, lamps and camera, with the distribution of CLEVR's generator, without Blender.

Source: Johnson et al., CLEVR, 2017, and its generator, github.com/facebookresearch/clevr-dataset-gen. The distribution
is the same, the stream of random numbers is not. Lengths are in metres; z points up; the ground is z = 0.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from settings import COLORS, MATERIALS, RADIUS, SHAPES, SIZES, Settings  # type: ignore[import-not-found]

CAMERA = (7.48113, -6.50764, 5.34367)
LAMPS = {"key": (6.44671, -2.90517, 4.2584), "fill": (-4.67112, -4.0136, 3.01122), "back": (-1.1685, 2.64602, 5.81574)}
CAMERA_JITTER, LAMP_JITTER = 0.5, 1.0
WIDTH, HEIGHT = 320, 240
FOCAL = 35 / 32 * WIDTH  # in pixels: a 35 mm lens in front of a 32 mm sensor

# The generator read the matrix of the camera before Blender had updated it. The directions in which objects keep a
# distance are therefore those of the camera without jitter, in all scenes.
BEHIND = (-CAMERA[0] / math.hypot(*CAMERA[:2]), -CAMERA[1] / math.hypot(*CAMERA[:2]))
RIGHT = (BEHIND[1], -BEHIND[0])
DISTANCE, MARGIN, TRIES, PIXELS = 0.25, 0.4, 50, 200
SCENE_TRIES = 5000  # CLEVR has no limit; with ten objects, about a dozen tries are enough
_STEPS = 40  # steps of a ray towards a surface
BEVEL = {"cube": 0.09, "cylinder": 0.06}  # radius of the rounded edges, in units of the half side

Vector = tuple[float, float, float]
Floats = NDArray[np.float64]
_T = TypeVar("_T")


@dataclass(frozen=True)
class Object:
    """One object: its names, ground position of its centre, half height, and the angle that the file calls degrees."""

    shape: str
    material: str
    color: str
    size: str
    x: float
    y: float
    radius: float
    rotation: float


@dataclass(frozen=True)
class Layout:
    """One scene: the positions of camera, lamps and objects."""

    camera: Vector
    lamps: dict[str, Vector]
    objects: tuple[Object, ...]


def sample(seed: int, settings: Settings) -> Layout:
    """Sample a scene; it depends on the seed and the settings only.

    Raises:
        ValueError: if the objects do not fit.
    """
    # Only random() is guaranteed to give the same numbers in every version of Python.
    rng = random.Random(seed)
    number = settings.min_objects + _index(rng, settings.max_objects - settings.min_objects + 1)
    camera = _moved(rng, CAMERA, CAMERA_JITTER * settings.jitter)
    lamps = {name: _moved(rng, place, LAMP_JITTER * settings.jitter) for name, place in LAMPS.items()}
    for _ in range(SCENE_TRIES):
        objects = place(rng, number, settings)
        if objects and visible(camera, objects):
            return Layout(camera, lamps, tuple(objects))
    raise ValueError(f"{number} objects did not fit in {SCENE_TRIES} tries: lower max_objects")


def place(rng: random.Random, number: int, settings: Settings) -> list[Object]:
    """Place objects on the ground one after another; returns an empty list if one does not fit in 50 tries."""
    objects: list[Object] = []
    claims: list[tuple[float, float, float]] = []
    for _ in range(number):
        size = _choice(rng, settings.sizes)
        spot = _free_spot(rng, claims, RADIUS[size])
        if spot is None:
            return []
        shape, color = _choice(rng, settings.shapes), _choice(rng, settings.colors)
        # A cube is shrunk after it is placed, and the following objects keep their distance from the smaller cube.
        radius = RADIUS[size] / (math.sqrt(2) if shape == "cube" else 1)
        rotation = 360 * rng.random()
        objects.append(Object(shape, _choice(rng, settings.materials), color, size, *spot, radius, rotation))
        claims.append((*spot, radius))
    return objects


def _free_spot(rng: random.Random, claims: Sequence[Vector], radius: float) -> tuple[float, float] | None:
    for _ in range(TRIES):
        x, y = 6 * rng.random() - 3, 6 * rng.random() - 3
        if all(apart(x - xx, y - yy, radius + other) for xx, yy, other in claims):
            return x, y
    return None


def apart(dx: float, dy: float, radii: float) -> bool:
    """Whether two objects at this offset keep the minimum distance, and the margin in all four directions."""
    if math.hypot(dx, dy) - radii < DISTANCE:
        return False
    margins = [abs(dx * direction[0] + dy * direction[1]) for direction in (BEHIND, RIGHT)]
    return all(margin >= MARGIN or margin == 0 for margin in margins)


def visible(camera: Vector, objects: Sequence[Object]) -> bool:
    """Whether every object, and the background, shows at least 200 pixels of the 320×240 view."""
    counts = np.bincount(identify(camera, objects).ravel(), minlength=len(objects) + 1)
    return bool((counts >= PIXELS).all())


def look_at_origin(eye: Vector) -> Floats:
    """Axes of a camera or lamp that looks at the origin, z up: columns right, up, backwards of ``f64[3, 3]``."""
    back = np.asarray(eye) / np.linalg.norm(eye)
    right = np.cross((0, 0, 1), back)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(back, right), back], 1)


def project(camera: Vector, points: Floats) -> Floats:
    """Column, row (both continuous, 320×240) and depth in metres of points ``f64[N, 3]``: ``f64[N, 3]``."""
    local = (points - np.asarray(camera)) @ look_at_origin(camera)
    depth = -local[:, 2]
    scale = FOCAL / depth
    return np.stack([WIDTH / 2 + scale * local[:, 0], HEIGHT / 2 - scale * local[:, 1], depth], 1)


def identify(camera: Vector, objects: Sequence[Object]) -> NDArray[np.uint8]:
    """The object that the centre of each pixel shows, ``u8[240, 320]``: 0 is the background, i the i-th object."""
    ids, nearest = np.zeros((HEIGHT, WIDTH), np.uint8), np.full((HEIGHT, WIDTH), np.inf)
    axes, eye = look_at_origin(camera), np.asarray(camera)
    for index, thing in enumerate(objects, start=1):
        window = _window(camera, thing)
        rows, columns = np.mgrid[window]
        across, down = columns + 0.5 - WIDTH / 2, rows + 0.5 - HEIGHT / 2
        rays = np.stack([across / FOCAL, -down / FOCAL, -np.ones(rows.shape)], -1) @ axes.T
        distance = _hit(thing, eye, rays / np.linalg.norm(rays, axis=-1, keepdims=True))
        closer = distance < nearest[window]
        ids[window][closer], nearest[window][closer] = index, distance[closer]
    return ids


def _window(camera: Vector, thing: Object) -> tuple[slice, slice]:
    """Rows and columns that can show an object: those of its bounding sphere."""
    ball = thing.radius * math.sqrt(3)
    column, row, depth = project(camera, np.array([[thing.x, thing.y, thing.radius]]))[0]
    reach = (
        1.2 * FOCAL * ball / (depth - ball)
    )  # off the axis, the image of a sphere is an ellipse, which is slightly longer
    spans = [(row - reach, row + reach, HEIGHT), (column - reach, column + reach, WIDTH)]
    down, across = (slice(min(max(int(low), 0), end), min(max(int(high) + 1, 0), end)) for low, high, end in spans)
    return down, across


def _hit(thing: Object, eye: Floats, rays: Floats) -> Floats:
    """Distance along unit rays ``f64[..., 3]`` to an object's surface, infinite where they miss it."""
    cos, sin = math.cos(thing.rotation), math.sin(thing.rotation)  # "degrees" that CLEVR's generator used as radians
    turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    start = (eye - (thing.x, thing.y, thing.radius)) @ turn / thing.radius
    directions = rays @ turn
    # Sphere tracing: step by the distance to the surface, starting where the ray enters the bounding box.
    walls = np.sort((np.array([[-1], [1]]) - start) / directions[..., None, :], axis=-2)
    enter, leave = walls[..., 0, :].max(-1), walls[..., 1, :].min(-1)
    inside = enter < leave
    distance, found = np.full(rays.shape[:-1], np.inf), enter[inside]
    for _ in range(_STEPS):
        gap = _gap(thing.shape, start + found[:, None] * directions[inside])
        found += gap
    distance[inside] = np.where(gap < 1e-3, found * thing.radius, np.inf)
    return distance


def _gap(shape: str, points: Floats) -> Floats:
    """Distance of points ``f64[..., 3]`` to the surface of a shape of half side 1, negative inside."""
    if shape == "sphere":
        return np.asarray(np.linalg.norm(points, axis=-1) - 1)
    if shape == "cylinder":
        points = np.stack([np.hypot(points[..., 0], points[..., 1]), points[..., 2]], -1)
    bevel = BEVEL[shape]
    excess = np.abs(points) - (1 - bevel)
    outside = np.linalg.norm(np.maximum(excess, 0), axis=-1)
    return np.asarray(outside + np.minimum(excess.max(-1), 0) - bevel)


def factors(layout: Layout, rows: int) -> dict[str, NDArray[Any]]:
    """The published factors, one row per entity: the background (all 0), the objects, then padding (0).

    ``x y z rotation visibility f32[rows]``, ``pixel_coords f32[rows, 3]`` (column, row in the 320×240 view, depth in
    metres) and the ids ``size material shape color u8[rows]``.
    """
    things = layout.objects
    centres = np.array([(thing.x, thing.y, thing.radius) for thing in things])
    pixels = project(layout.camera, centres)
    pixels[:, :2] = np.round(pixels[:, :2])
    table = {
        "x": centres[:, 0],
        "y": centres[:, 1],
        "z": centres[:, 2],
        "rotation": np.array([thing.rotation for thing in things]),
        "visibility": np.ones(len(things)),
        "pixel_coords": pixels,
    }
    ids = {
        "size": [SIZES.index(thing.size) for thing in things],
        "material": [MATERIALS.index(thing.material) for thing in things],
        "shape": [SHAPES.index(thing.shape) for thing in things],
        "color": [COLORS.index(thing.color) for thing in things],
    }
    padded = {name: _padded(values.astype(np.float32), rows) for name, values in table.items()}
    padded["visibility"][0] = 1
    return padded | {name: _padded(np.array(values, np.uint8), rows) for name, values in ids.items()}


def _padded(values: NDArray[Any], rows: int) -> NDArray[Any]:
    padded = np.zeros((rows, *values.shape[1:]), values.dtype)
    padded[1 : len(values) + 1] = values
    return padded


def _moved(rng: random.Random, place: Vector, jitter: float) -> Vector:
    x, y, z = (value + jitter * (2 * rng.random() - 1) for value in place)
    return x, y, z


def _index(rng: random.Random, number: int) -> int:
    return int(rng.random() * number)


def _choice(rng: random.Random, options: Sequence[_T]) -> _T:
    return options[_index(rng, len(options))]
