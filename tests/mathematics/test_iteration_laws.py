"""The whole iteration and its training loss against the written-out reference, and gradients against differences."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from mathematics.iodine_reference import (
    PRIOR_VARIANCE,
    STOPPED,
    TINY_CLEVR,
    TINY_PATCHES,
    TINY_SPRITES,
    TINY_TETROMINOES,
    Reference,
    Step,
    drawn_noise,
    tiny_image,
    tiny_model,
)
from torch import Tensor
from torch.nn import functional

from iodine_kit.models import Computation
from iodine_kit.models.iodine import build
from iodine_kit.models.iodine import model as model_module
from iodine_kit.models.iodine.config import FLAT_INPUTS, SPATIAL_INPUTS, InputName, IodineConfig
from iodine_kit.models.iodine.decode_step import Decode
from iodine_kit.models.iodine.model import Iodine, step_weights
from iodine_kit.records import Microbatch

EXACT = {"rtol": 1e-9, "atol": 1e-9}
SEED = 11
TINY = {"clevr": TINY_CLEVR, "sprites": TINY_SPRITES, "tetrominoes": TINY_TETROMINOES, "patches": TINY_PATCHES}
PROBED = (
    "initial", "decoder.first.weight", "decoder.rest.0.bias", "inputs.norms.dmask.gain", "inputs.norms.dzp.offset",
    "refinement.convs.0.weight", "refinement.mlp.0.weight", "refinement.head.weight",
)  # fmt: skip


@pytest.fixture(autouse=True)
def exact_softplus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch takes softplus(x) = x above 20, which is 2e−9 off: more than these comparisons in float64 allow."""
    monkeypatch.setattr(functional, "softplus", partial(functional.softplus, threshold=100.0))


@pytest.fixture(
    autouse=True, params=["by formula", "by formula, recomputed", "automatically", "automatically, recomputed"]
)
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every law holds however the gradients are computed."""
    how = Computation(closed_form="formula" in request.param, recompute="recomputed" in request.param)
    monkeypatch.setattr(model_module, "Computation", lambda: how)
    return str(request.param)


def seeded() -> torch.Generator:
    """The generator of every run here."""
    return torch.Generator().manual_seed(SEED)


def decodes_of(model: Iodine, image: Tensor, steps: int = 2, *, training: bool = False) -> list[Decode]:
    """Every decode of one run."""
    noise = torch.stack(noise_of(model, image, steps))
    return list(model.iterate(image, noise, model.config.slots, training=training))


def noise_of(model: Iodine, image: Tensor, steps: int = 2) -> list[Tensor]:
    """The noise of the same run."""
    return drawn_noise(SEED, steps + 1, len(image) * model.config.slots, model.config.latent)


def assert_same(found: Decode, expected: Step) -> None:
    """Every quantity of one decode agrees."""
    batch, slots = found.kl_BK.shape
    pairs = {
        "zp": (found.zp_NL, expected.zp_NL),
        "loc": (found.loc_BKZ, expected.loc_NZ.view(batch, slots, -1)),
        "scale": (found.scale_BKZ, expected.scale_NZ.view(batch, slots, -1)),
        "mean": (found.mean_BKCHW.permute(0, 1, 3, 4, 2), expected.mean_BKHWC),
        "logit": (found.logit_BKHW, expected.logit_BKHW),
        "loglik": (found.loglik_BHW, expected.loglik_BHW),
        "nll": (found.nll_B, expected.nll_B),
        "kl": (found.kl_BK, expected.kl_BK),
    }
    for name, (ours, theirs) in pairs.items():
        assert_close(ours, theirs, 1e-9, name)


def assert_close(ours: Tensor, theirs: Tensor, tolerance: float, name: str) -> None:
    """Compare, and name what differs."""
    torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance, msg=lambda text: f"{name}: {text}")


def central_difference(parameter: Tensor, place: tuple[Tensor, ...], loss: Callable[[], Tensor]) -> float:
    """Slope of ``loss`` in one entry of a parameter, which is put back."""
    base = float(parameter[place])
    sides = []
    for delta in (1e-5, -1e-5):
        parameter[place] = base + delta
        sides.append(float(loss().detach()))
    parameter[place] = base
    return (sides[0] - sides[1]) / 2e-5


def largest(gradient: Tensor) -> tuple[Tensor, ...]:
    """Where a gradient is largest."""
    return torch.unravel_index(gradient.abs().argmax(), gradient.shape)


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("net", TINY)
def test_iteration_is_the_written_out_one(net: str, batch: int) -> None:
    model, image = tiny_model(TINY[net]), tiny_image(batch)
    expected = Reference(model).run(image, noise_of(model, image))
    for training in (False, True):
        found = decodes_of(model, image, training=training)
        assert len(found) == len(expected) == 3
        for ours, theirs in zip(found, expected, strict=True):
            assert_same(ours, theirs)


def test_refinement_inputs_are_the_written_out_ones() -> None:
    model, image = tiny_model(TINY_SPRITES, normalised=[]), tiny_image(2)
    (first, _) = decodes_of(model, image, steps=1)
    found, inputs, rows = first.inputs(), model.inputs, 6
    per_slot, shared = inputs.per_slot_maps(found, rows), inputs.static_maps(image)
    flat = inputs.flat_features(found, rows, image)
    assert per_slot is not None and shared is not None and flat is not None
    spatial = torch.empty(rows, 24, 7, 6, dtype=torch.float64)
    spatial[:, inputs.per_slot_columns], spatial[:, inputs.static_columns] = (
        per_slot.detach(),
        shared.repeat_interleave(3, 0),
    )
    reference, noise = Reference(model), noise_of(model, image, steps=1)
    step = reference.decode(image.permute(0, 2, 3, 1), model.initial.detach().repeat(6, 1), noise[0])
    raw = reference.raw_inputs(image.permute(0, 2, 3, 1), step, noise[0])
    raw["log_prob"] = raw["log_prob"].repeat_interleave(3, 0)
    place = 0
    for name in sorted(name for name in raw if raw[name].dim() == 4):
        channels = raw[name].shape[3]
        assert_close(spatial[:, place : place + channels].permute(0, 2, 3, 1), raw[name], 1e-9, name)
        place += channels
    assert place == 24
    torch.testing.assert_close(flat, torch.cat([raw["dzp"], raw["flat_capacity"], raw["zp"]], 1), **EXACT)


@pytest.mark.parametrize("reduction", ["batch-mean", "per-image"])
def test_gradient_inputs_carry_one_over_batch_only_for_the_batch_mean(reduction: str) -> None:
    model, image = tiny_model(gradient_reduction=reduction), tiny_image(2)
    (first, _) = decodes_of(model, image, steps=1)
    gradient = first.dlogit_BKHW
    assert gradient is not None
    noise = noise_of(model, image, steps=1)[0]
    step = Reference(model).decode(image.permute(0, 2, 3, 1), model.initial.detach().repeat(6, 1), noise)
    raw = Reference(model).raw_inputs(image.permute(0, 2, 3, 1), step, noise)["dmask"].view_as(gradient)
    torch.testing.assert_close(gradient, raw * (1 if reduction == "batch-mean" else 2), **EXACT)


@pytest.mark.parametrize("net", TINY)
def test_training_loss_is_the_weighted_sum_of_all_decodes(net: str) -> None:
    model, image = tiny_model(TINY[net]), tiny_image(2)
    found = model.loss(image, seeded())
    steps = Reference(model).run(image, noise_of(model, image))
    nll = torch.stack([step.nll_B.mean() for step in steps])
    kl = torch.stack([step.kl_BK.sum(1).mean() for step in steps])
    assert_close(found.nll_T, nll, 1e-9, "nll")
    assert_close(found.kl_TK.sum(1), kl, 1e-9, "kl")
    expected = 0.0 * (nll[0] + kl[0]) + 0.5 * (nll[1] + kl[1]) + 1.0 * (nll[2] + kl[2])
    assert_close(found.loss.detach(), expected, 1e-9, "loss")


def test_beta_weighs_the_divergence_in_the_loss_and_in_the_gradient_inputs() -> None:
    model, image = tiny_model(beta=3.0), tiny_image(1)
    found = model.loss(image, seeded())
    weights = torch.tensor([0, 0.5, 1], dtype=torch.float64)
    torch.testing.assert_close(found.loss.detach(), (weights * (found.nll_T + 3 * found.kl_TK.sum(1))).sum(), **EXACT)
    (first, _), (other, _) = decodes_of(model, image, steps=1), decodes_of(tiny_model(beta=0.0), image, steps=1)
    loc, scale = first.loc_BKZ.detach().flatten(0, 1), first.scale_BKZ.detach().flatten(0, 1)
    raw = first.zp_NL.detach()[:, 2:]
    dscale = (scale / PRIOR_VARIANCE - 1 / scale) / (2 * scale) / (1 + torch.exp(-raw))
    expected = 3 * torch.cat([loc / PRIOR_VARIANCE, dscale], 1)
    torch.testing.assert_close(first.dzp_NL - other.dzp_NL, expected, **EXACT)


@pytest.mark.parametrize("steps", [1, 2, 3, 5, 8])
def test_release_weights_are_evenly_spaced_from_0_to_1_and_not_renormalised(steps: int) -> None:
    expected = torch.tensor([t / steps for t in range(steps + 1)], dtype=torch.float64)
    found = torch.tensor(step_weights("linear", steps), dtype=torch.float64)
    torch.testing.assert_close(found, expected)
    assert float(found.sum()) == pytest.approx((steps + 1) / 2)


def test_other_step_weights() -> None:
    assert step_weights("linear-from-one", 4) == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert step_weights("last", 3) == [0, 0, 0, 1]
    assert step_weights("uniform", 3) == [1, 1, 1, 1]


@pytest.mark.parametrize("net", TINY)
def test_every_training_gradient_is_that_of_the_written_out_loss(net: str) -> None:
    model, image = tiny_model(TINY[net]), tiny_image(2)
    model.loss(image, seeded()).loss.backward()
    parameters = {name: value.detach().clone().requires_grad_() for name, value in model.named_parameters()}
    Reference(model, parameters).loss(image, noise_of(model, image)).backward()
    for name, value in model.named_parameters():
        assert value.grad is not None, name
        assert_close(value.grad, parameters[name].grad, 1e-8, name)


def test_training_gradient_equals_differences_of_the_loss_with_the_stopped_inputs_held_constant() -> None:
    model, image = tiny_model(TINY_SPRITES), tiny_image(1, 5, 4)
    noise = noise_of(model, image)
    model.loss(image, seeded()).loss.backward()
    parameters = {name: value.detach().clone() for name, value in model.named_parameters()}
    reference = Reference(model, parameters)
    frozen = [{name: step.inputs[name] for name in STOPPED} for step in reference.run(image, noise)[:-1]]
    for name, value in model.named_parameters():
        if name in PROBED:
            assert value.grad is not None
            place = largest(value.grad)
            slope = central_difference(parameters[name], place, lambda: reference.loss(image, noise, frozen))
            assert slope == pytest.approx(float(value.grad[place]), rel=1e-5, abs=1e-6), name


@pytest.mark.parametrize("likelihood", ["mixture-logistic", "mixture-gaussian", "weighted-mean-gaussian"])
@pytest.mark.parametrize("reduction", ["batch-mean", "per-image"])
def test_with_nothing_stopped_the_second_order_gradient_equals_differences_of_the_whole_loss(
    likelihood: str, reduction: str
) -> None:
    changes = {"likelihood": likelihood, "gradient_reduction": reduction, "stopped": []}
    model, image = tiny_model(TINY_SPRITES, **changes), tiny_image(2, 5, 4)
    model.loss(image, seeded()).loss.backward()
    for name, value in model.named_parameters():
        if name in PROBED:
            assert value.grad is not None
            place = largest(value.grad)
            slope = central_difference(value.detach(), place, lambda: model.loss(image, seeded()).loss)
            assert slope == pytest.approx(float(value.grad[place]), rel=1e-5, abs=1e-6), name


def test_stopping_changes_the_gradient_but_not_the_loss() -> None:
    image = tiny_image(1)
    losses, gradients = [], []
    for stopped in (list(STOPPED), []):
        model = tiny_model(stopped=stopped)
        terms = model.loss(image, seeded())
        terms.loss.backward()
        losses.append(terms.loss.detach())
        gradients.append(model.decoder.first.weight.grad)
    torch.testing.assert_close(*losses, **EXACT)
    assert not torch.allclose(*gradients)


@pytest.mark.parametrize("name", SPATIAL_INPUTS + FLAT_INPUTS)
def test_every_input_can_be_switched_off_and_the_model_still_trains(name: InputName) -> None:
    remaining = [other for other in SPATIAL_INPUTS + FLAT_INPUTS if other != name]
    model, full = tiny_model(inputs=remaining), tiny_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6)
    before = [value.detach().clone() for value in model.parameters()]
    model.loss(tiny_image(2), seeded()).loss.backward()
    optimizer.step()
    for value, old in zip(model.parameters(), before, strict=True):
        assert value.grad is not None
        assert torch.isfinite(value.grad).all()
        assert not value.grad.any() or not torch.equal(value, old)
    fewer = sum(p.numel() for p in full.parameters()) - sum(p.numel() for p in model.parameters())
    assert fewer > 0


@pytest.mark.parametrize("name", sorted(SPATIAL_INPUTS))
def test_one_spatial_input_alone_is_enough_to_train(name: InputName) -> None:
    model = tiny_model(inputs=[name])
    model.loss(tiny_image(1), seeded()).loss.backward()
    assert model.refinement.head.weight.grad is not None
    assert torch.isfinite(model.refinement.head.weight.grad).all()
    assert model.refinement.head.weight.grad.any()


def test_the_first_decode_carries_no_weight_but_trains_the_initial_posterior_through_later_ones() -> None:
    model = tiny_model()
    model.loss(tiny_image(1), seeded()).loss.backward()
    assert model.initial.grad is not None
    assert model.initial.grad.any()


def test_initial_posterior_that_is_not_learned_takes_no_gradient_and_the_rest_still_trains() -> None:
    model = tiny_model(learn_initial=False)
    model.loss(tiny_image(1), seeded()).loss.backward()
    assert model.initial.grad is None
    assert all(value.grad is not None for name, value in model.named_parameters() if name != "initial")


ALL_INPUTS = SPATIAL_INPUTS + FLAT_INPUTS


def gradient_at_first_decode(model: Iodine) -> float:
    """Largest gradient of the last decode's NLL with respect to the first decode's λ."""
    first, *_, last = decodes_of(model, tiny_image(1), training=True)
    (gradient,) = torch.autograd.grad(last.nll, first.zp_NL, allow_unused=True)
    return 0.0 if gradient is None else float(gradient.abs().max())


def test_gradient_reaches_the_first_lambda_unless_every_way_there_is_cut() -> None:
    assert gradient_at_first_decode(tiny_model(TINY_TETROMINOES)) > 1e-6
    assert gradient_at_first_decode(tiny_model(TINY_TETROMINOES, truncate=True)) > 1e-6
    assert gradient_at_first_decode(tiny_model(TINY_TETROMINOES, stopped=ALL_INPUTS)) > 1e-6
    assert gradient_at_first_decode(tiny_model(TINY_TETROMINOES, truncate=True, stopped=ALL_INPUTS)) == 0


@pytest.mark.parametrize("stopped", [STOPPED, ALL_INPUTS])
@pytest.mark.parametrize("net", TINY)
def test_every_truncated_training_gradient_is_that_of_the_written_out_loss(net: str, stopped: tuple[str, ...]) -> None:
    model, image = tiny_model(TINY[net], truncate=True, stopped=stopped), tiny_image(2)
    model.loss(image, seeded()).loss.backward()
    parameters = {name: value.detach().clone().requires_grad_() for name, value in model.named_parameters()}
    Reference(model, parameters).loss(image, noise_of(model, image)).backward()
    for name, value in model.named_parameters():
        assert_close(value.grad, parameters[name].grad, 1e-8, name)


def test_truncation_changes_no_value() -> None:
    image = tiny_image(2)
    whole, cut = (tiny_model(truncate=value).loss(image, seeded()) for value in (False, True))
    torch.testing.assert_close(cut.loss, whole.loss, **EXACT)


@pytest.mark.parametrize("net", TINY)
def test_truncated_training_still_trains_the_refinement_network(net: str) -> None:
    model = tiny_model(TINY[net], truncate=True)
    model.loss(tiny_image(2), seeded()).loss.backward()
    idle = [
        n for n, p in model.named_parameters() if n.startswith("refinement.") and (p.grad is None or not p.grad.any())
    ]
    assert idle == []


def test_truncated_training_still_trains_the_initial_posterior() -> None:
    model = tiny_model(truncate=True, step_weights="uniform")
    model.loss(tiny_image(2), seeded()).loss.backward()
    assert model.initial.grad is not None
    assert model.initial.grad.any()


@pytest.mark.parametrize(
    ("name", "count", "latent"),
    [
        ("release-clevr6", 1_177_168, 64),
        ("release-multi-dsprites", 339_152, 16),
        ("release-tetrominoes", 199_568, 32),
    ],
)
def test_parameter_counts_of_the_released_nets(name: str, count: int, latent: int) -> None:
    model = build(IodineConfig.model_validate({"preset": name}), 0)
    assert sum(parameter.numel() for parameter in model.parameters()) == count
    assert model.initial.shape == (2 * latent,)


@pytest.mark.parametrize(
    ("name", "decoder", "convs", "features", "lstm"),
    [
        ("release-clevr6", [67, 64, 64, 64, 64], [18, 64, 64, 64], 513, 256),
        ("release-multi-dsprites", [19, 32, 32, 32, 32], [24, 32, 32], 193, 128),
        ("release-tetrominoes", [35, 32, 32, 32, 32], [24, 32, 32], 257, None),
    ],
)
def test_layer_shapes_of_the_released_nets(
    name: str, decoder: list[int], convs: list[int], features: int, lstm: int | None
) -> None:
    model = build(IodineConfig.model_validate({"preset": name}), 0)
    layers = [model.decoder.first, *model.decoder.rest]
    assert [layer.in_channels for layer in layers] == decoder
    assert layers[-1].out_channels == 4
    assert [layer.in_channels for layer in model.refinement.convs] == convs
    if lstm is None:
        assert model.refinement.lstm is None
        assert model.refinement.head.in_features == features
    else:
        assert tuple(model.refinement.lstm.gates.weight.shape) == (4 * lstm, features + lstm)
        assert model.refinement.head.in_features == lstm


@pytest.mark.parametrize("scale", ["sqrt-softplus", "softplus", "log-variance"])
@pytest.mark.parametrize("prior", ["standard-normal", "zero-parameters"])
def test_initial_posterior_can_be_the_prior_itself(prior: str, scale: str) -> None:
    changes = {"prior": prior, "posterior_scale": scale, "initial_posterior": "prior"}
    model = Iodine(IodineConfig.model_validate({**TINY_SPRITES, **changes})).double()
    (first, *_) = decodes_of(model, tiny_image(1), steps=0)
    assert float(first.kl_BK.abs().max().detach()) < 1e-6


def test_initial_posterior_of_zeros_has_the_scale_of_zero() -> None:
    model = Iodine(IodineConfig.model_validate({**TINY_SPRITES, "initial_posterior": "zeros"})).double()
    (first, *_) = decodes_of(model, tiny_image(1), steps=0)
    assert not first.loc_BKZ.any()
    expected = torch.full_like(first.scale_BKZ, math.sqrt(math.log(2)))
    torch.testing.assert_close(first.scale_BKZ, expected, **EXACT)


@pytest.mark.parametrize("reduction", ["batch-mean", "per-image"])
def test_the_parts_of_a_batch_add_up_to_the_whole(reduction: str) -> None:
    model, image = tiny_model(gradient_reduction=reduction), tiny_image(5)
    whole = model.loss(image, seeded())
    whole.loss.backward()
    expected = {name: value.grad for name, value in model.named_parameters()}
    model.zero_grad()
    parts = [
        model.loss(image[first:last], seeded(), Microbatch(first, last - first, 5))
        for first, last in ((0, 2), (2, 3), (3, 5))
    ]
    for part in parts:
        part.loss.backward()
    for name in ("loss", "nll", "kl", "nll_T", "kl_TK"):
        assert_close(torch.stack([getattr(part, name) for part in parts]).sum(0), getattr(whole, name), 1e-9, name)
    for name, value in model.named_parameters():
        assert_close(value.grad, expected[name], 1e-9, name)
