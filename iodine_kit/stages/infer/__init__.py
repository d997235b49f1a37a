"""infer: segments a split with a trained model, into ``predictions.h5``."""

from __future__ import annotations

from functools import partial
from typing import Any

from iodine_kit.artifacts.dataset import DatasetFacts, check_split, dataset_info, open_split
from iodine_kit.artifacts.trained_model import TrainedModel, of_run
from iodine_kit.config import build, split_table
from iodine_kit.engines import IN_THIS_PROCESS
from iodine_kit.errors import ConfigError, CountError
from iodine_kit.pretrained.image_profile import ImageStatistics, difference, measure
from iodine_kit.runner import Context, Inputs, Job, Tables
from iodine_kit.stages.infer.config import InferConfig, InferExecution
from iodine_kit.stages.infer.make import STATE, make
from iodine_kit.store import Artifact, Identity

__all__ = ["COMPARED_IMAGES", "INPUTS", "TABLES", "VERSION", "InferConfig", "InferExecution", "configure", "plan"]

VERSION = 2
TABLES = ("infer",)
INPUTS = ("run", "dataset")
COMPARED_IMAGES = 64
"""Number of images by which a split is compared with the images that a model was trained on."""


def plan(tables: Tables, inputs: Inputs, context: Context, model: TrainedModel | None = None) -> Job:
    """Resolve the configuration for a trained model and the data set to segment.

    ``model`` has weights that no run in the store holds; by default it is the model of the input ``run``.
    """
    if context.world.size > 1 and context.engine != IN_THIS_PROCESS:
        raise ConfigError(
            f"torchrun started {context.world.size} processes, which share the work: omit --engine, --address and "
            "--workers"
        )
    model, dataset, reporter = model or of_run(inputs["run"]), inputs["dataset"], context.reporter
    only = _only_split(model, dataset)
    given = {**model.defaults, **only, **tables.get("infer", {})}
    if only and "split" not in tables.get("infer", {}):
        reporter.note(f"note: infer.split={only['split']}, the only split of {dataset.path}", routine=True)
    config, execution = configure({"infer": given})
    available = check_split(dataset, config.split)
    count = config.scenes or available
    if count > available:
        raise CountError(f"{dataset.path}: split '{config.split}' has {available} scenes, not {count}")
    info, trained = dataset_info(dataset), model.plugin.test_time_options(model.config)
    model.plugin.check_image(model.config, info.height, info.width)
    if model.images and (unlike := difference(model.images, _measured(dataset, config.split, count))):
        reporter.note(f"note: {model.title}: {unlike}: its masks may be poor", routine=True)
    resolved: dict[str, Any] = {
        **config.model_dump(mode="json"),
        "slots": config.slots or trained.get("slots"),
        "steps": trained.get("steps") if config.steps is None else config.steps,
        "scenes": count,
    }
    # Validated with the test-time values, so that a value which the model forbids is refused before anything runs.
    build(model.plugin.Config, {**model.config.model_dump(), **{name: resolved[name] for name in trained}}, "infer")
    identity = Identity(
        kind="predictions",
        name=model.name,
        stage="infer",
        version=VERSION,
        plugins=dict(model.plugins),
        config={"infer": resolved, **model.settings},
        inputs={**model.inputs, "dataset": dataset.reference},
        sources=model.sources,
    )
    resolved_config = InferConfig.model_validate(resolved)
    return Job(identity, partial(make, resolved_config, execution, model, dataset, context), state=STATE)


def _only_split(model: TrainedModel, dataset: Artifact) -> dict[str, str]:
    """The only split of a data set, unless the model was trained on this data set or one of this name."""
    splits = list(DatasetFacts.of(dataset).splits)
    return {"split": splits[0]} if len(splits) == 1 and model.trained_on is None and not model.dataset else {}


def _measured(dataset: Artifact, split: str, count: int) -> ImageStatistics:
    """Statistics of the first images of a split."""
    return measure(open_split(dataset, split).batch(range(min(count, COMPARED_IMAGES))).image)


def configure(tables: Tables) -> tuple[InferConfig, InferExecution]:
    """Validate the tables."""
    values, execution_values = split_table(tables.get("infer", {}), [InferConfig, InferExecution], "infer")
    return build(InferConfig, values, "infer"), build(InferExecution, execution_values, "infer")
