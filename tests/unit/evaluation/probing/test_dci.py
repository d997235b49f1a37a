"""DCI and slots in use, against worlds whose answer is known, scipy and torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy.linalg import hadamard
from scipy.stats import entropy
from torch.distributions import Normal, kl_divergence
from unit.evaluation.probing.scenes import made

from iodine_kit.evaluation.probing.factors import Factor
from iodine_kit.evaluation.probing.objects import Objects
from iodine_kit.evaluation.probing.prediction import CrossValidation, predict
from iodine_kit.evaluation.probing.scores import Dci, dci
from iodine_kit.evaluation.probing.slots import SlotTable, describe, kl_from_prior, slot_table

FACTORS = 4


def of_latents(turned: np.ndarray | None = None) -> tuple[Dci, list[float]]:
    """DCI of a world whose factors are latent dimensions, shuffled, or turned by an orthogonal matrix."""
    world = made(120, FACTORS)
    objects = world.gathered()
    values = objects.loc_NKZ[objects.scene_M, objects.slot_M][:, [2, 0, 3, 1]]
    loc = objects.loc_NKZ if turned is None else objects.loc_NKZ @ turned
    factors = [Factor(str(f), "number", values[:, f]) for f in range(FACTORS)]
    objects = Objects(loc, objects.scene_M, objects.slot_M, {})
    forest = predict("forest", objects, factors, CrossValidation(folds=2, seed=0), lambda _: None)
    assert forest.importance_ZF is not None
    assert_allclose(forest.importance_ZF.sum(0), 1)
    return dci(forest.importance_ZF), forest.importance_ZF.argmax(0).tolist()


def test_a_dimension_for_each_factor_is_disentangled_and_a_turned_space_is_not() -> None:
    straight, places = of_latents()
    assert min(straight.disentanglement, straight.completeness) > 0.93 and places == [2, 0, 3, 1]
    turned, _ = of_latents(hadamard(FACTORS) / 2)  # every factor in every dimension alike
    assert max(turned.disentanglement, turned.completeness) < 0.2


def test_dci_is_the_formula_of_the_paper() -> None:
    importance = np.random.default_rng(0).random((5, 3)) ** 3
    importance[4] = 0  # a dimension that tells nothing
    by_dimension = [1 - entropy(row, base=3) for row in importance[:4]]
    weights = importance[:4].sum(1) / importance.sum()
    by_factor = [1 - entropy(column, base=5) for column in importance.T]
    found = dci(importance)
    assert found.disentanglement == pytest.approx(np.dot(weights, by_dimension))
    assert found.completeness == pytest.approx(np.dot(importance.sum(0) / importance.sum(), by_factor))
    assert dci(np.eye(3)) == Dci(1.0, 1.0)
    assert dci(np.ones((3, 3))).disentanglement == pytest.approx(0)
    assert np.isnan(dci(np.ones((3, 1))).disentanglement) and dci(np.array([[1.0], [0]])).completeness == 1


def test_kl_from_the_prior_is_that_of_torch() -> None:
    rng = np.random.default_rng(0)
    loc, scale = rng.normal(size=(6, 3, 5)), rng.uniform(0.01, 2, (6, 3, 5))
    expected = kl_divergence(Normal(torch.tensor(loc), torch.tensor(scale)), Normal(0.0, 1.0)).sum(-1)
    assert_allclose(kl_from_prior(loc, scale), expected, rtol=1e-12)
    assert kl_from_prior(np.zeros(4), np.ones(4)) == 0


def test_slots_are_in_use_by_pixels_or_by_nats_and_sorted_within_scenes() -> None:
    kl = np.array([[0.0, 5.0, 1.0], [3.0, 2.0, 0.5]])
    owned = np.array([[0.25, 0.0, 0.75], [1.0, 0.0, 0.0]])
    told = describe([SlotTable(kl[:1], owned[:1]), SlotTable(kl[1:], owned[1:])])
    assert told.active_counts == {"1": 1, "2": 1} and told.active_mean == 1.5
    assert told.telling_counts == {"1": 1, "2": 1} and told.telling_mean == 1.5
    assert told.kl_per_slot == [4.0, 1.5, 0.25] and told.owned_share == [0.875, 0.125, 0.0]


def test_shares_of_pixels_are_counted_from_the_mask() -> None:
    world = made(8, 2)
    table = slot_table(world.prediction())
    assert_allclose(table.owned_NK.sum(1), 1)
    assert ((table.owned_NK > 0).sum(1) == world.counts_N + 1).all()
