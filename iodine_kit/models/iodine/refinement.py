"""The refinement network f_φ: from the inputs a_k and a recurrent state to the update of λ_k (section 2.3)."""

from __future__ import annotations

from itertools import pairwise
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from iodine_kit.models.iodine.config import RefinementConfig
from iodine_kit.models.iodine.layers import Conv, Linear, LSTMCell, mlp

State: TypeAlias = tuple[Tensor, Tensor] | None


class RefinementNetwork(nn.Module):
    """Strided SAME convolutions (ELU after each), mean over pixels, MLP, LSTM or none, linear head."""

    def __init__(self, config: RefinementConfig, spatial: int, flat: int, outputs: int) -> None:
        super().__init__()
        widths = [spatial, *config.channels]
        self.convs = nn.ModuleList(Conv(a, b, config.kernel, config.stride) for a, b in pairwise(widths))
        self.mlp = mlp([widths[-1], *config.mlp])
        features = config.mlp[-1] + flat
        self.lstm = LSTMCell(features, config.lstm) if config.lstm else None
        self.head = Linear(config.lstm or features, outputs)

    def forward(self, spatial_NCHW: Tensor, flat_NF: Tensor | None, state: State) -> tuple[Tensor, State]:
        """Return the update ``[N, outputs]`` and the next recurrent state."""
        hidden = spatial_NCHW
        for conv in self.convs:
            hidden = F.elu(conv(hidden))
        features = self.mlp(hidden.mean((2, 3)))
        if flat_NF is not None:
            features = torch.cat([features, flat_NF], 1)
        if self.lstm is None:
            return self.head(features), None
        state = self.lstm(features, state or self.lstm.initial(len(features), features))
        return self.head(state[0]), state
