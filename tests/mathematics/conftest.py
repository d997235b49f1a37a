"""The mathematics tests: every law of the model against a second, written-out implementation, in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture
def rng() -> np.random.Generator:
    """Reproducible random numbers."""
    return np.random.default_rng(20190301)
