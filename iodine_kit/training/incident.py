"""Keeps the batch with which a step was not finite, for whoever wants to find out why."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from iodine_kit.records import SceneBatch
from iodine_kit.training.checkpoint import write
from iodine_kit.training.files import nonfinite_name
from iodine_kit.training.readings import Reading


def save_incident(directory: Path, reading: Reading, batch: SceneBatch, seed: int) -> Path:
    """Write images (``uint8[B, H, W, 3]``), keys, step, seed and all figures of a step; return the file.

    ``numpy.load`` reads it without pickles; the noise is ``iodine_kit.tensors.step_generator(seed, step - 1)``'s.
    """
    file = io.BytesIO()
    np.savez(
        file,
        image=batch.image,
        key=np.array(batch.keys, dtype=np.str_),
        step=np.int64(reading.step),
        seed=np.int64(seed),
        loss=np.float32(reading.loss),
        nll_steps=np.array(reading.nll_steps, np.float32),
        kl_slots=np.array(reading.kl_slots, np.float32),
        grad_norm=np.float32(reading.grad_norm),
    )
    path = directory / nonfinite_name(reading.step)
    write(path, file.getvalue())
    return path
