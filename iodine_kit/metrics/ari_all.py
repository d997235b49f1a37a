"""ARI over all pixels, the background counted as one more entity."""

from __future__ import annotations

from typing import Literal

from iodine_kit.metrics import Comparison, Scores
from iodine_kit.metrics._contingency import adjusted_rand_index, one_id_and_slot

VERSION = 2
TITLE = "ARI (all pixels)"
NEEDS = None
UNIT = ""
BETTER: Literal["higher", "lower"] = "higher"
BY_STEP = True
CONVENTION = (
    "Adjusted Rand index over all pixels, all background indices merged into one entity, each pixel given to the "
    "slot with the largest mask (lowest index in a tie). IODINE may divide the background among slots, which lowers "
    "this figure and not the foreground ARI. A scene whose index is 0/0 (all pixels one entity and one slot) "
    "scores {degenerate}."
)


def score(comparison: Comparison) -> Scores:
    """ARI of every scene over all its pixels, in [−1, 1]; see :class:`iodine_kit.metrics.MetricPlugin`."""
    table_BNK = comparison.table_BNK
    return adjusted_rand_index(table_BNK, comparison.options.convention, one_id_and_slot(table_BNK))
