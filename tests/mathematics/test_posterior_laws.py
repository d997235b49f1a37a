"""The posterior q(z | λ), its prior, its samples and the closed-form divergence."""

from __future__ import annotations

import math
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from torch.distributions import Normal, kl_divergence

from iodine_kit.models.iodine.config import PriorName, ScaleName
from iodine_kit.models.iodine.decode_step import kl_to_prior, lambda_gradient, prior_scale, scale_of
from iodine_kit.models.iodine.model import draw_noise

SCALES: tuple[ScaleName, ...] = get_args(ScaleName)
PRIORS: tuple[PriorName, ...] = get_args(PriorName)
FORMULA = {
    "sqrt-softplus": lambda raw: math.sqrt(math.log1p(math.exp(raw))),
    "softplus": lambda raw: math.log1p(math.exp(raw)),
    "log-variance": lambda raw: math.sqrt(math.exp(raw)),
}


@pytest.mark.parametrize("name", SCALES)
def test_scale_is_the_written_out_function_of_the_raw_parameter(name: ScaleName) -> None:
    raw = np.linspace(-8, 8, 33)
    expected = [FORMULA[name](value) for value in raw]
    np.testing.assert_allclose(scale_of(torch.from_numpy(raw), name), expected, rtol=1e-9)


@pytest.mark.parametrize("name", SCALES)
def test_scale_is_positive_and_its_gradient_right(name: ScaleName) -> None:
    raw = torch.linspace(-6, 6, 13, dtype=torch.float64, requires_grad=True)
    assert (scale_of(raw, name) > 0).all()
    assert torch.autograd.gradcheck(lambda value: scale_of(value, name), (raw,))


@pytest.mark.parametrize("name", SCALES)
def test_scale_and_divergence_are_finite_in_float32_for_wild_raw_parameters(name: ScaleName) -> None:
    raw = torch.tensor([-60.0, -20.0, 0.0, 20.0, 60.0], requires_grad=True)
    divergence = kl_to_prior(torch.zeros(5), scale_of(raw, name), prior_scale("zero-parameters", name))
    (gradient,) = torch.autograd.grad(divergence, raw)
    assert torch.isfinite(divergence)
    assert torch.isfinite(gradient).all()


def test_release_prior_has_variance_log_2() -> None:
    assert prior_scale("zero-parameters", "sqrt-softplus") ** 2 == pytest.approx(math.log(2), rel=1e-12)
    assert prior_scale("zero-parameters", "sqrt-softplus") == pytest.approx(0.8326, abs=5e-5)


@pytest.mark.parametrize("name", SCALES)
def test_zero_parameters_stand_for_the_prior(name: ScaleName) -> None:
    zero = torch.zeros(1, 7, dtype=torch.float64)
    scale = scale_of(zero, name)
    assert prior_scale("zero-parameters", name) == pytest.approx(float(scale[0, 0]), rel=1e-12)
    assert float(kl_to_prior(zero, scale, prior_scale("zero-parameters", name))) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("name", SCALES)
def test_standard_normal_prior_has_scale_one(name: ScaleName) -> None:
    assert prior_scale("standard-normal", name) == 1.0


def test_release_prior_read_as_standard_normal_is_wrong_by_003_nat_per_dimension() -> None:
    scale = torch.full((1, 1), math.sqrt(math.log(2)), dtype=torch.float64)
    assert float(kl_to_prior(torch.zeros_like(scale), scale, 1.0)) == pytest.approx(0.030, abs=5e-4)


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("name", SCALES)
def test_divergence_is_the_closed_form_summed_over_latents(
    name: ScaleName, prior: PriorName, rng: np.random.Generator
) -> None:
    loc, raw = torch.from_numpy(rng.normal(scale=3, size=(2, 4, 5)))
    scale, width = scale_of(raw, name), prior_scale(prior, name)
    expected = kl_divergence(Normal(loc, scale), Normal(torch.zeros_like(loc), width)).sum(-1)
    torch.testing.assert_close(kl_to_prior(loc, scale, width), expected, rtol=1e-9, atol=1e-9)


def test_divergence_equals_the_integral_that_defines_it() -> None:
    loc, scale, prior = 0.7, 0.4, math.sqrt(math.log(2))
    z = torch.linspace(-8, 8, 20_001, dtype=torch.float64)
    q, p = Normal(loc, scale).log_prob(z), Normal(0.0, prior).log_prob(z)
    expected = float(torch.trapezoid(q.exp() * (q - p), z))
    found = kl_to_prior(torch.tensor([loc], dtype=torch.float64), torch.tensor([scale], dtype=torch.float64), prior)
    assert float(found) == pytest.approx(expected, abs=1e-7)


@given(st.floats(-5, 5), st.floats(0.01, 5), st.floats(0.1, 3))
@hypothesis_settings(max_examples=60)
def test_divergence_is_never_negative(loc: float, scale: float, prior: float) -> None:
    tensors = (torch.tensor([value], dtype=torch.float64) for value in (loc, scale))
    assert float(kl_to_prior(*tensors, prior)) >= -1e-12


def test_gradients_of_the_divergence_are_the_written_out_ones(rng: np.random.Generator) -> None:
    loc = torch.from_numpy(rng.normal(size=(3, 4))).requires_grad_()
    scale = torch.from_numpy(rng.uniform(0.2, 2, size=(3, 4))).requires_grad_()
    dloc, dscale = torch.autograd.grad(kl_to_prior(loc, scale, 0.8).sum(), (loc, scale))
    torch.testing.assert_close(dloc, loc.detach() / 0.64, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(dscale, scale.detach() / 0.64 - 1 / scale.detach(), rtol=1e-9, atol=1e-9)


def test_noise_is_drawn_decode_by_decode_for_the_whole_batch_of_which_rows_are_kept() -> None:
    def draw(decodes: int, rows: slice) -> torch.Tensor:
        return draw_noise(torch.Generator().manual_seed(5), decodes, rows, 6, 4, torch.float64)

    generator = torch.Generator().manual_seed(5)
    expected = torch.stack([torch.randn((6, 4), generator=generator, dtype=torch.float64) for _ in range(3)])
    assert torch.equal(draw(3, slice(0, 6)), expected)
    assert torch.equal(draw(3, slice(2, 4)), expected[:, 2:4])
    assert torch.equal(draw(2, slice(0, 6)), expected[:2])


@pytest.mark.parametrize("name", ["sqrt-softplus", "softplus", "log-variance"])
@pytest.mark.parametrize("weight", [0.0, 0.25, 3.0])
def test_gradient_of_lambda_is_that_of_automatic_differentiation(name: ScaleName, weight: float) -> None:
    generator = torch.Generator().manual_seed(1)
    zp, dz, noise = (torch.randn((5, n), generator=generator, dtype=torch.float64) for n in (6, 3, 3))
    zp.requires_grad_()
    loc, raw = zp.chunk(2, 1)
    scale = scale_of(raw, name)
    objective = (dz * (loc + scale * noise)).sum() + weight * kl_to_prior(loc, scale, 0.7).sum()
    (expected,) = torch.autograd.grad(objective, zp)
    found = lambda_gradient(dz, noise, zp.detach(), name, 0.7, weight)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
