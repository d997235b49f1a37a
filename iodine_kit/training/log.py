"""The training log: ``metrics.jsonl``, the same for the same run, and TensorBoard events with the speed beside it."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from iodine_kit.store.identity import VOLATILE
from iodine_kit.training.files import METRICS


class TrainingLog:
    """Appends rows to the log in ``directory``; rows of steps after ``start``, left by a crash, are dropped."""

    def __init__(self, directory: Path, start: int, tensorboard: bool) -> None:
        path = directory / METRICS
        kept = [line for line in _lines(path) if json.loads(line)["step"] <= start]
        path.write_text("".join(line + "\n" for line in kept), "utf-8")
        self._file = path.open("a", encoding="utf-8")
        self._events: Any = None
        if tensorboard and importlib.util.find_spec("tensorboard"):
            from torch.utils.tensorboard import SummaryWriter

            self._events = SummaryWriter(directory / VOLATILE, purge_step=start + 1 if start else None)

    def row(self, step: int, values: Mapping[str, float], speed: Mapping[str, float]) -> None:
        """Write the values after ``step`` steps; ``speed`` goes to TensorBoard only."""
        self._file.write(json.dumps({"step": step, **values}) + "\n")
        if self._events is not None:
            for name, value in {**values, **speed}.items():
                self._events.add_scalar(name.replace(".", "/"), value, step)

    def flush(self) -> None:
        """Bring everything to the disk."""
        self._file.flush()
        if self._events is not None:
            self._events.flush()

    def close(self) -> None:
        self._file.close()
        if self._events is not None:
            self._events.close()


def read_metrics(path: Path) -> list[dict[str, float]]:
    """The rows of ``metrics.jsonl``."""
    return [json.loads(line) for line in _lines(path)]


def _lines(path: Path) -> list[str]:
    """Whole lines only: a crash may have cut the last one."""
    if not path.exists():
        return []
    return [line.rstrip("\n") for line in path.open(encoding="utf-8") if line.endswith("\n")]
