"""train: trains a model on a data set; makes weights and a log."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from iodine_kit.artifacts.dataset import check_split, dataset_info, lack_of_masks, open_split
from iodine_kit.artifacts.start_weights import KEY, Start, find_start, start_place
from iodine_kit.config import Config, Values, build, merge, named, split_table
from iodine_kit.errors import ConfigError, SchemaError
from iodine_kit.formats import Reader
from iodine_kit.metrics import METRICS
from iodine_kit.models import MODELS, ModelPlugin
from iodine_kit.progress import Reporter
from iodine_kit.runner import Context, FactValues, Inputs, Job, Tables
from iodine_kit.stages.train.validation import METRIC, Validation
from iodine_kit.store import Artifact, Identity
from iodine_kit.training.config import TrainConfig, TrainExecution
from iodine_kit.training.run_files import CHECKPOINTS, CURVES, read_metrics
from iodine_kit.training.run_files import METRICS as LOG
from iodine_kit.training.schedule import configured_beta, split_batch

VERSION = 2
TABLES = ("train", "model")
INPUTS = ("dataset",)


def plan(tables: Tables, inputs: Inputs, context: Context) -> Job:
    """Resolve the configuration and check that the model can take the data set's images, for a rank of the context.

    A run that ``train.from`` names is looked for in the context's store.
    """
    dataset, reporter, world = inputs["dataset"], context.reporter, context.world
    config, execution = configure(tables)
    start = find_start(tables, context.store) if KEY in tables.get("train", {}) else None
    split_batch(*world.local_batch(config.batch_size), config.batch_size, execution.accumulate)
    values = model_values(tables, start)
    name = str(values.pop("name", "iodine"))
    plugin = MODELS.load(name)
    if not (start and start.model):
        values = _with_default_preset(plugin, values, dataset, reporter)
    model_config = build(plugin.Config, values, "model")
    scenes, info = check_split(dataset, config.split), dataset_info(dataset)
    plugin.check_image(model_config, info.height, info.width)
    plugins = {f"model/{name}": plugin.VERSION}
    if config.validate_every:
        check_split(dataset, config.validate_split)
        _check_masks(config, dataset, reporter)
        plugins[f"metric/{METRIC}"] = METRICS.load(METRIC).VERSION
    if config.batch_size > scenes:
        reporter.note(
            f"note: batches of {config.batch_size} from {scenes} scenes hold scenes more than once", routine=True
        )
    _check_kl_schedule(config, configured_beta(model_config), start is not None, reporter)
    slots = plugin.test_time_options(model_config).get("slots", info.entities)
    if slots < info.entities:
        reporter.note(
            f"note: {slots} slots for scenes of up to {info.entities} entities, background included", routine=True
        )
    identity = Identity(
        kind="run",
        name=f"{name}-{info.dataset}",
        stage="train",
        version=VERSION,
        plugins=plugins,
        config={
            "train": config.model_dump(mode="json"),
            "model": named(name, model_config),
        },
        inputs={"dataset": dataset.reference, **(start.inputs if start else {})},
        sources=start.sources if start else (),
    )
    training = _Training(plugin, model_config, config, execution, dataset, start)
    return Job(identity, partial(_make, training, context), state=CHECKPOINTS)


def _check_masks(config: TrainConfig, dataset: Artifact, reporter: Reporter) -> None:
    """Without true masks, validation computes no FG-ARI: refuse to select by it, or note it."""
    lacking = lack_of_masks(dataset, config.validate_split)
    if lacking and config.select == "best":
        raise ConfigError(f"train.select=best needs true masks, but {lacking}: use train.select=best-elbo")
    if lacking:
        reporter.note(f"note: {lacking}: validation computes the loss, and no FG-ARI", routine=True)


def _check_kl_schedule(config: TrainConfig, beta: float | None, warm: bool, reporter: Reporter) -> None:
    """Refuse a schedule of the KL term's weight that is impossible; note one that may be a mistake."""
    if config.kl_schedule == "constant":
        if config.kl_begin or config.kl_end:
            reporter.note(
                "note: train.kl_begin and train.kl_end do nothing while train.kl_schedule is constant", routine=True
            )
        return
    if config.kl_schedule == "geometric" and beta == 0:
        raise ConfigError("train.kl_schedule=geometric cannot end at model.beta=0: use linear")
    if config.kl_end > config.steps:
        reporter.note(
            f"note: the run ends after step {config.steps}, before the KL term has its full weight at train.kl_end, "
            f"{config.kl_end}",
            routine=True,
        )
    if warm:
        reporter.note(
            f"note: the weight of the KL term starts again at train.kl_from, {config.kl_from:g}; "
            "train.kl_schedule=constant keeps it at model.beta",
            routine=True,
        )


def model_values(tables: Tables, start: Start | None) -> Values:
    """The table ``model``; of a warm start, over the configuration of its model, unless the table names a preset."""
    asked = dict(tables.get("model", {}))
    if start is None or "preset" in asked:
        return asked
    return merge(merge({}, start.model), asked)


def configure(tables: Tables) -> tuple[TrainConfig, TrainExecution]:
    """Validate the tables and load the model's plug-in."""
    values: Values = dict(tables.get("model", {}))
    plugin = MODELS.load(str(values.pop("name", "iodine")))
    build(plugin.Config, values, "model")
    train_table = dict(tables.get("train", {}))
    if train_table.pop(KEY, None) is not None:
        start_place(tables)
    train_values, execution_values = split_table(train_table, [TrainConfig, TrainExecution], "train")
    return build(TrainConfig, train_values, "train"), build(TrainExecution, execution_values, "train")


def _with_default_preset(plugin: ModelPlugin, values: Values, dataset: Artifact, reporter: Reporter) -> Values:
    """Unless the configuration names a preset, use the plug-in's default for this data set, if it has one."""
    default = plugin.DEFAULT_PRESETS.get(dataset_info(dataset).dataset)
    if "preset" in values or default is None:
        return values
    reporter.note(f"model: preset {default} (choose with --set model.preset=NAME)")
    return {"preset": default, **values}


@dataclass(frozen=True)
class _Training:
    """A training run, resolved and checked."""

    plugin: ModelPlugin
    model_config: Config
    config: TrainConfig
    execution: TrainExecution
    dataset: Artifact
    start: Start | None

    def settings(self) -> Values:
        """Everything that must agree before the run resumes from a checkpoint."""
        return {
            "dataset": self.dataset.reference.content,
            "model": self.model_config.model_dump(mode="json"),
            "train": self.config.model_dump(mode="json"),
            **({"start": {"sha256": self.start.sha256}} if self.start else {}),
        }


def _make(run: _Training, context: Context, out: Path) -> FactValues:
    from iodine_kit.loader import ShuffledBatches
    from iodine_kit.training.estimate import Estimate, estimate_step, with_copies
    from iodine_kit.training.loop import Trainer
    from iodine_kit.training.resources import refuse_too_large

    config, execution, world = run.config, run.execution, context.world
    reader = _open(run.dataset, config.split)
    model = run.plugin.build(run.model_config, config.seed)
    started = {"start": run.start.fill(model)} if run.start else {}
    validation = Validation(config, run.dataset) if config.validate_every else None
    info, (first, count) = dataset_info(run.dataset), world.local_batch(config.batch_size)
    microbatches = split_batch(first, count, config.batch_size, execution.accumulate)

    def estimate() -> Estimate:
        return with_copies(estimate_step(model, count, info.height, info.width, microbatches), config)

    refuse_too_large(count * info.height * info.width, execution.device, estimate)
    trainer = Trainer(
        model, config, execution, out, context.reporter, world,
        settings=run.settings(), estimate=lambda: estimate().sentence(),
    )  # fmt: skip
    trainer.restore()
    facts = trainer.run(ShuffledBatches(reader, config.batch_size, config.seed, (first, count)), validation)
    if world.first:
        draw_curves(out, f"Training on {info.dataset}")
    scenes = {"scenes": len(reader), "validation_scenes": validation.scenes if validation else 0}
    return {**facts, **scenes, **started}


def _open(dataset: Artifact, split: str) -> Reader:
    """Open a split and check that its images have the size that the data set states, with three channels."""
    reader, info = open_split(dataset, split), dataset_info(dataset)
    expected, found = (info.height, info.width, 3), reader.batch([0]).image.shape[1:]
    if found != expected:
        raise SchemaError(f"{dataset.path}: images of '{split}' are {found} and not {expected}: prepare the data again")
    return reader


def draw_curves(directory: Path, title: str) -> None:
    """Draw the training log in a run's directory as ``curves.svg``."""
    from iodine_kit.reporting.curves import curves_svg

    (directory / CURVES).write_text(curves_svg(read_metrics(directory / LOG), title), "utf-8")
