"""holdout: combinations of shape and colour that training never showed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from iodine_kit import config as configuration
from iodine_kit.artifacts.dataset import dataset_info, open_split
from iodine_kit.datasets._tetromino_holdout import NAMES, ColourName, Holdout, held_out_rows
from iodine_kit.datasets._tetromino_shapes import COLOURS
from iodine_kit.errors import ConfigError, SchemaError
from iodine_kit.metrics import Comparison
from iodine_kit.metrics._comparison import hungarian
from iodine_kit.reporting.charts.series import rows_plot
from iodine_kit.stages import prepare
from iodine_kit.stages.evaluate import paired
from iodine_kit.studies._experiment import Bench, Scored
from iodine_kit.studies._findings import Cell, Estimate, Findings, Table, estimates, points
from iodine_kit.studies._scores import ARI_TEXT, INTERVALS, Floats64, ari, estimate, gap, last, mse, told

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


VERSION = 1
SUMMARY = "unseen combinations of shape and colour: IoU and error of such pieces against all others"
QUESTION = "Has the model learned shapes and colours, or only the combinations of them that it was shown?"
TAKES_RUN = False
BASE = {"infer": {"restarts": 1}}
UNSEEN, FAMILIAR = "test", "familiar"
NEW, SHAPE, COLOUR = "unseen combinations", "seen, the same shapes", "seen, the same colours"


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


def look(found: dict[str, Scored], holdout: Holdout) -> Findings:
    """Tables, two plots and what they show."""
    pieces = {split: Pieces(scored, holdout) for split, scored in found.items()}
    groups = _groups(pieces)
    rows: list[dict[str, Cell]] = [
        {
            "pieces": name,
            "n": int(mine.sum()),
            "iou": estimate(part.by_scene(part.iou, mine)),
            "whole": estimate(part.by_scene(part.whole, mine)),
            "mse": estimate(part.by_scene(part.error, mine)),
        }
        for name, (part, mine) in groups.items()
    ]
    of_scenes: list[dict[str, Cell]] = [
        {"scenes": name, "fg_ari": estimate(ari(found[split])), "elbo": estimate(last(found[split])),
         "mse": float(mse(found[split]).mean())}
        for name, split in (("with an unseen combination", UNSEEN), ("of seen combinations only", FAMILIAR))
    ]  # fmt: skip
    plots = [
        rows_plot(list(groups), [points(estimates(rows, column))], title=title, x_label=unit)
        for column, title, unit in (
            ("iou", "IoU with the slot", "of the objects' pixels, mean over scenes"),
            ("mse", "Reconstruction error", "mean squared error on the piece's pixels"),
        )
    ]
    seen, facts = _sentences(groups, of_scenes)
    return Findings(
        seen=seen,
        method=[
            f"Held out is every piece of shape {', '.join(map(str, holdout.shape))} in {', '.join(holdout.color)}: "
            "each of these shapes was seen in the other colours, and each colour on other shapes. No scene of training "
            f"or validation holds such a piece; every scene of the split '{UNSEEN}' holds one or more, none of "
            f"'{FAMILIAR}' does, from which the pieces of the same shapes and of the same colours are taken.",
            "IoU is that of a piece with the slot matched to it among the objects' pixels, as FG-ARI counts; over all "
            "pixels it is low where slots share the background out among them. The error is the mean squared one on "
            "the piece's pixels. Pieces of a kind are averaged within a scene first; differences between kinds are of "
            "different scenes, and their intervals draw both anew.",
            f"{ARI_TEXT} {INTERVALS}",
        ],
        tables=[
            Table(
                "By piece.",
                {"pieces": "Pieces", "n": "n", "iou": "IoU", "whole": "IoU over all pixels", "mse": "Error"},
                rows,
            ),
            Table("By scene.", {"scenes": "Scenes", "fg_ari": "FG-ARI", "elbo": "ELBO", "mse": "MSE"}, of_scenes),
        ],
        plots=plots,
        facts=facts,
    )


def _groups(pieces: dict[str, Pieces]) -> dict[str, tuple[Pieces, Marks]]:
    """Kinds of pieces: the unseen ones, and those that are like them in one respect or in none."""
    new, known = pieces[UNSEEN], pieces[FAMILIAR]
    return {
        NEW: (new, new.held),
        "seen, beside them": (new, ~new.held),
        SHAPE: (known, known.of_shape),
        COLOUR: (known, known.of_color),
        "seen, all": (known, ~known.held),
    }


def _sentences(
    groups: dict[str, tuple[Pieces, Marks]], of_scenes: list[dict[str, Cell]]
) -> tuple[list[str], dict[str, Any]]:
    scores = [cell for row in of_scenes if isinstance(cell := row["fg_ari"], Estimate)]
    seen = [f"FG-ARI is {told(scores[0])} where a combination is new and {told(scores[1])} where none is."]
    facts: dict[str, Any] = {}
    new, held = groups[NEW]
    for name, told_as in ((SHAPE, "the same shapes in colours seen"), (COLOUR, "the same colours on shapes seen")):
        part, mine = groups[name]
        iou = gap(new.by_scene(new.iou, held), part.by_scene(part.iou, mine))
        error = gap(new.by_scene(new.error, held), part.by_scene(part.error, mine))
        facts |= {f"iou, unseen less {name}": iou, f"error, unseen less {name}": error}
        seen.append(
            f"Against {told_as}, the IoU of an unseen combination differs by {told(iou)}"
            + (" (more than chance over scenes explains)" if iou.excludes_zero else " (within chance over scenes)")
            + f", and its pixels' squared error by {told(error)}"
            + (" (more than chance over scenes explains)." if error.excludes_zero else " (within chance over scenes).")
        )
    return seen, facts
