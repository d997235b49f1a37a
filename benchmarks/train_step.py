"""A step of training, forward, all backward passes, clip and Adam: time, arithmetic, memory; plain beside optimised.

All variants of a shape are run in turn, with a bare channels-last convolution of its decoder's width among them, and
with --port DIR the PyTorch port by zhixuan-lin on the same shape. Memory is that of a process of its own for each.
Results go to reports/benchmarks/ as JSON; tables.py makes the page there of them.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from _engine import measure

if __name__ == "__main__":
    measure("train_step", "train", __doc__)
