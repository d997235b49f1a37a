"""Foreground ARI: how well the slots' masks group the pixels of objects (Greff et al. 2019, section 4)."""

from __future__ import annotations

from typing import Literal

from iodine_kit.metrics import Comparison, Scores
from iodine_kit.metrics._contingency import adjusted_rand_index, one_id_and_slot

VERSION = 2
TITLE = "FG-ARI"
NEEDS = None
UNIT = ""
BETTER: Literal["higher", "lower"] = "higher"
BY_STEP = True
CONVENTION = (
    "Adjusted Rand index over the pixels whose true entity is not background, each given to the slot with the "
    "largest mask (lowest index in a tie); the slots of background pixels do not matter. A scene whose index is 0/0 "
    "(a single object kept in one slot, no foreground, every object and slot of one pixel) scores {degenerate}; a "
    "single object split over slots scores 0."
)


def score(comparison: Comparison) -> Scores:
    """FG-ARI of every scene, in [−1, 1]; see :class:`iodine_kit.metrics.MetricPlugin`."""
    table_BNK = comparison.table_BNK
    others = (*comparison.background, comparison.ignored)
    entities = (row for row in range(1, table_BNK.shape[1]) if row - 1 not in others)
    together_B = one_id_and_slot(table_BNK, next(entities, 0))
    return adjusted_rand_index(table_BNK[:, 1:], comparison.options.convention, together_B)
