"""The inputs of the refinement network: order, channel counts, layer norm, constants and stopped gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mathematics.iodine_reference import TINY_SPRITES, refinement_coordinates
from torch import Tensor

from iodine_kit.models.iodine.config import (
    FLAT_INPUTS,
    GRADIENT_INPUTS,
    NORMALISED,
    SPATIAL_INPUTS,
    InputName,
    IodineConfig,
    preset,
)
from iodine_kit.models.iodine.refinement import LayerNorm, RefinementInputs, input_channels

EXACT = {"rtol": 1e-9, "atol": 1e-9}
BATCH, SLOTS, HEIGHT, WIDTH, LATENT = 2, 3, 4, 5, 2
FIVE = {"counterfactual", "dcomponents", "dmask", "dzp", "log_prob"}
ORDER = {
    "capacity": 1, "components": 3, "coordinates": 2, "counterfactual": 1, "dcomponents": 3, "dmask": 1, "image": 3,
    "log_prob": 1, "mask": 1, "posterior": 1, "pred_mask": 1,
}  # fmt: skip


def config_with(**changes: object) -> IodineConfig:
    """Small, linear coordinates unless changed."""
    refinement = {"kernel": 3, "channels": [2], "mlp": [2], "lstm": None}
    values = {**TINY_SPRITES, "latent": LATENT, "slots": SLOTS, "refinement": refinement, **changes}
    return IodineConfig.model_validate(values)


def values_and_image() -> tuple[dict[InputName, Tensor], Tensor]:
    """Random inputs that take gradients, and a random image."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()

    rows = BATCH * SLOTS
    values: dict[InputName, Tensor] = {
        name: draw(rows, ORDER[name], HEIGHT, WIDTH)
        for name in SPATIAL_INPUTS
        if name not in ("capacity", "coordinates", "image", "log_prob")
    }
    values |= {
        "log_prob": draw(BATCH, 1, HEIGHT, WIDTH),
        "dzp": draw(rows, 2 * LATENT),
        "zp": draw(rows, 2 * LATENT),
    }
    return values, draw(BATCH, 3, HEIGHT, WIDTH).detach()


def assembled(inputs: RefinementInputs, values: dict[InputName, Tensor], image: Tensor) -> tuple[Tensor, Tensor | None]:
    """All spatial inputs side by side, as one convolution would see them, and the flat ones."""
    rows, own, static = len(values["zp"]), inputs.per_slot_columns, inputs.static_columns
    per_slot, shared = inputs.per_slot_maps(values, rows), inputs.static_maps(image)
    spatial = image.new_empty(rows, len(own) + len(static), *image.shape[2:])
    if per_slot is not None:
        spatial[:, own] = per_slot
    if shared is not None:
        spatial[:, static] = shared.repeat_interleave(rows // len(image), 0)
    return spatial, inputs.flat_features(values, rows, image)


def norm_by_loops(x: np.ndarray, gain: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """x ``[C, …]`` of one row: one mean and one variance over everything, gain and offset per channel."""
    numbers = x.ravel().tolist()
    mean = sum(numbers) / len(numbers)
    variance = sum((number - mean) ** 2 for number in numbers) / len(numbers)
    out = np.empty_like(x)
    for place in np.ndindex(x.shape):
        out[place] = (x[place] - mean) / (variance + 1e-5) ** 0.5 * gain[place[0]] + offset[place[0]]
    return out


@pytest.mark.parametrize("magnitude", [1.0, 1e-3, 1e-6])
@pytest.mark.parametrize("shape", [(3, 2, 4, 5), (3, 1, 2, 2), (4, 6)])
def test_layer_norm_is_joint_over_pixels_and_channels_with_affine_per_channel(
    shape: tuple[int, ...], magnitude: float, rng: np.random.Generator
) -> None:
    norm = LayerNorm(shape[1]).double()
    torch.nn.init.normal_(norm.gain)
    torch.nn.init.normal_(norm.offset)
    assert norm.gain.shape == norm.offset.shape == (shape[1],)
    x = rng.normal(loc=magnitude, scale=magnitude, size=shape)
    found = norm(torch.from_numpy(x)).detach().numpy()
    for n in range(shape[0]):
        expected = norm_by_loops(x[n], norm.gain.detach().numpy(), norm.offset.detach().numpy())
        np.testing.assert_allclose(found[n], expected, rtol=1e-9, atol=1e-9)


def test_layer_norm_removes_scale_only_above_its_epsilon() -> None:
    x = torch.tensor([[-1.0, 1.0]], dtype=torch.float64)
    norm = LayerNorm(2).double()
    torch.testing.assert_close(norm(1e3 * x), x, rtol=1e-6, atol=0)
    torch.testing.assert_close(norm(1e-5 * x), 1e-5 * x / (1e-10 + 1e-5) ** 0.5, rtol=1e-9, atol=0)


def test_gradients_of_layer_norm() -> None:
    norm = LayerNorm(2).double()
    torch.nn.init.normal_(norm.gain)
    x = torch.randn(2, 2, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(norm, (x,))


def test_layer_norm_of_a_channels_last_image_without_gradient_trains() -> None:
    """Torch 2.13's own group norm ends the process here."""
    norm, x = LayerNorm(3), torch.randn(2, 3, 12, 12)
    expected = torch.autograd.grad(norm(x).square().sum(), list(norm.parameters()))
    found = torch.autograd.grad(
        norm(x.contiguous(memory_format=torch.channels_last)).square().sum(), list(norm.parameters())
    )
    torch.testing.assert_close(found, expected)


def test_spatial_inputs_lie_in_alphabetical_order() -> None:
    inputs = RefinementInputs(config_with(normalised=[])).double()
    values, image = values_and_image()
    spatial, _ = assembled(inputs, values, image)
    expected = {
        **{name: value.detach() for name, value in values.items() if value.dim() == 4},
        "capacity": torch.full((BATCH * SLOTS, 1, HEIGHT, WIDTH), 0.5, dtype=torch.float64),
        "coordinates": refinement_coordinates("linear", HEIGHT, WIDTH)
        .permute(2, 0, 1)
        .expand(BATCH * SLOTS, -1, -1, -1),
        "image": image.repeat_interleave(SLOTS, 0),
        "log_prob": values["log_prob"].detach().repeat_interleave(SLOTS, 0),
    }
    assert spatial.shape == (BATCH * SLOTS, 18, HEIGHT, WIDTH)
    torch.testing.assert_close(spatial.detach(), torch.cat([expected[name] for name in sorted(expected)], 1), **EXACT)


def test_flat_inputs_lie_in_alphabetical_order_around_the_constant() -> None:
    inputs = RefinementInputs(config_with(normalised=[])).double()
    values, image = values_and_image()
    _, flat = assembled(inputs, values, image)
    half = torch.full((BATCH * SLOTS, 1), 0.5, dtype=torch.float64)
    torch.testing.assert_close(flat, torch.cat([values["dzp"], half, values["zp"]], 1), **EXACT)


def test_exactly_the_five_listed_inputs_are_normalised() -> None:
    assert set(NORMALISED) == FIVE
    inputs = RefinementInputs(config_with()).double()
    assert set(inputs.norms) == FIVE
    for norm in inputs.norms.values():
        torch.nn.init.normal_(norm.gain)
        torch.nn.init.normal_(norm.offset)
    values, image = values_and_image()
    spatial, flat = assembled(inputs, values, image)
    assert flat is not None
    place = 0
    for name, channels in ORDER.items():
        found = spatial[:, place : place + channels].detach().numpy()
        place += channels
        if name in FIVE:
            gain, offset = (p.detach().numpy() for p in inputs.norms[name].parameters())
            rows = values[name].detach().numpy()
            repeat = SLOTS if name == "log_prob" else 1
            expected = np.repeat([norm_by_loops(row, gain, offset) for row in rows], repeat, axis=0)
            np.testing.assert_allclose(found, expected, **EXACT)
        elif name in values:
            np.testing.assert_allclose(found, values[name].detach(), **EXACT)
    gain, offset = (p.detach().numpy() for p in inputs.norms["dzp"].parameters())
    expected = [norm_by_loops(row, gain, offset) for row in values["dzp"].detach().numpy()]
    np.testing.assert_allclose(flat[:, : 2 * LATENT].detach(), expected, **EXACT)
    np.testing.assert_allclose(flat[:, 2 * LATENT + 1 :].detach(), values["zp"].detach(), **EXACT)


def test_gradient_is_stopped_at_exactly_the_five_listed_inputs() -> None:
    inputs = RefinementInputs(config_with()).double()
    values, image = values_and_image()
    spatial, flat = assembled(inputs, values, image)
    assert flat is not None
    (spatial.square().sum() + flat.square().sum()).backward()
    stopped = {name for name, value in values.items() if value.grad is None}
    assert stopped == FIVE
    for norm in inputs.norms.values():
        assert norm.gain.grad is not None
        assert norm.gain.grad.any()
        assert norm.offset.grad is not None


@pytest.mark.parametrize("name", sorted(FIVE))
def test_gradient_passes_an_input_that_is_not_listed_as_stopped(name: InputName) -> None:
    inputs = RefinementInputs(config_with(stopped=sorted(FIVE - {name}))).double()
    values, image = values_and_image()
    spatial, flat = assembled(inputs, values, image)
    assert flat is not None
    weights = torch.randn(spatial.shape, dtype=torch.float64), torch.randn(flat.shape, dtype=torch.float64)
    ((spatial * weights[0]).sum() + (flat * weights[1]).sum()).backward()
    assert {other for other in FIVE if values[other].grad is not None} == {name}  # type: ignore[index]


@pytest.mark.parametrize(
    ("name", "spatial", "flat"),
    [("release-clevr6", 18, 513), ("release-multi-dsprites", 24, 193), ("release-tetrominoes", 24, 257)],
)
def test_channel_counts_of_the_released_nets(name: str, spatial: int, flat: int) -> None:
    config = IodineConfig.model_validate(preset(name))
    channels = input_channels(config)
    assert sum(channels[key] for key in SPATIAL_INPUTS) == spatial
    assert config.refinement.mlp[-1] + sum(channels[key] for key in FLAT_INPUTS) == flat


def test_the_fourteen_inputs_are_the_releases() -> None:
    assert list(SPATIAL_INPUTS) == sorted(ORDER)
    assert list(FLAT_INPUTS) == ["dzp", "flat_capacity", "zp"]
    assert set(GRADIENT_INPUTS) == {"dcomponents", "dmask", "dzp"}


@pytest.mark.parametrize("slots", [1, 2])
def test_a_single_scene_or_slot_is_not_mistaken_for_a_shared_input(slots: int) -> None:
    names = [name for name in SPATIAL_INPUTS + FLAT_INPUTS if name != "counterfactual"]
    inputs = RefinementInputs(config_with(slots=slots, inputs=names, normalised=[])).double()
    values, image = values_and_image()
    values = {name: value[: slots if name != "log_prob" else 1] for name, value in values.items()}
    spatial, flat = assembled(inputs, values, image[:1])
    assert flat is not None
    assert spatial.shape == (slots, 17, HEIGHT, WIDTH)
    torch.testing.assert_close(spatial[:, 1:4], values["components"], **EXACT)
    torch.testing.assert_close(spatial[:, 10:13], image[:1].expand(slots, -1, -1, -1), **EXACT)
    torch.testing.assert_close(flat[:, -2 * LATENT :], values["zp"], **EXACT)
