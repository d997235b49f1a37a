"""An angle is predicted as cosine and sine: latents that hold it exactly score 1, wherever a turn is complete."""

from __future__ import annotations

import numpy as np
from numpy.testing import assert_allclose
from unit.evaluation.probing.scenes import made
from unit.evaluation.probing.test_prediction import VALIDATION, nothing

from iodine_kit.evaluation.probing.factors import factors_of
from iodine_kit.evaluation.probing.prediction import predict
from iodine_kit.evaluation.probing.scores import score


def test_orientation_is_its_cosine_and_its_sine() -> None:
    angle = np.random.default_rng(0).uniform(0, 2 * np.pi, 50).astype(np.float32)
    found, _ = factors_of({"orientation": angle, "scale": angle}, {})
    assert [factor.name for factor in found] == ["orientation[cos]", "orientation[sin]", "scale"]
    assert_allclose(np.arctan2(found[1].values, found[0].values) % (2 * np.pi), angle, atol=1e-6)


def test_latents_that_hold_an_angle_lose_nothing_where_a_turn_is_complete() -> None:
    objects = made(60, 3).gathered()
    latents = objects.loc_NKZ[objects.scene_M, objects.slot_M]
    angle = np.arctan2(latents[:, 1], latents[:, 0]) % (2 * np.pi)
    latents[:, :2] /= np.linalg.norm(latents[:, :2], axis=1, keepdims=True)
    objects.loc_NKZ[objects.scene_M, objects.slot_M] = latents
    factors, _ = factors_of({"orientation": angle, "raw": angle}, {})
    predicted = predict("linear", objects, factors, VALIDATION, nothing).values
    scores = {factor.name: score(factor, predicted[factor.name]) for factor in factors}
    assert min(scores["orientation[cos]"], scores["orientation[sin]"]) > 0.99 and scores["raw"] < 0.8
