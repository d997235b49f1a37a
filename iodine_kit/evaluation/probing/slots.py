"""Which slots are in use: by the pixels they own, and by the KL divergence of their posterior from the prior."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from iodine_kit.evaluation.probing.facts import SlotFacts
from iodine_kit.records import Array, Floats64, PredictionBatch

NATS = 1.0
"""A slot is informative if its KL divergence from the prior is larger."""


@dataclass(frozen=True, eq=False)
class SlotTable:
    """Slots of N scenes: ``float64[N, K]`` KL in nats, and the share of the image's pixels that each slot owns."""

    kl_NK: Floats64
    owned_NK: Floats64


def kl_from_prior(loc: Array, scale: Array) -> Floats64:
    """KL(N(loc, scale²) ‖ N(0, 1)) in nats, summed over the last axis."""
    mean, deviation = loc.astype(np.float64), scale.astype(np.float64)
    nats: Floats64 = 0.5 * (mean**2 + deviation**2 - 1 - 2 * np.log(deviation)).sum(-1)
    return nats


def slot_table(batch: PredictionBatch) -> SlotTable:
    """The slots of scenes whose latents were stored."""
    assert batch.latent_loc is not None and batch.latent_scale is not None
    slots = batch.latent_loc.shape[1]
    return SlotTable(kl_from_prior(batch.latent_loc, batch.latent_scale), owned_shares(batch.mask, slots))


def owned_shares(mask_NHW: Array, slots: int) -> Floats64:
    """Share of the image's pixels that each slot owns, ``float64[N, K]``."""
    return np.stack([(mask_NHW == slot).mean((1, 2)) for slot in range(slots)], 1)


def describe(tables: list[SlotTable]) -> SlotFacts:
    """Counts of scenes by slots in use, and means over scenes.

    Slots have no order, so they are sorted within each scene, the largest first, before means are taken.
    """
    kl_NK = np.concatenate([table.kl_NK for table in tables])
    owned_NK = np.concatenate([table.owned_NK for table in tables])
    owning, telling = (owned_NK > 0).sum(1), (kl_NK > NATS).sum(1)
    return SlotFacts(
        active_mean=float(owning.mean()),
        active_counts=_counts(owning),
        telling_mean=float(telling.mean()),
        telling_counts=_counts(telling),
        kl_per_slot=_sorted_mean(kl_NK),
        owned_share=_sorted_mean(owned_NK),
    )


def _counts(slots_N: NDArray[np.int64]) -> dict[str, int]:
    """Scenes by number of slots; JSON needs texts as keys."""
    different, scenes = np.unique(slots_N, return_counts=True)
    return {str(k): int(n) for k, n in zip(different, scenes, strict=True)}


def _sorted_mean(values_NK: Floats64) -> list[float]:
    means: list[float] = (-np.sort(-values_NK, 1)).mean(0).tolist()
    return means
