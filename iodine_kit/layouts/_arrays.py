"""Records as arrays: the order of the axes follows from the shape, and the data set from the features."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

from iodine_kit.errors import SchemaError
from iodine_kit.layouts import Expected
from iodine_kit.records import Array, Bytes
from iodine_kit.tfrecord import FieldSpec

Size = tuple[int, int]
"""Height and width in pixels."""


def check_size(shape: tuple[int, ...], sizes: Collection[Size], dataset: str, place: str) -> None:
    """Refuse images of another size than the data set's; ``shape`` is one image's, channels first or last.

    Raises:
        SchemaError: the size is another one, or the shape is not clearly an image's.
    """
    height, width = shape[1:] if _channels_first(shape, place) else shape[:2]
    if (height, width) not in sizes:
        known = " or ".join(f"{h}×{w}" for h, w in sizes)
        raise SchemaError(
            f"{place}: images are {height}×{width}, those of {dataset} {known}; is this another data set?"
        )


def as_image(values: Array, place: str) -> Bytes:
    """Return ``uint8[H, W, 3]`` from one or three channels, first or last, as bytes or from 0 to 1.

    Raises:
        SchemaError: the shape is not clearly an image's, or the values are in neither range.
    """
    if _channels_first(values.shape, place):
        values = np.moveaxis(values, 0, -1)
    pixels = _as_bytes(values, place)
    return np.array(np.broadcast_to(pixels, (*pixels.shape[:2], 3)), order="C")


def as_mask(values: Array, size: Size, entities: int, place: str) -> Bytes:
    """Return the mask ``uint8[H, W]`` from an index ``[H, W]`` or one mask per entity, ``[K, H, W]`` or ``[H, W, K]``.

    Axes of length 1 are ignored. Masks per entity are bool, 0 and 1, or 0 and 255.

    Raises:
        SchemaError: the shape fits none or several of these, masks overlap or omit pixels, or an index is not a whole
            number below ``entities``.
    """
    shape, values = values.shape, np.squeeze(values)
    if values.shape == size:
        return small_index(_whole(values, place), entities, place)
    first, last = values.shape[1:] == size, values.shape[:2] == size
    if values.ndim != 3 or first == last:
        ways = "in two ways" if first else "in no way"
        problem = f"masks {list(shape)} of an image of {size[0]}×{size[1]} can be read {ways}"
        raise SchemaError(f"{place}: {problem}; store indices as [H, W], or masks as [K, H, W] or [H, W, K]")
    owned = values > (127 if values.max() > 1 else 0.5)
    if last:
        owned = np.moveaxis(owned, -1, 0)
    if len(owned) > 256:
        raise SchemaError(f"{place}: masks of {len(owned)} entities; an index mask holds at most 256")
    return small_index(exclusive_index(owned, place), entities, place)


def exclusive_index(owned: Array, place: str) -> Bytes:
    """Turn one mask per entity, ``bool[N, H, W]`` with N ≤ 256, into an index mask ``uint8[H, W]``.

    Raises:
        SchemaError: a pixel belongs to no entity or to several, so that an index would lose something.
    """
    # Sums of bytes over whole planes are many times as fast as argmax, which visits the planes pixel by pixel.
    ones = np.ascontiguousarray(owned).view(np.uint8)
    owners = np.add.reduce(ones, 0, np.uint8)
    if np.count_nonzero(owners == 1) < owners.size:
        y, x = np.argwhere(owners != 1)[0]
        problem = f"pixel ({y}, {x}) belongs to {np.count_nonzero(owned[:, y, x])} entities; masks must be exclusive"
        raise SchemaError(f"{place}: {problem}")
    numbers = np.arange(len(ones), dtype=np.uint8)
    index: Bytes = np.add.reduce(ones * numbers[:, None, None], 0, np.uint8)
    return index


def small_index(index: Array, entities: int, place: str) -> Bytes:
    """Return an integer index mask as ``uint8``.

    Raises:
        SchemaError: an index is below 0 or not below ``entities``.
    """
    lowest, highest = int(index.min()), int(index.max())
    if lowest < 0 or highest >= min(entities, 256):
        raise SchemaError(f"{place}: mask has indices {lowest} to {highest}; there are at most {entities} entities")
    return index.astype(np.uint8)


def _channels_first(shape: tuple[int, ...], place: str) -> bool:
    first, last = (len(shape) == 3 and shape[axis] in (1, 3) for axis in (0, -1))
    if first == last:
        raise SchemaError(f"{place}: {list(shape)} is not clearly an image; store [H, W, 3] or [3, H, W]")
    return first


def _as_bytes(values: Array, place: str) -> Bytes:
    if values.dtype == np.uint8:
        return values
    lowest, highest = float(values.min()), float(values.max())
    if values.dtype.kind in "bf" and lowest >= 0 and highest <= 1:
        return np.rint(255 * values.astype(np.float64)).astype(np.uint8)
    # Bytes stored as another type. An all-black scene of these was read as 0…1 above, with the same result.
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


Fields = Mapping[str, FieldSpec]
Features = Mapping[str, tuple["np.dtype[Any]", int]]
"""The features of a record: type and number of elements by name."""


def check_fields(features: Features, expected: Expected, place: str) -> None:
    """Refuse a record whose features are not those of the expected data set.

    Raises:
        SchemaError: it names the data set that has these features, or the difference if there is none.
    """
    problem = _difference(features, expected.fields)
    if not problem:
        return
    other = other_dataset(expected, lambda fields: not _difference(features, fields))
    if other:
        raise wrong_file(place, other, expected)
    raise SchemaError(f"{place}: {problem}; this looks like another data set's file")


def other_dataset(expected: Expected, fits: Callable[[Fields], bool]) -> str:
    """The names of other known files whose features fit, joined by "or"; empty if there are none."""
    return " or ".join(name for name, fields in expected.others.items() if fields != expected.fields and fits(fields))


def wrong_file(place: str, other: str, expected: Expected) -> SchemaError:
    """The error for a record of another known file."""
    asked = [name for name, fields in expected.others.items() if fields == expected.fields]
    same = all(name.startswith(expected.dataset) for name in other.split(" or "))
    advice = "; select it with --set dataset.…" if same else ""
    return SchemaError(f"{place} is of {other}, not of {asked[0] if asked else expected.dataset}{advice}")


def largest_record(expected: Expected) -> int:
    """Bytes of the largest record of any known file."""
    known = [expected.fields, *expected.others.values()]
    sizes = (sum(math.prod(spec.shape) * np.dtype(spec.dtype).itemsize for spec in fields.values()) for fields in known)
    return max(sizes)


def _difference(features: Features, fields: Fields) -> str:
    """One clause on how a record's features differ; empty if they do not."""
    if features.keys() != fields.keys():
        return f"it has features {_names(features)} instead of {_names(fields)}"
    for name, spec in fields.items():
        dtype, count = features[name]
        if (dtype, count) != (np.dtype(spec.dtype), math.prod(spec.shape)):
            return f"feature '{name}' is {count} of {dtype}, not {np.dtype(spec.dtype)}{list(spec.shape)}"
    return ""


def _names(features: Mapping[str, object]) -> str:
    return ", ".join(f"'{name}'" for name in sorted(features)) or "none"
