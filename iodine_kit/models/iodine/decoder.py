"""The spatial broadcast decoder (Watters et al. 2019), shared by all slots (section 2.1), forwards and backwards.

All images are channels-last, ``[N, H, W, C]`` in memory: convolutions on CPUs and on the tensor cores of GPUs are
fastest with this layout.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from iodine_kit.models.iodine.config import DecoderConfig
from iodine_kit.models.iodine.layers import Conv, coordinate_channels, coordinates, elu_, elu_backward_


@dataclass(frozen=True)
class DecoderWeights:
    """The weights in the form that decodes need, computed once for all decodes of a step.

    Attributes:
        border_HI: for every row of the grid, which of the k cases (see :class:`BroadcastDecoder`) it is, one-hot
            ``[H, k]``; ``border_WI`` the same for columns.
        latent_ZO: matrix from a latent to the first hidden layer in all cases; ``[Z (+1), k·k·C]``.
        grid_HWO: contribution of the coordinates and the bias to the first hidden layer, ``[H, W, C]`` of the grid.
        rest: weights and biases of the other convolutions, alternating.
        constant: appended to every latent, or none.
        patch: side p of the patch of pixels that a position of the grid draws; 1 if the grid is the image.
        size: height and width of the image, in pixels.
    """

    border_HI: Tensor
    border_WI: Tensor
    latent_ZO: Tensor
    grid_HWO: Tensor
    rest: tuple[Tensor, ...]
    constant: float | None
    patch: int
    size: tuple[int, int]

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """The tensors that have gradients."""
        return (self.latent_ZO, self.grid_HWO, *self.rest)

    def to(self, precision: torch.dtype) -> DecoderWeights:
        """The same in another precision, which the decode then uses."""
        borders = self.border_HI.to(precision), self.border_WI.to(precision)
        latent_ZO, grid_HWO, *rest = (tensor.to(precision) for tensor in self.tensors)
        return DecoderWeights(*borders, latent_ZO, grid_HWO, tuple(rest), self.constant, self.patch, self.size)


class BroadcastDecoder(nn.Module):
    """z_k → four channels at full resolution: mask logit, then RGB means.

    The latent, with the release's constant appended, is repeated at every pixel and concatenated with the pixel's
    coordinates, in the channel order [z…, constant, y, x]. Stride-1 SAME convolutions with ELU follow; the last one is
    linear.

    The first convolution sees the same latent at every pixel. So, away from the zero padding, its output is the same
    everywhere: along each axis there are k cases, namely k−1 lines near a border and one inside, which is repeated. The
    layer is therefore a small matrix product, plus the contribution of the coordinates, which all slots share.

    With ``patch`` p > 1 the convolutions run on a grid of ⌈H/p⌉×⌈W/p⌉ positions. The last one has 4·p² channels: the
    four channels of a patch of p×p pixels, in the channel order of :func:`torch.nn.functional.pixel_shuffle`. Pixels
    outside the image are cut off.
    """

    def __init__(self, config: DecoderConfig, latent: int) -> None:
        super().__init__()
        self.config = config
        self.broadcast = latent + (config.constant is not None)
        widths = [self.broadcast + coordinate_channels(config.coordinates), *config.channels, 4 * config.patch**2]
        self.first, *rest = (Conv(a, b, config.kernel) for a, b in pairwise(widths))
        self.rest = nn.ModuleList(rest)

    def prepare(self, height: int, width: int) -> DecoderWeights:
        """The weights for images of this size, whose grid (:func:`grid_size`) must not be smaller than the kernel."""
        weight, kernel, bias = self.first.weight, self.config.kernel, self.first.bias
        size, (height, width) = (height, width), grid_size(height, width, self.config.patch)
        assert bias is not None
        from_z, from_coordinates = weight.tensor_split([self.broadcast], 1)
        seen_IT = _taps_inside(kernel, weight)
        latent_ZIJO = torch.einsum("is,jt,ozst->zijo", seen_IT, seen_IT, from_z)
        grid = coordinates(self.config.coordinates, height, width, weight, rows_first=True)
        coordinates_OHW = F.conv2d(grid[None], from_coordinates, bias, padding=kernel // 2)[0]
        return DecoderWeights(
            _cases(height, kernel, weight),
            _cases(width, kernel, weight),
            latent_ZIJO.flatten(1),
            coordinates_OHW.permute(1, 2, 0).contiguous(),
            tuple(parameter for conv in self.rest for parameter in conv.parameters()),
            self.config.constant,
            self.config.patch,
            size,
        )

    def forward(self, z_NZ: Tensor, weights: DecoderWeights) -> tuple[Tensor, Tensor]:
        """Decode ``z_NZ`` (N = B·K) to ``(mean_N3HW, logit_NHW)``, in the precision of ``z_NZ``."""
        hidden = first_layer(z_NZ, weights)
        for weight, bias in pairs(weights.rest):
            hidden = F.conv2d(F.elu(hidden), weight, bias, padding=self.config.kernel // 2)
        return self.split(from_patches(hidden.to(z_NZ.dtype), weights))

    def split(self, out_N4HW: Tensor) -> tuple[Tensor, Tensor]:
        """RGB means and mask logits from the channels of the last layer."""
        mean, logit = out_N4HW[:, 1:], out_N4HW[:, 0]
        return (torch.sigmoid(mean) if self.config.rgb == "sigmoid" else mean), logit


def grid_size(height: int, width: int, patch: int) -> tuple[int, int]:
    """Rows and columns of the grid on which images of ``height``×``width`` pixels are decoded."""
    return -(-height // patch), -(-width // patch)


def from_patches(out_NOHW: Tensor, weights: DecoderWeights) -> Tensor:
    """The last layer's output on the grid, ``[N, 4·p², H/p, W/p]``, as an image ``[N, 4, H, W]``."""
    if weights.patch == 1:
        return out_NOHW
    (height, width), (rows, _, down, across), p = weights.size, out_NOHW.shape, weights.patch
    pixels = out_NOHW.permute(0, 2, 3, 1).view(rows, down, across, 4, p, p).permute(0, 3, 1, 4, 2, 5)
    return pixels.reshape(rows, 4, down * p, across * p)[..., :height, :width]


def to_patches(gradient_N4HW: Tensor, weights: DecoderWeights) -> Tensor:
    """Pull a gradient back through :func:`from_patches`; channels-last. Pixels that were cut off have gradient 0."""
    if weights.patch == 1:
        return gradient_N4HW.contiguous(memory_format=torch.channels_last)
    (height, width), (down, across, _), p = weights.size, weights.grid_HWO.shape, weights.patch
    whole = F.pad(gradient_N4HW, (0, across * p - width, 0, down * p - height))
    patches = whole.view(-1, 4, down, p, across, p).permute(0, 2, 4, 1, 3, 5)
    return patches.reshape(len(whole), down, across, 4 * p * p).permute(0, 3, 1, 2)


def first_layer(z_NZ: Tensor, weights: DecoderWeights) -> Tensor:
    """The first convolution's output ``[N, C, H, W]``, channels-last."""
    rows, (height, width, channels) = len(z_NZ), weights.grid_HWO.shape
    kernel = weights.border_HI.shape[1]
    cases = (_with_constant(z_NZ, weights) @ weights.latent_ZO).view(rows, kernel, kernel, channels)
    spread = torch.matmul(weights.border_WI, cases).view(rows, kernel, width * channels)
    grid = weights.grid_HWO.view(1, height, width * channels).expand(rows, -1, -1)
    hidden = torch.baddbmm(grid, weights.border_HI.expand(rows, -1, -1), spread)
    return hidden.view(rows, height, width, channels).permute(0, 3, 1, 2)


def decode_forward(z_NZ: Tensor, weights: DecoderWeights) -> tuple[Tensor, list[Tensor]]:
    """Decode without a graph: the output ``[N, 4, H, W]``, and the inputs of all convolutions but the first."""
    x, activations = first_layer(z_NZ, weights), []
    for weight, bias in pairs(weights.rest):
        activations.append(elu_(x))
        x = F.conv2d(activations[-1], weight, bias, padding=weight.shape[-1] // 2)
    return from_patches(x, weights), activations


def decode_backward(
    gradient_N4HW: Tensor, z_NZ: Tensor, activations: list[Tensor], weights: DecoderWeights, *, to_weights: bool
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Pull the gradient of the output of :func:`decode_forward` back to ``z_NZ`` and, on request, to the weights.

    Returns:
        ``dz_NZ``, and the gradients of ``weights.tensors`` or nothing. All are in the precision of ``z_NZ``, in which
        those of several decodes can be added.
    """
    gradients: list[Tensor] = []
    gradient = to_patches(gradient_N4HW.to(weights.latent_ZO.dtype), weights)
    for (weight, bias), x in zip(reversed(list(pairs(weights.rest))), reversed(activations), strict=True):
        gradient, dweight, dbias = _convolution_backward(gradient, x, weight, bias, to_weights)
        gradients += [dbias, dweight]
        gradient = elu_backward_(gradient, x)
    dz_NZ, dlatent, dgrid = _first_layer_backward(gradient, z_NZ, weights, to_weights)
    dweights = (dlatent, dgrid, *reversed(gradients)) if to_weights else ()
    return dz_NZ, tuple(dweight.to(z_NZ.dtype) for dweight in dweights)


def pairs(rest: tuple[Tensor, ...]) -> list[tuple[Tensor, Tensor]]:
    """Weight and bias of every convolution."""
    return list(zip(rest[::2], rest[1::2], strict=True))


def _convolution_backward(
    gradient: Tensor, x: Tensor, weight: Tensor, bias: Tensor, to_weights: bool
) -> tuple[Tensor, Tensor, Tensor]:
    edge = weight.shape[-1] // 2
    mask = [True, to_weights, to_weights]
    arguments = ([len(bias)], [1, 1], [edge, edge], [1, 1], False, [0, 0], 1, mask)
    return torch.ops.aten.convolution_backward(gradient, x, weight, *arguments)  # type: ignore[no-any-return]


def _first_layer_backward(
    gradient_NOHW: Tensor, z_NZ: Tensor, weights: DecoderWeights, to_weights: bool
) -> tuple[Tensor, Tensor, Tensor]:
    gradient_NHWO = gradient_NOHW.permute(0, 2, 3, 1)
    rows, height, width, channels = gradient_NHWO.shape
    kernel = weights.border_HI.shape[1]
    bands = torch.matmul(weights.border_HI.T, gradient_NHWO.reshape(rows, height, width * channels))
    cases = torch.matmul(weights.border_WI.T, bands.view(rows, kernel, width, channels)).flatten(1)
    z = _with_constant(z_NZ, weights)
    dz_NZ = (cases @ weights.latent_ZO.T)[:, : z_NZ.shape[1]].to(z_NZ.dtype)
    nothing = dz_NZ.new_empty(0)
    if not to_weights:
        return dz_NZ, nothing, nothing
    return dz_NZ, z.T @ cases, gradient_NHWO.sum(0)


def _with_constant(z_NZ: Tensor, weights: DecoderWeights) -> Tensor:
    z_NZ = z_NZ.to(weights.latent_ZO.dtype)
    if weights.constant is None:
        return z_NZ
    return torch.cat([z_NZ, z_NZ.new_full((len(z_NZ), 1), weights.constant)], 1)


def _taps_inside(kernel: int, like: Tensor) -> Tensor:
    """For each case along an axis, which taps of a kernel are inside the image: ``[k (cases), k (taps)]``."""
    place = torch.arange(kernel, device=like.device)
    tap = place[:, None] + place[None, :] - kernel // 2
    return ((tap >= 0) & (tap < kernel)).to(like.dtype)


def _cases(size: int, kernel: int, like: Tensor) -> Tensor:
    """The case of each of ``size`` pixels along an axis, one-hot ``[size, k]``; the middle case is repeated."""
    edge, pixel = kernel // 2, torch.arange(size, device=like.device)
    case = pixel.clamp(max=edge) + (pixel - (size - 1 - edge)).clamp(min=0)
    return (case[:, None] == torch.arange(kernel, device=like.device)).to(like.dtype)
