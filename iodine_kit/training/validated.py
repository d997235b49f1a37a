"""What a validation finds; the loop calls it without knowing how it is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from iodine_kit.records import Bytes

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Validated:
    """Figures, and what there is to see.

    Attributes:
        figures: for the log: ``fg_ari`` and ``val_loss``, or what else there is.
        picture: makes ``uint8[H, W, 3]`` of scenes and their masks, for TensorBoard.
    """

    figures: Mapping[str, float]
    picture: Callable[[], Bytes] | None = None


Validate = Callable[["nn.Module", int], Validated]
"""Called with a frozen copy of the model and the step."""
