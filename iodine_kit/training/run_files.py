"""The files of a training run: their names, and reading the rows of its log. No torch."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

CHECKPOINTS = "checkpoint-*.safetensors"
WEIGHTS = "weights.safetensors"
METRICS = "metrics.jsonl"
CURVES = "curves.svg"


def checkpoint_name(step: int) -> str:
    """Of the checkpoint after ``step`` steps; names sort as steps do."""
    return CHECKPOINTS.replace("*", f"{step:09d}")


def nonfinite_name(step: int) -> str:
    """Of the batch with which step ``step``, counted from 1, was not finite."""
    return f"nonfinite-{step:09d}.npz"


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The rows of ``metrics.jsonl`` before the first that is damaged; none if it is not there."""
    return [row for _, row in whole_rows(path)]


def whole_rows(path: Path, note: Callable[[str], None] | None = None) -> list[tuple[str, dict[str, Any]]]:
    """Lines and what they say, up to the first that is damaged; whole lines that are, are told of in a ``note``.

    A crash may have cut the last line, and a power cut have left something else in the place of any.
    """
    rows: list[tuple[str, dict[str, Any]]] = []
    if not path.exists():
        return rows
    with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
        for number, line in enumerate(file, 1):
            row = _row(line)
            if row is None:
                if note and line.endswith("\n"):
                    note(f"note: {path}: line {number} is damaged: it and all after it are left out")
                break
            rows.append((line.rstrip("\n"), row))
    return rows


def _row(line: str) -> dict[str, Any] | None:
    try:
        row = json.loads(line) if line.endswith("\n") else None
    except ValueError:
        return None
    return row if isinstance(row, dict) and isinstance(row.get("step"), int) else None
