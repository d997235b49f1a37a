"""What tests of the command line share."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

Command = Callable[..., subprocess.CompletedProcess[str]]

_VALUES = (
    "train.batch_size=4",
    "model.steps=1",
    "model.latent=3",
    "model.decoder.kernel=3",
    "model.decoder.channels=[4]",
    "model.refinement.channels=[4]",
    "model.refinement.mlp=[4]",
    "model.gradient_reduction='per-image'",
)
TINY = [part for value in _VALUES for part in ("--set", value)]
"""A net that trains in no time, for images of 3×3 pixels or more."""
