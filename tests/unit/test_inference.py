from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from iodine_kit.config import build
from iodine_kit.errors import DivergedError
from iodine_kit.inference import ALL_FIELDS, InferenceOptions, better_of, check_finite, infer_batch, to_prediction
from iodine_kit.models import Inference, iodine


def small_model() -> Any:
    config = {"preset": "release-tetrominoes", "steps": 1, "latent": 3, "gradient_reduction": "per-image"}
    return iodine.build(build(iodine.Config, config, "model"), seed=0).requires_grad_(False)


def infer(seed: int) -> tuple[Inference, torch.Tensor]:
    model = small_model()
    images = torch.rand(6, 3, 8, 8, generator=torch.Generator().manual_seed(7))
    return model.infer(images, torch.Generator().manual_seed(seed)), images


def elbo(inference: Inference) -> torch.Tensor:
    return -(inference.nll_BS + inference.kl_BS)[:, -1]


def test_the_better_of_two_inferences_is_chosen_scene_by_scene_and_whole() -> None:
    (first, _), (second, _) = infer(0), infer(1)
    best = better_of(first, second)
    assert torch.equal(elbo(best), torch.maximum(elbo(first), elbo(second)))
    won = elbo(second) > elbo(first)
    assert won.any() and not won.all()  # or the case would prove nothing
    for scene, second_won in enumerate(won.tolist()):
        source = second if second_won else first
        for name, value in vars(best).items():
            assert torch.equal(value[scene], getattr(source, name)[scene]), name


@pytest.mark.parametrize("beta", [0.0, 1.0, 30.0])
def test_the_better_of_two_inferences_has_the_lower_loss_with_the_models_beta(beta: float) -> None:
    (first, _), (second, _) = infer(0), infer(1)
    losses = [one.nll_BS[:, -1] + beta * one.kl_BS[:, -1] for one in (first, second, better_of(first, second, beta))]
    assert torch.equal(losses[2], torch.minimum(losses[0], losses[1]))
    assert not torch.equal(losses[2], losses[0])


def test_a_prediction_holds_what_was_asked_for_and_its_parts_agree() -> None:
    inference, images = infer(0)
    keys = tuple("abcdef")
    bare = to_prediction(keys, inference, ())
    assert bare.soft_mask is bare.elbo is bare.component is None
    full = to_prediction(keys, inference, ALL_FIELDS)
    assert full.soft_mask is not None and full.step_mask is not None and full.elbo is not None
    assert (
        full.component is not None and full.reconstruction is not None and full.nll is not None and full.kl is not None
    )
    assert (full.mask == full.step_mask[:, -1]).all() and full.step_mask.shape == (6, 2, 8, 8)
    np.testing.assert_allclose(full.soft_mask.astype(np.float64).sum(1), 1, atol=4e-3)
    assert (np.take_along_axis(full.soft_mask, full.mask[:, None].astype(int), 1)[:, 0] >= full.soft_mask.max(1)).all()
    np.testing.assert_allclose(full.elbo, -(full.nll + full.kl), rtol=1e-6)
    assert full.component.dtype == np.uint8 and full.component.shape == (6, 4, 8, 8, 3)
    blended = torch.einsum("bkhw,bkchw->bhwc", inference.mask_BKHW, inference.mean_BKCHW)
    np.testing.assert_allclose(full.reconstruction, blended.numpy(), atol=1e-5)
    assert images.shape == (6, 3, 8, 8)


def test_a_loss_that_is_not_finite_is_an_error_not_a_score() -> None:
    inference, _ = infer(0)
    inference.nll_BS[2, 0] = float("nan")
    with pytest.raises(DivergedError, match="scene c has a loss that is not finite"):
        check_finite(tuple("abcdef"), inference)


def test_the_chosen_noise_is_the_same_for_every_restart_of_the_same_seed() -> None:
    first, again = infer(3)[0], infer(3)[0]
    assert torch.equal(first.nll_BS, again.nll_BS) and not torch.equal(first.nll_BS, infer(4)[0].nll_BS)


def test_images_as_bytes_and_as_floats_are_inferred_alike_and_the_batch_number_decides_the_noise() -> None:
    model = small_model()
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8)
    of_bytes, of_floats, next_batch = (
        infer_batch(model, image, number, InferenceOptions())
        for image, number in ((images, 0), (images.astype(np.float32) / 255, 0), (images, 1))
    )
    assert torch.equal(of_bytes.nll_BS, of_floats.nll_BS)
    assert not torch.equal(of_bytes.nll_BS, next_batch.nll_BS)


def test_several_restarts_keep_the_inference_with_the_lowest_loss_of_each_scene() -> None:
    model = small_model()
    images = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), np.uint8)
    beta = float(model.beta)
    losses = [
        (one.nll_BS + beta * one.kl_BS)[:, -1]
        for one in (infer_batch(model, images, restart << 40, InferenceOptions()) for restart in range(3))
    ]
    best = infer_batch(model, images, 0, InferenceOptions(restarts=3))
    assert torch.equal((best.nll_BS + beta * best.kl_BS)[:, -1], torch.stack(losses).min(0).values)
