"""train: a data set and a model's configuration become weights and a log."""

from __future__ import annotations

from pathlib import Path

from iodine_kit.artifacts.dataset import check_split, dataset_info, open_split
from iodine_kit.artifacts.start_weights import KEY, Start, find_start, start_place
from iodine_kit.config import Config, Values, build, merge, named, split_table
from iodine_kit.errors import ConfigError, SchemaError
from iodine_kit.formats import Reader
from iodine_kit.metrics import METRICS
from iodine_kit.models import MODELS, ModelPlugin
from iodine_kit.progress import Reporter
from iodine_kit.runner import Context, Facts, Inputs, Job, Tables
from iodine_kit.stages.train.pictures import draw_curves
from iodine_kit.stages.train.validation import METRIC, Validation
from iodine_kit.store import Artifact, Identity
from iodine_kit.training.config import TrainConfig, TrainExecution
from iodine_kit.training.distributed import World
from iodine_kit.training.run_files import CHECKPOINTS
from iodine_kit.training.schedule import split_batch

VERSION = 2
TABLES = ("train", "model")
INPUTS = ("dataset",)


def plan(tables: Tables, inputs: Inputs, context: Context) -> Job:
    """Resolve the configuration and check that the model can take the data set's images, for a rank of the context.

    A run that ``train.from`` names is looked for in the context's store.
    """
    dataset, reporter, world = inputs["dataset"], context.reporter, context.world
    config, execution = configure(tables)
    start = find_start(tables, context.store)
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
        plugins[f"metric/{METRIC}"] = METRICS.load(METRIC).VERSION
    if config.batch_size > scenes:
        reporter.note(
            f"note: batches of {config.batch_size} from {scenes} scenes hold scenes more than once", routine=True
        )
    _look_at_kl(config, float(getattr(model_config, "beta", 1.0)), start is not None, reporter)
    slots = getattr(model_config, "slots", info.entities)
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
    make = lambda out: _make(plugin, model_config, config, execution, dataset, start, out, reporter, world)  # noqa: E731
    return Job(identity, make, state=CHECKPOINTS)


def _look_at_kl(config: TrainConfig, beta: float, warm: bool, reporter: Reporter) -> None:
    """Refuse a schedule of the KL term's weight that cannot be, and say of one that may not be meant."""
    if config.kl_schedule == "constant":
        if config.kl_begin or config.kl_end:
            reporter.note(
                "note: train.kl_begin and train.kl_end do nothing while train.kl_schedule is constant", routine=True
            )
        return
    if config.kl_schedule == "geometric" and not beta:
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
    """The table ``model``, over the configuration of the model that training starts from, unless it names a preset."""
    asked = dict(tables.get("model", {}))
    if start is None or "preset" in asked:
        return asked
    return merge(merge({}, start.model), asked)


def configure(tables: Tables) -> tuple[TrainConfig, TrainExecution]:
    """Validate the tables and load the model's plug-in."""
    values: Values = dict(tables.get("model", {}))
    plugin = MODELS.load(str(values.pop("name", "iodine")))
    build(plugin.Config, values, "model")
    start_place(tables)
    train_table = {key: value for key, value in tables.get("train", {}).items() if key != KEY}
    train_values, execution_values = split_table(train_table, [TrainConfig, TrainExecution], "train")
    return build(TrainConfig, train_values, "train"), build(TrainExecution, execution_values, "train")


def _with_default_preset(plugin: ModelPlugin, values: Values, dataset: Artifact, reporter: Reporter) -> Values:
    """Unless the configuration names a preset, use the plug-in's default for this data set, if it has one."""
    default = plugin.DEFAULT_PRESETS.get(dataset_info(dataset).dataset)
    if "preset" in values or default is None:
        return values
    reporter.note(f"model: preset {default} (choose with --set model.preset=NAME)")
    return {"preset": default, **values}


def _make(
    plugin: ModelPlugin,
    model_config: Config,
    config: TrainConfig,
    execution: TrainExecution,
    dataset: Artifact,
    start: Start | None,
    out: Path,
    reporter: Reporter,
    world: World,
) -> Facts:
    from iodine_kit.loader import ShuffledBatches
    from iodine_kit.training.estimate import Estimate, estimate_step, with_copies
    from iodine_kit.training.loop import Trainer
    from iodine_kit.training.resources import refuse_too_large

    reader = _open(dataset, config.split)
    model = plugin.build(model_config, config.seed)
    started = {"start": start.fill(model)} if start else {}
    validation = Validation(config, dataset) if config.validate_every else None
    settings = {
        "dataset": dataset.reference.content,
        "model": model_config.model_dump(mode="json"),
        "train": config.model_dump(mode="json"),
        **({"start": {"sha256": start.sha256}} if start else {}),
    }
    info, (first, count) = dataset_info(dataset), world.local_batch(config.batch_size)
    microbatches = split_batch(first, count, config.batch_size, execution.accumulate)

    def estimate() -> Estimate:
        return with_copies(estimate_step(model, count, info.height, info.width, microbatches), config)

    refuse_too_large(count * info.height * info.width, execution.device, estimate)
    trainer = Trainer(
        model, config, execution, out, reporter, world, settings=settings, estimate=lambda: estimate().sentence()
    )
    trainer.restore()
    facts = trainer.run(ShuffledBatches(reader, config.batch_size, config.seed, (first, count)), validation)
    if world.first:
        draw_curves(out, f"Training on {info.dataset}")
    scenes = {"scenes": len(reader), "validation_scenes": validation.scenes if validation else 0}
    return {**facts, **scenes, **started}


def _open(dataset: Artifact, split: str) -> Reader:
    """Open a split whose images are what the data set says they are, and what models take."""
    reader, info = open_split(dataset, split), dataset_info(dataset)
    expected, found = (info.height, info.width, 3), reader.batch([0]).image.shape[1:]
    if found != expected:
        raise SchemaError(f"{dataset.path}: images of '{split}' are {found} and not {expected}: prepare the data again")
    return reader
