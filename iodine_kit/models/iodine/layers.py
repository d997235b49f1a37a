"""Layers with the conventions of the release: Sonnet's initialisation, TensorFlow's SAME padding, coordinates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from iodine_kit.models.iodine.config import CoordinateName


def truncated_normal_(parameter: Tensor, fan_in: int) -> None:
    """Fill with a normal of std 1/√fan_in cut off at two standard deviations (Sonnet 1, not rescaled).

    Values outside are drawn again until all are inside. A seed gives the same weights with every release of torch:
    ``nn.init.trunc_normal_`` gives these values in torch 2.13, but others in torch 2.6.
    """
    std = 1 / math.sqrt(fan_in)
    if parameter.is_meta:  # has no values, so no comparison of them either
        return
    with torch.no_grad():
        parameter.normal_(0, std)
        while (outside := parameter.abs() > 2 * std).any():
            parameter.copy_(torch.where(outside, torch.empty_like(parameter).normal_(0, std), parameter))


_LOG2_E = math.log2(math.e)


class Linear(nn.Linear):
    """A linear layer with Sonnet 1's initialisation."""

    def reset_parameters(self) -> None:
        """Draw the weight from a truncated normal distribution, and set the bias to 0."""
        truncated_normal_(self.weight, self.in_features)
        if self.bias is not None:
            nn.init.zeros_(self.bias)


class Conv(nn.Conv2d):
    """A convolution with Sonnet 1's initialisation and TensorFlow's SAME padding (asymmetric where necessary)."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> None:
        super().__init__(in_channels, out_channels, kernel, stride)

    def reset_parameters(self) -> None:
        """Draw the weight from a truncated normal distribution, and set the bias to 0."""
        truncated_normal_(self.weight, self.in_channels * self.kernel_size[0] * self.kernel_size[1])
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor, precision: torch.dtype | None = None) -> Tensor:
        """Convolve ``[N, C, H, W]`` to ``[N, C', ⌈H/stride⌉, ⌈W/stride⌉]``, in ``precision``; see :func:`conv_same`."""
        return conv_same(x, self.weight, self.bias, self.stride[0], precision)


def conv_same(
    x_NCHW: Tensor, weight: Tensor, bias: Tensor | None, stride: int, precision: torch.dtype | None = None
) -> Tensor:
    """A convolution with TensorFlow's SAME padding, computed in ``precision``, which defaults to the weight's."""
    precision, kernel = precision or weight.dtype, weight.shape[-1]
    x_NCHW, weight, bias = x_NCHW.to(precision), weight.to(precision), None if bias is None else bias.to(precision)
    (top, bottom), (left, right) = (_same_padding(size, kernel, stride) for size in x_NCHW.shape[-2:])
    if top == bottom and left == right:
        return F.conv2d(x_NCHW, weight, bias, stride, (top, left))
    return F.conv2d(F.pad(x_NCHW, (left, right, top, bottom)), weight, bias, stride)


def _same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


class _AddShared(torch.autograd.Function):
    """A broadcast sum whose backward pass adds up over slots by a matrix product.

    PyTorch's own sum is slow, especially in bfloat16. A product with a row of ones is fast, and adds in float32.
    """

    @staticmethod
    def forward(ctx: Any, own_NCHW: Tensor, shared_BCHW: Tensor) -> Tensor:
        apart, both_NCHW = (len(shared_BCHW), -1, *own_NCHW.shape[1:]), torch.empty_like(own_NCHW)
        ctx.slots = len(own_NCHW) // len(shared_BCHW)
        # Written into a new tensor, because autograd forbids in-place changes of a view.
        torch.add(own_NCHW.view(apart), shared_BCHW[:, None], out=both_NCHW.view(apart))
        return both_NCHW

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient_NCHW: Tensor) -> tuple[Tensor, Tensor]:
        rows_NHWC = gradient_NCHW.permute(0, 2, 3, 1)
        flat_BKP = rows_NHWC.reshape(-1, ctx.slots, rows_NHWC[0].numel())
        summed_BP = torch.matmul(flat_BKP.new_ones(1, ctx.slots), flat_BKP)[:, 0]
        return gradient_NCHW, summed_BP.view(-1, *rows_NHWC.shape[1:]).permute(0, 3, 1, 2)


class _Elu(torch.autograd.Function):
    """ELU in place, with a backward pass on channels-last images that is fast for every layout of the gradient."""

    @staticmethod
    def forward(ctx: Any, x_NCHW: Tensor) -> Tensor:
        ctx.mark_dirty(x_NCHW)
        y_NCHW = F.elu_(x_NCHW)
        ctx.save_for_backward(y_NCHW)
        return y_NCHW

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient_NCHW: Tensor) -> Tensor:
        (y_NCHW,) = ctx.saved_tensors
        gradient = torch.empty_like(y_NCHW).copy_(gradient_NCHW)
        return elu_backward_(gradient, y_NCHW)


def add_shared(own_NCHW: Tensor, shared_BCHW: Tensor) -> Tensor:
    """Add what the slots of a scene share to each slot's map: ``[N, C, H, W]`` + ``[B, C, H, W]``, N = B·K."""
    if torch.compiler.is_compiling():  # the compiler fuses this sum, and does not accept the function
        return own_NCHW + shared_BCHW.repeat_interleave(len(own_NCHW) // len(shared_BCHW), 0)
    return _AddShared.apply(own_NCHW, shared_BCHW)  # type: ignore[no-any-return, no-untyped-call]


def elu(x_NCHW: Tensor) -> Tensor:
    """ELU of a channels-last map that no other operation needs, so that it can change in place."""
    if torch.compiler.is_compiling():
        return F.elu(x_NCHW)
    return _Elu.apply(x_NCHW)  # type: ignore[no-any-return, no-untyped-call]


def elu_(x: Tensor) -> Tensor:
    """ELU in place, without a graph: x where positive, e^x − 1 elsewhere."""
    if x.device.type != "cpu" or x.dtype == torch.bfloat16 or torch.compiler.is_compiling():
        return F.elu_(x)  # a single kernel; and in bfloat16, e^x − 1 would lose its digits near 0
    # On CPUs, PyTorch's 2^x is several times as fast as its e^x, which outweighs the additional passes over memory.
    below = torch.exp2(x.clamp(max=0).mul_(_LOG2_E)).sub_(1)
    return torch.maximum(x, below, out=x)


def elu_backward_(gradient: Tensor, y: Tensor) -> Tensor:
    """Pull a gradient back through :func:`elu_`, in place; ``y`` is its output, and its slope is 1 or y + 1."""
    backward = torch.ops.aten.elu_backward.grad_input
    return backward(gradient, 1.0, 1.0, 1.0, True, y, grad_input=gradient)  # type: ignore[no-any-return]


class LSTMCell(nn.Module):
    """Sonnet 1's LSTM: gates i, j (candidate), f, o from one matrix; 1 is added to the forget gate at run time."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.gates = Linear(inputs + hidden, 4 * hidden)
        truncated_normal_(self.gates.bias, inputs + hidden)  # Sonnet draws this bias too

    def forward(self, x_NI: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Return (hidden, cell), each ``[N, hidden]``."""
        hidden, cell = state
        i, j, f, o = self.gates(torch.cat([x_NI, hidden], 1)).chunk(4, 1)
        cell = torch.sigmoid(f + 1) * cell + torch.sigmoid(i) * torch.tanh(j)
        return torch.tanh(cell) * torch.sigmoid(o), cell

    def initial(self, count: int, like: Tensor) -> tuple[Tensor, Tensor]:
        """The zero state for ``count`` rows."""
        zeros = like.new_zeros(count, self.hidden)
        return zeros, zeros


def mlp(sizes: Sequence[int]) -> nn.Sequential:
    """Linear layers with ELU between them; the last one is linear."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.ELU(), Linear(inputs, outputs)] if layers else [Linear(inputs, outputs)]
    return nn.Sequential(*layers)


def coordinate_channels(name: CoordinateName) -> int:
    """Number of channels that :func:`coordinates` returns."""
    return 2 if name == "linear" else 8


def coordinates(name: CoordinateName, height: int, width: int, like: Tensor, *, rows_first: bool) -> Tensor:
    """Pixel coordinates ``[C, H, W]``: linear in [−1, 1], or the cosine products of three frequencies.

    ``linear``: rows first (y, x) in the release's decoder, columns first (x, y) in its refinement network. ``cosine``:
    cos(f_x π u) cos(f_y π v) for f in {0, 1, 2}, u and v in [0, 1], at index 3 f_x + f_y, without the constant one.
    """
    if name == "linear":
        y = torch.linspace(-1, 1, height, device=like.device, dtype=like.dtype)[:, None].expand(height, width)
        x = torch.linspace(-1, 1, width, device=like.device, dtype=like.dtype)[None].expand(height, width)
        return torch.stack([y, x] if rows_first else [x, y])
    frequency = math.pi * torch.arange(3, device=like.device, dtype=like.dtype)[:, None]
    y = torch.cos(frequency * torch.linspace(0, 1, height, device=like.device, dtype=like.dtype))
    x = torch.cos(frequency * torch.linspace(0, 1, width, device=like.device, dtype=like.dtype))
    return (x[:, None, None, :] * y[None, :, :, None]).reshape(9, height, width)[1:]
