"""The spatial broadcast decoder (Watters et al. 2019), shared by all slots (section 2.1)."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from iodine_kit.models.iodine.config import DecoderConfig
from iodine_kit.models.iodine.layers import Conv, coordinate_channels, coordinates


class BroadcastDecoder(nn.Module):
    """z_k → four channels at full resolution: mask logit, then RGB means.

    The latent, with the release's constant appended, is repeated at every pixel and joined by the pixel's coordinates,
    in the channel order [z…, constant, y, x]; stride-1 SAME convolutions with ELU follow, the last one linear.
    """

    def __init__(self, config: DecoderConfig, latent: int) -> None:
        super().__init__()
        self.config = config
        self.broadcast = latent + (config.constant is not None)
        widths = [self.broadcast + coordinate_channels(config.coordinates), *config.channels, 4]
        self.first, *rest = (Conv(a, b, config.kernel) for a, b in pairwise(widths))
        self.rest = nn.ModuleList(rest)

    def forward(self, z_NZ: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
        """Decode ``z_NZ`` (N = B·K) to ``(mean_N3HW, logit_NHW)``; ``height`` and ``width`` of at least the kernel."""
        hidden = self._first_layer(z_NZ, height, width)
        for conv in self.rest:
            hidden = conv(F.elu(hidden))
        mean, logit = hidden[:, 1:], hidden[:, 0]
        return (torch.sigmoid(mean) if self.config.rgb == "sigmoid" else mean), logit

    def _first_layer(self, z_NZ: Tensor, height: int, width: int) -> Tensor:
        """The first convolution, at the cost of a k×k image instead of a whole one, and exact at the borders too.

        Its input is the same latent at every pixel, so away from the zero padding its output is the same as well. A
        k×k canvas shows every case there is: k−1 lines near a border and one inside, which is then repeated.
        """
        if self.config.constant is not None:
            z_NZ = torch.cat([z_NZ, z_NZ.new_full((len(z_NZ), 1), self.config.constant)], 1)
        from_z, from_coordinates = self.first.weight.tensor_split([self.broadcast], 1)
        kernel, edge = self.config.kernel, self.config.kernel // 2
        canvas = z_NZ[:, :, None, None].expand(-1, -1, kernel, kernel)
        cases = F.conv2d(canvas, from_z, padding=edge)
        grid = coordinates(self.config.coordinates, height, width, z_NZ, rows_first=True)
        image = F.conv2d(grid[None], from_coordinates, self.first.bias, padding=edge)
        repeated = _repeat_middle(_repeat_middle(cases, 2, height), 3, width)
        return (repeated + image).contiguous(memory_format=torch.channels_last)


def _repeat_middle(x: Tensor, dim: int, size: int) -> Tensor:
    """Stretch axis ``dim`` from its odd length to ``size`` by repeating its middle entry."""
    edge = x.shape[dim] // 2
    shape = list(x.shape)
    shape[dim] = size - 2 * edge
    return torch.cat([x.narrow(dim, 0, edge), x.narrow(dim, edge, 1).expand(shape), x.narrow(dim, edge + 1, edge)], dim)
