"""holdout: combinations of shape and colour that training never showed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from iodine_kit import config as configuration
from iodine_kit.artifacts.dataset import dataset_info, open_split
from iodine_kit.artifacts.predictions_and_truth import PredictionsFacts, paired
from iodine_kit.datasets.tetrominoes import ColourName, Holdout, held_out_rows, related_rows
from iodine_kit.errors import ConfigError, SchemaError
from iodine_kit.metrics import Comparison, hungarian
from iodine_kit.reporting.charts import rows_plot
from iodine_kit.stages import prepare
from iodine_kit.studies._experiment import Evaluated, Experiment
from iodine_kit.studies._findings import Cell, Findings, Table, estimates_in, point_series
from iodine_kit.studies._scores import (
    ARI_TEXT,
    INTERVALS,
    Floats64,
    estimate,
    fg_ari,
    final,
    format_estimate,
    mse,
    unpaired_difference,
    verdict,
)

VERSION = 1
SUMMARY = "unseen combinations of shape and colour: IoU and error of such pieces compared with all others"
QUESTION = "Has the model learned shapes and colours, or only the combinations of them that were in the training data?"
TAKES_RUN = False
BASE = {"infer": {"restarts": 1}}
UNSEEN, FAMILIAR = "test", "familiar"
"""The splits with and without a held-out piece in every scene."""
NEW, SHAPE, COLOUR = "unseen combinations", "seen, the same shapes", "seen, the same colours"

Selection = NDArray[np.bool_]


class Config(configuration.Config):
    """What the study holds out.

    Attributes:
        shape: ids 1…19 of shapes; 11 to 14 are S and Z.
        color: names of colours.
        scenes: number of scenes with a held-out piece to generate, and of scenes without one.
    """

    shape: Annotated[tuple[Annotated[int, Field(ge=1, le=19)], ...], Field(min_length=1)] = (11, 12, 13, 14)
    color: Annotated[tuple[ColourName, ...], Field(min_length=1)] = ("red", "cyan")
    scenes: Annotated[int, Field(ge=1)] = 320


class Pieces:
    """Every piece of a split and how well it was segmented and reconstructed; all arrays have one entry per piece.

    Attributes:
        scenes: number of scenes of the split.
        scene: index of the piece's scene, ``int[n]``.
        held_out, same_shape, same_colour: whether the combination is held out; or only the shape, or only the colour,
            is one of those held out, ``bool[n]``.
        iou: IoU with the matched slot among the objects' pixels, as FG-ARI counts, ``float64[n]``.
        iou_all: IoU with the matched slot over all pixels, ``float64[n]``.
        error: squared error of the reconstruction in [0, 1], mean over the piece's pixels and channels, ``float64[n]``.
    """

    def __init__(self, evaluated: Evaluated, holdout: Holdout) -> None:
        """Read a split.

        Raises:
            SchemaError: if the predictions have no reconstructions.
        """
        reader = open_split(evaluated.dataset, PredictionsFacts.of(evaluated.predictions).split)
        info = dataset_info(evaluated.dataset)
        rows: list[tuple[int, bool, bool, bool, float, float, float]] = []
        scene = 0
        for truth, prediction in paired(evaluated.predictions, evaluated.dataset):
            if prediction.reconstruction is None:
                raise SchemaError("study holdout needs reconstructions: keep the default of infer.store")
            comparison = Comparison(truth, prediction, info.background, ignored=info.ignored)
            iou_BN, iou_all_BN = _foreground_iou(comparison), comparison.matched_iou_BN
            error_BHW = ((prediction.reconstruction - truth.image / 255.0) ** 2).mean(-1)
            for row in range(len(truth)):
                factors = reader.scene(scene).factors
                held_out = held_out_rows(holdout, factors)
                shape, colour = related_rows(holdout, factors)
                for piece in range(1, len(held_out)):
                    kinds = (bool(held_out[piece]), bool((shape & ~held_out)[piece]), bool((colour & ~held_out)[piece]))
                    ious = (float(iou_BN[row, piece + 1]), float(iou_all_BN[row, piece + 1]))
                    rows.append((scene, *kinds, *ious, float(error_BHW[row][truth.mask[row] == piece].mean())))
                scene += 1
        reader.close()
        self.scenes = scene
        self.scene, self.held_out, self.same_shape, self.same_colour, self.iou, self.iou_all, self.error = map(
            np.array, zip(*rows, strict=True)
        )

    def by_scene(self, values: Floats64, selected: Selection) -> Floats64:
        """Mean over the selected pieces of each scene, ``float64[scenes]``; NaN for a scene without such a piece."""
        count = np.bincount(self.scene[selected], minlength=self.scenes)
        total = np.bincount(self.scene[selected], values[selected], minlength=self.scenes)
        with np.errstate(invalid="ignore"):
            result: Floats64 = np.where(count > 0, total / count, np.nan)
        return result


def _foreground_iou(comparison: Comparison) -> Floats64:
    """IoU of every row with its matched slot, background pixels ignored, ``float64[B, N]``."""
    table_BNK = comparison.table_BNK.astype(np.float64)
    table_BNK[:, 0] = 0
    union_BNK = table_BNK.sum(2, keepdims=True) + table_BNK.sum(1, keepdims=True) - table_BNK
    iou_BNK = table_BNK / np.maximum(union_BNK, 1)
    match_BN = hungarian(iou_BNK, comparison.objects_BN)
    matched = np.take_along_axis(iou_BNK, np.maximum(match_BN, 0)[..., None], 2)[..., 0]
    result: Floats64 = np.where(match_BN >= 0, matched, 0.0)
    return result


def conduct(experiment: Experiment) -> Callable[[], Findings]:
    """Train once on a data set without held-out pieces; infer on scenes with and without them."""
    holdout = Holdout(shape=experiment.config.shape, color=experiment.config.color, splits=(UNSEEN,))
    dataset = experiment.dataset(overrides=_dataset_tables(experiment, holdout))
    run = experiment.train(dataset)
    results = {
        split: experiment.evaluate(run, dataset, f"split {split}", {"infer": {"split": split}})
        for split in (UNSEEN, FAMILIAR)
    }
    return lambda: analyse(results, holdout)


def _dataset_tables(experiment: Experiment, holdout: Holdout) -> dict[str, dict[str, Any]]:
    """The base's data set with held-out combinations and the two splits to compare."""
    resolved = prepare.configure(experiment.tables)
    if resolved.config.dataset != "tetrominoes" or resolved.config.generate is None:
        raise ConfigError("study holdout needs generated Tetrominoes: name a --pipeline that generates them")
    split = {**resolved.counts, UNSEEN: experiment.config.scenes, FAMILIAR: experiment.config.scenes}
    return {
        "prepare": {"generate": sum(split.values()), "split": split},
        "dataset": {"holdout": holdout.model_dump(mode="json")},
    }


def analyse(results: dict[str, Evaluated], holdout: Holdout) -> Findings:
    """Two tables, two plots and sentences; ``results`` are by split."""
    groups = _groups({split: Pieces(evaluated, holdout) for split, evaluated in results.items()})
    rows: list[dict[str, Cell]] = [
        {
            "pieces": name,
            "n": int(selected.sum()),
            "iou": estimate(pieces.by_scene(pieces.iou, selected)),
            "whole": estimate(pieces.by_scene(pieces.iou_all, selected)),
            "mse": estimate(pieces.by_scene(pieces.error, selected)),
        }
        for name, (pieces, selected) in groups.items()
    ]
    scene_rows: list[dict[str, Cell]] = [
        {
            "scenes": name,
            "fg_ari": estimate(fg_ari(results[split])),
            "elbo": estimate(final(results[split])),
            "mse": float(mse(results[split]).mean()),
        }
        for name, split in (("with an unseen combination", UNSEEN), ("with seen combinations only", FAMILIAR))
    ]
    plots = [
        rows_plot(list(groups), [point_series(estimates_in(rows, column))], title=title, x_label=unit)
        for column, title, unit in (
            ("iou", "IoU with the slot", "of the objects' pixels, mean over scenes"),
            ("mse", "Reconstruction error", "mean squared error on the piece's pixels"),
        )
    ]
    observations, facts = _observations(groups, scene_rows)
    return Findings(
        observations=observations,
        method=[
            f"Every piece of shape {', '.join(map(str, holdout.shape))} in {', '.join(holdout.color)} is held out: "
            "training showed each of these shapes in the other colours, and each of these colours on other shapes. No "
            f"scene for training or validation has such a piece. Every scene of the split '{UNSEEN}' has one or more; "
            f"no scene of '{FAMILIAR}' has one. The pieces of the same shapes and of the same colours are from "
            f"'{FAMILIAR}'.",
            "IoU is computed between a piece and its matched slot among the objects' pixels, as FG-ARI counts; over "
            "all pixels it is low if slots share the background. The error is the mean squared error on the piece's "
            "pixels. Pieces of a kind are first averaged within a scene. Differences between kinds are differences "
            "between different scenes; the bootstrap resamples both sets of scenes.",
            f"{ARI_TEXT} {INTERVALS}",
        ],
        tables=[
            Table(
                "By piece.",
                {"pieces": "Pieces", "n": "n", "iou": "IoU", "whole": "IoU over all pixels", "mse": "Error"},
                rows,
            ),
            Table("By scene.", {"scenes": "Scenes", "fg_ari": "FG-ARI", "elbo": "ELBO", "mse": "MSE"}, scene_rows),
        ],
        plots=plots,
        facts=facts,
    )


Groups = dict[str, tuple[Pieces, Selection]]


def _groups(pieces: dict[str, Pieces]) -> Groups:
    """Kinds of pieces: the unseen ones, and those that share the shape, the colour or neither with them."""
    new, familiar = pieces[UNSEEN], pieces[FAMILIAR]
    return {
        NEW: (new, new.held_out),
        "seen, beside them": (new, ~new.held_out),
        SHAPE: (familiar, familiar.same_shape),
        COLOUR: (familiar, familiar.same_colour),
        "seen, all": (familiar, ~familiar.held_out),
    }


def _observations(groups: Groups, scene_rows: list[dict[str, Cell]]) -> tuple[list[str], dict[str, Any]]:
    scores = [format_estimate(score) for score in estimates_in(scene_rows, "fg_ari")]
    observations = [
        f"FG-ARI is {scores[0]} in scenes with an unseen combination and {scores[1]} in scenes without one."
    ]
    facts: dict[str, Any] = {}
    new, held_out = groups[NEW]
    for name, words in ((SHAPE, "the same shapes in seen colours"), (COLOUR, "the same colours on seen shapes")):
        pieces, selected = groups[name]
        iou = unpaired_difference(new.by_scene(new.iou, held_out), pieces.by_scene(pieces.iou, selected))
        error = unpaired_difference(new.by_scene(new.error, held_out), pieces.by_scene(pieces.error, selected))
        facts |= {f"iou, unseen less {name}": iou, f"error, unseen less {name}": error}
        observations.append(
            f"Compared with {words}, the IoU of an unseen combination differs by {format_estimate(iou)} "
            f"({verdict(iou)}), and the squared error on its pixels by {format_estimate(error)} ({verdict(error)})."
        )
    return observations, facts
