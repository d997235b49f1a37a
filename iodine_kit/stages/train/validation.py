"""Validation during training: FG-ARI and ELBO on the first scenes of a split, with the same noise every time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from iodine_kit.artifacts.dataset import check_split, dataset_info, open_split
from iodine_kit.errors import ConfigError
from iodine_kit.loader import in_order
from iodine_kit.metrics import METRICS, Comparison
from iodine_kit.records import Bytes, PredictionBatch, SceneBatch
from iodine_kit.store import Artifact
from iodine_kit.training.config import TrainConfig

if TYPE_CHECKING:
    from torch import nn

    from iodine_kit.models import Inference
    from iodine_kit.training.loop import ValidationResult

METRIC = "ari"
NOISE = 1 << 50
"""Added to the number of a batch, so that validation draws other noise than any step of training."""
_SCENES = 8


class Validation:
    """Validates a model on the first ``train.validate_scenes`` of ``train.validate_split``; without masks, no FG-ARI.

    Raises:
        CountError: if the data set has no such split.
        ConfigError: if ``train.select`` is ``best`` and none of the scenes has a true mask.
    """

    def __init__(self, config: TrainConfig, dataset: Artifact) -> None:
        self._config, self._info = config, dataset_info(dataset)
        self.scenes = min(config.validate_scenes, check_split(dataset, config.validate_split))
        self._reader = open_split(dataset, config.validate_split)
        if config.select == "best" and not self._has_truth():
            raise ConfigError(
                f"train.select=best needs true masks, and the first {self.scenes} scenes of "
                f"'{config.validate_split}' have none: use train.select=best-elbo"
            )

    def _has_truth(self) -> bool:
        """Whether FG-ARI is defined for any scene; usually the first one suffices."""
        metric = METRICS.load(METRIC)
        for batch in in_order(self._reader, self._config.batch_size, self.scenes):
            if not batch.has_masks:
                return False
            if np.isfinite(self._comparison(batch, batch.mask).scores(metric).values).any():
                return True
        return False

    def __call__(self, model: nn.Module, step: int) -> ValidationResult:
        """``fg_ari``, the mean over the scenes where it is defined, and ``val_loss``, −ELBO in nats per image."""
        from iodine_kit.tensors import images_to, step_generator

        metric, infer = METRICS.load(METRIC), getattr(model, "infer")  # noqa: B009 - any model's
        device = next(model.parameters()).device
        scores, losses = [np.zeros(0)], []
        first: list[Any] = []
        for number, batch in enumerate(in_order(self._reader, self._config.batch_size, self.scenes)):
            noise = step_generator(self._config.seed, NOISE + number)
            inference: Any = infer(images_to(device, batch.image), noise)
            masks = inference.step_mask_BSHW[:, -1].cpu().numpy()
            if batch.has_masks:
                scores.append(self._comparison(batch, masks).scores(metric).values)
            losses.append((inference.nll_BS + inference.kl_BS)[:, -1].double().cpu().numpy())
            first = first or [batch, inference]
        score = np.concatenate(scores)
        defined = score[np.isfinite(score)]
        metrics = {"fg_ari": float(defined.mean())} if len(defined) else {}
        metrics["val_loss"] = float(np.concatenate(losses).mean())
        from iodine_kit.training.loop import ValidationResult  # here, because it loads torch, which takes seconds

        return ValidationResult(metrics, lambda: scenes_picture(first[0], first[1], ignored=self._info.ignored))

    def _comparison(self, truth: SceneBatch, masks: Bytes) -> Comparison:
        prediction = PredictionBatch(truth.keys, masks)
        return Comparison(truth, prediction, self._info.background, ignored=self._info.ignored)


def scenes_picture(batch: SceneBatch, inference: Inference, count: int = _SCENES, ignored: int | None = None) -> Bytes:
    """The first ``count`` scenes with their masks after every decode, ``uint8[H', W', 3]``."""
    from iodine_kit.reporting.image_grid import segmentation_grid

    masks = inference.step_mask_BSHW[:count].cpu().numpy()
    means = inference.reconstruction_BCHW[:count].float().permute(0, 2, 3, 1).cpu().numpy()
    shown = replace(batch, keys=batch.keys[:count], image=batch.image[:count], mask=batch.mask[:count])
    predictions = PredictionBatch(shown.keys, masks[:, -1], step_mask=masks, reconstruction=means)
    return segmentation_grid(shown, predictions, ignored)
