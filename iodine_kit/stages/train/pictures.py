"""Pictures of a training run: the masks of a few scenes, and the curves of its log."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from iodine_kit.records import Bytes, PredictionBatch, SceneBatch
from iodine_kit.training.run_files import CURVES, METRICS, read_metrics

if TYPE_CHECKING:
    from iodine_kit.models import Inference

_SCENES = 8


def scenes_picture(batch: SceneBatch, inference: Inference, count: int = _SCENES) -> Bytes:
    """The first ``count`` scenes with their masks after every decode, ``uint8[H', W', 3]``."""
    from iodine_kit.reporting.image_grid import segmentation_grid

    masks = inference.step_mask_BSHW[:count].cpu().numpy()
    means = inference.reconstruction_BCHW[:count].float().permute(0, 2, 3, 1).cpu().numpy()
    keys = batch.keys[:count]
    predictions = PredictionBatch(keys, masks[:, -1], step_mask=masks, reconstruction=means)
    return segmentation_grid(SceneBatch(keys, batch.image[:count], batch.mask[:count]), predictions)


def draw_curves(directory: Path, title: str) -> None:
    """Draw the training log in a run's directory as ``curves.svg``."""
    from iodine_kit.reporting.curves import curves_svg

    (directory / CURVES).write_text(curves_svg(read_metrics(directory / METRICS), title), "utf-8")
