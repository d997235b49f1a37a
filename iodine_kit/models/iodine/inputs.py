"""The inputs a_k of the refinement network: assembled, normalised, and stopped as configured (section 2.3)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from iodine_kit.models.iodine.config import FLAT_INPUTS, SPATIAL_INPUTS, InputName, IodineConfig
from iodine_kit.models.iodine.layers import coordinate_channels, coordinates

STILL: tuple[InputName, ...] = ("capacity", "coordinates", "image")
"""Spatial inputs that stay the same from step to step, and for all slots."""
LAYER_NORM_EPS = 1e-5  # Sonnet's; it sets the smallest gradients that are still seen


class LayerNorm(nn.Module):
    """Sonnet 1's layer norm: mean and variance over all but the first axis, gain and offset per channel (axis 1)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels))
        self.offset = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        # Without an image's axes, because torch 2.13's backward pass crashes on a channels-last input without gradient.
        rows_NCP = x.reshape(*x.shape[:2], -1)
        return F.group_norm(rows_NCP, 1, self.gain, self.offset, LAYER_NORM_EPS).view(x.shape)


class RefinementInputs(nn.Module):
    """Puts the chosen inputs side by side, in the release's (alphabetical) order."""

    def __init__(self, config: IodineConfig) -> None:
        super().__init__()
        self.config = config
        self.spatial: list[InputName] = [name for name in SPATIAL_INPUTS if name in config.inputs]
        self.flat: list[InputName] = [name for name in FLAT_INPUTS if name in config.inputs]
        channels = input_channels(config)
        self.norms = nn.ModuleDict(
            {name: LayerNorm(channels[name]) for name in self.spatial + self.flat if name in config.normalised}
        )
        still = torch.tensor([name in STILL for name in self.spatial for _ in range(channels[name])])
        # Buffers, because a list would have to be copied to the device at every step.
        self.register_buffer("own_columns", (~still).nonzero()[:, 0], persistent=False)
        self.register_buffer("still_columns", still.nonzero()[:, 0], persistent=False)

    own_columns: Tensor
    """Places of the slots' own channels among all spatial ones, ``int64[…]``."""

    still_columns: Tensor
    """Places of the others."""

    def still(self, image_BCHW: Tensor) -> Tensor | None:
        """The spatial inputs that stay as they are, ``[B, C, H, W]``."""
        batch, _, height, width = image_BCHW.shape
        grid = coordinates(self.config.refinement.coordinates, height, width, image_BCHW, rows_first=False)
        capacity = image_BCHW.new_full((1, 1, height, width), 0.5)
        values: dict[InputName, Tensor] = {"capacity": capacity, "coordinates": grid[None], "image": image_BCHW}
        chosen = [self._prepare(name, values[name]) for name in self.spatial if name in STILL]
        return torch.cat([value.expand(batch, -1, -1, -1) for value in chosen], 1) if chosen else None

    def of_slots(self, values: Mapping[InputName, Tensor], rows: int) -> Tensor | None:
        """The other spatial inputs ``[N, C, H, W]``; ``values`` are ``[N, …]``, or ``[B, …]`` if slots share them."""
        chosen = [self._prepare(name, values[name]) for name in self.spatial if name not in STILL]
        repeated = [x if len(x) == rows else x.repeat_interleave(rows // len(x), 0) for x in chosen]
        return torch.cat(repeated, 1) if repeated else None

    def flat_of(self, values: Mapping[InputName, Tensor], rows: int, like: Tensor) -> Tensor | None:
        """The flat inputs ``[N, F]``."""
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
