"""What ``train --estimate`` prints."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from iodine_kit.training.estimate import Estimate


def show_estimate(found: Estimate, disk: int, as_json: bool) -> None:
    """Print an estimate to standard output; ``disk`` is what a run needs there, in bytes."""
    if as_json:
        sys.stdout.write(json.dumps({**found.facts(), "disk_bytes": disk}) + "\n")
        return
    from iodine_kit.training.estimate import readable_bytes

    memory = {
        "weights": found.weight_bytes, "gradients": found.gradient_bytes, "Adam": found.moment_bytes,
        "activations": found.activation_bytes,
    }  # fmt: skip
    parts = ", ".join(f"{name} {readable_bytes(count)}" for name, count in memory.items())
    table = Table(show_header=False, box=None)
    table.add_row("step", f"{found.batch_size} images of {found.height}×{found.width}")
    table.add_row("parameters", f"{found.parameters:,}")
    table.add_row("FLOPs", f"{found.flops / 1e9:,.1f} G per step, {found.flops_per_image / 1e9:,.2f} G per image")
    table.add_row("memory", f"{readable_bytes(found.peak_bytes)} at the peak, and the process itself: {parts}")
    table.add_row("disk", f"{readable_bytes(disk)}, checkpoints of {readable_bytes(found.checkpoint_bytes)}")
    Console(highlight=False, soft_wrap=True).print(table)
