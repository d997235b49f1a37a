"""The sprites of dSprites (Matthey et al. 2017) on 64×64 pixels: drawn by formula, or read from the published file.

The formulas were fitted to published frames: a pixel is lit if its centre is inside the shape, without antialiasing,
and positions 0…1 span pixels 16…48. Square and ellipse differ from the published frames in one or two pixels. The heart
is approximate: its fit missed about 3 % of the pixels and was then shrunk by 0.66 %, because the published file lights
128,328,862 pixels, of which square and ellipse leave 224.37 scale² to the heart. Rotation is assumed to run from x
towards y; the distribution of sprites does not determine its direction. Triangle, cross and ring are not part of
dSprites: they are for scenes with shapes that a model has not seen in training.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from tokenize import TokenError
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from iodine_kit.errors import CorruptDataError, SchemaError, SourceError
from iodine_kit.records import Array, Bytes
from iodine_kit.system import refusal
from iodine_kit.untrusted import NPZ_ERRORS
from iodine_kit.untrusted.npy import PARSING

Lit = NDArray[np.bool_]
Outline = tuple[slice, slice, Lit]
"""Rows and columns of a box in the image, and its lit pixels, ``bool[rows, columns]``."""

SIZE = 64
"""Side of an image in pixels."""

NAMES = ("none", "square", "ellipse", "heart", "triangle", "cross", "ring")
"""Shapes by id; ids 1…3 are those of dSprites."""

ORIGINAL = NAMES[1:4]

_CENTRES = np.arange(SIZE) + 0.5


def outline(shape: float, x: float, y: float, scale: float, orientation: float) -> Outline:
    """Draw one sprite by formula; the box is clipped to the image.

    Args:
        shape: id, 1…6.
        x, y: position of the centre, 0…1 from left to right and from top to bottom; it is at pixel 16 + 32 x.
        scale: size; dSprites has 0.5…1. At 1 a square's side is 19.2 pixels.
        orientation: in radians.
    """
    inside, reach = _FORMULAS[int(shape)]
    rows, down = _span(16 + 32 * y, reach * scale)
    columns, right = _span(16 + 32 * x, reach * scale)
    cosine, sine = math.cos(orientation) / scale, math.sin(orientation) / scale
    u = cosine * right + (sine * down)[:, None]
    v = -sine * right + (cosine * down)[:, None]
    return rows, columns, inside(u, v)


def silhouette(shape: float, x: float, y: float, scale: float, orientation: float) -> Lit:
    """Draw one sprite by formula as ``bool[64, 64]``; arguments as in :func:`outline`."""
    pixels = np.zeros((SIZE, SIZE), np.bool_)
    rows, columns, inside = outline(shape, x, y, scale, orientation)
    pixels[rows, columns] = inside
    return pixels


def _span(centre: float, reach: float) -> tuple[slice, Array]:
    """Pixels along one axis whose centres are within ``reach``, and their offsets from ``centre``."""
    first = max(math.ceil(centre - reach - 0.5), 0)
    last = min(math.floor(centre + reach - 0.5), SIZE - 1)
    pixels = slice(first, max(last + 1, first))
    return pixels, _CENTRES[pixels] - centre


# The arguments are offsets from the centre in pixels at scale 1, along the sprite's axes: u to the right, v downwards.


def _square(u: Array, v: Array) -> Lit:
    return np.maximum(np.abs(u), np.abs(v)) <= 9.6


def _ellipse(u: Array, v: Array) -> Lit:
    return (u / 12.8) ** 2 + (v / 7.2) ** 2 <= 1


def _heart(u: Array, v: Array) -> Lit:
    # The unit disc with its columns moved up by 0.95 √|U|, then stretched; its area is π times the two factors.
    across = np.abs(u / 9.586)
    up = (2.235 - v) / 7.450 - 0.95 * np.sqrt(across)
    return across * across + up * up <= 1


def _triangle(u: Array, v: Array) -> Lit:
    return (v <= 6.5) & (math.sqrt(3) * np.abs(u) - v <= 13)


def _cross(u: Array, v: Array) -> Lit:
    u, v = np.abs(u), np.abs(v)
    return (np.maximum(u, v) <= 11) & (np.minimum(u, v) <= 3.5)


def _ring(u: Array, v: Array) -> Lit:
    return np.abs(np.hypot(u, v) - 8.5) <= 2.5


_FORMULAS: Mapping[int, tuple[Callable[[Array, Array], Lit], float]] = {
    1: (_square, 9.6 * math.sqrt(2)),
    2: (_ellipse, 12.8),
    3: (_heart, 11.6),
    4: (_triangle, 13.0),
    5: (_cross, math.hypot(11, 3.5)),
    6: (_ring, 11.0),
}
"""By id: the formula, and the largest distance of the shape from its centre at scale 1, in pixels."""


@dataclass(frozen=True, eq=False)
class Sprites:
    """The images of the published file, with one bit per pixel (377 MB for all 737,280 images).

    Attributes:
        axes: the values of shape, scale, orientation, x and y, ascending; every combination has an image.
        packed: ``uint8[number of images, 512]``; y varies fastest.
    """

    axes: Mapping[str, Array]
    packed: Bytes

    def outline(self, shape: float, x: float, y: float, scale: float, orientation: float) -> Outline:
        """Return the sprite with the nearest factors; arguments as in :func:`outline`."""
        row = 0
        for axis, value in zip(self.axes.values(), (shape, scale, orientation, x, y), strict=True):
            row = row * len(axis) + int(np.abs(axis - value).argmin())
        whole = slice(0, SIZE)
        return whole, whole, np.unpackbits(self.packed[row]).reshape(SIZE, SIZE).view(np.bool_)


@lru_cache(maxsize=1)
def load_sprites(path: str) -> Sprites:
    """Read ``dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz``, once per process because it inflates to 3 GB.

    Only the members ``imgs`` and ``latents_values`` are opened: ``metadata`` is a pickle, which could execute code.

    Raises:
        SourceError: the file does not exist.
        StorageError: the operating system refuses to read it.
        CorruptDataError: it is damaged, or not an npz file.
        SchemaError: it does not contain dSprites.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            axes = _read_axes(archive, path)
            return Sprites(axes, _read_images(archive, path, math.prod(map(len, axes.values()))))
    except FileNotFoundError:
        raise SourceError(f"{path}: no such file; dataset.sprites must be the npz file of dSprites") from None
    except NPZ_ERRORS as error:
        problem = f"{path}: damaged, or not an npz file ({error}); download it again"
        raise refusal(error, path) or CorruptDataError(problem) from error


def _read_axes(archive: zipfile.ZipFile, path: str) -> dict[str, Array]:
    """Return the values of each factor, after checking that ``latents_values`` lists all combinations in order."""
    with _open(archive, path, "latents_values") as (stream, shape, dtype):
        if dtype != np.float64 or len(shape) != 2 or shape[1] != 6:
            raise SchemaError(f"{path}: 'latents_values' is {dtype}{list(shape)}, not float64[number of images, 6]")
        latents = np.frombuffer(_take(stream, 8 * math.prod(shape)), dtype).reshape(shape)
    axes = [np.unique(column) for column in latents.T]
    sizes = [len(axis) for axis in axes]
    if sizes[0] != 1 or math.prod(sizes) != len(latents) or not set(axes[1]) <= {1, 2, 3}:
        raise SchemaError(f"{path}: 'latents_values' is not a grid of one colour and shapes 1 to 3 as in dSprites")
    grid = latents.reshape(*sizes, 6)
    for place, axis in enumerate(axes):
        if not (np.moveaxis(grid[..., place], place, -1) == axis).all():
            raise SchemaError(f"{path}: 'latents_values' is not in the order of dSprites")
    return dict(zip(("shape", "scale", "orientation", "x", "y"), axes[1:], strict=True))


def _read_images(archive: zipfile.ZipFile, path: str, count: int) -> Bytes:
    with _open(archive, path, "imgs") as (stream, shape, dtype):
        if dtype != np.uint8 or shape != (count, SIZE, SIZE):
            raise SchemaError(f"{path}: 'imgs' is {dtype}{list(shape)}, not uint8[{count}, {SIZE}, {SIZE}]")
        packed = np.empty((count, SIZE * SIZE // 8), np.uint8)
        for start in range(0, count, 1024):
            block = packed[start : start + 1024]
            pixels = np.frombuffer(_take(stream, len(block) * SIZE * SIZE), np.uint8)
            block[:] = np.packbits(pixels.reshape(len(block), -1), axis=1)
        return packed


@contextmanager
def _open(archive: zipfile.ZipFile, path: str, name: str) -> Iterator[tuple[IO[bytes], tuple[int, ...], np.dtype[Any]]]:
    """Open one array of an npz file as a stream after its header; nothing is unpickled.

    The caller must read the whole array, because the checksum of a member is verified at its end.
    """
    try:
        member = archive.open(f"{name}.npy")
    except KeyError:
        members = ", ".join(sorted(archive.namelist())) or "nothing"
        raise SchemaError(f"{path}: has no array '{name}', which dSprites has; it contains {members}") from None
    with member as stream:
        try:
            version = np.lib.format.read_magic(stream)
            header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            with PARSING:
                shape, columns_first, dtype = header(stream)
        except (ValueError, SyntaxError, TokenError) as error:
            raise CorruptDataError(f"{path}: '{name}' does not start with an npy header; download it again") from error
        if columns_first:
            raise SchemaError(f"{path}: '{name}' is stored by columns; dSprites is stored by rows")
        yield stream, shape, dtype
        if stream.read(1):
            raise CorruptDataError(f"{path}: '{name}' is longer than its header says; download it again")


def _take(stream: IO[bytes], count: int) -> bytes:
    data = stream.read(count)
    if len(data) < count:
        raise EOFError("an array is truncated")
    return data
