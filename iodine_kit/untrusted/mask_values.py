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
_STEP = 4
"""Between numbers of pixels that remarks name, for the same reason."""
_MOST = "if notes differ, the largest number"
NO_BACKGROUND = "no pixel of the mask is background"
_LOOKED_AT = 50_000
"""Number of pixels, at most, that show whether edges are smooth."""
_BETWEEN = 0.8
"""Least share of the pixels of smooth edges that are between other areas."""


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


@dataclass(frozen=True, eq=False)
class Smooth:
    """The smooth edges of a mask.

    Attributes:
        values: ``bool[K]``, which values are smooth edges; all false if edges are not smooth.
        thin: ``bool[K]``, which entities have nowhere 3 × 3 pixels, as only edges, noise and tiny objects do.
        least: what ``layout.min_pixels`` must be, to omit thin entities and no others; 0 if no number does.
        words: the number of values that are smooth edges, as a constant phrase.
    """

    values: Flags
    thin: Flags
    least: int = 0
    words: str = ""

    def __bool__(self) -> bool:
        return bool(self.values.any())


def smooth_edges(
    mask: Numbered, entities: Flags, channels: Callable[[NDArray[np.int64]], NDArray[np.int64]], grey: bool
) -> Smooth:
    """Find out whether the edges of a mask are smooth.

    Args:
        entities: ``[K]``, which values are entities.
        channels: returns the colours ``[K, C]`` of values ``[K]``.
        grey: whether values are shades, of which those of an edge are between their neighbours.
    """
    none = np.zeros_like(entities)
    if np.count_nonzero(entities) < _SOME[-1]:
        return Smooth(none, none)
    thin = entities & ~_has_core(mask)
    limit = small_limit(mask.shape)
    values, words = _small_values(mask, entities, channels(mask.value)), f"have at most {limit} pixels each"
    if grey and not values.any():
        values, words = _between_values(mask, entities, thin), "are between those of their neighbours"
    if not values.any():
        return Smooth(none, thin)
    least = next(some for some in _SOME if np.count_nonzero(values) >= some)
    words = f"smooth edges (anti-aliasing): {least} values or more {words}"
    return Smooth(values, thin, _least_pixels(mask, entities, thin, limit), words)


def _has_core(mask: Numbered) -> Flags:
    """Which values have 3 × 3 pixels somewhere."""
    found, number = np.zeros(len(mask.value), bool), mask.number
    middle = number[:, 1:-1]
    row = (middle == number[:, :-2]) & (middle == number[:, 2:])
    above, below = middle[1:-1] == middle[:-2], middle[1:-1] == middle[2:]
    found[middle[1:-1][row[:-2] & row[1:-1] & row[2:] & above & below]] = True
    return found


def _least_pixels(mask: Numbered, entities: Flags, thin: Flags, limit: int) -> int:
    """More pixels than thin entities have, in steps, and not more than others have; 0 if there is no such number."""
    most, others = int(mask.pixels[thin].max(initial=0)), mask.pixels[entities & ~thin]
    least = limit + 1 + -(-max(0, most - limit) // _STEP) * _STEP
    return least if len(others) and least <= others.min() else 0


def _small_values(mask: Numbered, entities: Flags, colours: NDArray[np.int64]) -> Flags:
    """Which values are many, of a few pixels each, between two larger areas whose colours ``[K, C]`` they mix."""
    small = (mask.pixels <= small_limit(mask.shape)) & entities
    count = int(np.count_nonzero(small))
    if count < _SOME[-1] or 2 * count < np.count_nonzero(entities):
        return np.zeros_like(small)
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


def _between_values(mask: Numbered, entities: Flags, thin: Flags) -> Flags:
    """Which thin shades are at least half of all entities, and almost everywhere between those of their neighbours.

    Objects that are small or blurred have such edges around no larger area. Numbers of objects do not: an object
    beside the background has the largest number there.
    """
    y, x = np.nonzero(thin[mask.number])
    y, x = y[:: 1 + len(y) // _LOOKED_AT], x[:: 1 + len(x) // _LOOKED_AT]
    padded = np.pad(mask.number, 1, mode="edge")
    near = np.stack([padded[y + dy, x + dx] for dy, dx in np.ndindex(3, 3)])
    own, total = mask.number[y, x], len(mask.value)
    between = (near.min(0) < own) & (own < near.max(0))
    pixels = np.bincount(own, minlength=total)
    edges = thin & (pixels > 0) & (np.bincount(own[between], minlength=total) >= _BETWEEN * pixels)
    count = int(np.count_nonzero(edges))
    return edges if count >= _SOME[-1] and 2 * count >= np.count_nonzero(entities) else np.zeros_like(edges)


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


def implausible(mask: Numbered, entities: Flags, ignored: Flags, smooth: Smooth, example: str) -> Iterator[str]:
    """What is unlikely about a mask, in constant phrases.

    Args:
        entities, ignored: ``[K]``, which values are entities, and which to ignore.
        smooth: the smooth edges.
        example: how a value or colour is written.
    """
    if smooth:
        remedy = f"{smooth_remedy(smooth)} ({_MOST})" if smooth.least else ""
        yield f"the mask has {smooth.words}; save it without{remedy}"
    if np.count_nonzero(entities) > MANY:
        yield f"the mask has more than {MANY} entities"
    if entities.any() and (entities | ignored).all():
        yield f"{NO_BACKGROUND}; if one of its values is, name it, such as --set layout.background={example}"


def smooth_remedy(smooth: Smooth) -> str:
    """The option that omits smooth edges, if there is one."""
    return f", or add --set layout.min_pixels={smooth.least}" if smooth.least else ""


def remaining(mask: Numbered, smooth: Smooth, least: int) -> str:
    """A remark about the smooth edges that remain without entities of fewer than ``least`` pixels; empty if none do.

    Args:
        mask, smooth: before these entities were omitted.
    """
    if not smooth or not (smooth.thin & (mask.pixels >= least)).any():
        return ""
    larger = f"add --set layout.min_pixels={smooth.least} ({_MOST})" if smooth.least > least else "save it without"
    return f"the mask has smooth edges (anti-aliasing), and layout.min_pixels={least} leaves some; {larger}"


def some_of(values: NDArray[np.int64]) -> str:
    """The first values and the last."""
    texts = [str(value) for value in values]
    return ", ".join(texts if len(texts) <= 6 else [*texts[:4], "…", texts[-1]])
