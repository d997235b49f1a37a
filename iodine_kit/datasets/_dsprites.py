"""The sprites of dSprites (Matthey et al. 2017) on 64×64 pixels: drawn by formula, or taken from the published file.

The formulas were fitted to genuine frames: a pixel is lit where its centre lies inside, without anti-aliasing, and
positions 0…1 span pixels 16…48. Square and ellipse miss one or two pixels a frame. The heart is approximate: its fit
missed some 3 % of the pixels and was then shrunk by 0.66 %, because the published file lights 128,328,862 pixels, of
which square and ellipse leave 224.37 scale² to the heart. Rotation is taken to run from x towards y; its sense cannot
be told from how sprites are distributed. Triangle, cross and ring are no part of dSprites: they are there for scenes
that show a model shapes it has not met.
"""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from iodine_kit.errors import CorruptDataError, SchemaError, SourceError, StorageError
from iodine_kit.records import Array, Bytes

Lit = NDArray[np.bool_]
Outline = tuple[slice, slice, Lit]
"""Rows and columns of a box within the image, and the pixels lit in it, ``bool[rows, columns]``."""

SIZE = 64
"""Side of an image in pixels."""

NAMES = ("none", "square", "ellipse", "heart", "triangle", "cross", "ring")
"""By id; 1…3 are those of dSprites."""

GENUINE = NAMES[1:4]

_CENTRES = np.arange(SIZE) + 0.5


def outline(shape: float, x: float, y: float, scale: float, orientation: float) -> Outline:
    """Draw one sprite by formula; the box is cut off at the image's edges.

    Args:
        shape: id, 1…6.
        x, y: centre, 0…1 from left to right and from top to bottom; the centre is at pixel 16 + 32 x.
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
    """Pixels along one axis whose centres lie within ``reach``, and their offsets from ``centre``."""
    first = max(math.ceil(centre - reach - 0.5), 0)
    last = min(math.floor(centre + reach - 0.5), SIZE - 1)
    pixels = slice(first, max(last + 1, first))
    return pixels, _CENTRES[pixels] - centre


# Each takes offsets from the centre in pixels at scale 1, along the sprite's own axes: u to its right, v downwards.


def _square(u: Array, v: Array) -> Lit:
    return np.maximum(np.abs(u), np.abs(v)) <= 9.6


def _ellipse(u: Array, v: Array) -> Lit:
    return (u / 12.8) ** 2 + (v / 7.2) ** 2 <= 1


def _heart(u: Array, v: Array) -> Lit:
    # The unit disc with its columns lifted by 0.95 √|U|, then stretched; hence its area is π times the two factors.
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
"""By id: the formula, and how far the shape reaches from its centre at scale 1, in pixels."""


@dataclass(frozen=True, eq=False)
class Sprites:
    """The images of the published file, one bit a pixel (377 MB for the genuine 737,280).

    Attributes:
        axes: the values that occur of shape, scale, orientation, x and y, ascending; every combination has an image.
        packed: ``uint8[number of images, 512]``; the last of these factors varies fastest.
    """

    axes: Mapping[str, Array]
    packed: Bytes

    def outline(self, shape: float, x: float, y: float, scale: float, orientation: float) -> Outline:
        """Return the sprite whose factors are nearest; arguments as in :func:`outline`."""
        row = 0
        for axis, value in zip(self.axes.values(), (shape, scale, orientation, x, y), strict=True):
            row = row * len(axis) + int(np.abs(axis - value).argmin())
        whole = slice(0, SIZE)
        return whole, whole, np.unpackbits(self.packed[row]).reshape(SIZE, SIZE).view(np.bool_)


@lru_cache(maxsize=1)
def load_sprites(path: str) -> Sprites:
    """Read ``dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz``; once per process, as inflating its 3 GB takes a while.

    Only the members ``imgs`` and ``latents_values`` are opened: ``metadata`` is a pickle, which could run anything.

    Raises:
        SourceError: there is no such file.
        StorageError: the operating system refuses to read it.
        CorruptDataError: it is damaged, or no npz file.
        SchemaError: it holds something else than dSprites.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            axes = _read_axes(archive, path)
            return Sprites(axes, _read_images(archive, path, math.prod(map(len, axes.values()))))
    except FileNotFoundError:
        raise SourceError(f"{path}: no such file; dataset.sprites must name the npz file of dSprites") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise CorruptDataError(f"{path}: damaged, or no npz file ({error}); fetch it again") from error
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error}") from error


def _read_axes(archive: zipfile.ZipFile, path: str) -> dict[str, Array]:
    """The values of each factor, once ``latents_values`` is known to list all combinations in the published order."""
    with _open(archive, path, "latents_values") as (stream, shape, dtype):
        if dtype != np.float64 or len(shape) != 2 or shape[1] != 6:
            raise SchemaError(f"{path}: 'latents_values' is {dtype}{list(shape)}, not float64[number of images, 6]")
        latents = np.frombuffer(_take(stream, 8 * math.prod(shape)), dtype).reshape(shape)
    axes = [np.unique(column) for column in latents.T]
    sizes = [len(axis) for axis in axes]
    if sizes[0] != 1 or math.prod(sizes) != len(latents) or not set(axes[1]) <= {1, 2, 3}:
        raise SchemaError(f"{path}: 'latents_values' is no grid of one colour and shapes 1 to 3, as dSprites has it")
    grid = latents.reshape(*sizes, 6)
    for place, axis in enumerate(axes):
        if not (np.moveaxis(grid[..., place], place, -1) == axis).all():
            raise SchemaError(f"{path}: 'latents_values' is in another order than that of dSprites")
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
    """Open one array of an npz file as a stream behind its header; nothing of it is unpickled.

    What is read has to be all there is: only at a member's end does its checksum get compared.
    """
    try:
        member = archive.open(f"{name}.npy")
    except KeyError:
        members = ", ".join(sorted(archive.namelist())) or "nothing"
        raise SchemaError(f"{path}: no array '{name}' as dSprites has it; the file holds {members}") from None
    with member as stream:
        try:
            version = np.lib.format.read_magic(stream)
            header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, columns_first, dtype = header(stream)
        except ValueError as error:
            raise CorruptDataError(f"{path}: '{name}' has no header of an npy file; fetch it again") from error
        if columns_first:
            raise SchemaError(f"{path}: '{name}' is stored by columns; dSprites is stored by rows")
        yield stream, shape, dtype
        if stream.read(1):
            raise CorruptDataError(f"{path}: '{name}' has data after its end; download the file again")


def _take(stream: IO[bytes], count: int) -> bytes:
    data = stream.read(count)
    if len(data) < count:
        raise EOFError("an array ends too early")
    return data
