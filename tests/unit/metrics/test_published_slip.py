"""A public evaluator's covering leaves out the last true label and the last slot; what that does, and ours does not.

On 16×16 pixels with the second of two objects missed it was seen to answer 0.788, where covering all is 0.884.
"""

from __future__ import annotations

import numpy as np
import pytest
from unit.metrics.scenes import one

from iodine_kit.metrics import mbo, msc, sc, sc_fg

TRUE = np.zeros((16, 16), np.uint8)
TRUE[1:7, 1:7], TRUE[10:14, 10:14] = 1, 2  # 36 and 16 pixels, and 204 of background
MISSED = np.where(TRUE == 1, 1, 0).astype(np.uint8)  # two slots; that of the background holds the second object too


def covering(entities: range, slots: range) -> float:
    """Area-weighted covering, written out, of some entities by some slots."""
    covered = pixels = 0.0
    for entity in entities:
        inside = entity == TRUE
        best = max((inside & (slot == MISSED)).sum() / (inside | (slot == MISSED)).sum() for slot in slots)
        covered, pixels = covered + inside.sum() * best, pixels + inside.sum()
    return covered / pixels


def test_the_last_entity_and_the_last_slot_count() -> None:
    assert covering(range(2), range(1)) == pytest.approx(0.788, abs=5e-4)
    assert covering(range(3), range(2)) == pytest.approx(0.884, abs=5e-4)
    assert one(sc, TRUE, MISSED)[0] == pytest.approx(covering(range(3), range(2)), abs=1e-12)


def test_the_other_coverings_of_that_scene() -> None:
    background, second = 204 / 220, 16 / 220
    assert one(msc, TRUE, MISSED)[0] == pytest.approx((background + 1 + second) / 3, abs=1e-12)
    assert one(sc_fg, TRUE, MISSED)[0] == pytest.approx((36 + 16 * second) / 52, abs=1e-12)
    assert one(mbo, TRUE, MISSED)[0] == pytest.approx((1 + second) / 2, abs=1e-12)
