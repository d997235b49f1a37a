"""The training log: ``metrics.jsonl``, the same for the same run, and TensorBoard events with the speed beside it."""

from __future__ import annotations

import importlib.util
import io
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from iodine_kit.records import Bytes, SceneBatch
from iodine_kit.store.identity import VOLATILE
from iodine_kit.training.checkpoint import write
from iodine_kit.training.run_files import METRICS, nonfinite_name, whole_rows
from iodine_kit.training.step import Reading

DIGITS = 7
"""Significant digits of figures in the log: as many as float32 has."""


def row_of(reading: Reading, learning_rate: float) -> dict[str, Any]:
    """What the log says of a step; ``nll`` and ``kl`` are those of the last decode."""
    return {
        "step": reading.step,
        "loss": reading.loss,
        "nll": reading.nll_steps[-1],
        "kl": sum(reading.kl_slots),
        "nll_steps": reading.nll_steps,
        "kl_slots": reading.kl_slots,
        "grad_norm": reading.grad_norm,
        "learning_rate": learning_rate,
    }


def sayable(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row without figures that are not finite, which JSON has no word for, and rounded."""
    kept = {name: _rounded(value) for name, value in row.items()}
    return {name: value for name, value in kept.items() if value is not None}


class TrainingLog:
    """Appends rows to the log in ``directory``; rows of steps after ``start``, left by a crash, are dropped.

    So are a damaged one and all after it, which a ``note`` tells of.
    """

    def __init__(self, directory: Path, start: int, tensorboard: bool, note: Callable[[str], None]) -> None:
        path = directory / METRICS
        kept = [line for line, row in whole_rows(path, note) if row["step"] <= start]
        write(path, "".join(line + "\n" for line in kept).encode())
        self._file = path.open("a", buffering=1, encoding="utf-8")  # row by row, for whoever looks on
        self._events: Any = None
        if tensorboard and importlib.util.find_spec("tensorboard"):
            from torch.utils.tensorboard import SummaryWriter

            self._events = SummaryWriter(directory / VOLATILE, purge_step=start + 1 if start else None)

    def row(self, row: Mapping[str, Any], speed: Mapping[str, float]) -> None:
        """Write a row, which has a ``step``; ``speed`` goes to TensorBoard only."""
        self._file.write(json.dumps(row) + "\n")
        if self._events is not None:
            for name, value in _scalars({**row, **speed}):
                self._events.add_scalar(name.replace(".", "/"), value, row["step"])

    def picture(self, step: int, name: str, make: Callable[[], Bytes]) -> None:
        """Show a picture in TensorBoard; it is not made where nobody would see it."""
        if self._events is not None:
            self._events.add_image(name, make(), step, dataformats="HWC")

    def flush(self) -> None:
        """Bring everything to the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        if self._events is not None:
            self._events.flush()

    def close(self) -> None:
        self._file.close()
        if self._events is not None:
            self._events.close()


def _scalars(row: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Every figure by name, those of lists by name and place."""
    for name, value in row.items():
        if isinstance(value, list):
            yield from ((f"{name}/{place}", one) for place, one in enumerate(value))
        elif name != "step":
            yield name, value


def _rounded(value: Any) -> Any:
    """To as many digits as are meant; ``None`` for what is not finite."""
    if isinstance(value, list):
        rounded = [_rounded(one) for one in value]
        return None if None in rounded else rounded
    if isinstance(value, int):
        return value
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None


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
