"""The refinement network f_φ: from the inputs a_k and a recurrent state to the update of λ_k (section 2.3)."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from iodine_kit.models.iodine.config import RefinementConfig
from iodine_kit.models.iodine.inputs import RefinementInputs
from iodine_kit.models.iodine.layers import Conv, Linear, LSTMCell, add_shared, conv_same, elu, mlp

State: TypeAlias = tuple[Tensor, Tensor] | None


class Begun(NamedTuple):
    """What all refinements of a step have in common.

    Attributes:
        own: the first convolution's weight for the slots' own inputs.
        still_BCHW: its output for the inputs that stay as they are, bias included; ``[C, 1, 1]`` if there are none.
        precision: of the convolutions.
    """

    own: Tensor
    still_BCHW: Tensor
    precision: torch.dtype


class RefinementNetwork(nn.Module):
    """Strided SAME convolutions (ELU after each), mean over pixels, MLP, LSTM or none, linear head.

    With ``patch`` p the first convolution sees patches of p×p pixels side by side. All others then run on 1/p² as many
    places.
    """

    def __init__(self, config: RefinementConfig, spatial: int, flat: int, outputs: int) -> None:
        super().__init__()
        widths = [spatial, *config.channels]
        alike = (config.kernel, config.stride)
        shapes = [(config.patch, config.patch) if config.patch else alike, *[alike] * (len(config.channels) - 1)]
        sizes = zip(pairwise(widths), shapes, strict=True)
        self.convs = nn.ModuleList(Conv(a, b, kernel, stride) for (a, b), (kernel, stride) in sizes)
        self.stride = config.patch or config.stride
        self.mlp = mlp([widths[-1], *config.mlp])
        features = config.mlp[-1] + flat
        self.lstm = LSTMCell(features, config.lstm) if config.lstm else None
        self.head = Linear(config.lstm or features, outputs)

    def begin(self, inputs: RefinementInputs, image_BCHW: Tensor, precision: torch.dtype) -> Begun:
        """Do once what is the same for all steps, such as the first layer's share of the still ``inputs``."""
        weight, bias = self.convs[0].parameters()
        columns, still_BCHW = (inputs.own_columns, inputs.still_columns), inputs.still(image_BCHW)
        own, still = (weight.index_select(1, c).contiguous(memory_format=torch.channels_last) for c in columns)
        share = bias.to(precision)[:, None, None]
        if still_BCHW is not None:
            share = conv_same(still_BCHW, still, bias, self.stride, precision)
        return Begun(own, share, precision)

    def forward(
        self, begun: Begun, slot_NCHW: Tensor | None, flat_NF: Tensor | None, rows: int, state: State
    ) -> tuple[Tensor, State]:
        """Return the update ``[N, outputs]`` and the next recurrent state."""
        hidden = self._first_layer(begun, slot_NCHW, rows)
        for conv in list(self.convs)[1:]:
            hidden = elu(conv(hidden, begun.precision))
        features = self.mlp(hidden.mean((2, 3), dtype=self.head.weight.dtype))
        if flat_NF is not None:
            features = torch.cat([features, flat_NF], 1)
        if self.lstm is None:
            return self.head(features), None
        state = self.lstm(features, state or self.lstm.initial(len(features), features))
        return self.head(state[0]), state

    def _first_layer(self, begun: Begun, slot_NCHW: Tensor | None, rows: int) -> Tensor:
        share = begun.still_BCHW
        batch = len(share) if share.dim() == 4 else 1
        if slot_NCHW is None:
            return F.elu(share).repeat_interleave(rows // batch, 0)
        own = conv_same(slot_NCHW, begun.own, None, self.stride, begun.precision)
        shared_BCHW = share.expand(batch, *own.shape[1:])
        return elu(add_shared(own, shared_BCHW))
