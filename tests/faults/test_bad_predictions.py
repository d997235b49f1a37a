"""Predictions that do not fit the true masks end in one sentence with file, scene and exit status."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner
from unit.stages.foreseen import store_masks, store_predictions

from iodine_kit.cli.app import app

SCENES, SIDE = 4, 6


def masks() -> np.ndarray:
    truth = np.zeros((SCENES, SIDE, SIDE), np.uint8)
    truth[:, :3] = 1
    truth[:, 4:, :2] = 2
    return truth


def not_a_number() -> np.ndarray:
    soft = np.full((SCENES, 3, SIDE, SIDE), 1 / 3, np.float16)
    soft[2, 1, 0, 0] = np.nan
    return soft


@pytest.mark.parametrize(
    ("change", "options", "status", "message"),
    [
        ({"keys": ["test-000", "test-001", "test-001", "test-003"]}, [], 7, "'test-001' occurs more than once"),
        ({"keys": ["test-000", "test-002", "test-001", "test-003"]}, [], 7, "in another order than in split 'test'"),
        ({"keys": ["a", "b", "c", "d"]}, [], 7, "of other scenes: 'a' is not in split 'test'"),
        ({"slots": 2}, [], 7, "scene 'test-000' names slot 2, and there are 2 slots, numbered from 0"),
        ({"masks": masks()[:, :3]}, [], 7, "different sizes, 3×6 and 6×6 pixels"),
        ({"masks": masks()[:0]}, [], 8, "it holds no scene: there is nothing to evaluate"),
        (
            {"soft_mask": not_a_number()},
            ["--set", "eval.resolution=12"],
            7,
            "soft masks of scene 'test-002' contain NaN",
        ),
    ],
)
def test_unsuitable_predictions_are_refused(
    change: dict[str, Any], options: list[str], status: int, message: str, tmp_path: Path
) -> None:
    given = {"masks": masks(), **change}
    store_predictions(tmp_path, store_masks(tmp_path, masks()), **given)
    done = CliRunner().invoke(app, ["eval", "--store", str(tmp_path), *options])
    text = " ".join(done.stderr.split())
    assert done.exit_code == status and message in text and "predictions.h5: " in text, text
    assert text.count("error: ") == 1 and done.stdout == "" and not list(tmp_path.glob("evaluation/*"))


def test_unused_soft_masks_are_not_checked(tmp_path: Path) -> None:
    store_predictions(tmp_path, store_masks(tmp_path, masks()), masks(), soft_mask=not_a_number())
    assert CliRunner().invoke(app, ["eval", "--store", str(tmp_path)]).exit_code == 0


def test_altered_predictions_are_detected(tmp_path: Path) -> None:
    predictions = store_predictions(tmp_path, store_masks(tmp_path, masks()), masks())
    with h5py.File(predictions.path / "predictions.h5", "r+") as file:
        file["mask"][0, 0, 0] = 2
    done = CliRunner().invoke(app, ["eval", "--store", str(tmp_path)])
    assert done.exit_code == 11 and "predictions.h5 was altered" in " ".join(done.stderr.split())
