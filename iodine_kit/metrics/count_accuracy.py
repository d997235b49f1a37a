"""Whether as many slots hold an object as there are objects."""

from __future__ import annotations

from typing import Literal

import numpy as np

from iodine_kit.metrics import Comparison, Scores
from iodine_kit.metrics._conventions import DETECTION, HARD, OBJECT, detections

VERSION = 1
TITLE = "Count accuracy"
NEEDS = None
UNIT = ""
BETTER: Literal["higher", "lower"] = "higher"
BY_STEP = True
CONVENTION = (
    "1 where the number of detections equals the number of objects, else 0; where they are does not matter. "
    f"{DETECTION} {OBJECT} {HARD} Every scene is defined: one without objects scores 1 if nothing is detected."
)


def score(comparison: Comparison) -> Scores:
    """1 or 0 for every scene; see :class:`iodine_kit.metrics.MetricPlugin`."""
    right_B = detections(comparison).sum(1) == comparison.object_counts_B
    return Scores(right_B.astype(np.float64))
