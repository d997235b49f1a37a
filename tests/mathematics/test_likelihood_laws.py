"""The pixel likelihoods against scipy, torch.distributions and written-out loops."""

from __future__ import annotations

import math
from typing import get_args

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from torch import Tensor
from torch.distributions import (
    AffineTransform,
    Categorical,
    Independent,
    MixtureSameFamily,
    Normal,
    SigmoidTransform,
    TransformedDistribution,
    Uniform,
)

from iodine_kit.models.iodine import likelihood
from iodine_kit.models.iodine.config import LikelihoodName

NAMES: tuple[LikelihoodName, ...] = get_args(LikelihoodName)
MIXTURES: tuple[LikelihoodName, ...] = ("mixture-logistic", "mixture-gaussian")
FAMILY = {"mixture-logistic": scipy.stats.logistic, "mixture-gaussian": scipy.stats.norm}
EXACT = {"rtol": 1e-9, "atol": 1e-9}
Scene = tuple[Tensor, Tensor, Tensor]


def scene(slots: int = 3, batch: int = 2, height: int = 2, width: int = 3, seed: int = 0, spread: float = 1.0) -> Scene:
    """Image, RGB means and mask logits, float64."""
    rng = np.random.default_rng(seed)
    image = torch.from_numpy(rng.uniform(size=(batch, 3, height, width)))
    mean = image[:, None] + torch.from_numpy(rng.normal(scale=0.2 * spread, size=(batch, slots, 3, height, width)))
    logit = torch.from_numpy(rng.normal(scale=2 * spread, size=(batch, slots, height, width)))
    return image, mean, logit


def softmax(values: np.ndarray) -> np.ndarray:
    """Softmax of a vector."""
    exponents = np.exp(values - values.max())
    return exponents / exponents.sum()


def loglik_of_pixel(name: str, x_C: np.ndarray, mean_KC: np.ndarray, logit_K: np.ndarray, scale: float) -> float:
    """log p(x) of one pixel: densities from scipy, sums written out."""
    pi_K = softmax(logit_K)
    if name == "weighted-mean-gaussian":
        return float(sum(scipy.stats.norm.logpdf(x_C[c], sum(pi_K * mean_KC[:, c]), scale) for c in range(len(x_C))))
    logs = [
        math.log(pi_K[k]) + sum(FAMILY[name].logpdf(x_C[c], mean_KC[k, c], scale) for c in range(len(x_C)))
        for k in range(len(logit_K))
    ]
    return float(np.logaddexp.reduce(logs))


def loglik_by_loops(name: str, image: Tensor, mean: Tensor, logit: Tensor, scale: float) -> Tensor:
    """``[B, H, W]``, pixel by pixel."""
    batch, slots, height, width = logit.shape
    out = torch.empty(batch, height, width, dtype=torch.float64)
    for b, y, x in np.ndindex(batch, height, width):
        pixel = (image[b, :, y, x].numpy(), mean[b, :, :, y, x].numpy(), logit[b, :, y, x].numpy())
        out[b, y, x] = loglik_of_pixel(name, *pixel, scale)
    assert slots == mean.shape[1]
    return out


def counterfactual(name: LikelihoodName, image: Tensor, mean: Tensor, logit: Tensor, scale: float) -> Tensor:
    """The package's answer."""
    terms = likelihood.pixel_terms(name, image, mean, logit, scale)
    return likelihood.counterfactual(name, image, mean, logit, scale, terms)


def responsibilities(name: LikelihoodName, image: Tensor, mean: Tensor, logit: Tensor, scale: float) -> Tensor:
    """p(slot | pixel) by Bayes' rule from scipy's densities, ``[B, K, H, W]``."""
    density = FAMILY[name].pdf(image[:, None].numpy(), mean.detach().numpy(), scale).prod(2)
    joint = torch.softmax(logit.detach(), 1).numpy() * density
    return torch.from_numpy(joint / joint.sum(1, keepdims=True))


@pytest.mark.parametrize("scale", [0.03, 0.1, 1.7])
def test_logistic_density_is_scipys(rng: np.random.Generator, scale: float) -> None:
    x, loc = rng.normal(size=(2, 200))
    ours = likelihood.logistic_logpdf(torch.from_numpy(x), torch.from_numpy(loc), scale)
    np.testing.assert_allclose(ours, scipy.stats.logistic.logpdf(x, loc, scale), **EXACT)


@pytest.mark.parametrize("scale", [0.03, 0.1, 1.7])
def test_gaussian_density_is_scipys(rng: np.random.Generator, scale: float) -> None:
    x, loc = rng.normal(size=(2, 200))
    ours = likelihood.gaussian_logpdf(torch.from_numpy(x), torch.from_numpy(loc), scale)
    np.testing.assert_allclose(ours, scipy.stats.norm.logpdf(x, loc, scale), **EXACT)


@given(st.floats(-50, 50), st.floats(-50, 50), st.floats(1e-3, 10))
@hypothesis_settings(max_examples=50)
def test_densities_are_symmetric_about_their_centre(x: float, loc: float, scale: float) -> None:
    a, b = torch.tensor([x, loc], dtype=torch.float64)
    for logpdf in (likelihood.logistic_logpdf, likelihood.gaussian_logpdf):
        torch.testing.assert_close(logpdf(a, b, scale), logpdf(b, a, scale), rtol=1e-9, atol=1e-8)


@pytest.mark.parametrize("scale", [0.03, 0.4])
@pytest.mark.parametrize("name", NAMES)
def test_likelihood_of_every_pixel_is_the_written_out_one(name: LikelihoodName, scale: float) -> None:
    image, mean, logit = scene()
    terms = likelihood.pixel_terms(name, image, mean, logit, scale)
    torch.testing.assert_close(terms.loglik_BHW, loglik_by_loops(name, image, mean, logit, scale), **EXACT)


@pytest.mark.parametrize("name", MIXTURES)
def test_mixture_is_joint_over_rgb_as_in_mixture_same_family(name: LikelihoodName) -> None:
    image, mean, logit = scene(slots=4)
    scale = torch.tensor(0.2, dtype=torch.float64)
    loc_BHWKC = mean.permute(0, 3, 4, 1, 2)
    if name == "mixture-gaussian":
        pixels = Normal(loc_BHWKC, scale)
    else:
        zero = torch.zeros_like(loc_BHWKC)
        pixels = TransformedDistribution(
            Uniform(zero, zero + 1, validate_args=False),
            [SigmoidTransform().inv, AffineTransform(loc_BHWKC, scale)],
            validate_args=False,
        )
    together = MixtureSameFamily(
        Categorical(logits=logit.permute(0, 2, 3, 1)), Independent(pixels, 1), validate_args=False
    )
    expected = together.log_prob(image.permute(0, 2, 3, 1))
    ours = likelihood.pixel_terms(name, image, mean, logit, 0.2).loglik_BHW
    torch.testing.assert_close(ours, expected, **EXACT)


def test_mixture_per_colour_channel_would_be_another_model() -> None:
    image, mean, logit = scene()
    joint = likelihood.pixel_terms("mixture-logistic", image, mean, logit, 0.1).loglik_BHW
    channels = [
        likelihood.pixel_terms("mixture-logistic", image[:, c : c + 1], mean[:, :, c : c + 1], logit, 0.1).loglik_BHW
        for c in range(3)
    ]
    assert (joint - sum(channels)).abs().min() > 1e-3


@pytest.mark.parametrize("name", NAMES)
def test_masks_are_the_softmax_and_components_carry_no_mixing_weight(name: LikelihoodName) -> None:
    image, mean, logit = scene()
    terms = likelihood.pixel_terms(name, image, mean, logit, 0.2)
    family = FAMILY.get(name, scipy.stats.norm)
    expected = family.logpdf(image[:, None].numpy(), mean.numpy(), 0.2).sum(2)
    np.testing.assert_allclose(terms.component_BKHW, expected, **EXACT)
    exponents = np.exp(logit.numpy())
    np.testing.assert_allclose(terms.mask_BKHW, exponents / exponents.sum(1, keepdims=True), **EXACT)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("scale", [0.03, 0.1])
def test_density_of_one_channel_integrates_to_one(name: LikelihoodName, scale: float) -> None:
    values = torch.linspace(-2, 3, 5001, dtype=torch.float64)
    mean = torch.tensor([0.2, 0.25, 0.9], dtype=torch.float64)[None, :, None, None, None].expand(1, 3, 1, 1, 5001)
    logit = torch.tensor([0.3, -1.0, 1.0], dtype=torch.float64)[None, :, None, None].expand(1, 3, 1, 5001)
    terms = likelihood.pixel_terms(name, values[None, None, None], mean, logit, scale)
    assert float(torch.trapezoid(terms.loglik_BHW[0, 0].exp(), values)) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_density_of_one_rgb_pixel_integrates_to_one(name: LikelihoodName) -> None:
    values = torch.linspace(-4, 5, 56, dtype=torch.float64)
    colours = torch.cartesian_prod(values, values, values).T[None, :, None]
    mean = torch.tensor([[0.1, 0.8, 0.5], [0.9, 0.3, 0.4]], dtype=torch.float64)[None, :, :, None, None]
    logit = torch.tensor([0.7, -0.4], dtype=torch.float64)[None, :, None, None]
    count = colours.shape[-1]
    terms = likelihood.pixel_terms(name, colours, mean.expand(1, 2, 3, 1, count), logit.expand(1, 2, 1, count), 0.2)
    step = float(values[1] - values[0])
    assert float(terms.loglik_BHW.exp().sum()) * step**3 == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("slots", [2, 3, 5])
@pytest.mark.parametrize("name", NAMES)
def test_counterfactual_is_a_difference_of_logs_with_the_slot_deleted(name: LikelihoodName, slots: int) -> None:
    image, mean, logit = scene(slots=slots)
    whole = loglik_by_loops(name, image, mean, logit, 0.15)
    expected = torch.empty_like(logit)
    for k in range(slots):
        others = [j for j in range(slots) if j != k]
        expected[:, k] = whole - loglik_by_loops(name, image, mean[:, others], logit[:, others], 0.15)
    torch.testing.assert_close(counterfactual(name, image, mean, logit, 0.15), expected, **EXACT)


@pytest.mark.parametrize("name", NAMES)
def test_counterfactual_is_exact_where_one_slot_explains_the_pixel_alone(name: LikelihoodName) -> None:
    image, mean, logit = scene(slots=3, batch=1, height=1, width=1)
    mean[:, 0], mean[:, 1:] = image, mean[:, 1:] + 0.7
    logit[:, 0], logit[:, 1:] = 60.0, logit[:, 1:]
    whole = loglik_by_loops(name, image, mean, logit, 0.05)
    without = loglik_by_loops(name, image, mean[:, 1:], logit[:, 1:], 0.05)
    found = counterfactual(name, image, mean, logit, 0.05)[:, 0]
    assert float(found) > 10
    torch.testing.assert_close(found, whole - without, **EXACT)


@pytest.mark.parametrize("name", NAMES)
def test_a_slot_with_an_identical_twin_changes_nothing_when_two_are_all(name: LikelihoodName) -> None:
    image, mean, logit = scene(slots=1)
    twice = counterfactual(name, image, mean.repeat(1, 2, 1, 1, 1), logit.repeat(1, 2, 1, 1), 0.1)
    torch.testing.assert_close(twice, torch.zeros_like(twice), **EXACT)


@pytest.mark.parametrize("distance", [0.0, 1.0, 20.0])
@pytest.mark.parametrize("name", NAMES)
def test_extreme_logits_and_far_images_stay_finite_in_float32(name: LikelihoodName, distance: float) -> None:
    image, mean, _ = (value.float() for value in scene(slots=4))
    logit = torch.tensor([-130.0, 130.0, 90.0, 0.0])[None, :, None, None].expand(2, 4, 2, 3).clone().requires_grad_()
    mean = (mean - distance).requires_grad_()
    terms = likelihood.pixel_terms(name, image, mean, logit, 0.03)
    effect = likelihood.counterfactual(name, image, mean, logit, 0.03, terms)
    posterior = likelihood.component_posterior(terms.component_BKHW)
    total = terms.loglik_BHW.sum() + effect.sum() + posterior.sum() + terms.mask_BKHW.square().sum()
    gradients = torch.autograd.grad(total, (mean, logit))
    for value in (terms.loglik_BHW, terms.component_BKHW, terms.mask_BKHW, effect, posterior, *gradients):
        assert torch.isfinite(value).all()


def test_a_slot_with_logit_minus_130_still_has_its_exact_share_in_float64() -> None:
    image, mean, _ = scene(slots=2, batch=1, height=1, width=1)
    mean[:, 0], mean[:, 1] = image, image + 30
    logit = torch.tensor([-130.0, 90.0], dtype=torch.float64)[None, :, None, None]
    ours = likelihood.pixel_terms("mixture-logistic", image, mean, logit, 0.03).loglik_BHW
    torch.testing.assert_close(ours, loglik_by_loops_of_logs(image, mean, logit, 0.03), **EXACT)


def loglik_by_loops_of_logs(image: Tensor, mean: Tensor, logit: Tensor, scale: float) -> Tensor:
    """The logistic mixture of one pixel where the masks themselves underflow: everything in logs."""
    x_C, mean_KC, logit_K = image[0, :, 0, 0].numpy(), mean[0, :, :, 0, 0].numpy(), logit[0, :, 0, 0].numpy()
    joint = [logit_K[k] + scipy.stats.logistic.logpdf(x_C, mean_KC[k], scale).sum() for k in range(len(logit_K))]
    return torch.tensor([[[np.logaddexp.reduce(joint) - np.logaddexp.reduce(logit_K)]]], dtype=torch.float64)


def test_posterior_input_is_the_ratio_of_densities_without_mixing_weights() -> None:
    image, mean, logit = scene()
    density = scipy.stats.logistic.pdf(image[:, None].numpy(), mean.numpy(), 0.1).prod(2)
    expected = density / (density.sum(1, keepdims=True) + 1e-6)
    terms = likelihood.pixel_terms("mixture-logistic", image, mean, logit, 0.1)
    np.testing.assert_allclose(likelihood.component_posterior(terms.component_BKHW), expected, **EXACT)
    moved = likelihood.pixel_terms("mixture-logistic", image, mean, 7 * logit, 0.1)
    np.testing.assert_allclose(likelihood.component_posterior(moved.component_BKHW), expected, **EXACT)


def test_posterior_input_is_near_zero_for_every_slot_where_all_densities_underflow() -> None:
    image, mean, logit = scene()
    terms = likelihood.pixel_terms("mixture-logistic", image, mean + 40, logit, 0.03)
    posterior = likelihood.component_posterior(terms.component_BKHW)
    assert torch.isfinite(posterior).all()
    assert posterior.max() < 1e-6


def test_posterior_input_is_half_where_the_density_equals_the_offset() -> None:
    component = torch.tensor([math.log(1e-6), -math.inf], dtype=torch.float64)[None, :, None, None]
    posterior = likelihood.component_posterior(component)
    torch.testing.assert_close(posterior.flatten(), torch.tensor([0.5, 0.0], dtype=torch.float64), **EXACT)


@pytest.mark.parametrize("name", NAMES)
def test_permuting_slots_permutes_what_belongs_to_slots_and_nothing_else(name: LikelihoodName) -> None:
    image, mean, logit = scene(slots=4)
    order = torch.tensor([2, 0, 3, 1])
    before = likelihood.pixel_terms(name, image, mean, logit, 0.1)
    after = likelihood.pixel_terms(name, image, mean[:, order], logit[:, order], 0.1)
    torch.testing.assert_close(after.loglik_BHW, before.loglik_BHW, **EXACT)
    torch.testing.assert_close(after.mask_BKHW, before.mask_BKHW[:, order], **EXACT)
    torch.testing.assert_close(after.component_BKHW, before.component_BKHW[:, order], **EXACT)
    effect = counterfactual(name, image, mean, logit, 0.1)
    moved = counterfactual(name, image, mean[:, order], logit[:, order], 0.1)
    torch.testing.assert_close(moved, effect[:, order], **EXACT)


@pytest.mark.parametrize("name", NAMES)
def test_adding_a_constant_to_all_mask_logits_of_a_pixel_changes_nothing(
    name: LikelihoodName, rng: np.random.Generator
) -> None:
    image, mean, logit = scene()
    shifted = logit + torch.from_numpy(rng.normal(scale=30, size=(2, 1, 2, 3)))
    before = likelihood.pixel_terms(name, image, mean, logit, 0.1)
    after = likelihood.pixel_terms(name, image, mean, shifted, 0.1)
    torch.testing.assert_close(after.loglik_BHW, before.loglik_BHW, **EXACT)
    torch.testing.assert_close(after.mask_BKHW, before.mask_BKHW, **EXACT)
    effects = (counterfactual(name, image, mean, value, 0.1) for value in (logit, shifted))
    torch.testing.assert_close(*effects, **EXACT)


@pytest.mark.parametrize("name", NAMES)
def test_pixels_do_not_see_each_other(name: LikelihoodName) -> None:
    image, mean, logit = scene()
    effect = counterfactual(name, image, mean, logit, 0.1)
    loglik = likelihood.pixel_terms(name, image, mean, logit, 0.1).loglik_BHW
    image[0, :, 0, 0], mean[0, :, :, 0, 0], logit[0, :, 0, 0] = 9.0, -3.0, 5.0
    changed = likelihood.pixel_terms(name, image, mean, logit, 0.1).loglik_BHW != loglik
    assert changed.nonzero().tolist() == [[0, 0, 0]]
    moved = counterfactual(name, image, mean, logit, 0.1) != effect
    assert {tuple(place) for place in moved.nonzero()[:, [0, 2, 3]].tolist()} <= {(0, 0, 0)}


@pytest.mark.parametrize("name", MIXTURES)
def test_gradient_of_a_mask_logit_is_responsibility_minus_mask(name: LikelihoodName) -> None:
    image, mean, logit = scene()
    logit.requires_grad_()
    terms = likelihood.pixel_terms(name, image, mean, logit, 0.2)
    (gradient,) = torch.autograd.grad(terms.loglik_BHW.sum(), logit)
    expected = responsibilities(name, image, mean, logit, 0.2) - torch.softmax(logit.detach(), 1)
    torch.testing.assert_close(gradient, expected, **EXACT)


@pytest.mark.parametrize("name", MIXTURES)
def test_gradient_of_a_mean_is_responsibility_times_that_of_its_component(name: LikelihoodName) -> None:
    image, mean, logit = scene()
    mean.requires_grad_()
    (gradient,) = torch.autograd.grad(likelihood.pixel_terms(name, image, mean, logit, 0.2).loglik_BHW.sum(), mean)
    z = (image[:, None] - mean.detach()) / 0.2
    slope = torch.tanh(z / 2) / 0.2 if name == "mixture-logistic" else z / 0.2
    torch.testing.assert_close(gradient, responsibilities(name, image, mean, logit, 0.2)[:, :, None] * slope, **EXACT)


def test_gradients_of_the_weighted_mean_follow_from_the_blend() -> None:
    image, mean, logit = scene()
    mean.requires_grad_()
    logit.requires_grad_()
    terms = likelihood.pixel_terms("weighted-mean-gaussian", image, mean, logit, 0.2)
    dmean, dlogit = torch.autograd.grad(terms.loglik_BHW.sum(), (mean, logit))
    pi = torch.softmax(logit.detach(), 1)[:, :, None]
    blend = (pi * mean.detach()).sum(1, keepdim=True)
    slope = (image[:, None] - blend) / 0.2**2
    torch.testing.assert_close(dmean, pi * slope, **EXACT)
    torch.testing.assert_close(dlogit, (pi * (mean.detach() - blend) * slope).sum(2), **EXACT)


@pytest.mark.parametrize("name", NAMES)
def test_gradcheck_of_likelihood_and_counterfactual(name: LikelihoodName) -> None:
    image, mean, logit = scene(slots=3, batch=1, height=1, width=2)

    def both(mean: Tensor, logit: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        terms = likelihood.pixel_terms(name, image, mean, logit, 0.3)
        effect = likelihood.counterfactual(name, image, mean, logit, 0.3, terms)
        return terms.loglik_BHW, effect, likelihood.component_posterior(terms.component_BKHW)

    assert torch.autograd.gradcheck(both, (mean.requires_grad_(), logit.requires_grad_()))


@pytest.mark.parametrize("name", NAMES)
def test_gradgradcheck_of_the_likelihood(name: LikelihoodName) -> None:
    image, mean, logit = scene(slots=2, batch=1, height=1, width=1)

    def loglik(mean: Tensor, logit: Tensor) -> Tensor:
        return likelihood.pixel_terms(name, image, mean, logit, 0.3).loglik_BHW

    assert torch.autograd.gradgradcheck(loglik, (mean.requires_grad_(), logit.requires_grad_()))


def test_reconstruction_is_the_sum_of_masked_means() -> None:
    _, mean, logit = scene()
    pi = torch.softmax(logit, 1)
    expected = sum(pi[:, k, None] * mean[:, k] for k in range(3))
    torch.testing.assert_close(likelihood.blend(mean, pi), expected, **EXACT)


@pytest.mark.parametrize(
    ("name", "scale", "best"), [("mixture-logistic", 0.03, 2.1203), ("mixture-gaussian", 0.1, 1.3836)]
)
def test_best_log_likelihood_per_channel(name: LikelihoodName, scale: float, best: float) -> None:
    image, _, logit = scene(slots=2)
    perfect = image[:, None].expand(2, 2, 3, 2, 3)
    found = likelihood.pixel_terms(name, image, perfect, logit, scale).loglik_BHW / 3
    torch.testing.assert_close(found, torch.full_like(found, best), rtol=0, atol=5e-5)


@pytest.mark.parametrize(
    ("side", "logistic", "gaussian"), [(128, 104_215, 68_009), (64, 26_054, 17_002), (35, 7_792, 5_085)]
)
def test_best_log_likelihood_per_image(side: int, logistic: int, gaussian: int) -> None:
    image, _, logit = scene(slots=2, batch=1, height=side, width=side)
    perfect = image[:, None].expand(1, 2, 3, side, side)
    total = [
        float(likelihood.pixel_terms(name, image, perfect, logit, scale).loglik_BHW.sum())
        for name, scale in (("mixture-logistic", 0.03), ("mixture-gaussian", 0.1))
    ]
    assert [round(value) for value in total] == [logistic, gaussian]
