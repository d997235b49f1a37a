"""What every metric of masks says of one scene, written out again: sets of pixels, loops, every possible matching."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import permutations

import numpy as np
from scipy.ndimage import binary_dilation
from scipy.optimize import linear_sum_assignment
from skimage.morphology import disk

from iodine_kit.records import Array, Bytes

Pixels = frozenset[int]
Background = Sequence[int]


def pixels_by_label(labels: Bytes) -> dict[int, Pixels]:
    found: dict[int, set[int]] = {}
    for place, label in enumerate(labels.ravel().tolist()):
        found.setdefault(label, set()).add(place)
    return {label: frozenset(found[label]) for label in sorted(found)}


def objects(true: Bytes, background: Background) -> list[Pixels]:
    return [pixels for label, pixels in pixels_by_label(true).items() if label not in background]


def background_pixels(true: Bytes, background: Background) -> Pixels:
    return frozenset(place for place, label in enumerate(true.ravel().tolist()) if label in background)


def iou(a: Pixels, b: Pixels) -> Fraction:
    return Fraction(len(a & b), len(a | b))


def mean(values: Sequence[float | Fraction]) -> float:
    return float(sum(values) / len(values)) if values else math.nan


def best_matchings(things: list[Pixels], slots: list[Pixels]) -> Iterator[list[tuple[int, int]]]:
    """Every way to pair that has the largest sum of IoUs; pairs without a common pixel are omitted."""
    table = [[iou(thing, slot) for slot in slots] for thing in things]
    if len(things) <= len(slots):
        ways = [list(enumerate(chosen)) for chosen in permutations(range(len(slots)), len(things))]
    else:
        ways = [[(t, s) for s, t in enumerate(chosen)] for chosen in permutations(range(len(things)), len(slots))]
    sums = [sum((table[t][s] for t, s in way), Fraction(0)) for way in ways]
    for way, total in zip(ways, sums, strict=True):
        if total == max(sums):
            yield [(t, s) for t, s in way if table[t][s]]


def of_matched(
    figure: Callable[[Pixels, Pixels], float | Fraction], true: Bytes, predicted: Bytes, background: Background
) -> set[float]:
    """The mean over objects of a figure of the object and its slot, for each of the best matchings."""
    things, slots = objects(true, background), list(pixels_by_label(predicted).values())
    if not things:
        return {math.nan}
    answers = set()
    for way in best_matchings(things, slots):
        slot_of = dict(way)
        answers.add(mean([figure(t, slots[slot_of[i]]) if i in slot_of else 0 for i, t in enumerate(things)]))
    return answers


def miou(true: Bytes, predicted: Bytes, background: Background) -> set[float]:
    return of_matched(iou, true, predicted, background)


def miou_fg(true: Bytes, predicted: Bytes, background: Background) -> set[float]:
    """The foreground pixels alone, in a row, are an image like any other."""
    foreground = ~np.isin(true, background)
    return miou(true[foreground][None], predicted[foreground][None], background)


def dice(true: Bytes, predicted: Bytes, background: Background) -> set[float]:
    def figure(a: Pixels, b: Pixels) -> Fraction:
        return Fraction(2 * len(a & b), len(a) + len(b))

    return of_matched(figure, true, predicted, background)


def recovery(true: Bytes, predicted: Bytes, background: Background) -> set[float]:
    return of_matched(lambda a, b: int(iou(a, b) >= Fraction(1, 2)), true, predicted, background)


def mbo(true: Bytes, predicted: Bytes, background: Background) -> set[float]:
    slots = pixels_by_label(predicted).values()
    return {mean([max(iou(thing, slot) for slot in slots) for thing in objects(true, background)])}


def covering(entities: list[Pixels], predicted: Bytes, weighted: bool) -> set[float]:
    if not entities:
        return {math.nan}
    slots = pixels_by_label(predicted).values()
    weights = [len(entity) if weighted else 1 for entity in entities]
    covered = [max(iou(entity, slot) for slot in slots) for entity in entities]
    return {float(sum(w * c for w, c in zip(weights, covered, strict=True)) / sum(weights))}


def entities(true: Bytes, background: Background) -> list[Pixels]:
    rest = background_pixels(true, background)
    return [*([rest] if rest else []), *objects(true, background)]


def sc(true: Bytes, predicted: Bytes, background: Background) -> set[float]:
    return covering(entities(true, background), predicted, weighted=True)


def msc(true: Bytes, predicted: Bytes, background: Background) -> set[float]:
    return covering(entities(true, background), predicted, weighted=False)


def sc_fg(true: Bytes, predicted: Bytes, background: Background) -> set[float]:
    return covering(objects(true, background), predicted, weighted=True)


def detections(true: Bytes, predicted: Bytes, background: Background) -> list[Pixels]:
    empty = background_pixels(true, background)
    return [slot for slot in pixels_by_label(predicted).values() if Fraction(len(slot & empty), len(slot)) <= 0.5]


def count_accuracy(true: Bytes, predicted: Bytes, background: Background) -> set[float]:
    return {float(len(detections(true, predicted, background)) == len(objects(true, background)))}


def ap(true: Bytes, predicted: Bytes, background: Background) -> set[float]:
    """Matches at each threshold as StarDist finds them, by an assignment."""
    things, found = objects(true, background), detections(true, predicted, background)
    if not things and not found:
        return {1.0}
    figures = []
    for threshold in (Fraction(m, 20) for m in range(10, 20)):
        near = np.array([[iou(t, s) >= threshold for s in found] for t in things], bool).reshape(len(things), -1)
        hits = int(near[linear_sum_assignment(near, maximize=True)].sum())
        figures.append(Fraction(hits, len(things) + len(found) - hits))
    return {mean(figures)}


def davis_boundary(mask: Array) -> Array:
    """Boundary pixels as DAVIS has them: where the mask differs from itself shifted up, left, or both."""
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    return (mask != padded[1:, :-1]) | (mask != padded[:-1, 1:]) | (mask != padded[1:, 1:])


def boundary_f(true: Bytes, predicted: Bytes, background: Background, tolerance: float = 0.008) -> set[float]:
    near = disk(math.ceil(tolerance * np.linalg.norm(true.shape)))

    def as_mask(pixels: Pixels) -> Array:
        mask = np.zeros(true.size, bool)
        mask[list(pixels)] = True
        return mask.reshape(true.shape)

    def figure(a: Pixels, b: Pixels) -> float:
        of_object, of_slot = davis_boundary(as_mask(a)), davis_boundary(as_mask(b))
        if not of_object.any() or not of_slot.any():
            return float(not of_object.any() and not of_slot.any())
        precision = (of_slot & binary_dilation(of_object, near)).sum() / of_slot.sum()
        recall = (of_object & binary_dilation(of_slot, near)).sum() / of_object.sum()
        return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0

    return of_matched(figure, true, predicted, background)
