"""probe: how well objects' true factors can be read from the latents of their slots, and which slots are in use.

Writes ``summary.json``, see :class:`iodine_kit.evaluation.probing.facts.ProbeFacts`, ``table.csv`` with the factors,
and ``table.md`` with everything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import numpy as np
from pydantic import Field

from iodine_kit.artifacts.dataset import dataset_info, open_split, require_masks
from iodine_kit.artifacts.evaluations import as_text
from iodine_kit.artifacts.predictions_and_truth import Pairs, PredictionsFacts, batch_size
from iodine_kit.config import Config, build
from iodine_kit.errors import CountError, SchemaError, did_you_mean
from iodine_kit.predictions.file import PREDICTIONS, PredictionReader
from iodine_kit.progress import Reporter
from iodine_kit.records import PredictionBatch, SceneBatch
from iodine_kit.runner import Context, FactValues, Inputs, Job, Tables
from iodine_kit.store import Artifact, Identity
from iodine_kit.tables import as_csv, as_markdown, joined

if TYPE_CHECKING:
    from iodine_kit.evaluation.probing.factors import Factor
    from iodine_kit.evaluation.probing.facts import ProbeFacts
    from iodine_kit.evaluation.probing.objects import Objects
    from iodine_kit.evaluation.probing.slots import SlotTable

VERSION = 1
TABLES = ("probe",)
INPUTS = ("predictions", "dataset")
LATENTS = {"latent_loc", "latent_scale"}
BatchT = TypeVar("BatchT", SceneBatch, PredictionBatch)


class ProbeConfig(Config):
    """What is probed, and how.

    Attributes:
        match: how an object gets its slot: by ``mask``, or by ``loss``: the slot from which the probe predicts the
            object best.
        factors: names of the factors to predict. Defaults to all.
        scenes: largest number of scenes, from the start of the split.
        folds: number of folds; the scenes of a fold are tested with probes that were trained on the other folds.
        rounds: number of rounds in which ``match=loss`` matches objects and slots.
        resamples: number of bootstrap samples; 0 means no intervals.
        level: level of the bootstrap intervals.
        seed: seed of the probes and of the bootstrap.
    """

    match: Literal["mask", "loss"] = "mask"
    factors: tuple[str, ...] = ()
    scenes: Annotated[int, Field(ge=2)] = 1000
    folds: Annotated[int, Field(ge=2, le=20)] = 5
    rounds: Annotated[int, Field(ge=1, le=20)] = 3
    resamples: Annotated[int, Field(ge=0, le=1_000_000)] = 2000
    level: Annotated[float, Field(gt=0, lt=1)] = 0.95
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0


def plan(tables: Tables, inputs: Inputs, context: Context) -> Job:
    """Check that there are factors to predict, latents to predict them from, and masks to match objects by.

    Raises:
        SchemaError: if the latents were not stored, or the data set has no masks or no factors (by that name).
        CountError: for fewer scenes than folds.
    """
    predictions, dataset = inputs["predictions"], inputs["dataset"]
    config = configure(tables)
    check_masks(dataset, PredictionsFacts.of(predictions).split)
    reader = PredictionReader(predictions.path / PREDICTIONS)
    if not reader.fields() >= LATENTS:
        raise SchemaError(
            f"{predictions.path}: no latents were stored: rerun inference with 'latents' in infer.store, "
            "or import them too"
        )
    known = _factor_names(dataset, PredictionsFacts.of(predictions).split)
    if not known:
        raise SchemaError(f"{dataset.path}: its scenes have no factors of objects, so there is nothing to predict")
    for name in config.factors:
        if name not in known:
            raise SchemaError(f"{dataset.path} has no factor '{name}'{did_you_mean(name, known)}")
    _check_folds(predictions, config, min(len(reader), config.scenes), "scenes")
    identity = Identity(
        kind="probe",
        name=predictions.manifest.identity.name,
        stage="probe",
        version=VERSION,
        config={"probe": config.model_dump(mode="json")},
        inputs={"predictions": predictions.reference, "dataset": dataset.reference},
    )
    return Job(identity, lambda out: _make(config, predictions, dataset, out, context.reporter))


def check_masks(dataset: Artifact, split: str) -> None:
    """Raise :class:`SchemaError` if the scenes have no masks: nobody knows which slot has which object."""
    purpose = "probe matches the slots with the objects by true masks"
    require_masks(dataset, split, purpose, "use predictions for a data set with masks and factors")


def configure(tables: Tables) -> ProbeConfig:
    """Validate the table."""
    return build(ProbeConfig, tables.get("probe", {}), "probe")


def _make(config: ProbeConfig, predictions: Artifact, dataset: Artifact, out: Path, reporter: Reporter) -> FactValues:
    from iodine_kit.evaluation.bootstrap import Resampling
    from iodine_kit.evaluation.probing.prediction import CrossValidation
    from iodine_kit.evaluation.probing.summary import Subject, summarise

    pairs = Pairs(predictions, dataset)
    objects, slots = _gather(config, pairs)
    factors, left_out = _choose(config, predictions, objects, pairs.info.classes)
    info, split = pairs.info, PredictionsFacts.of(predictions).split
    subject = Subject(info.dataset, split, objects, slots, factors, left_out, info.ignored is not None)
    validation = CrossValidation(config.folds, config.seed, config.match, config.rounds)
    facts = summarise(subject, validation, Resampling(config.resamples, config.level, config.seed), reporter)
    _write(out, facts)
    return facts.as_json()


def _gather(config: ProbeConfig, pairs: Pairs) -> tuple[Objects, list[SlotTable]]:
    """Objects and slots of the first scenes."""
    from iodine_kit.evaluation.probing.objects import ObjectCollector
    from iodine_kit.evaluation.probing.slots import SlotTable, slot_table

    collector = ObjectCollector(pairs.info.entities, pairs.info.background, pairs.info.ignored)
    tables, done = list[SlotTable](), 0
    wanted = min(len(pairs), config.scenes)
    for truth, prediction in pairs.batches(batch_size(pairs.info.height * pairs.info.width), LATENTS):
        rest = min(len(truth), wanted - done)
        if rest <= 0:
            break
        truth, prediction = _first(truth, rest), _first(prediction, rest)
        factors = [pairs.scenes.scene(place).factors for place in range(done, done + rest)]
        collector.add(truth, prediction, factors)
        tables.append(slot_table(prediction))
        done += rest
    return collector.objects(), tables


def _first(batch: BatchT, count: int) -> BatchT:
    """The first scenes of a batch."""
    values: dict[str, Any] = {
        name: value[:count] for name, value in vars(batch).items() if isinstance(value, tuple | np.ndarray)
    }
    return replace(batch, **values)


def _choose(
    config: ProbeConfig, predictions: Artifact, objects: Objects, named: Mapping[str, tuple[str, ...]]
) -> tuple[list[Factor], dict[str, str]]:
    """The factors to predict, and why the others are not predicted.

    Raises:
        CountError: if there are too few objects to train and test with.
        SchemaError: if a requested factor, or every factor, is the same for all objects.
    """
    from iodine_kit.evaluation.probing.factors import factors_of

    if len(objects) < 2 * config.folds:
        raise CountError(
            f"{predictions.path}: its scenes show {len(objects)} objects, and {config.folds} folds need "
            f"{2 * config.folds} or more: infer more scenes, or reduce probe.folds"
        )
    _check_folds(predictions, config, len(set(objects.scene_M.tolist())), "scenes with objects")
    columns = {name: values for name, values in objects.factors.items() if not config.factors or name in config.factors}
    factors, left_out = factors_of(columns, named)
    reasons = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
    if not factors:
        raise SchemaError(f"{predictions.path}: no factor can be predicted ({reasons})")
    if config.factors and left_out:
        raise SchemaError(f"{predictions.path}: not all of probe.factors can be predicted ({reasons}): omit those")
    return factors, left_out


def _check_folds(predictions: Artifact, config: ProbeConfig, scenes: int, what: str) -> None:
    if scenes < config.folds:
        raise CountError(
            f"{predictions.path}: {scenes} {what} are fewer than the {config.folds} folds of scenes: infer more, or "
            "reduce probe.folds"
        )


def _factor_names(dataset: Artifact, split: str) -> list[str]:
    """Factors of objects, from the first scene: all scenes of a split have the same."""
    from iodine_kit.evaluation.probing.objects import names_of

    scenes = open_split(dataset, split)
    return names_of(scenes.scene(0).factors, dataset_info(dataset).entities) if len(scenes) else []


def _write(out: Path, facts: ProbeFacts) -> None:
    from iodine_kit.evaluation.probing.tables import factor_table, importance_table, slot_table, use_table

    factors = factor_table(facts)
    tables = (factors, importance_table(facts), slot_table(facts), use_table(facts))
    (out / "summary.json").write_text(as_text(facts), "utf-8")
    (out / "table.csv").write_text(as_csv(factors), "utf-8")
    (out / "table.md").write_text(joined(map(as_markdown, tables)), "utf-8")
