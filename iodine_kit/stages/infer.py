"""infer: segments a split with a trained model, into ``predictions.h5``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from iodine_kit.artifacts.dataset import DatasetFacts, check_split, dataset_info, open_split
from iodine_kit.artifacts.trained_model import TrainedModel, of_run
from iodine_kit.config import Config, build, split_table
from iodine_kit.errors import CountError
from iodine_kit.inference import (
    ALL_FIELDS,
    InferenceOptions,
    StoredField,
    check_finite,
    infer_batch,
    to_device,
    to_prediction,
)
from iodine_kit.loader import in_order
from iodine_kit.predictions.file import PREDICTIONS, PredictionWriter
from iodine_kit.pretrained.image_profile import ImageStatistics, difference, measure
from iodine_kit.progress import Reporter
from iodine_kit.runner import Context, FactValues, Inputs, Job, Tables
from iodine_kit.store import Artifact, Identity

VERSION = 2
TABLES = ("infer",)
INPUTS = ("run", "dataset")
COMPARED_IMAGES = 64
"""Number of images by which a split is compared with the images that a model was trained on."""
Positive = Annotated[int, Field(ge=1)]


class InferConfig(Config):
    """What to infer.

    Attributes:
        split: split of the data set to segment.
        scenes: number of scenes, from the start of the split. Defaults to all.
        slots: K, number of slots. Defaults to that of training.
        steps: T, number of refinement steps. Defaults to that of training.
        restarts: independent inferences per scene. The one with the lowest final loss is kept: NLL + β·KL, with the β
            of the model (for β = 1, the highest ELBO). The posterior has several modes (section 4.4 of the paper), and
            refinement can end in a poor one. No true masks are used.
        store: fields to store beside the hard masks.
        batch_size: images per batch. It is part of the key, because it decides which noise a scene gets.
        seed: seed of the posterior samples.
    """

    split: str = "test"
    scenes: Positive | None = None
    slots: Annotated[int, Field(ge=1, le=255)] | None = None
    steps: Annotated[int, Field(ge=0)] | None = None
    restarts: Annotated[int, Field(ge=1, le=100)] = 1
    store: tuple[StoredField, ...] = ALL_FIELDS
    batch_size: Positive = 32
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0


class InferExecution(Config):
    """How inference is executed; not part of the key.

    Attributes:
        device: ``auto`` (a GPU if there is one), ``cpu``, ``cuda``, ``cuda:1``, …
        threads: CPU threads; 0 means PyTorch's default.
    """

    device: str = "auto"
    threads: Annotated[int, Field(ge=0)] = 0


def plan(tables: Tables, inputs: Inputs, context: Context, model: TrainedModel | None = None) -> Job:
    """Resolve the configuration for a trained model and the data set to segment.

    ``model`` has weights that no run in the store holds; by default it is the model of the input ``run``.
    """
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
    return Job(identity, lambda out: _make(resolved_config, execution, model, dataset, out, reporter))


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


def _make(
    config: InferConfig,
    execution: InferExecution,
    trained: TrainedModel,
    dataset: Artifact,
    out: Path,
    reporter: Reporter,
) -> FactValues:
    model = to_device(trained.load(), execution.device, execution.threads)
    options = InferenceOptions(config.seed, config.slots, config.steps, config.restarts)
    reader = open_split(dataset, config.split)
    assert config.scenes is not None
    writing, tracking = PredictionWriter(out / PREDICTIONS, config.scenes), reporter.track("infer", config.scenes)
    with writing as writer, tracking as advance:
        for number, batch in enumerate(in_order(reader, config.batch_size, config.scenes)):
            inference = infer_batch(model, batch.image, number, options)
            check_finite(batch.keys, inference)
            writer.append(to_prediction(batch.keys, inference, config.store))
            advance(len(batch))
    facts = config.model_dump(include={"scenes", "split", "slots", "steps", "restarts"})
    return facts | trained.keep(out)
