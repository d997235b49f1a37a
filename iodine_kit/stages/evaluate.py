"""eval: predictions and the truth become scores per scene and object, and a summary that states its conventions."""

from __future__ import annotations

from pathlib import Path

from iodine_kit.config import build, split_table
from iodine_kit.errors import SchemaError
from iodine_kit.predictions import PREDICTIONS, PredictionReader
from iodine_kit.progress import Reporter
from iodine_kit.stages.evaluation import files
from iodine_kit.stages.evaluation.config import METRICS, EvalConfig, EvalExecution, Metrics, check, choose
from iodine_kit.stages.evaluation.files import Scores, read_objects, read_scenes, read_table
from iodine_kit.stages.evaluation.pairing import Pairs, open_truth, paired
from iodine_kit.stages.evaluation.resolution import Resolution
from iodine_kit.stages.evaluation.scoring import Scorer, Truth
from iodine_kit.stages.evaluation.summary import summarise
from iodine_kit.stages.job import Facts, Job, Tables
from iodine_kit.stages.split import dataset_info
from iodine_kit.store import Artifact, Identity

VERSION = 2
TABLES = ("eval",)
__all__ = [
    "METRICS", "TABLES", "VERSION", "EvalConfig", "EvalExecution", "Scores", "configure", "paired", "plan",
    "read_objects", "read_scenes", "read_table",
]  # fmt: skip


def plan(
    tables: Tables, predictions: Artifact, dataset: Artifact, reporter: Reporter, truth: Artifact | None = None
) -> Job:
    """Resolve the metrics and the resolution, and check that what they need was stored.

    Args:
        dataset: that the predictions were made for.
        truth: another preparation of the same scenes, from which the true masks are to come.
    """
    config, execution = configure(tables)
    path = predictions.path / PREDICTIONS
    stored = PredictionReader(path).fields()
    metrics = choose(config.metrics, stored, predictions.path)
    resolution = _resolution(config, predictions, truth or dataset, "soft_mask" in stored, dataset)
    identity = Identity(
        kind="evaluation",
        name=predictions.manifest.identity.name,
        stage="eval",
        version=VERSION,
        plugins={f"metric/{name}": metric.VERSION for name, metric in metrics.items()},
        config={"eval": {**config.model_dump(mode="json"), "metrics": list(metrics)}},
        inputs={
            "predictions": predictions.reference,
            "dataset": dataset.reference,
            **({"truth": truth.reference} if truth else {}),
        },
    )

    def make(out: Path) -> Facts:
        return _make(config, execution, metrics, resolution, predictions, dataset, truth, out, reporter)

    return Job(identity, make)


def configure(tables: Tables) -> tuple[EvalConfig, EvalExecution]:
    """Validate the tables, and that the metrics they name are there."""
    values, execution_values = split_table(tables.get("eval", {}), [EvalConfig, EvalExecution], "eval")
    config = build(EvalConfig, values, "eval")
    check(config)
    return config, build(EvalExecution, execution_values, "eval")


def _resolution(
    config: EvalConfig, predictions: Artifact, truth: Artifact, soft: bool, dataset: Artifact
) -> Resolution:
    own, other = dataset_info(dataset), dataset_info(truth)
    model = (own.height, own.width)
    size = model if config.resolution == "model" else (config.resolution, config.resolution)
    if config.resolution == "model" and (other.height, other.width) != model:
        raise SchemaError(
            f"{predictions.path} was predicted at {own.height}×{own.width} pixels, and {truth.path} holds true masks "
            f"of {other.height}×{other.width}: say at which size to compare, for example --resolution {other.height}"
        )
    return Resolution(model, (other.height, other.width), size, config.interpolation, soft)


def _make(
    config: EvalConfig,
    execution: EvalExecution,
    metrics: Metrics,
    resolution: Resolution,
    predictions: Artifact,
    dataset: Artifact,
    truth: Artifact | None,
    out: Path,
    reporter: Reporter,
) -> Facts:
    pairs = Pairs(predictions, dataset)
    split = predictions.facts["split"]
    other = None
    if truth is not None:
        scenes = open_truth(truth, dataset, split, pairs.predictions.keys)
        other = Truth(scenes, dataset_info(truth).background)
    scorer = Scorer(metrics, config.rules, resolution, other, _device(execution))
    with reporter.track("eval", len(pairs)) as advance:
        scored = scorer.run(pairs, advance)
    facts = {
        "dataset": pairs.info.dataset,
        "split": split,
        "scenes": len(pairs),
        "resolution": list(resolution.size),
        "resize": resolution.sentence(),
        "slots": pairs.slots,
        "steps": predictions.facts["steps"],
        "restarts": predictions.facts["restarts"],
        **summarise(config, metrics, resolution, scored),
    }
    files.write(out, facts, scored, config.table)
    return facts


def _device(execution: EvalExecution) -> str:
    """The device by name; torch is not loaded for the CPU unless its threads are to be set."""
    if execution.threads:
        import torch

        torch.set_num_threads(execution.threads)
    if execution.device == "cpu":
        return "cpu"
    from iodine_kit.tensors import pick_device

    return str(pick_device(execution.device))
