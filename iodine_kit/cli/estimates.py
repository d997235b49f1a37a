"""What ``train --estimate`` prints."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from iodine_kit.stages.estimate import RunEstimate


def show_estimate(run: RunEstimate, as_json: bool) -> None:
    """Print an estimate to standard output."""
    if as_json:
        sys.stdout.write(json.dumps(run.facts()) + "\n")
        return
    from iodine_kit.training.estimate import readable_bytes

    found = run.step
    memory = {
        "weights": found.weight_bytes, "gradients": found.gradient_bytes, "Adam": found.moment_bytes,
        "activations": found.activation_bytes,
    } | ({"copies of the weights": found.copy_bytes} if found.copy_bytes else {})  # fmt: skip
    parts = ", ".join(f"{name} {readable_bytes(count)}" for name, count in memory.items())
    table = Table(show_header=False, box=None)
    table.add_row("step", f"{found.batch_size} images of {found.height}×{found.width}")
    table.add_row("parameters", f"{found.parameters:,}")
    table.add_row("FLOPs", f"{found.flops / 1e9:,.1f} G per step, {found.flops_per_image / 1e9:,.2f} G per image")
    table.add_row("memory", f"{readable_bytes(found.peak_bytes)} at the peak: {parts}")
    table.add_row("process", f"{readable_bytes(run.process_bytes)} on a CPU, with Python and PyTorch")
    table.add_row("disk", f"{readable_bytes(run.disk_bytes)}, checkpoints of {readable_bytes(found.checkpoint_bytes)}")
    Console(highlight=False, soft_wrap=True).print(table)
