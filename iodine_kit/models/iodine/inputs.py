"""The inputs a_k of the refinement network: assembled, normalised, and stopped as configured (section 2.3)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from iodine_kit.models.iodine.config import FLAT_INPUTS, SPATIAL_INPUTS, InputName, IodineConfig
from iodine_kit.models.iodine.layers import coordinate_channels, coordinates

LAYER_NORM_EPS = 1e-5  # Sonnet's; it sets the smallest gradients that are still seen


class LayerNorm(nn.Module):
    """Sonnet 1's layer norm: mean and variance over all but the first axis, gain and offset per channel (axis 1)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels))
        self.offset = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.group_norm(x, 1, self.gain, self.offset, LAYER_NORM_EPS)


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

    def forward(
        self, values: Mapping[InputName, Tensor], image_BCHW: Tensor, slots: int
    ) -> tuple[Tensor, Tensor | None]:
        """Assemble ``(spatial_NCHW, flat_NF or None)``, N = B·K.

        ``values`` holds ``[N, C, H, W]`` or, for what all slots share, ``[B, C, H, W]``; flat ones are ``[N, F]``.
        """
        batch, _, height, width = image_BCHW.shape
        shared = {"image": image_BCHW, "coordinates": self._grid(height, width, image_BCHW)}
        shared["capacity"] = image_BCHW.new_full((1, 1, height, width), 0.5)
        spatial = [self._prepare(name, values.get(name, shared.get(name))) for name in self.spatial]
        maps = [_per_slot(x, batch, slots) for x in spatial]
        together = torch.cat(maps, 2).flatten(0, 1).contiguous(memory_format=torch.channels_last)
        capacity = image_BCHW.new_full((batch * slots, 1), 0.5)
        flat = [self._prepare(name, values.get(name, capacity)) for name in self.flat]
        return together, torch.cat(flat, 1) if flat else None

    def _prepare(self, name: InputName, value: Tensor | None) -> Tensor:
        assert value is not None, name
        if name in self.config.stopped:
            value = value.detach()
        return self.norms[name](value) if name in self.norms else value

    def _grid(self, height: int, width: int, like: Tensor) -> Tensor:
        name = self.config.refinement.coordinates
        return coordinates(name, height, width, like, rows_first=False)[None]


def input_channels(config: IodineConfig) -> dict[InputName, int]:
    """Number of channels (spatial inputs) or features (flat inputs) of every input."""
    three: dict[InputName, int] = dict.fromkeys(("components", "dcomponents", "image"), 3)
    flat: dict[InputName, int] = {"dzp": 2 * config.latent, "flat_capacity": 1, "zp": 2 * config.latent}
    ones = dict.fromkeys(SPATIAL_INPUTS, 1)
    return {**ones, **three, "coordinates": coordinate_channels(config.refinement.coordinates), **flat}


def _per_slot(x: Tensor, batch: int, slots: int) -> Tensor:
    """View as ``[B, K, C, H, W]``, repeating over scenes or slots what they share."""
    if len(x) == batch * slots and slots > 1:
        return x.view(batch, slots, *x.shape[1:])
    return x[:, None].expand(batch, slots, *x.shape[1:])
