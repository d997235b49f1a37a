# SPDX-License-Identifier: Apache-2.0
# Part of a program that runs inside Blender's Python (GPL-3.0-or-later); Apache-2.0 is compatible with that licence.
"""Meshes: sphere, bevelled cube and bevelled cylinder of half side 1, and the ground, which curves up into a wall."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import bpy  # type: ignore[import-not-found]
import numpy as np
from numpy.typing import NDArray
from placement import BEHIND, BEVEL, RIGHT  # type: ignore[import-not-found]

Floats = NDArray[np.float64]
_AROUND, _ARC = 128, 6  # vertices around an axis, and steps of a bevel

# The backdrop is fitted to the brightness at the top of CLEVR's images, not measured from CLEVR's scene file.
FLAT, BEND, WALL, BREADTH = 7.0, 12.0, 23.0, 120.0


def sphere() -> Any:
    """A ball of radius 1."""
    angles = np.linspace(0, math.pi, _AROUND // 2 + 1)
    profile = np.stack([np.sin(angles), -np.cos(angles)], 1)
    return _lathe("sphere", profile, profile)


def cylinder() -> Any:
    """A cylinder of radius 1 and height 2 with rounded rims."""
    bevel = BEVEL["cylinder"]
    arc = np.linspace(0, math.pi / 2, _ARC + 1)
    normals = np.stack([np.sin(arc), -np.cos(arc)], 1)
    normals = np.concatenate([normals[:1], normals, (normals * (1, -1))[::-1], [[0, 1]]])
    profile = (1 - bevel) * np.sign(np.round(normals, 9)) + bevel * normals
    profile[[1, -2]], profile[[0, -1]] = [(1 - bevel, -1), (1 - bevel, 1)], [(0, -1), (0, 1)]
    profile[_ARC + 1 : _ARC + 3] = [(1, bevel - 1), (1, 1 - bevel)]
    return _lathe("cylinder", profile, normals)


def cube() -> Any:
    """A cube of side 2 with rounded edges and corners."""
    bevel = BEVEL["cube"]
    arc = np.linspace(-math.pi / 4, math.pi / 4, 2 * _ARC + 1)[_ARC:]
    steps = 1 - bevel + bevel * np.tan(arc)
    line = np.concatenate([-steps[::-1], steps])
    u, v = (grid.ravel() for grid in np.meshgrid(line, line, indexing="ij"))
    faces = _grid(len(line), len(line))
    points: list[Floats] = []
    polygons: list[NDArray[np.int64]] = []
    for axis in range(3):
        for side in (-1, 1):
            face = np.stack([np.full_like(u, side), u, v], 1)
            polygons.append((faces if side > 0 else faces[:, ::-1]) + len(points) * len(u))
            points.append(np.roll(face, axis, axis=1))
    corner = np.concatenate(points)
    core = np.clip(corner, bevel - 1, 1 - bevel)
    normals = (corner - core) / np.linalg.norm(corner - core, axis=1, keepdims=True)
    return _mesh("cube", core + bevel * normals, np.concatenate(polygons).tolist(), normals)


def ground() -> Any:
    """The floor and, far behind the objects, its bend and the wall."""
    arc = np.linspace(0, math.pi / 2, 65)
    bend = np.stack([FLAT + BEND * np.sin(arc), BEND * (1 - np.cos(arc))], 1)
    profile = np.concatenate([[(-BREADTH, 0)], bend, [(FLAT + BEND, WALL)]])
    slope = np.concatenate([[0], arc, [math.pi / 2]])
    ends = np.array([-BREADTH, BREADTH])
    behind, right = np.array([*BEHIND, 0]), np.array([*RIGHT, 0])
    points = profile[:, :1] * behind + profile[:, 1:] * (0, 0, 1)
    normals = np.cos(slope)[:, None] * np.array([0, 0, 1]) - np.sin(slope)[:, None] * behind
    points = (points[:, None] + ends[:, None] * right).reshape(-1, 3)
    return _mesh("ground", points, _grid(len(profile), 2)[:, ::-1].tolist(), np.repeat(normals, 2, 0))


BUILDERS: dict[str, Callable[[], Any]] = {"sphere": sphere, "cylinder": cylinder, "cube": cube}


def _lathe(name: str, profile: Floats, normals: Floats) -> Any:
    """Rotate a profile (distance from the axis, height), from the bottom up, around z."""
    angles = np.arange(_AROUND) * 2 * math.pi / _AROUND
    spokes = np.stack([np.cos(angles), np.sin(angles)], 1)

    def turned(pairs: Floats) -> Floats:
        flat = pairs[:, None, :1] * spokes
        height = np.broadcast_to(pairs[:, None, 1:], (*flat.shape[:2], 1))
        return np.concatenate([flat, height], 2).reshape(-1, 3)

    closed = np.arange(_AROUND + 1) % _AROUND
    rows = np.arange(len(profile))[:, None] * _AROUND + closed
    faces = np.stack([rows[:-1, :-1], rows[:-1, 1:], rows[1:, 1:], rows[1:, :-1]], -1)
    # At the axis the quads are triangles, and Blender needs each of their corners once.
    first, last = np.delete(faces[0], 1, 1), np.delete(faces[-1], 3, 1)
    polygons = [*first.tolist(), *faces[1:-1].reshape(-1, 4).tolist(), *last.tolist()]
    return _mesh(name, turned(profile), polygons, turned(normals))


def _grid(rows: int, columns: int) -> NDArray[np.int64]:
    """Quads ``i64[(rows - 1) (columns - 1), 4]`` between the points of a grid."""
    points = np.arange(rows * columns).reshape(rows, columns)
    corners = [points[:-1, :-1], points[1:, :-1], points[1:, 1:], points[:-1, 1:]]
    return np.stack(corners, -1).reshape(-1, 4)


def _mesh(name: str, points: Floats, polygons: list[list[int]], normals: Floats) -> Any:
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(points.tolist(), [], polygons)
    # Exact normals make flat faces look flat and round ones smooth, for any size of adjacent polygons.
    mesh.normals_split_custom_set_from_vertices(normals.tolist())
    return mesh
