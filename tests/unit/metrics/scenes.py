"""Random scenes beside random predictions, drawn by hypothesis from a few numbers; and how they are scored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType

import numpy as np
from hypothesis import strategies as st

from iodine_kit.metrics import Comparison, MetricOptions, Scores
from iodine_kit.records import Bytes, PredictionBatch, SceneBatch

BATCH = 12
"""Scenes of an example; 150 examples are 1,800 scenes."""
BACKGROUNDS = [(0,), (0,), (0, 2), (), (1,), (0, 1, 2, 3, 4, 5, 6), (0, 9, 200)]


@dataclass(frozen=True)
class Masks:
    """True and predicted masks of some scenes of one size, and which true labels are background."""

    true: Bytes
    predicted: Bytes
    background: tuple[int, ...]

    def comparison(self, options: MetricOptions | None = None) -> Comparison:
        return compare(self.true, self.predicted, self.background, options)

    def __iter__(self) -> Iterator[tuple[Bytes, Bytes]]:
        return iter(zip(self.true, self.predicted, strict=True))


def compare(
    true: Bytes, predicted: Bytes, background: Sequence[int] = (0,), options: MetricOptions | None = None
) -> Comparison:
    keys = tuple(map(str, range(len(true))))
    truth = SceneBatch(keys, np.zeros((*true.shape, 3), np.uint8), true)
    return Comparison(truth, PredictionBatch(keys, predicted), background, options)


def one(
    metric: ModuleType, true: object, predicted: object, options: MetricOptions | None = None
) -> tuple[float, bool]:
    """Score of one scene, given as rows of labels, and whether a convention decided it."""
    comparison = compare(np.array([true], np.uint8), np.array([predicted], np.uint8), (0,), options)
    scores: Scores = metric.score(comparison)
    return float(scores.values[0]), scores.degenerate is not None and bool(scores.degenerate[0])


@st.composite
def masks(draw: st.DrawFn, side: int = 8) -> Masks:
    """Blocks or noise, up to five labels with gaps between them; slots that follow the objects more or less."""
    rng = np.random.default_rng(draw(st.integers(0, 2**64 - 1)))
    noise, loyal = draw(st.sampled_from([0.0, 0.1, 0.4, 1.0])), draw(st.booleans())
    height, width, block = rng.integers(1, side + 1), rng.integers(1, side + 1), rng.integers(1, 4)
    labels = np.sort(rng.choice(7, rng.integers(1, 6), replace=False)).astype(np.uint8)
    slots = rng.choice(7, rng.integers(1, 6), replace=False).astype(np.uint8)
    coarse = rng.integers(0, len(labels), (BATCH, -(-height // block), -(-width // block)))
    index = coarse.repeat(block, 1).repeat(block, 2)[:, :height, :width]
    slot_of = rng.integers(0, len(slots), (BATCH, len(labels)))
    if loyal:  # different objects to different slots, as long as there are enough
        slot_of[:] = np.arange(len(labels)) % len(slots)
    followed = slot_of[np.arange(BATCH)[:, None, None], index]
    strayed = np.where(rng.random(index.shape) < noise, rng.integers(0, len(slots), index.shape), followed)
    return Masks(labels[index], slots[strayed], draw(st.sampled_from(BACKGROUNDS)))
