"""holdout: combinations of shape and colour that training never showed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from iodine_kit import config as configuration
from iodine_kit.datasets._tetromino_holdout import ColourName, Holdout, held_out_rows
from iodine_kit.errors import ConfigError
from iodine_kit.metrics import Comparison
from iodine_kit.reporting.charts.series import Series, rows_plot
from iodine_kit.stages import prepare
from iodine_kit.stages.evaluate import paired
from iodine_kit.stages.split import dataset_info, open_split
from iodine_kit.studies._bench import Bench, Scored
from iodine_kit.studies._findings import Cell, Estimate, Findings, Table
from iodine_kit.studies._scores import ARI_TEXT, INTERVALS, ari, estimate, last, mse, told

VERSION = 1
SUMMARY = "unseen combinations of shape and colour: IoU and error of such pieces against all others"
QUESTION = "Has the model learned shapes and colours, or only the combinations of them that it was shown?"
TAKES_RUN = False
BASE = {"infer": {"restarts": 1}}
UNSEEN, FAMILIAR = "test", "familiar"


class Config(configuration.Config):
    """What to try.

    Attributes:
        shape: ids 1…19 of shapes; 11 to 14 are S and Z.
        color: names of colours.
        scenes: to generate with a held-out piece each, and as many without any.
    """

    shape: Annotated[tuple[Annotated[int, Field(ge=1, le=19)], ...], Field(min_length=1)] = (11, 12, 13, 14)
    color: Annotated[tuple[ColourName, ...], Field(min_length=1)] = ("red", "cyan")
    scenes: Annotated[int, Field(ge=1)] = 320


def conduct(bench: Bench) -> Callable[[], Findings]:
    """A data set whose training never holds such a piece, one run, and inference for scenes with and without."""
    holdout = Holdout(shape=bench.config.shape, color=bench.config.color, splits=(UNSEEN,))
    dataset = bench.dataset(over=_law(bench, holdout))
    run = bench.train(dataset)
    found = {split: bench.score(run, dataset, f"split {split}", {"infer": {"split": split}}) for split in
             (UNSEEN, FAMILIAR)}  # fmt: skip
    return lambda: look(found, holdout)


def _law(bench: Bench, holdout: Holdout) -> dict[str, dict[str, Any]]:
    """The base's data set with the hold-out, and the two splits to look at."""
    choice = prepare.choose(bench.tables)
    if choice.config.dataset != "tetrominoes" or choice.config.generate is None:
        raise ConfigError("study holdout needs generated Tetrominoes: name a --pipeline that has them")
    split = {**choice.counts, UNSEEN: bench.config.scenes, FAMILIAR: bench.config.scenes}
    return {
        "prepare": {"generate": sum(split.values()), "split": split},
        "dataset": {"holdout": holdout.model_dump(mode="json")},
    }


class Pieces:
    """The pieces of a split, one row each: scene, whether its combination was held out, IoU, error."""

    def __init__(self, scored: Scored, holdout: Holdout) -> None:
        reader = open_split(scored.dataset, scored.predictions.facts["split"])
        background = dataset_info(scored.dataset).background
        parts: list[tuple[int, bool, float, float]] = []
        scene = 0
        for truth, prediction in paired(scored.predictions, scored.dataset):
            iou_BN = Comparison(truth, prediction, background).matched_iou_BN
            assert prediction.reconstruction is not None  # the bench stores every field
            error_BHW = ((prediction.reconstruction - truth.image / 255.0) ** 2).mean(-1)
            for row in range(len(truth)):
                held = held_out_rows(holdout, reader.scene(scene).factors)
                for piece in range(1, len(held)):
                    error = float(error_BHW[row][truth.mask[row] == piece].mean())
                    parts.append((scene, bool(held[piece]), float(iou_BN[row, piece + 1]), error))
                scene += 1
        reader.close()
        self.scenes = scene
        self.scene, self.held = np.array([p[0] for p in parts]), np.array([p[1] for p in parts])
        self.iou, self.error = np.array([p[2] for p in parts]), np.array([p[3] for p in parts])

    def by_scene(self, values: NDArray[np.float64], held: bool) -> NDArray[np.float64]:
        """Mean over a scene's pieces of one kind, ``float64[scenes]``, NaN where it has none."""
        mine = self.held == held
        count = np.bincount(self.scene[mine], minlength=self.scenes)
        total = np.bincount(self.scene[mine], values[mine], minlength=self.scenes)
        with np.errstate(invalid="ignore"):
            result: NDArray[np.float64] = np.where(count > 0, total / count, np.nan)
        return result


def look(found: dict[str, Scored], holdout: Holdout) -> Findings:
    """Table, two plots and what they show."""
    unseen, familiar = (Pieces(found[split], holdout) for split in (UNSEEN, FAMILIAR))
    groups = {
        "unseen combinations": (unseen, True),
        "seen, in the same scenes": (unseen, False),
        "seen, in scenes of seen only": (familiar, False),
    }
    rows: list[dict[str, Cell]] = [
        {
            "pieces": name,
            "n": int((part.held == held).sum()),
            "iou": estimate(part.by_scene(part.iou, held)),
            "mse": estimate(part.by_scene(part.error, held)),
        }
        for name, (part, held) in groups.items()
    ]
    of_scenes: list[dict[str, Cell]] = [
        {"scenes": name, "fg_ari": estimate(ari(found[split])), "elbo": estimate(last(found[split])),
         "mse": float(mse(found[split]).mean())}
        for name, split in (("with an unseen combination", UNSEEN), ("of seen combinations only", FAMILIAR))
    ]  # fmt: skip
    iou_gap = estimate(unseen.by_scene(unseen.iou, True) - unseen.by_scene(unseen.iou, False))
    error_gap = estimate(unseen.by_scene(unseen.error, True) - unseen.by_scene(unseen.error, False))
    plots = [
        rows_plot(list(groups), [_series([row[column] for row in rows])], title=title, x_label=unit)
        for column, title, unit in (
            ("iou", "IoU of pieces with their slot", "mean over scenes"),
            ("mse", "Reconstruction error", "mean squared error on the piece's pixels"),
        )
    ]
    return Findings(
        seen=_sentences(iou_gap, error_gap, of_scenes),
        method=[
            f"Held out is every piece of shape {', '.join(map(str, holdout.shape))} in {', '.join(holdout.color)}: "
            "each of these shapes was seen in the other colours, and each colour on other shapes. No scene of training "
            f"or validation holds such a piece; every scene of the split '{UNSEEN}' holds one or more, none of "
            f"'{FAMILIAR}' does.",
            "IoU is that of a piece with the slot matched to it, over all pixels: a slot that takes background too has "
            "a low one. Pieces of a kind are averaged within a scene first.",
            f"{ARI_TEXT} {INTERVALS}",
        ],
        tables=[
            Table("By piece.", {"pieces": "Pieces", "n": "n", "iou": "IoU", "mse": "Error on its pixels"}, rows),
            Table("By scene.", {"scenes": "Scenes", "fg_ari": "FG-ARI", "elbo": "ELBO", "mse": "MSE"}, of_scenes),
        ],
        plots=plots,
        facts={"iou_difference": iou_gap, "error_difference": error_gap},
    )


def _sentences(iou: Estimate, error: Estimate, of_scenes: list[dict[str, Cell]]) -> list[str]:
    scores = [cell for row in of_scenes if isinstance(cell := row["fg_ari"], Estimate)]
    verdict = "beyond what chance over scenes explains" if iou.excludes_zero else "within chance over scenes"
    return [
        f"FG-ARI is {told(scores[0])} where a combination is new and {told(scores[1])} where none is.",
        f"Within the same scenes a piece of an unseen combination has an IoU that differs by {told(iou)} from that of "
        f"the other pieces, {verdict}.",
        f"Its pixels' squared error differs by {told(error)}"
        + (": it is drawn worse." if error.low > 0 else ": it is not drawn worse, by this interval."),
    ]


def _series(cells: list[Cell]) -> Series:
    values = [cell for cell in cells if isinstance(cell, Estimate)]
    rows = [float(row) for row in range(len(values))]
    return Series("", rows, [v.mean for v in values], [v.low for v in values], [v.high for v in values], line=False)
