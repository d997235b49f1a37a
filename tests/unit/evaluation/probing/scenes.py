"""Scenes made so that one knows what their latents hold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from iodine_kit.evaluation.probing.objects import ObjectCollector, Objects
from iodine_kit.records import Array, PredictionBatch, SceneBatch

ROOM = 4
"""Objects that a scene has room for; factors have a row for the background and each of them."""


@dataclass
class Made:
    """N scenes: ``counts_N`` objects of ROOM, the slot of each (row 0 is the background's), masks and factors."""

    counts_N: Array
    slot_NE: Array
    mask: Array
    guess: Array
    loc_NKZ: Array
    factors: dict[str, Array]

    def truth(self) -> SceneBatch:
        keys = tuple(f"test-{i:03d}" for i in range(len(self.mask)))
        return SceneBatch(keys, np.zeros((*self.mask.shape, 3), np.uint8), self.mask)

    def prediction(self) -> PredictionBatch:
        loc = self.loc_NKZ.astype(np.float32)
        return PredictionBatch(self.truth().keys, self.guess, latent_loc=loc, latent_scale=np.full_like(loc, 0.5))

    def gathered(self, at_once: int = 1000) -> Objects:
        collector = ObjectCollector(ROOM + 1, (0,))
        for first in range(0, len(self.mask), at_once):
            some = slice(first, first + at_once)
            whole, said = self.truth(), self.prediction()
            truth = SceneBatch(whole.keys[some], whole.image[some], whole.mask[some])
            latents = {"latent_loc": said.latent_loc[some], "latent_scale": said.latent_scale[some]}
            prediction = PredictionBatch(truth.keys, said.mask[some], **latents)
            rows = [{name: values[i] for name, values in self.factors.items()} for i in range(len(whole))[some]]
            collector.add(truth, prediction, rows)
        return collector.objects()


def made(scenes: int, dimensions: int, *, counts: Array | None = None, seed: int = 0) -> Made:
    """Objects are columns of a 2×ROOM image, slots are shuffled, factors and latents independent noise of 0 mean.

    Padding is as in published files: factors of 0, ``visibility`` 0, no pixel; slots that found nothing have none.
    """
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, ROOM + 1, scenes) if counts is None else counts
    slot = np.stack([rng.permutation(ROOM + 1) for _ in range(scenes)])
    row = np.where(np.arange(ROOM) < counts[:, None], np.arange(1, ROOM + 1), 0)
    mask = np.repeat(row[:, None], 3, 1)
    mask[:, 2] = 0  # some background in every scene
    guess = np.take_along_axis(slot[:, None, :].repeat(3, 1), mask, 2)
    there = np.arange(ROOM + 1) <= counts[:, None]
    there[:, 0] = False
    factors = {
        "size": np.where(there, rng.normal(size=there.shape), 0).astype(np.float32),
        "visibility": there.astype(np.float32),
    }
    loc = rng.normal(size=(scenes, ROOM + 1, dimensions))
    return Made(counts, slot, mask.astype(np.uint8), guess.astype(np.uint8), loc, factors)
