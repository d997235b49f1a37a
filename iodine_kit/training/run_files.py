"""The files of a training run: their names, the log ``metrics.jsonl`` with TensorBoard's events, and bad batches.

This module imports no torch.
"""

from __future__ import annotations

import importlib.util
import io
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from iodine_kit.records import Bytes, SceneBatch
from iodine_kit.store.manifest import VOLATILE
from iodine_kit.system import readable, sync_to_disk

if TYPE_CHECKING:
    from iodine_kit.training.step import StepMetrics

CHECKPOINTS = "checkpoint-*.safetensors"
WEIGHTS = "weights.safetensors"
METRICS = "metrics.jsonl"
CURVES = "curves.svg"
TENSORBOARD = VOLATILE.rstrip("/")
"""Folder of the event files. They contain times, so they do not count in the content of a run."""
DIGITS = 7
"""Significant digits of the numbers in the log: as many as float32 has."""


def checkpoint_name(step: int) -> str:
    """Name of the checkpoint after ``step`` steps; names sort as steps do."""
    return CHECKPOINTS.replace("*", f"{step:09d}")


def nonfinite_name(step: int) -> str:
    """Name of the file with the batch whose step ``step``, counted from 1, was not finite."""
    return f"nonfinite-{step:09d}.npz"


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that, after a crash at any moment, it is either complete or unchanged."""
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_to_disk(path)


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Return the rows of ``metrics.jsonl`` before the first damaged one; none if there is no such file."""
    return [row for _, row in intact_rows(path)]


def intact_rows(path: Path, note: Callable[[str], None] | None = None) -> list[tuple[str, dict[str, Any]]]:
    """Return lines and their parsed rows, up to the first damaged one; a ``note`` names a damaged complete line.

    A crash can cut the last line. A loss of power can leave other bytes in any line.
    """
    rows: list[tuple[str, dict[str, Any]]] = []
    if not path.exists():
        return rows
    with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
        for number, line in enumerate(file, 1):
            row = _parse_row(line)
            if row is None:
                if note and line.endswith("\n"):
                    note(f"note: {path}: line {number} is damaged: this line and all later ones are omitted")
                break
            rows.append((line.rstrip("\n"), row))
    return rows


def _parse_row(line: str) -> dict[str, Any] | None:
    try:
        row = json.loads(line) if line.endswith("\n") else None
    except ValueError:
        return None
    return row if isinstance(row, dict) and isinstance(row.get("step"), int) else None


def log_row(metrics: StepMetrics, learning_rate: float) -> dict[str, Any]:
    """The row of the log for a step; ``nll`` and ``kl`` are those of the last decode."""
    return {
        "step": metrics.step,
        "loss": metrics.loss,
        "nll": metrics.nll_steps[-1],
        "kl": sum(metrics.kl_slots),
        "nll_steps": metrics.nll_steps,
        "kl_slots": metrics.kl_slots,
        "grad_norm": metrics.grad_norm,
        "learning_rate": learning_rate,
    }


def loggable(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with rounded values, without those that are not finite: JSON cannot represent them."""
    rounded = {name: _rounded(value) for name, value in row.items()}
    return {name: value for name, value in rounded.items() if value is not None}


def _rounded(value: Any) -> Any:
    """Round to :data:`DIGITS`; ``None`` for a value, or a list with a value, that is not finite."""
    if isinstance(value, list):
        rounded = [_rounded(one) for one in value]
        return None if None in rounded else rounded
    if isinstance(value, int):
        return value
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None


class TrainingLog:
    """Appends rows to ``metrics.jsonl`` in ``directory``, and writes TensorBoard events if ``tensorboard`` is true.

    The file is the same for the same run: speed and memory go to TensorBoard only. A run that resumes begins with the
    rows in its checkpoint, ``saved``, so that rows of later steps, left by a crash, are removed, and a damaged file is
    restored; a ``note`` says so. A checkpoint of an earlier version has no rows: then those of the file count, up to
    ``start``, or to a damaged one.
    """

    def __init__(
        self, directory: Path, start: int, tensorboard: bool, note: Callable[[str], None], saved: bytes | None = None
    ) -> None:
        path = directory / METRICS
        if saved is None:
            saved = "".join(line + "\n" for line, row in intact_rows(path, note) if row["step"] <= start).encode()
        elif not path.is_file() or not path.read_bytes().startswith(saved):
            note(f"note: {path}: was changed or removed; restored from the checkpoint")
        write_atomically(path, saved)
        self._file = path.open("a+", buffering=1, encoding="utf-8")  # line by line, so that others can follow the run
        self._events: Any = None
        if tensorboard and readable(str(directory)) != str(directory):
            note(f"note: {directory}: no TensorBoard events: TensorBoard writes only to paths in UTF-8")
        elif tensorboard and importlib.util.find_spec("tensorboard"):
            from torch.utils.tensorboard import SummaryWriter

            self._events = SummaryWriter(directory / TENSORBOARD, purge_step=start + 1 if start else None)

    def row(self, row: Mapping[str, Any], speed: Mapping[str, float]) -> None:
        """Write a row, which has a ``step``; ``speed`` goes to TensorBoard only."""
        self._file.write(json.dumps(row) + "\n")
        if self._events is not None:
            for name, value in _scalars({**row, **speed}):
                self._events.add_scalar(name.replace(".", "/"), value, row["step"])

    def picture(self, step: int, name: str, make: Callable[[], Bytes]) -> None:
        """Add a picture, ``uint8[H, W, 3]``, to TensorBoard; without TensorBoard, it is not made."""
        if self._events is not None:
            self._events.add_image(name, make(), step, dataformats="HWC")

    def flush(self) -> None:
        """Write everything to the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        if self._events is not None:
            self._events.flush()

    def rows(self) -> bytes:
        """All rows so far, as they are in the file."""
        self._file.seek(0)
        return self._file.read().encode()

    def close(self) -> None:
        """Close the files."""
        self._file.close()
        if self._events is not None:
            self._events.close()


def _scalars(row: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Every number by name; the numbers of a list by name and index."""
    for name, value in row.items():
        if isinstance(value, list):
            yield from ((f"{name}/{place}", one) for place, one in enumerate(value))
        elif name != "step":
            yield name, value


def dump_nonfinite_batch(directory: Path, metrics: StepMetrics, batch: SceneBatch, seed: int) -> Path:
    """Write images (``uint8[B, H, W, 3]``), keys, step, seed and metrics of a step that was not finite.

    ``numpy.load`` reads the file without pickles. The noise of the step comes from
    ``iodine_kit.tensors.step_generator(seed, step - 1)``.

    Returns:
        Path of the file.
    """
    file = io.BytesIO()
    np.savez(
        file,
        image=batch.image,
        key=np.array(batch.keys, dtype=np.str_),
        step=np.int64(metrics.step),
        seed=np.int64(seed),
        loss=np.float32(metrics.loss),
        nll_steps=np.array(metrics.nll_steps, np.float32),
        kl_slots=np.array(metrics.kl_slots, np.float32),
        grad_norm=np.float32(metrics.grad_norm),
    )
    path = directory / nonfinite_name(metrics.step)
    write_atomically(path, file.getvalue())
    return path
