"""SAME padding, coordinates, the LSTM, initialisation and the places of the ELUs."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mathematics.iodine_reference import refinement_coordinates
from torch import Tensor

from iodine_kit.models.iodine import build
from iodine_kit.models.iodine.config import IodineConfig, RefinementConfig
from iodine_kit.models.iodine.layers import Conv, Linear, LSTMCell, coordinate_channels, coordinates, mlp
from iodine_kit.models.iodine.refinement import RefinementNetwork

EXACT = {"rtol": 1e-9, "atol": 1e-9}
LIKE = torch.zeros((), dtype=torch.float64)
TRUNCATED = 0.8796  # standard deviation of a standard normal cut off at ±2


def conv_by_loops(x_IHW: np.ndarray, w_OIHW: np.ndarray, bias_O: np.ndarray, stride: int, before: int) -> np.ndarray:
    """⌈size / stride⌉ outputs a side; output (r, c) sees the window that starts ``before`` pixels up and left."""
    channels, height, width = x_IHW.shape
    outputs, _, kernel, _ = w_OIHW.shape
    out = np.zeros((outputs, math.ceil(height / stride), math.ceil(width / stride)))
    for o, r, c in np.ndindex(out.shape):
        out[o, r, c] = bias_O[o]
        for i, a, b in np.ndindex(channels, kernel, kernel):
            y, x = r * stride + a - before, c * stride + b - before
            if 0 <= y < height and 0 <= x < width:
                out[o, r, c] += w_OIHW[o, i, a, b] * x_IHW[i, y, x]
    return out


def numpy_elu(x: np.ndarray) -> np.ndarray:
    """x where positive, e^x − 1 elsewhere."""
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


def numpy_sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + e^−x)."""
    return 1 / (1 + np.exp(-x))


def random_conv(inputs: int, outputs: int, kernel: int, stride: int, seed: int = 0) -> Conv:
    """A float64 convolution with a random bias."""
    torch.manual_seed(seed)
    conv = Conv(inputs, outputs, kernel, stride).double()
    torch.nn.init.normal_(conv.bias)
    return conv


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "before"),
    [
        (6, 3, 1, 1), (5, 5, 1, 2), (8, 3, 2, 0), (8, 5, 2, 1), (7, 5, 2, 2), (9, 3, 2, 1), (5, 1, 1, 0),
        (6, 1, 2, 0), (2, 5, 2, 1), (1, 3, 2, 1), (7, 3, 3, 1), (9, 4, 2, 1), (6, 4, 1, 1),
    ],
)  # fmt: skip
def test_convolution_is_the_written_out_loop_with_same_zeros(size: int, kernel: int, stride: int, before: int) -> None:
    conv = random_conv(2, 3, kernel, stride)
    x = torch.randn(1, 2, size, size, dtype=torch.float64)
    expected = conv_by_loops(x[0].numpy(), *(p.detach().numpy() for p in (conv.weight, conv.bias)), stride, before)
    np.testing.assert_allclose(conv(x)[0].detach(), expected, **EXACT)


def test_each_axis_of_an_oblong_image_is_padded_by_its_own_size() -> None:
    conv = random_conv(1, 1, 3, 2)
    x = torch.randn(1, 1, 7, 8, dtype=torch.float64)
    canvas = torch.zeros(1, 1, 9, 9, dtype=torch.float64)
    canvas[:, :, 1:8, :8] = x  # odd 7 rows: (1, 1); even 8 columns: (0, 1)
    expected = torch.nn.functional.conv2d(canvas, conv.weight, conv.bias, stride=2)
    torch.testing.assert_close(conv(x), expected, **EXACT)


@pytest.mark.parametrize(
    ("sizes", "kernel", "padding"),
    [
        ([128, 64, 32, 16, 8], 3, [(0, 1)] * 4),
        ([64, 32, 16, 8], 5, [(1, 2)] * 3),
        ([35, 18, 9, 5], 5, [(2, 2), (1, 2), (2, 2)]),
    ],
)
def test_stride_2_layers_of_the_released_nets_pad_and_shrink_as_tensorflow_does(
    sizes: list[int], kernel: int, padding: list[tuple[int, int]]
) -> None:
    conv = random_conv(1, 1, kernel, 2).requires_grad_(False)
    conv.bias.zero_()
    conv.weight.copy_(torch.arange(1.0, kernel * kernel + 1).view(1, 1, kernel, kernel))
    for size, smaller, (before, after) in zip(sizes, sizes[1:], padding, strict=False):
        out = conv(torch.ones(1, 1, size, size, dtype=torch.float64))
        assert out.shape == (1, 1, smaller, smaller)
        weight = conv.weight[0, 0]
        assert float(out[0, 0, 0, 1]) == float(weight[before:, :].sum())
        assert float(out[0, 0, -1, 1]) == float(weight[: kernel - after, :].sum())
        assert float(out[0, 0, 1, 0]) == float(weight[:, before:].sum())
        assert float(out[0, 0, 1, -1]) == float(weight[:, : kernel - after].sum())


def test_conv_takes_gradients_through_its_padding() -> None:
    conv = random_conv(1, 2, 5, 2)
    x = torch.randn(1, 1, 4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(conv, (x,))


@pytest.mark.parametrize(("height", "width"), [(3, 5), (4, 4), (1, 2)])
def test_refinement_coordinates_are_x_then_y(height: int, width: int) -> None:
    grid = coordinates("linear", height, width, LIKE, rows_first=False)
    torch.testing.assert_close(grid, refinement_coordinates("linear", height, width).permute(2, 0, 1), **EXACT)


def test_decoder_coordinates_are_y_then_x() -> None:
    y, x = coordinates("linear", 3, 5, LIKE, rows_first=True)
    assert y[:, 0].tolist() == [-1, 0, 1]
    assert x[0].tolist() == [-1, -0.5, 0, 0.5, 1]
    assert (y == y[:, :1]).all()
    assert (x == x[:1]).all()


@pytest.mark.parametrize(("height", "width"), [(3, 5), (4, 4), (6, 2)])
def test_cosine_coordinates_have_index_3fx_plus_fy_without_the_constant(height: int, width: int) -> None:
    grid = coordinates("cosine", height, width, LIKE, rows_first=False)
    assert grid.shape == (8, height, width)
    torch.testing.assert_close(grid, refinement_coordinates("cosine", height, width).permute(2, 0, 1), **EXACT)


def test_cosine_coordinates_reach_both_ends_and_vary_as_named() -> None:
    grid = coordinates("cosine", 4, 7, LIKE, rows_first=False)
    assert (grid[0] == grid[0, :, :1]).all()  # f_x = 0, f_y = 1: down the rows
    assert (grid[2] == grid[2, :1]).all()  # f_x = 1, f_y = 0: along the columns
    assert float(grid[0, 0, 0]) == pytest.approx(1)
    assert float(grid[0, -1, 0]) == pytest.approx(-1)
    assert float(grid[2, 0, -1]) == pytest.approx(-1)


def test_cosine_coordinates_have_one_order_in_the_release_for_the_decoder_too() -> None:
    grid = coordinates("cosine", 4, 3, LIKE, rows_first=True)
    torch.testing.assert_close(grid, refinement_coordinates("cosine", 4, 3).permute(2, 0, 1), **EXACT)


def test_number_of_coordinate_channels() -> None:
    for name in ("linear", "cosine"):
        assert coordinate_channels(name) == len(coordinates(name, 3, 3, LIKE, rows_first=True))


def lstm_with_state(inputs: int = 3, hidden: int = 4, rows: int = 5) -> tuple[LSTMCell, list[Tensor]]:
    """A float64 cell, its inputs for three steps."""
    torch.manual_seed(3)
    return LSTMCell(inputs, hidden).double(), list(torch.randn(3, rows, inputs, dtype=torch.float64))


def test_lstm_is_the_written_out_loop_with_gates_i_j_f_o_and_forget_bias_1() -> None:
    cell, xs = lstm_with_state()
    weight, bias = (p.detach().numpy() for p in (cell.gates.weight, cell.gates.bias))
    state = cell.initial(5, xs[0])
    h, c = np.zeros((5, 4)), np.zeros((5, 4))
    for x in xs:
        state = cell(x, state)
        for n in range(5):
            gates = weight @ np.concatenate([x[n].numpy(), h[n]]) + bias
            i, j, f, o = gates[0:4], gates[4:8], gates[8:12], gates[12:16]
            c[n] = numpy_sigmoid(f + 1) * c[n] + numpy_sigmoid(i) * np.tanh(j)
            h[n] = np.tanh(c[n]) * numpy_sigmoid(o)
        np.testing.assert_allclose(state[0].detach(), h, **EXACT)
        np.testing.assert_allclose(state[1].detach(), c, **EXACT)


def test_lstm_equals_torchs_after_its_weights_are_converted() -> None:
    cell, xs = lstm_with_state()
    theirs = torch.nn.LSTMCell(3, 4).double()
    i, j, f, o = cell.gates.weight.detach().chunk(4)
    bi, bj, bf, bo = cell.gates.bias.detach().chunk(4)
    weight = torch.cat([i, f, j, o])
    with torch.no_grad():
        theirs.weight_ih.copy_(weight[:, :3])
        theirs.weight_hh.copy_(weight[:, 3:])
        theirs.bias_ih.copy_(torch.cat([bi, bf + 1, bj, bo]))
        theirs.bias_hh.zero_()
    ours, expected = cell.initial(5, xs[0]), cell.initial(5, xs[0])
    for x in xs:
        ours, expected = cell(x, ours), theirs(x, expected)
        torch.testing.assert_close(ours[0], expected[0], **EXACT)
        torch.testing.assert_close(ours[1], expected[1], **EXACT)


def test_lstm_starts_at_zero() -> None:
    cell, xs = lstm_with_state()
    for value in cell.initial(5, xs[0]):
        assert value.shape == (5, 4)
        assert not value.any()
        assert not value.requires_grad


@pytest.mark.parametrize(
    ("layer", "sizes", "fan_in"),
    [(Linear, (500, 300), 500), (Conv, (40, 100, 5), 40 * 5 * 5), (Conv, (64, 64, 3, 2), 64 * 3 * 3)],
)
def test_weights_start_as_normals_of_std_1_over_root_fan_in_cut_at_two_std(
    layer: type[Linear] | type[Conv], sizes: tuple[int, ...], fan_in: int
) -> None:
    torch.manual_seed(0)
    made = layer(*sizes)
    standard = made.weight.detach().double() * math.sqrt(fan_in)
    assert float(standard.abs().max()) <= 2 + 1e-5
    assert float(standard.abs().max()) > 1.99
    assert float(standard.std()) == pytest.approx(TRUNCATED, rel=0.015)
    assert float(standard.mean()) == pytest.approx(0, abs=0.015)
    assert not made.bias.any()


def test_lstm_bias_starts_random_with_the_fan_in_of_input_and_hidden() -> None:
    torch.manual_seed(0)
    cell = LSTMCell(100, 700)
    for parameter in (cell.gates.bias, cell.gates.weight[:, :50]):
        standard = parameter.detach().double() * math.sqrt(800)
        assert float(standard.abs().max()) <= 2 + 1e-5
        assert float(standard.std()) == pytest.approx(TRUNCATED, rel=0.03)


@pytest.mark.parametrize("latent", [16, 32, 64])
def test_initial_posterior_starts_glorot_uniform(latent: int) -> None:
    bound = {16: 0.306, 32: 0.217, 64: 0.153}[latent]
    tiny = {"latent": latent, "decoder": {"channels": [2]}, "refinement": {"channels": [2], "mlp": [2], "lstm": None}}
    config = IodineConfig.model_validate(tiny)
    values = torch.stack([build(config, seed).initial.detach() for seed in range(30)])
    assert values.shape == (30, 2 * latent)
    assert float(values.abs().max()) == pytest.approx(bound, rel=0.02)
    assert float(values.std()) == pytest.approx(bound / math.sqrt(3), rel=0.06)


def test_every_other_bias_starts_at_zero_and_layer_norms_at_one_and_zero() -> None:
    model = build(IodineConfig(), 0)
    for name, parameter in model.named_parameters():
        if name.endswith("gain"):
            assert (parameter == 1).all(), name
        elif name.endswith(("bias", "offset")):
            assert parameter.any() == (name == "refinement.lstm.gates.bias"), name


def test_a_seed_gives_the_same_weights_with_every_release_of_torch() -> None:
    torch.manual_seed(1)
    weight = Linear(4, 50).weight.detach().flatten()
    drawn = torch.randn(200, generator=torch.Generator().manual_seed(1)) / 2
    assert (drawn.abs() > 1).any()
    np.testing.assert_array_equal(weight[drawn.abs() <= 1], drawn[drawn.abs() <= 1])
    assert (weight[drawn.abs() > 1].abs() <= 1).all()


def test_the_same_seed_gives_the_same_weights_and_leaves_other_random_numbers_alone() -> None:
    config = IodineConfig.model_validate({"refinement": {"lstm": 4, "mlp": [4]}})
    state = torch.get_rng_state()
    one, two, other = build(config, 1), build(config, 1), build(config, 2)
    assert torch.equal(torch.get_rng_state(), state)
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(one.decoder.first.weight, other.decoder.first.weight)


def test_mlp_has_elu_between_layers_and_a_linear_last_one() -> None:
    torch.manual_seed(0)
    net = mlp([3, 5, 4, 2]).double()
    x = torch.randn(6, 3, dtype=torch.float64)
    layers = [p.detach().numpy() for p in net.parameters()]
    h = x.numpy()
    for n in range(3):
        h = (numpy_elu(h) if n else h) @ layers[2 * n].T + layers[2 * n + 1]
    np.testing.assert_allclose(net(x).detach(), h, **EXACT)
    assert h.min() < -1  # an ELU could not give this


@pytest.mark.parametrize("static", [[], [0], [1], [0, 1]])
@pytest.mark.parametrize("lstm", [None, 3])
def test_refinement_network_is_convs_with_elu_mean_mlp_flat_inputs_lstm_head(
    lstm: int | None, static: list[int]
) -> None:
    torch.manual_seed(1)
    config = RefinementConfig(kernel=3, channels=(3, 2), mlp=(4, 3), lstm=lstm)
    net = RefinementNetwork(config, spatial=2, flat=2, outputs=5).double()
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter)
    p = {name: value.detach().numpy() for name, value in net.named_parameters()}
    spatial, flat = torch.randn(2, 2, 8, 8, dtype=torch.float64), torch.randn(2, 2, dtype=torch.float64)
    own = [channel for channel in range(2) if channel not in static]
    inputs = SimpleNamespace(
        per_slot_columns=torch.tensor(own, dtype=torch.int64),
        static_columns=torch.tensor(static, dtype=torch.int64),
        static_maps=lambda image: image[:, static] if static else None,
    )
    features = net.static_features(inputs, spatial, torch.float64)  # type: ignore[arg-type]
    update, state = net(features, spatial[:, own] if own else None, flat, 2, None)
    for n in range(2):
        h = spatial[n].numpy()
        for layer in range(2):
            h = numpy_elu(conv_by_loops(h, p[f"convs.{layer}.weight"], p[f"convs.{layer}.bias"], 2, before=0))
        h = h.mean((1, 2))
        h = p["mlp.2.weight"] @ numpy_elu(p["mlp.0.weight"] @ h + p["mlp.0.bias"]) + p["mlp.2.bias"]
        h = np.concatenate([h, flat[n].numpy()])
        if lstm:
            i, j, _, o = (p["lstm.gates.weight"] @ np.concatenate([h, np.zeros(3)]) + p["lstm.gates.bias"]).reshape(
                4, 3
            )
            h = np.tanh(numpy_sigmoid(i) * np.tanh(j)) * numpy_sigmoid(o)
            np.testing.assert_allclose(state[0][n].detach(), h, **EXACT)
        np.testing.assert_allclose(update[n].detach(), p["head.weight"] @ h + p["head.bias"], **EXACT)
    assert (state is None) == (lstm is None)
