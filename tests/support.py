"""What tests of the command line share."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

Command = Callable[..., subprocess.CompletedProcess[str]]

TINY = [
    "--set", "train.batch_size=4", "--set", "model.steps=1", "--set", "model.latent=3", "--set", "model.decoder.kernel=3",
    "--set", "model.decoder.channels=[4]", "--set", "model.refinement.channels=[4]", "--set", "model.refinement.mlp=[4]",
    "--set", "model.gradient_reduction='per-image'",
]  # fmt: skip
"""A net that trains in no time, for images of 3×3 pixels or more."""
