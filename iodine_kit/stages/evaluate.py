"""eval: predictions and the truth become scores per scene and object, and a summary that states its conventions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from iodine_kit.artifacts.dataset import dataset_info
from iodine_kit.artifacts.pairs import Pairs, open_truth, paired
from iodine_kit.config import build, split_table
from iodine_kit.errors import SchemaError
from iodine_kit.evaluation import files
from iodine_kit.evaluation.config import EvalConfig, EvalExecution, Metrics, check, choose
from iodine_kit.evaluation.files import Scores, read_objects, read_scenes, read_table
from iodine_kit.evaluation.resolution import Resolution
from iodine_kit.evaluation.scoring import Scorer, Truth
from iodine_kit.evaluation.summary import summarise
from iodine_kit.predictions.file import PREDICTIONS, PredictionReader
from iodine_kit.progress import Reporter
from iodine_kit.runner import Context, Facts, Inputs, Job, Tables
from iodine_kit.store import Artifact, Identity, Reference

VERSION = 2
TABLES = ("eval",)
INPUTS = ("predictions", "dataset")
__all__ = [
    "INPUTS", "TABLES", "VERSION", "EvalConfig", "EvalExecution", "Scores", "configure", "paired", "plan",
    "read_objects", "read_scenes", "read_table",
]  # fmt: skip


@dataclass(frozen=True)
class Compared:
    """What an evaluation is made from.

    Attributes:
        dataset: that the predictions were made for.
        truth: another preparation of the same scenes, from which the true masks come; ``None`` takes the data set's.
    """

    predictions: Artifact
    dataset: Artifact
    truth: Artifact | None = None

    def references(self) -> dict[str, Reference]:
        """All of them by role."""
        roles = {"predictions": self.predictions, "dataset": self.dataset, "truth": self.truth}
        return {role: artifact.reference for role, artifact in roles.items() if artifact is not None}


def plan(tables: Tables, inputs: Inputs, context: Context) -> Job:
    """Resolve the metrics and the resolution, and check that what they need was stored; see :class:`Compared`."""
    config, execution = configure(tables)
    predictions = inputs["predictions"]
    compared = Compared(predictions, inputs["dataset"], inputs.get("truth"))
    stored = PredictionReader(predictions.path / PREDICTIONS).fields()
    metrics = choose(config.metrics, stored, predictions.path)
    resolution = _resolution(config, compared, "soft_mask" in stored)
    identity = Identity(
        kind="evaluation",
        name=predictions.manifest.identity.name,
        stage="eval",
        version=VERSION,
        plugins={f"metric/{name}": metric.VERSION for name, metric in metrics.items()},
        config={"eval": {**config.model_dump(mode="json"), "metrics": list(metrics)}},
        inputs=compared.references(),
    )
    return Job(identity, lambda out: _make(config, execution, metrics, resolution, compared, out, context.reporter))


def configure(tables: Tables) -> tuple[EvalConfig, EvalExecution]:
    """Validate the tables, and that the metrics they name are there."""
    values, execution_values = split_table(tables.get("eval", {}), [EvalConfig, EvalExecution], "eval")
    config = build(EvalConfig, values, "eval")
    check(config)
    return config, build(EvalExecution, execution_values, "eval")


def _resolution(config: EvalConfig, inputs: Compared, soft: bool) -> Resolution:
    truth = inputs.truth or inputs.dataset
    model, true = _size(inputs.dataset), _size(truth)
    if config.resolution == "model" and true != model:
        raise SchemaError(
            f"{inputs.predictions.path} was predicted at {model[0]}×{model[1]} pixels, and {truth.path} holds true "
            f"masks of {true[0]}×{true[1]}: say at which size to compare, for example --set eval.resolution={true[0]}"
        )
    size = model if config.resolution == "model" else (config.resolution, config.resolution)
    return Resolution(model, true, size, config.interpolation, soft)


def _make(
    config: EvalConfig,
    execution: EvalExecution,
    metrics: Metrics,
    resolution: Resolution,
    inputs: Compared,
    out: Path,
    reporter: Reporter,
) -> Facts:
    pairs, told = Pairs(inputs.predictions, inputs.dataset), inputs.predictions.facts
    scorer = Scorer(metrics, config.rules, resolution, _truth(inputs, pairs), _device(execution))
    with reporter.track("eval", len(pairs)) as advance:
        scored = scorer.run(pairs, advance)
    facts = {
        "dataset": pairs.info.dataset,
        "split": told["split"],
        "model": told.get("model", ""),
        "scenes": len(pairs),
        "resolution": list(resolution.size),
        "resize": told.get("resized", "") + resolution.sentence(),
        "slots": pairs.slots,
        "steps": told["steps"],
        "restarts": told["restarts"],
        **summarise(config, metrics, resolution, scored),
    }
    files.write(out, facts, scored, config.table)
    return facts


def _truth(inputs: Compared, pairs: Pairs) -> Truth | None:
    """Where true masks come from, if not from the data set that the predictions were made for."""
    if inputs.truth is None:
        return None
    split, keys = inputs.predictions.facts["split"], pairs.predictions.keys
    return Truth(open_truth(inputs.truth, inputs.dataset, split, keys), dataset_info(inputs.truth).background)


def _size(dataset: Artifact) -> tuple[int, int]:
    info = dataset_info(dataset)
    return info.height, info.width


def _device(execution: EvalExecution) -> str:
    """The device by name; torch is not loaded for the CPU unless its threads are to be set."""
    if execution.threads:
        import torch

        torch.set_num_threads(execution.threads)
    if execution.device == "cpu":
        return "cpu"
    from iodine_kit.tensors import pick_device

    return str(pick_device(execution.device))
