"""Is one model better than another on the same scenes? The sign-flip test of paired differences (Fisher 1935).

If the two models were exchangeable, every scene's difference could as well have the other sign. The test counts how
often random signs give a mean as far from zero as the observed one. Unlike Wilcoxon's test it tests the mean, which is
what is reported, and scenes on which both are equal (many, where a score has a maximum) need no special rule.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from iodine_kit.records import Floats64

METHOD = "two-sided sign-flip permutation test of the mean paired difference"
_BATCH_BYTES = 32 << 20
_CLOSE = 1e-12
"""Sums that differ by rounding only count as equal."""


def sign_flip_p(differences_NC: Floats64, *, resamples: int, seed: int) -> Floats64:
    """Two-sided p-values of the hypothesis that differences are symmetric around 0, by column, ``float64[C]``.

    NaN is a scene without a difference. If there are no more than ``resamples`` ways to flip the signs, all are tried
    and p is exact. Otherwise ``resamples`` of them are drawn, the same for all columns, and p counts the observed signs
    among them, so it is never 0. NaN for a column without scenes.
    """
    filled = np.nan_to_num(differences_NC, nan=0.0)
    scenes = len(filled)
    observed = np.abs(filled.sum(0))
    reached = observed - _CLOSE * np.abs(filled).sum(0)
    exact = scenes < 60 and 2**scenes <= resamples
    flips = 2**scenes if exact else resamples
    rng, count, at = np.random.default_rng(seed), np.zeros(filled.shape[1], np.int64), 0
    batch = max(1, _BATCH_BYTES // (16 * max(scenes, 1)))
    while at < flips:
        rows = min(batch, flips - at)
        negative = _every(at, rows, scenes) if exact else rng.integers(0, 2, (rows, scenes), np.int8)
        count += (np.abs((1.0 - 2.0 * negative) @ filled) >= reached).sum(0)
        at += rows
    p = count / flips if exact else (count + 1) / (flips + 1)
    return np.where(np.isfinite(differences_NC).any(0), p, np.nan)


def _every(first: int, rows: int, scenes: int) -> NDArray[np.int8]:
    """The binary digits of ``first`` and the numbers after it: which signs are flipped."""
    numbers = np.arange(first, first + rows, dtype=np.int64)[:, None]
    return (numbers >> np.arange(scenes) & 1).astype(np.int8)
