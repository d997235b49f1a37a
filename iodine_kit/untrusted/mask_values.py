"""The values of a mask's pixels: how many of each, smooth edges, entities of a few pixels, numbers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from iodine_kit.errors import SchemaError
from iodine_kit.records import Array

Flags = NDArray[np.bool_]

MANY = 100
"""More entities than this in one image are implausible."""
_SOME = (200, 100, 50, 20, 10, 5)
"""Numbers that remarks name: constant texts, so that equal ones can be counted."""
_LOOKED_AT = 50_000
"""Number of pixels, at most, that show whether edges are smooth."""
_BETWEEN = 0.8
"""Least share of the pixels of small entities that are between two larger areas, if edges are smooth."""


@dataclass(frozen=True, eq=False)
class Numbered:
    """A mask of which every distinct value has a number. Its pixels are stored as runs, row by row from the top left.

    Attributes:
        value: ``[K]``, the values, in their order.
        pixels: ``[K]``, how many pixels have each value.
        first: ``[K]``, the first run of each value.
        run: the position of each run's value in ``value``.
        lengths: the number of pixels of each run.
        shape: height and width.
    """

    value: NDArray[np.int64]
    pixels: NDArray[np.int64]
    first: NDArray[np.int64]
    run: NDArray[np.int64]
    lengths: NDArray[np.int64]
    shape: tuple[int, ...]

    def replaced(self, table: Array) -> Array:
        """The mask ``[H, W]`` with ``table[k]`` in the place of ``value[k]``."""
        return np.repeat(table[self.run], self.lengths).reshape(self.shape)

    @cached_property
    def number(self) -> NDArray[np.int64]:
        """``[H, W]``, the position of each pixel's value in ``value``."""
        return self.replaced(np.arange(len(self.value)))

    def among(self, values: Collection[int]) -> Flags:
        """Which values are among a few."""
        return np.array([value in values for value in self.value.tolist()])


def distinct(values: Array) -> Numbered:
    """The distinct values of ``[H, W]``. Only one value of every run is sorted, because most neighbours are equal."""
    flat = values.reshape(-1)
    bounds = np.concatenate(([0], np.flatnonzero(flat[1:] != flat[:-1]) + 1, [len(flat)]))
    lengths = bounds[1:] - bounds[:-1]
    value, first, run = np.unique(flat[bounds[:-1]], return_index=True, return_inverse=True)
    pixels = np.bincount(run, lengths).astype(np.int64)
    return Numbered(value.astype(np.int64), pixels, first, run, lengths, values.shape)


def small_limit(size: tuple[int, ...]) -> int:
    """An entity of at most this many pixels can be the edge of others: 8, or a quarter of the shorter side."""
    return max(8, min(size) // 4)


def absorb_small(mask: Numbered, entities: Flags, least: int, place: str) -> Numbered:
    """Give the pixels of entities with fewer than ``least`` pixels to the nearest other pixel.

    Args:
        entities: ``[K]``, which values are entities; pixels of the others stay as they are.

    Raises:
        SchemaError: no entity has as many pixels.
    """
    small = (mask.pixels < least) & entities
    if not small.any():
        return mask
    if np.array_equal(small, entities):
        raise SchemaError(
            f"{place}: every entity has fewer than {least} pixels, and the largest {mask.pixels[small].max()}; set "
            "layout.min_pixels to less"
        )
    from scipy.ndimage import distance_transform_edt  # most masks need no repair

    nearest = distance_transform_edt(small[mask.number], return_distances=False, return_indices=True)
    repaired: Array = mask.number[tuple(nearest)]
    again = distinct(repaired)
    return replace(again, value=mask.value[again.value])


def small_values(mask: Numbered, entities: Flags, channels: Callable[[NDArray[np.int64]], NDArray[np.int64]]) -> Flags:
    """Which values are smooth edges: many, of a few pixels each, between two larger areas whose colours they mix.

    Args:
        entities: ``[K]``, which values are entities.
        channels: returns the colours ``[K, C]`` of values ``[K]``.

    Returns:
        ``bool[K]``; all false if edges are not smooth.
    """
    small = (mask.pixels <= small_limit(mask.shape)) & entities
    count = int(np.count_nonzero(small))
    if count < _SOME[-1] or 2 * count < np.count_nonzero(entities):
        return np.zeros_like(small)
    colours = channels(mask.value)
    y, x = np.nonzero(small[mask.number])
    y, x = y[:: 1 + len(y) // _LOOKED_AT], x[:: 1 + len(x) // _LOOKED_AT]
    own = colours[mask.number[y, x]]
    lowest, highest = np.full_like(own, np.iinfo(np.int64).max), np.full_like(own, -1)
    padded = np.pad(mask.number, 2, constant_values=-1)
    for dy, dx in np.ndindex(5, 5):
        near = padded[y + dy, x + dx]
        large = (near >= 0) & ~small[near]
        colour = colours[near[large]]
        lowest[large] = np.minimum(lowest[large], colour)
        highest[large] = np.maximum(highest[large], colour)
    mixed = ((lowest <= own) & (own <= highest)).all(1)
    return small if mixed.mean() >= _BETWEEN else np.zeros_like(small)


def by_appearance(mask: Numbered, entities: Flags) -> NDArray[np.int64]:
    """Numbers ``[K]`` from 1 for the values that are entities, in the order of their first pixels; 0 for the others.

    Pixels are ordered row by row, from the top left.
    """
    order = np.flatnonzero(entities)
    table = np.zeros(len(mask.value), np.int64)
    table[order[np.argsort(mask.first[order])]] = np.arange(1, len(order) + 1)
    return table


def by_value(entities: Flags) -> NDArray[np.int64]:
    """Numbers ``[K]`` from 1 for the values that are entities, in their order; 0 for the others."""
    return np.where(entities, np.cumsum(entities), 0)


def smooth_words(smooth: Flags, size: tuple[int, ...]) -> str:
    """The number of values that are smooth edges, as a constant phrase."""
    least = next(some for some in _SOME if np.count_nonzero(smooth) >= some)
    return f"smooth edges (anti-aliasing): {least} values or more have at most {small_limit(size)} pixels each"


def implausible(mask: Numbered, entities: Flags, ignored: Flags, smooth: Flags) -> Iterator[str]:
    """What is unlikely about a mask, in constant phrases.

    Args:
        entities, ignored, smooth: ``[K]``, which values are entities, to ignore, and entities that are smooth edges.
    """
    if smooth.any():
        size = mask.shape
        remedy = f"--set layout.min_pixels={small_limit(size) + 1}"
        yield f"the mask has {smooth_words(smooth, size)}; save it without, or add {remedy}"
    if np.count_nonzero(entities) > MANY:
        yield f"the mask has more than {MANY} entities"
    if np.count_nonzero(entities) >= 2 and (entities | ignored).all():
        yield "no pixel of the mask is background"
