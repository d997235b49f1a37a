"""The refinement network f_φ and its inputs a_k: from one decode to the update of λ_k (section 2.3).

Some inputs are the same for all refinement steps and all slots (the image, its coordinates); the first convolution
processes them once. All others change from step to step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from iodine_kit.models.iodine.config import FLAT_INPUTS, SPATIAL_INPUTS, InputName, IodineConfig, RefinementConfig
from iodine_kit.models.iodine.layers import (
    Conv,
    Linear,
    LSTMCell,
    add_shared,
    conv_same,
    coordinate_channels,
    coordinates,
    elu,
    mlp,
)

STATIC_INPUTS: tuple[InputName, ...] = ("capacity", "coordinates", "image")
"""Spatial inputs that are the same for all refinement steps and all slots."""
LAYER_NORM_EPS = 1e-5
"""Sonnet's ε; gradients that are much smaller than its root vanish in the layer norm."""


class LayerNorm(nn.Module):
    """Sonnet 1's layer norm: mean and variance over all but the first axis, gain and offset per channel (axis 1)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels))
        self.offset = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``[N, C, …]``; the shape stays."""
        # Flattened, because torch 2.13's backward pass crashes on a channels-last input that needs no gradient.
        rows_NCP = x.reshape(*x.shape[:2], -1)
        return F.group_norm(rows_NCP, 1, self.gain, self.offset, LAYER_NORM_EPS).view(x.shape)


class RefinementInputs(nn.Module):
    """Normalises, stops and concatenates the configured inputs, in the release's (alphabetical) order."""

    per_slot_columns: Tensor
    """Indices of the channels that each slot has for itself, among all spatial channels; ``int64[…]``."""
    static_columns: Tensor
    """Indices of the channels of static inputs."""

    def __init__(self, config: IodineConfig) -> None:
        super().__init__()
        self.config = config
        self.spatial: list[InputName] = [name for name in SPATIAL_INPUTS if name in config.inputs]
        self.flat: list[InputName] = [name for name in FLAT_INPUTS if name in config.inputs]
        channels = input_channels(config)
        self.norms = nn.ModuleDict(
            {name: LayerNorm(channels[name]) for name in self.spatial + self.flat if name in config.normalised}
        )
        static = torch.tensor([name in STATIC_INPUTS for name in self.spatial for _ in range(channels[name])])
        # Buffers, because a list would be copied to the device at every step.
        self.register_buffer("per_slot_columns", (~static).nonzero()[:, 0], persistent=False)
        self.register_buffer("static_columns", static.nonzero()[:, 0], persistent=False)

    def static_maps(self, image_BCHW: Tensor) -> Tensor | None:
        """The static spatial inputs ``[B, C, H, W]``, or ``None`` if none is configured."""
        batch, _, height, width = image_BCHW.shape
        grid = coordinates(self.config.refinement.coordinates, height, width, image_BCHW, rows_first=False)
        capacity = image_BCHW.new_full((1, 1, height, width), 0.5)
        values: dict[InputName, Tensor] = {"capacity": capacity, "coordinates": grid[None], "image": image_BCHW}
        chosen = [self._prepare(name, values[name]) for name in self.spatial if name in STATIC_INPUTS]
        return torch.cat([value.expand(batch, -1, -1, -1) for value in chosen], 1) if chosen else None

    def per_slot_maps(self, values: Mapping[InputName, Tensor], rows: int) -> Tensor | None:
        """The other spatial inputs ``[N, C, H, W]``; ``values`` are ``[N, …]``, or ``[B, …]`` if slots share them."""
        chosen = [self._prepare(name, values[name]) for name in self.spatial if name not in STATIC_INPUTS]
        repeated = [x if len(x) == rows else x.repeat_interleave(rows // len(x), 0) for x in chosen]
        return torch.cat(repeated, 1) if repeated else None

    def flat_features(self, values: Mapping[InputName, Tensor], rows: int, like: Tensor) -> Tensor | None:
        """The flat inputs ``[N, F]``, or ``None`` if none is configured."""
        capacity: dict[InputName, Tensor] = {"flat_capacity": like.new_full((rows, 1), 0.5)}
        flat = [self._prepare(name, {**values, **capacity}[name]) for name in self.flat]
        return torch.cat(flat, 1) if flat else None

    def _prepare(self, name: InputName, value: Tensor) -> Tensor:
        if name in self.config.stopped:
            value = value.detach()
        return self.norms[name](value) if name in self.norms else value


def input_channels(config: IodineConfig) -> dict[InputName, int]:
    """Number of channels (spatial inputs) or features (flat inputs) of every input."""
    three: dict[InputName, int] = dict.fromkeys(("components", "dcomponents", "image"), 3)
    flat: dict[InputName, int] = {"dzp": 2 * config.latent, "flat_capacity": 1, "zp": 2 * config.latent}
    ones = dict.fromkeys(SPATIAL_INPUTS, 1)
    return {**ones, **three, "coordinates": coordinate_channels(config.refinement.coordinates), **flat}


LSTMState: TypeAlias = tuple[Tensor, Tensor] | None


@dataclass(frozen=True)
class StaticFeatures:
    """What all refinement steps of an image have in common.

    Attributes:
        per_slot_weight: the first convolution's weight for the inputs that are not static.
        static_BCHW: the first convolution's output for the static inputs, bias included; only the bias,
            ``[C, 1, 1]``, if there are no static inputs.
        precision: of the convolutions.
    """

    per_slot_weight: Tensor
    static_BCHW: Tensor
    precision: torch.dtype


class RefinementNetwork(nn.Module):
    """Strided SAME convolutions (ELU after each), mean over pixels, MLP, LSTM or none, linear head.

    With ``patch`` p the first convolution sees patches of p×p pixels side by side. All others then run on a grid of
    1/p² as many positions.
    """

    def __init__(self, config: RefinementConfig, spatial: int, flat: int, outputs: int) -> None:
        super().__init__()
        widths = [spatial, *config.channels]
        usual = (config.kernel, config.stride)
        shapes = [(config.patch, config.patch) if config.patch else usual, *[usual] * (len(config.channels) - 1)]
        sizes = zip(pairwise(widths), shapes, strict=True)
        self.convs = nn.ModuleList(Conv(a, b, kernel, stride) for (a, b), (kernel, stride) in sizes)
        self.stride = config.patch or config.stride
        self.mlp = mlp([widths[-1], *config.mlp])
        features = config.mlp[-1] + flat
        self.lstm = LSTMCell(features, config.lstm) if config.lstm else None
        self.head = Linear(config.lstm or features, outputs)

    def static_features(self, inputs: RefinementInputs, image_BCHW: Tensor, precision: torch.dtype) -> StaticFeatures:
        """Compute once what is the same for all refinement steps."""
        weight, bias = self.convs[0].parameters()
        columns, maps_BCHW = (inputs.per_slot_columns, inputs.static_columns), inputs.static_maps(image_BCHW)
        per_slot_weight, static_weight = (
            weight.index_select(1, c).contiguous(memory_format=torch.channels_last) for c in columns
        )
        static = bias.to(precision)[:, None, None]
        if maps_BCHW is not None:
            static = conv_same(maps_BCHW, static_weight, bias, self.stride, precision)
        return StaticFeatures(per_slot_weight, static, precision)

    def forward(
        self,
        static: StaticFeatures,
        per_slot_NCHW: Tensor | None,
        flat_NF: Tensor | None,
        rows: int,
        state: LSTMState,
    ) -> tuple[Tensor, LSTMState]:
        """Return the update of λ, ``[N, outputs]``, and the next recurrent state; N = ``rows``."""
        hidden = self._first_layer(static, per_slot_NCHW, rows)
        for conv in list(self.convs)[1:]:
            hidden = elu(conv(hidden, static.precision))
        features = self.mlp(hidden.mean((2, 3), dtype=self.head.weight.dtype))
        if flat_NF is not None:
            features = torch.cat([features, flat_NF], 1)
        if self.lstm is None:
            return self.head(features), None
        state = self.lstm(features, state or self.lstm.initial(len(features), features))
        return self.head(state[0]), state

    def _first_layer(self, static: StaticFeatures, per_slot_NCHW: Tensor | None, rows: int) -> Tensor:
        shared = static.static_BCHW
        batch = len(shared) if shared.dim() == 4 else 1
        if per_slot_NCHW is None:
            return F.elu(shared).repeat_interleave(rows // batch, 0)
        own = conv_same(per_slot_NCHW, static.per_slot_weight, None, self.stride, static.precision)
        return elu(add_shared(own, shared.expand(batch, *own.shape[1:])))
