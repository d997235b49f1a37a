"""The pieces of a split's scenes, one by one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from iodine_kit.datasets._tetromino_holdout import NAMES, Holdout, held_out_rows
from iodine_kit.datasets._tetromino_shapes import COLOURS
from iodine_kit.errors import SchemaError
from iodine_kit.metrics import Comparison
from iodine_kit.metrics._matching import hungarian
from iodine_kit.stages.evaluate import paired
from iodine_kit.stages.split import dataset_info, open_split
from iodine_kit.studies._bench import Scored
from iodine_kit.studies._scores import Floats64

Marks = NDArray[np.bool_]


class Pieces:
    """Every piece of a split with what was made of it.

    Attributes:
        scene: its scene's number, ``int[n]``; ``scenes`` is how many there are.
        held: whether its combination is held out; ``of_shape`` and ``of_color``: whether only its shape, or only its
            colour, is one of those that are.
        iou: with the slot matched to it, of the objects' pixels only, as FG-ARI counts; ``whole`` is over all pixels.
        error: squared error of the reconstruction, mean over its pixels and channels.
    """

    def __init__(self, scored: Scored, holdout: Holdout) -> None:
        reader = open_split(scored.dataset, scored.predictions.facts["split"])
        background = dataset_info(scored.dataset).background
        rows: list[tuple[int, bool, bool, bool, float, float, float]] = []
        scene = 0
        for truth, prediction in paired(scored.predictions, scored.dataset):
            if prediction.reconstruction is None:
                raise SchemaError("study holdout needs reconstructions: leave infer.store as it is")
            comparison = Comparison(truth, prediction, background)
            iou_BN, whole_BN = _foreground_iou(comparison), comparison.matched_iou_BN
            error_BHW = ((prediction.reconstruction - truth.image / 255.0) ** 2).mean(-1)
            for row in range(len(truth)):
                factors = reader.scene(scene).factors
                held = held_out_rows(holdout, factors)
                shape = np.isin(factors["shape"], holdout.shape)
                wanted = np.array([COLOURS[NAMES.index(name)] for name in holdout.color])
                color = (np.asarray(factors["color"])[:, None] == wanted).all(-1).any(-1)
                for piece in range(1, len(held)):
                    error = float(error_BHW[row][truth.mask[row] == piece].mean())
                    kinds = (bool(held[piece]), bool((shape & ~held)[piece]), bool((color & ~held)[piece]))
                    rows.append((scene, *kinds, float(iou_BN[row, piece + 1]), float(whole_BN[row, piece + 1]), error))
                scene += 1
        reader.close()
        self.scenes = scene
        self.scene, self.held, self.of_shape, self.of_color, self.iou, self.whole, self.error = map(
            np.array, zip(*rows, strict=True)
        )

    def by_scene(self, values: Floats64, mine: Marks) -> Floats64:
        """Mean over a scene's pieces that are marked, ``float64[scenes]``, NaN where it has none."""
        count = np.bincount(self.scene[mine], minlength=self.scenes)
        total = np.bincount(self.scene[mine], values[mine], minlength=self.scenes)
        with np.errstate(invalid="ignore"):
            result: Floats64 = np.where(count > 0, total / count, np.nan)
        return result


def _foreground_iou(comparison: Comparison) -> Floats64:
    """IoU of every row with the slot matched to it where background pixels are left out, ``float64[B, N]``."""
    table_BNK = comparison.table_BNK.astype(np.float64)
    table_BNK[:, 0] = 0
    union_BNK = table_BNK.sum(2, keepdims=True) + table_BNK.sum(1, keepdims=True) - table_BNK
    iou_BNK = table_BNK / np.maximum(union_BNK, 1)
    match_BN = hungarian(iou_BNK, comparison.objects_BN)
    matched = np.take_along_axis(iou_BNK, np.maximum(match_BN, 0)[..., None], 2)[..., 0]
    result: Floats64 = np.where(match_BN >= 0, matched, 0.0)
    return result
