"""The broadcast decoder against one that really tiles the latent over the image."""

from __future__ import annotations

import pytest
import torch
from mathematics.iodine_reference import plain_decoder
from torch import Tensor

from iodine_kit.models.iodine.config import DecoderConfig
from iodine_kit.models.iodine.decoder import BroadcastDecoder, decode_backward, decode_forward, first_layer

EXACT = {"rtol": 1e-9, "atol": 1e-9}
LATENT = 3
CASES = [
    (1, 1, 1), (1, 2, 3), (3, 3, 3), (3, 3, 6), (3, 4, 3), (3, 5, 7), (5, 5, 5), (5, 5, 9), (5, 8, 6), (7, 7, 8),
]  # fmt: skip


def decoder_and_latents(config: DecoderConfig) -> tuple[BroadcastDecoder, Tensor]:
    """A float64 decoder with random biases, and latents that take gradients."""
    torch.manual_seed(0)
    decoder = BroadcastDecoder(config, LATENT).double()
    for parameter in decoder.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return decoder, torch.randn(4, LATENT, dtype=torch.float64, requires_grad=True)


def convs_of(decoder: BroadcastDecoder) -> list[tuple[Tensor, Tensor]]:
    """(weight, bias) of every convolution in order."""
    return [(conv.weight, conv.bias) for conv in (decoder.first, *decoder.rest)]


@pytest.mark.parametrize("channels", [(), (4,), (4, 3, 2)])
@pytest.mark.parametrize(("kernel", "height", "width"), CASES)
def test_decoder_is_exactly_the_tiled_one_borders_included(
    kernel: int, height: int, width: int, channels: tuple[int, ...]
) -> None:
    decoder, z = decoder_and_latents(DecoderConfig(kernel=kernel, channels=channels))
    mean, logit = decoder(z, decoder.prepare(height, width))
    expected_mean, expected_logit = plain_decoder(z, convs_of(decoder), height, width)
    assert mean.shape == (4, 3, height, width)
    torch.testing.assert_close(mean.permute(0, 2, 3, 1), expected_mean, **EXACT)
    torch.testing.assert_close(logit, expected_logit, **EXACT)


@pytest.mark.parametrize(("kernel", "height", "width"), [(3, 3, 3), (3, 6, 4), (5, 5, 7)])
def test_gradients_of_latents_and_parameters_are_those_of_the_tiled_one(kernel: int, height: int, width: int) -> None:
    decoder, z = decoder_and_latents(DecoderConfig(kernel=kernel, channels=(4, 3)))
    wanted = [z, *decoder.parameters()]
    mean, logit = decoder(z, decoder.prepare(height, width))
    expected_mean, expected_logit = plain_decoder(z, convs_of(decoder), height, width)
    weights = torch.randn(expected_mean.shape, dtype=torch.float64), torch.randn(logit.shape, dtype=torch.float64)
    ours = torch.autograd.grad((mean.permute(0, 2, 3, 1) * weights[0]).sum() + (logit * weights[1]).sum(), wanted)
    theirs = torch.autograd.grad((expected_mean * weights[0]).sum() + (expected_logit * weights[1]).sum(), wanted)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, **EXACT)


@pytest.mark.parametrize("to_weights", [True, False])
@pytest.mark.parametrize(("kernel", "height", "width"), [(1, 2, 3), (3, 3, 3), (3, 6, 4), (5, 5, 7), (5, 9, 8)])
def test_the_backward_pass_by_formula_is_that_of_the_tiled_decoder(
    kernel: int, height: int, width: int, to_weights: bool
) -> None:
    decoder, z = decoder_and_latents(DecoderConfig(kernel=kernel, channels=(4, 3)))
    mean, logit = plain_decoder(z, convs_of(decoder), height, width)
    output = torch.cat([logit[..., None], mean], 3).permute(0, 3, 1, 2)
    upstream = torch.randn(output.shape, dtype=torch.float64)
    expected = torch.autograd.grad(output, [z, *decoder.parameters()], upstream)
    weights = decoder.prepare(height, width)
    with torch.no_grad():
        found, seen = decode_forward(z, weights)
        dz, dweights = decode_backward(upstream, z, seen, weights, to_weights=to_weights)
    torch.testing.assert_close(found, output, **EXACT)
    torch.testing.assert_close(dz, expected[0], **EXACT)
    assert bool(dweights) == to_weights
    if to_weights:
        gradients = torch.autograd.grad(weights.tensors, list(decoder.parameters()), dweights)
        for ours, theirs in zip(gradients, expected[1:], strict=True):
            torch.testing.assert_close(ours, theirs, **EXACT)


@pytest.mark.parametrize(
    ("patch", "height", "width"), [(2, 6, 8), (2, 7, 5), (3, 8, 10), (5, 35, 35), (5, 11, 14), (4, 17, 12)]
)
def test_patches_are_those_of_a_decoder_on_the_grid(patch: int, height: int, width: int) -> None:
    decoder, z = decoder_and_latents(DecoderConfig(kernel=3, channels=(4, 3), patch=patch))
    mean, logit = plain_decoder(z, convs_of(decoder), height, width, patch=patch)
    expected = torch.cat([logit[..., None], mean], 3).permute(0, 3, 1, 2)
    mean, logit = decoder(z, decoder.prepare(height, width))
    torch.testing.assert_close(torch.cat([logit[:, None], mean], 1), expected, **EXACT)
    upstream = torch.randn(expected.shape, dtype=torch.float64)
    wanted = torch.autograd.grad(expected, [z, *decoder.parameters()], upstream)
    weights = decoder.prepare(height, width)
    with torch.no_grad():
        found, seen = decode_forward(z, weights)
        dz, dweights = decode_backward(upstream, z, seen, weights, to_weights=True)
    torch.testing.assert_close(found, expected, **EXACT)
    torch.testing.assert_close(dz, wanted[0], **EXACT)
    for ours, theirs in zip(
        torch.autograd.grad(weights.tensors, list(decoder.parameters()), dweights), wanted[1:], strict=True
    ):
        torch.testing.assert_close(ours, theirs, **EXACT)


def test_a_patch_is_laid_out_as_pixel_shuffle_lays_it_out() -> None:
    decoder, z = decoder_and_latents(DecoderConfig(kernel=1, channels=(), patch=3))
    weights = decoder.prepare(6, 9)
    shuffled = torch.nn.functional.pixel_shuffle(first_layer(z, weights), 3)
    torch.testing.assert_close(decode_forward(z, weights)[0], shuffled, rtol=0, atol=0)


@pytest.mark.parametrize("constant", [None, 5.0, -1.5])
def test_the_constant_is_one_more_latent_channel(constant: float | None) -> None:
    decoder, z = decoder_and_latents(DecoderConfig(kernel=3, channels=(4,), constant=constant))
    assert decoder.first.in_channels == LATENT + (constant is not None) + 2
    mean, logit = decoder(z, decoder.prepare(4, 5))
    expected_mean, expected_logit = plain_decoder(z, convs_of(decoder), 4, 5, constant)
    torch.testing.assert_close(mean.permute(0, 2, 3, 1), expected_mean, **EXACT)
    torch.testing.assert_close(logit, expected_logit, **EXACT)


def test_channel_0_is_the_mask_logit_and_the_rest_are_rgb() -> None:
    decoder, z = decoder_and_latents(DecoderConfig(kernel=1, channels=()))
    with torch.no_grad():
        decoder.first.weight.zero_()
        decoder.first.bias.copy_(torch.tensor([10.0, 1.0, 2.0, 3.0]))
    mean, logit = decoder(z, decoder.prepare(2, 2))
    assert (logit == 10).all()
    assert mean[0, :, 0, 0].tolist() == [1, 2, 3]


def test_rgb_means_are_linear_unless_a_sigmoid_is_asked_for() -> None:
    decoder, z = decoder_and_latents(DecoderConfig(kernel=3, channels=(4,)))
    squashed = BroadcastDecoder(DecoderConfig(kernel=3, channels=(4,), rgb="sigmoid"), LATENT).double()
    squashed.load_state_dict(decoder.state_dict())
    (mean, logit), (inside, same_logit) = decoder(z, decoder.prepare(4, 4)), squashed(z, squashed.prepare(4, 4))
    assert mean.min() < 0
    torch.testing.assert_close(inside, 1 / (1 + torch.exp(-mean)), **EXACT)
    torch.testing.assert_close(same_logit, logit, rtol=0, atol=0)


def test_slots_do_not_see_each_other() -> None:
    decoder, z = decoder_and_latents(DecoderConfig(kernel=3, channels=(4,)))
    alone = [decoder(z[n : n + 1], decoder.prepare(5, 4))[0] for n in range(4)]
    torch.testing.assert_close(decoder(z, decoder.prepare(5, 4))[0], torch.cat(alone), **EXACT)


@pytest.mark.parametrize(("kernel", "height", "width"), [(3, 6, 5), (5, 9, 7)])
def test_decoding_is_accurate_in_float32_too(kernel: int, height: int, width: int) -> None:
    decoder, z = decoder_and_latents(DecoderConfig(kernel=kernel, channels=(4, 3)))
    exact = decoder(z, decoder.prepare(height, width))
    rough = decoder.float()(z.float(), decoder.prepare(height, width))
    for a, b in zip(rough, exact, strict=True):
        torch.testing.assert_close(a.double(), b, rtol=1e-4, atol=1e-4)
