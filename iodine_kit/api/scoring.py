"""Scores of predicted masks: per scene, or summed up with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from iodine_kit import records
from iodine_kit.api.arguments import AnyArray, argument, to_background, to_masks
from iodine_kit.api.dataset import Dataset
from iodine_kit.api.model import Segmentation
from iodine_kit.api.pairing import check_needs, pair
from iodine_kit.artifacts.predictions_and_truth import batch_size
from iodine_kit.config import build
from iodine_kit.errors import ConfigError
from iodine_kit.evaluation.bootstrap import Resampling
from iodine_kit.evaluation.facts import EvaluationFacts, MetricFacts
from iodine_kit.evaluation.mask_size import Resolution
from iodine_kit.evaluation.scoring import Scorer, choose_metrics, score_masks
from iodine_kit.evaluation.summary import summarise
from iodine_kit.evaluation.tables import headline, summary_tables
from iodine_kit.formatting import counted, estimated
from iodine_kit.metrics import METRICS, Convention, checked_ignored
from iodine_kit.stages.evaluate import EvalConfig
from iodine_kit.store import Artifact
from iodine_kit.tables import Table, as_csv, as_latex, as_markdown

_FORMATS = {"markdown": as_markdown, "csv": as_csv, "latex": as_latex}


def score(
    truth: AnyArray,
    predicted: AnyArray,
    metrics: str | Sequence[str] = ("ari", "miou"),
    *,
    background: int | Sequence[int] = (0,),
    ignored: int | None = None,
    convention: Convention = "exclude",
    tolerance: float = 0.008,
) -> dict[str, NDArray[np.float64]]:
    """Score predicted masks against true masks, scene by scene.

    Args:
        truth: integers ``[B, H, W]`` in 0…255, the entity that owns each pixel; NumPy array or PyTorch tensor.
        predicted: integers ``[B, H, W]`` in 0…255, the slot that owns each pixel. The numbers of slots need not be
            those of entities.
        metrics: one name or several of ``ari`` (foreground ARI), ``ari-all``, ``miou``, ``miou-fg``, ``mbo``, ``msc``,
            ``dice``, ``ap`` …: ``docs/evaluation.md`` lists all. They need masks alone; see :func:`evaluate` for
            metrics of reconstructions.
        background: values of ``truth`` that are background.
        ignored: value of ``truth`` in the pixels to ignore, often 255: no metric counts them. By default, all count.
        convention: score of a scene whose adjusted Rand index is 0/0: see ``docs/evaluation.md``.
        tolerance: of boundary metrics, as a share of the image's diagonal, in (0, 0.5].

    Returns:
        By metric: ``float64[B]``; NaN for a scene on which the metric is undefined.

    Raises:
        ValueError: if shapes differ, masks are not integers in 0…255, or a metric is unknown or needs more than masks;
            the message names the argument.

    >>> import numpy as np
    >>> truth = np.array([[[0, 1, 1, 2, 2]]])  # one scene of 1×5 pixels: background and two objects
    >>> score(truth, np.array([[[7, 3, 3, 5, 5]]]), "ari")  # every object has a slot of its own
    {'ari': array([1.])}
    >>> score(truth, np.array([[[0, 3, 3, 3, 3]]]), ("ari", "miou-fg"))  # one slot has both objects
    {'ari': array([0.]), 'miou-fg': array([0.25])}
    """
    names = [metrics] if isinstance(metrics, str) else list(metrics)
    config = _config(metrics=names, convention=convention, tolerance=tolerance)
    for name in config.metrics:
        with argument("metrics"):
            needed = METRICS.load(name).NEEDS
        if needed is not None:
            raise ValueError(f"metrics: '{name}' scores {needed}, not masks: pass the segmentation to evaluate")
    true, mask = to_masks("truth", truth), to_masks("predicted", predicted)
    ids = to_background(background)
    scores = score_masks(
        true, mask, config.metrics, background=ids, options=config.options, ignored=checked_ignored(ignored, ids)
    )  # fmt: skip
    return {name: one.values for name, one in scores.items()}


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation:
    """Means over scenes, with intervals. A notebook shows them as a table.

    Attributes:
        metrics: by name: ``mean``, ``interval`` (both ends), ``std``, ``median``, ``n``, ``undefined``, ``degenerate``,
            and ``convention``, the definition of the metric in words.
        scores: by metric ``float64[B]``, as from :func:`score`.
        facts: all results, also by number and size of objects, as in the file ``summary.json`` of the stage ``eval``.
    """

    facts: EvaluationFacts
    scores: dict[str, NDArray[np.float64]]

    @property
    def metrics(self) -> dict[str, MetricFacts]:
        """The metrics by name."""
        return self.facts.metrics

    def table(self, format: Literal["markdown", "csv", "latex"] = "markdown", *, definitions: bool = False) -> str:
        """Return the metrics as a table in text; with ``definitions``, Markdown and LaTeX explain each metric below."""
        if format not in _FORMATS:
            raise ValueError(f"format: '{format}' is not one of {', '.join(_FORMATS)}")
        table = self._table()
        return _FORMATS[format](table if definitions else replace(table, notes=()))

    def _table(self) -> Table:
        table = summary_tables(self.facts)[0]
        height, width = self.facts.resolution
        caption = headline(self.facts) if self.facts.dataset else f"{self.facts.scenes} scenes at {height}×{width}"
        return replace(table, caption=caption)

    def __repr__(self) -> str:
        means = (f"{metric.title} {estimated(metric.mean, metric.interval)}" for metric in self.metrics.values())
        return f"Evaluation of {counted(self.facts.scenes, 'scene')}: {', '.join(means)}"

    def _repr_html_(self) -> str:
        from iodine_kit.reporting.templating import fill

        return str(fill("table.html", content=self._table()))


def evaluate(
    truth: Dataset | records.SceneBatch | AnyArray,
    predictions: Segmentation | Artifact | AnyArray,
    metrics: str | Sequence[str] = ("ari", "miou"),
    *,
    background: int | Sequence[int] | None = None,
    ignored: int | None = None,
    convention: Convention = "exclude",
    tolerance: float = 0.008,
    resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Evaluation:
    """Score predictions, and sum up: means with bootstrap intervals over scenes, and the convention of each metric.

    Args:
        truth: a data set, whose first scenes were predicted; a batch of scenes; or true masks, integers ``[B, H, W]``.
        predictions: what ``model.segment`` or ``ik.infer`` returned; or predicted masks, integers ``[B, H, W]``.
        metrics: names as for :func:`score`; also metrics of reconstructions and of the ELBO. ``"all"`` stands for every
            metric that can be computed from the arguments; of scenes without masks, metrics of images and the ELBO.
        background: values of true masks that are background. Defaults to those of the data set, or else 0.
        ignored: value of true masks in the pixels to ignore. Defaults to that of the data set, or to none.
        convention, tolerance: as for :func:`score`.
        resamples: number of bootstrap resamples; 0 for no intervals.
        level: of the intervals, in (0, 1).
        seed: of the bootstrap.

    Raises:
        ValueError: if shapes or keys of scenes differ, or an argument is wrong; the message names it.

    >>> import iodine_kit as ik
    >>> batch = ik.generate("tetrominoes", 4)
    >>> model = ik.load_model("pretrained:tetrominoes", device="cpu")
    >>> evaluation = ik.evaluate(batch, model.segment(batch.image), ("ari", "mse"))
    >>> round(evaluation.metrics["ari"].mean, 2), evaluation.metrics["ari"].n
    (1.0, 4)
    >>> print(evaluation.table("csv").splitlines()[0])
    metric,mean,95 % interval low,95 % interval high,sd,median,n,undefined,degenerate
    """
    names = [metrics] if isinstance(metrics, str) else list(metrics)
    config = _config(
        metrics=names, convention=convention, tolerance=tolerance, resamples=resamples, level=level, seed=seed
    )  # fmt: skip
    pairs = pair(truth, predictions)
    ids = pairs.background if background is None else to_background(background)
    outside = pairs.ignored if ignored is None else checked_ignored(ignored, ids)
    check_needs(config.metrics, pairs)
    resolution = Resolution(pairs.size, pairs.size, pairs.size, soft=False)
    with closing(pairs), argument(pairs.argument):
        chosen = choose_metrics(config.metrics, pairs.stored, pairs.place, pairs.lacking)
        scorer = Scorer(chosen, config.options, resolution, ids, masks=pairs.lacking is None, ignored=outside)
        batches = pairs.batches(batch_size(scorer.pixels), scorer.fields)
        scores = scorer.score(batches, pairs.place, lambda count, **fields: None)
    resampling = Resampling(config.resamples, config.level, config.seed)
    facts = summarise(pairs.subject, scores, chosen, config.options, resolution, resampling)
    return Evaluation(facts, scores.values)


def _config(**values: object) -> EvalConfig:
    try:
        return build(EvalConfig, values, "eval")
    except ConfigError as error:
        raise ValueError(str(error).removeprefix("eval.")) from error
