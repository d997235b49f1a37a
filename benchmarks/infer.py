"""Segmenting a batch of images, with K and T as in training: time, arithmetic and memory; plain beside optimised.

Everything is measured as in train_step.py. The port's reconstruction stands for it with --port DIR.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from _engine import measure

if __name__ == "__main__":
    measure("infer", "infer", __doc__)
