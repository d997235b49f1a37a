"""Disentanglement and completeness (Eastwood & Williams, ICLR 2018), from importances of latents for factors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from iodine_kit.records import Floats64


@dataclass(frozen=True)
class Dci:
    """Both in [0, 1]; NaN where there is only one factor (disentanglement) or one dimension (completeness)."""

    disentanglement: float
    completeness: float


def dci(importance_ZF: Floats64) -> Dci:
    """Entropies of the importances of Z latent dimensions for F factors, not negative.

    A dimension's disentanglement is 1 − H_F of its importances by factor, and they are averaged by how much each
    dimension counts; a factor's completeness is 1 − H_Z of its importances by dimension, averaged likewise, which is
    evenly if every factor's importances sum to 1. Logarithms are to base F and Z.
    """
    return Dci(_ordered(importance_ZF), _ordered(importance_ZF.T))


def _ordered(rows: Floats64) -> float:
    """1 − entropy of each row, weighted by the rows' sums."""
    count, columns = rows.shape
    total = rows.sum()
    if columns < 2 or count == 0 or total <= 0:
        return float("nan")
    weights = rows.sum(1)
    shares = rows / np.where(weights > 0, weights, 1.0)[:, None]
    logs = np.log(np.where(shares > 0, shares, 1.0)) / np.log(columns)
    return float(((1 + (shares * logs).sum(1)) * weights).sum() / total)
