from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import mean_squared_error, peak_signal_noise_ratio, structural_similarity

from iodine_kit.errors import ConfigError
from iodine_kit.metrics import Comparison, elbo, kl, mse, nll, psnr, ssim
from iodine_kit.records import Bytes, Floats, PredictionBatch, SceneBatch

Pair = tuple[Bytes, Floats]


def compare(image: Bytes, reconstruction: Floats, device: str = "cpu") -> Comparison:
    keys = tuple(map(str, range(len(image))))
    prediction = PredictionBatch(keys, image[..., 0], reconstruction=reconstruction)
    return Comparison(SceneBatch(keys, image, image[..., 0]), prediction, (0,), device=device)


@st.composite
def pairs(draw: st.DrawFn, least: int = 1) -> Pair:
    """Flat pictures, ramps or noise, and reconstructions that leave [0, 1] at times."""
    rng = np.random.default_rng(draw(st.integers(0, 2**64 - 1)))
    shape = (12, rng.integers(least, 24), rng.integers(least, 24), 3)
    contrast, error = draw(st.sampled_from([0, 3, 255])), draw(st.sampled_from([0.0, 0.01, 0.3, 1.0]))
    picture = np.clip(rng.integers(0, 256, (12, 1, 1, 3)) + contrast * (rng.random(shape) - 0.5), 0, 255)
    image = picture.astype(np.uint8)
    return image, (image / 255 + error * rng.normal(size=shape)).astype(np.float32)


@given(pair=pairs())
@settings(max_examples=100, deadline=None)
def test_mse_and_psnr_are_scikit_image_s(pair: Pair) -> None:
    comparison = compare(*pair)
    errors, ratios = mse.score(comparison).values, psnr.score(comparison)
    assert ratios.degenerate is not None
    for image, guess, error, ratio, capped in zip(*pair, errors, ratios.values, ratios.degenerate, strict=True):
        true, guess = image / 255, guess.astype(np.float64)
        assert error == pytest.approx(mean_squared_error(true, guess), rel=1e-12)
        assert capped == (mean_squared_error(true, guess) < 1e-10)
        expected = 100.0 if capped else peak_signal_noise_ratio(true, guess, data_range=1)
        assert ratio == pytest.approx(expected, abs=1e-10)


@given(pair=pairs(least=11))
@settings(max_examples=100, deadline=None)
def test_ssim_is_scikit_image_s(pair: Pair) -> None:
    for image, guess, score in zip(*pair, ssim.score(compare(*pair)).values, strict=True):
        expected = structural_similarity(
            image / 255, guess.astype(np.float64), data_range=1, channel_axis=-1,
            gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
        )  # fmt: skip
        assert score == pytest.approx(expected, abs=1e-9)


@given(pair=pairs(least=11))
@settings(max_examples=20, deadline=None)
def test_ssim_is_the_same_with_torch_s_arrays_as_on_a_gpu(pair: Pair) -> None:
    on_device, here = (ssim.score(compare(*pair, device)).values for device in ("cpu:0", "cpu"))
    np.testing.assert_allclose(on_device, here, atol=1e-9)


def test_ssim_of_as_many_scenes_as_are_filtered_in_several_parts() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (11, 64, 48, 3), np.uint8)
    guess = rng.random(image.shape, np.float32)
    alone = [ssim.score(compare(image[i : i + 1], guess[i : i + 1])).values[0] for i in range(11)]
    np.testing.assert_allclose(ssim.score(compare(image, guess)).values, alone, atol=1e-12)


@pytest.mark.parametrize("shape", [(10, 40), (40, 10), (1, 1)])
def test_ssim_is_undefined_where_the_window_does_not_fit(shape: tuple[int, int]) -> None:
    image = np.zeros((2, *shape, 3), np.uint8)
    assert np.isnan(ssim.score(compare(image, image.astype(np.float32))).values).all()


def test_ssim_on_a_device_that_is_not_there() -> None:
    image = np.zeros((1, 12, 12, 3), np.uint8)
    with pytest.raises(ConfigError, match="cannot be used"):
        ssim.score(compare(image, image.astype(np.float32), "toaster"))


def test_mse_is_of_unclipped_images_in_zero_to_one() -> None:
    image = np.zeros((2, 1, 2, 3), np.uint8)
    image[1] = 255
    guess = np.array([0.5, 1.5], np.float32)[:, None, None, None] * np.ones((2, 1, 2, 3), np.float32)
    assert mse.score(compare(image, guess)).values.tolist() == [0.25, 0.25]


def test_an_exact_reconstruction_has_a_hundred_decibels() -> None:
    image = np.full((2, 3, 3, 3), 255, np.uint8)
    scores = psnr.score(compare(image, np.stack([np.ones((3, 3, 3)), np.full((3, 3, 3), 0.9)]).astype(np.float32)))
    np.testing.assert_allclose(scores.values, [100, 20], atol=1e-5)
    assert scores.degenerate is not None
    assert scores.degenerate.tolist() == [True, False]


def test_likelihoods_are_those_of_the_last_decode() -> None:
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    masks = np.zeros((2, 4, 4), np.uint8)
    prediction = PredictionBatch(("a", "b"), masks, elbo=-values, nll=10 * values, kl=values / 10)
    comparison = Comparison(SceneBatch(("a", "b"), np.zeros((2, 4, 4, 3), np.uint8), masks), prediction, (0,))
    assert elbo.score(comparison).values.tolist() == [-2, -5]
    assert nll.score(comparison).values.tolist() == [20, 50]
    np.testing.assert_allclose(kl.score(comparison).values, [0.2, 0.5], rtol=1e-6)
