"""Images and masks from arrays that say by their shape alone how they are laid out."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from iodine_kit.errors import SchemaError
from iodine_kit.layouts._masks import exclusive_index, small_index
from iodine_kit.records import Array, Bytes

Size = tuple[int, int]


def check_size(shape: tuple[int, ...], sizes: Collection[Size], dataset: str, place: str) -> None:
    """Refuse images of another size than the data set's; ``shape`` is one image's, in either order of its axes.

    Raises:
        SchemaError: if the size is another one, or the shape is not clearly an image's.
    """
    height, width = shape[1:] if _channels_first(shape, place) else shape[:2]
    if (height, width) not in sizes:
        known = " or ".join(f"{h}×{w}" for h, w in sizes)
        raise SchemaError(
            f"{place}: images are {height}×{width}, those of {dataset} {known}; is this another data set?"
        )


def as_image(values: Array, place: str) -> Bytes:
    """Return ``uint8[H, W, 3]`` from channels first or last, one or three of them, as bytes or from 0 to 1.

    Raises:
        SchemaError: if the shape is not clearly an image's, or values are of neither range.
    """
    if _channels_first(values.shape, place):
        values = np.moveaxis(values, 0, -1)
    pixels = _as_bytes(values, place)
    return np.array(np.broadcast_to(pixels, (*pixels.shape[:2], 3)), order="C")


def as_mask(values: Array, size: Size, entities: int, place: str) -> Bytes:
    """Return the mask ``uint8[H, W]`` from an index ``[H, W]`` or masks per entity, ``[K, H, W]`` or ``[H, W, K]``.

    Axes of length 1 do not count. Masks per entity are bool, 0 and 1, or 0 and 255.

    Raises:
        SchemaError: if the shape fits none or several of these, masks overlap or leave pixels out, or an index is not
            a whole number below ``entities``.
    """
    shape, values = values.shape, np.squeeze(values)
    if values.shape == size:
        return small_index(_whole(values, place), entities, place)
    first, last = values.shape[1:] == size, values.shape[:2] == size
    if values.ndim != 3 or first == last:
        problem = (
            f"masks {list(shape)} of an image of {size[0]}×{size[1]} can be read in {'two ways' if first else 'no way'}"
        )
        raise SchemaError(f"{place}: {problem}; give [H, W] with indices, [K, H, W] or [H, W, K]")
    owned = values > (127 if values.max() > 1 else 0.5)
    if last:
        owned = np.moveaxis(owned, -1, 0)
    if len(owned) > 256:
        raise SchemaError(f"{place}: masks of {len(owned)} entities; an index mask holds 256")
    return small_index(exclusive_index(owned, place), entities, place)


def _channels_first(shape: tuple[int, ...], place: str) -> bool:
    first, last = (len(shape) == 3 and shape[axis] in (1, 3) for axis in (0, -1))
    if first == last:
        raise SchemaError(f"{place}: {list(shape)} is not clearly an image; give [H, W, 3] or [3, H, W]")
    return first


def _as_bytes(values: Array, place: str) -> Bytes:
    if values.dtype == np.uint8:
        return values
    lowest, highest = float(values.min()), float(values.max())
    if values.dtype.kind in "bf" and lowest >= 0 and highest <= 1:
        return np.rint(255 * values.astype(np.float64)).astype(np.uint8)
    # Bytes that were stored as another type; a scene in 0…255 that is black throughout is no loss.
    if lowest >= 0 and highest <= 255 and np.array_equal(values, np.rint(values)):
        return values.astype(np.uint8)
    raise SchemaError(f"{place}: image values from {lowest:g} to {highest:g} are neither bytes nor from 0 to 1")


def _whole(index: Array, place: str) -> Array:
    """The index as integers; some files store it as floating-point numbers."""
    if index.dtype.kind != "f":
        return index
    if not (np.isfinite(index) & (index == np.rint(index)) & (abs(index) < 2**31)).all():
        raise SchemaError(f"{place}: the mask's indices are not whole numbers")
    return index.astype(np.int64)
