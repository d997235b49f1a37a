"""Derivatives by formula against automatic differentiation and differences: of the likelihoods, and of whole steps."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mathematics.iodine_reference import (
    TINY_CLEVR,
    TINY_PATCHES,
    TINY_SPRITES,
    TINY_TETROMINOES,
    tiny_image,
    tiny_model,
)
from torch import Tensor

from iodine_kit.models import Computation
from iodine_kit.models.iodine import likelihood
from iodine_kit.models.iodine.analytic_decode import DecodeOptions, analytic_decode
from iodine_kit.models.iodine.config import FLAT_INPUTS, SPATIAL_INPUTS, LikelihoodName
from iodine_kit.models.iodine.decode_step import needs_graph, supports_closed_form
from iodine_kit.models.iodine.likelihood import likelihood_terms, pull_back
from iodine_kit.records import Microbatch

NAMES = get_args(LikelihoodName)
EXACT = {"rtol": 1e-9, "atol": 1e-9}
TOLERANCE = 1e-3  # of float32
ALL = SPATIAL_INPUTS + FLAT_INPUTS
NETS = {"clevr": TINY_CLEVR, "sprites": TINY_SPRITES, "tetrominoes": TINY_TETROMINOES, "patches": TINY_PATCHES}
CHOICES: dict[str, dict[str, object]] = {
    "release": {},
    "truncated": {"truncate": True},
    "all inputs stopped": {"stopped": ALL},
    "all inputs stopped, truncated": {"stopped": ALL, "truncate": True},
    "all but zp stopped": {"stopped": tuple(name for name in ALL if name != "zp")},
    "per image": {"gradient_reduction": "per-image"},
    "last step counts": {"step_weights": "last"},
    "stopped, uniform": {"stopped": ALL, "step_weights": "uniform", "beta": 0.5},
    "Gaussian": {"likelihood": "mixture-gaussian", "likelihood_scale": 0.1},
    "weighted mean": {"likelihood": "weighted-mean-gaussian", "likelihood_scale": 0.1},
    "no counterfactual, no posterior": {"inputs": tuple(n for n in ALL if n not in ("counterfactual", "posterior"))},
    "patches": {"decoder": {"kernel": 3, "channels": [3], "patch": 2}},
    "patches, all stopped, weighted mean, sigmoid": {
        "stopped": ALL,
        "likelihood": "weighted-mean-gaussian",
        "likelihood_scale": 0.1,
        "decoder": {"kernel": 3, "channels": [4, 3], "patch": 2, "rgb": "sigmoid"},
    },
    "standard normal": {"prior": "standard-normal", "posterior_scale": "softplus"},
}


def pixels(seed: int, slots: int, spread: float) -> tuple[Tensor, Tensor, Tensor]:
    """A random image, means and logits; a large ``spread`` makes one slot explain nearly everything."""
    generator = torch.Generator().manual_seed(seed)
    x, mean, logit = (
        torch.randn(shape, generator=generator, dtype=torch.float64)
        for shape in ((2, 3, 2, 3), (2, slots, 3, 2, 3), (2, slots, 2, 3))
    )
    return x, (spread * mean).requires_grad_(), (spread * logit).requires_grad_()


@pytest.mark.parametrize("name", NAMES)
@given(st.integers(0, 2**31), st.integers(2, 5), st.sampled_from([0.1, 1.0, 4.0]), st.sampled_from([0.05, 0.3]))
def test_values_and_slopes_of_likelihoods(
    name: LikelihoodName, seed: int, slots: int, spread: float, scale: float
) -> None:
    x, mean, logit = pixels(seed, slots, spread)
    terms = likelihood.pixel_terms(name, x, mean, logit, scale)
    posterior = likelihood.component_posterior(terms.component_BKHW)
    found, counterfactual = likelihood_terms(name, x, mean.detach(), logit.detach(), scale, counterfactual=True)
    torch.testing.assert_close(found.loglik_BHW, terms.loglik_BHW, **EXACT)
    torch.testing.assert_close(found.mask_BKHW, terms.mask_BKHW, **EXACT)
    torch.testing.assert_close(found.posterior_BKHW, posterior, **EXACT)
    expected = likelihood.counterfactual(name, x, mean, logit, scale, terms)
    torch.testing.assert_close(counterfactual, expected, **EXACT)
    upstream = [torch.randn_like(value) for value in (terms.mask_BKHW, posterior)]
    whole = 0.7 * terms.loglik_BHW.sum() + (upstream[0] * terms.mask_BKHW).sum() + (upstream[1] * posterior).sum()
    for ours, theirs in zip(pull_back(found, 0.7, *upstream), torch.autograd.grad(whole, (mean, logit)), strict=True):
        torch.testing.assert_close(ours, theirs, **EXACT)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("difference", [0.0, 30.0, 300.0, 3000.0])
def test_counterfactual_is_finite_and_right_where_a_slot_dominates(name: LikelihoodName, difference: float) -> None:
    x, mean, logit = pixels(0, 3, 0.5)
    logit = logit.detach().clone()
    logit[:, 0] += difference
    _, found = likelihood_terms(name, x, mean.detach(), logit, 0.1, counterfactual=True)
    for k in range(3):
        rest = [j for j in range(3) if j != k]
        whole = likelihood.pixel_terms(name, x, mean.detach(), logit, 0.1).loglik_BHW
        without = likelihood.pixel_terms(name, x, mean.detach()[:, rest], logit[:, rest], 0.1).loglik_BHW
        torch.testing.assert_close(found[:, k], whole - without, rtol=1e-9, atol=1e-8)


def gradients(net: str, choice: str, how: Computation, dtype: torch.dtype) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss and all parameters' gradients of one training step."""
    model = tiny_model(NETS[net], **CHOICES[choice]).to(dtype)
    model.computation = how
    noise = model.double().noise(torch.Generator().manual_seed(3), Microbatch(0, 3, 3)).to(dtype)
    model.to(dtype)
    terms = model(tiny_image(3).to(dtype), noise, 3)
    terms.loss.backward()
    return terms.loss.detach(), {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("channels", [(), (3, 2)])
@pytest.mark.parametrize("likelihood_name", NAMES)
def test_a_decoder_of_any_depth_by_formula(channels: tuple[int, ...], likelihood_name: LikelihoodName) -> None:
    changes = {"decoder": {"kernel": 3, "channels": channels}, "likelihood": likelihood_name}
    found = []
    for closed_form in (True, False):
        model = tiny_model(TINY_SPRITES, **changes)
        model.computation = Computation(closed_form=closed_form)
        terms = model.loss(tiny_image(2), torch.Generator().manual_seed(0))
        found.append(torch.autograd.grad(terms.loss, list(model.parameters())))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, **EXACT)


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("net", NETS)
def test_a_step_by_formula_is_the_step_by_automatic_differentiation(net: str, choice: str, recompute: bool) -> None:
    loss, found = gradients(net, choice, Computation(recompute=recompute), torch.float64)
    expected_loss, expected = gradients(net, choice, Computation(closed_form=False), torch.float64)
    torch.testing.assert_close(loss, expected_loss, **EXACT)
    assert {name for name, value in expected.items() if value.any()} <= found.keys()
    for name, value in found.items():
        torch.testing.assert_close(value, expected[name], **EXACT, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize("choice", ["release", "all inputs stopped", "Gaussian", "weighted mean"])
@pytest.mark.parametrize("net", NETS)
def test_in_float32_the_formulas_are_as_near_to_the_truth_as_automatic_differentiation(net: str, choice: str) -> None:
    """Within TOLERANCE of each parameter's largest gradient: float32 sums, which refinement amplifies."""
    plain = Computation(closed_form=False)
    exact, found, automatic = (
        gradients(net, choice, how, dtype)[1]
        for how, dtype in ((plain, torch.float64), (Computation(), torch.float32), (plain, torch.float32))
    )

    def error(gradient: dict[str, Tensor]) -> float:
        sizes = {name: float(value.abs().max()) for name, value in exact.items() if value.any()}
        return max(float((gradient[name].double() - exact[name]).abs().max()) / size for name, size in sizes.items())

    assert error(found) < TOLERANCE
    assert error(found) < 3 * error(automatic) + 1e-5


@pytest.mark.parametrize("sigmoid", [False, True])
@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_a_decode_passes_gradcheck(name: LikelihoodName, recompute: bool, sigmoid: bool) -> None:
    model, image = tiny_model(TINY_SPRITES), tiny_image(1, 5, 6)
    weights = model.decoder.prepare(5, 6)
    z = torch.randn((3, 2), dtype=torch.float64, requires_grad=True)
    tensors = [tensor.detach().requires_grad_() for tensor in weights.tensors]
    options = DecodeOptions(
        likelihood=name, scale=0.3, sigmoid=sigmoid, constant=5.0, patch=1, precision=torch.float64, image_weight=1.0,
        feeds_refinement=True, in_loss=True, counterfactual=True, posterior=True, recompute=recompute, loss_only=False,
    )  # fmt: skip

    def decode(z_NZ: Tensor, latent_ZO: Tensor, grid_HWO: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        changed = replace(weights, latent_ZO=latent_ZO, grid_HWO=grid_HWO, rest=rest)
        found = analytic_decode(options, image, z_NZ, changed)
        return found.nll, found.mean_BKCHW, found.logit_BKHW, found.mask_BKHW, found.posterior_BKHW

    assert torch.autograd.gradcheck(decode, (z, *tensors), fast_mode=True)


def test_what_the_closed_form_covers() -> None:
    assert supports_closed_form(tiny_model().config)
    assert needs_graph(tiny_model().config)
    assert not needs_graph(tiny_model(stopped=ALL).config)
    for name in ("counterfactual", "dcomponents", "dmask", "log_prob", "dzp"):
        free = [other for other in ("counterfactual", "dcomponents", "dmask", "log_prob", "dzp") if other != name]
        assert not supports_closed_form(tiny_model(stopped=free).config)
        assert supports_closed_form(tiny_model(stopped=free, inputs=[other for other in ALL if other != name]).config)


@pytest.mark.parametrize(("choice", "how", "kept"), [
    ("release", Computation(), True),
    ("release", Computation(recompute=True), False),
    ("all inputs stopped", Computation(), False),
    ("release", Computation(closed_form=False), True),
    ("release", Computation(closed_form=False, recompute=True), False),
])  # fmt: skip
def test_the_decoders_activations_are_kept_only_where_they_are_needed(
    choice: str, how: Computation, kept: bool
) -> None:
    shapes: set[torch.Size] = set()

    def note(x: Tensor) -> Tensor:
        shapes.add(x.shape)
        return x

    model = tiny_model(TINY_SPRITES, decoder={"kernel": 3, "channels": [7]}, **CHOICES[choice])
    model.computation = how
    with torch.autograd.graph.saved_tensors_hooks(note, lambda x: x):
        model.loss(tiny_image(2, 24, 24), torch.Generator().manual_seed(0))
    assert (torch.Size([6, 7, 24, 24]) in shapes) == kept
