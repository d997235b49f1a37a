"""probe: how well objects' true factors can be read from the latents of their slots, and which slots are in use.

Writes ``summary.json``, see :class:`iodine_kit.evaluation.probing.facts.ProbeFacts`, ``table.csv`` with the factors,
and ``table.md`` with everything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field

from iodine_kit.artifacts.dataset import dataset_info, open_split, require_masks
from iodine_kit.artifacts.evaluations import as_text
from iodine_kit.artifacts.predictions_and_truth import Pairs, PredictionsFacts, batch_size
from iodine_kit.config import Config, build
from iodine_kit.engines import IN_THIS_PROCESS
from iodine_kit.errors import CountError, SchemaError, did_you_mean
from iodine_kit.predictions.file import PREDICTIONS, PredictionReader
from iodine_kit.progress import Advance
from iodine_kit.records import Array
from iodine_kit.runner import Context, FactValues, Inputs, Job, Tables
from iodine_kit.stages.probe.scene_arrays import LATENTS, as_arrays, from_arrays, gather, objects_of, slots_of
from iodine_kit.store import Artifact, Identity
from iodine_kit.tables import as_csv, as_markdown, joined
from iodine_kit.units import KeptOpen, make_units, pattern
from iodine_kit.units.scenes import (
    keeping_units,
    number_of_units,
    reachable,
    read_arrays,
    scenes_of,
    unit_size,
    write_arrays,
)

if TYPE_CHECKING:
    from iodine_kit.evaluation.probing.factors import Factor
    from iodine_kit.evaluation.probing.facts import ProbeFacts
    from iodine_kit.evaluation.probing.objects import Objects
    from iodine_kit.evaluation.probing.prediction import CrossValidation, FoldPredicted

VERSION = 1
TABLES = ("probe",)
INPUTS = ("predictions", "dataset")
STEM = "probe"
"""Begins the names of the files of units."""
GATHERED = "gathered.tmp"
"""The objects of all scenes, for the workers that fit probes; deleted with the draft's other scratch files."""
FEW_OBJECTS = 2000
"""With fewer objects, the probes are trained in seconds."""


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

    @property
    def validation(self) -> CrossValidation:
        """How probes are trained and tested."""
        from iodine_kit.evaluation.probing.prediction import CrossValidation

        return CrossValidation(self.folds, self.seed, self.match, self.rounds)


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
    return Job(identity, lambda out: _make(config, inputs, out, context), state=pattern(STEM), cheap=True)


def check_masks(dataset: Artifact, split: str) -> None:
    """Raise :class:`SchemaError` if the scenes have no masks: nobody knows which slot has which object."""
    purpose = "probe matches the slots with the objects by true masks"
    require_masks(dataset, split, purpose, "use predictions for a data set with masks and factors")


def configure(tables: Tables) -> ProbeConfig:
    """Validate the table."""
    return build(ProbeConfig, tables.get("probe", {}), "probe")


def _make(config: ProbeConfig, inputs: Inputs, out: Path, context: Context) -> FactValues:
    from iodine_kit.evaluation.bootstrap import Resampling
    from iodine_kit.evaluation.probing.prediction import combined
    from iodine_kit.evaluation.probing.summary import FITTED, Subject, summarise

    with keeping_units(out, STEM):
        gathered = _gather_all(config, inputs, out, context)
        info, split = dataset_info(inputs["dataset"]), PredictionsFacts.of(inputs["predictions"]).split
        objects, slots = objects_of(gathered), slots_of(gathered)
        factors, left_out = _choose(config, inputs["predictions"], objects, info.classes)
        fitting = _Fitting(config, reachable(inputs, context.engine), out.absolute() / GATHERED)
        numbers = range(len(FITTED) * config.folds)
        with context.reporter.track("probe", len(numbers)) as advance:
            parts = list(_fit_all(fitting, numbers, objects, factors, gathered, out, context, advance))
    folds = [parts[start : start + config.folds] for start in numbers[:: config.folds]]
    validation = config.validation
    predicted = {probe: combined(probe, found, objects, validation) for probe, found in zip(FITTED, folds, strict=True)}
    subject = Subject(info.dataset, split, objects, [slots], factors, left_out, info.ignored is not None)
    facts = summarise(subject, validation, Resampling(config.resamples, config.level, config.seed), predicted)
    _write(out, facts)
    return facts.as_json()


@dataclass(frozen=True)
class _Gathering:
    """Gathers the objects and slots of units of scenes; picklable, for workers elsewhere."""

    config: ProbeConfig
    inputs: Mapping[str, Artifact]
    size: int

    def __call__(self, number: int, path: Path) -> None:
        with _OPENED.use(self, lambda: Pairs(self.inputs["predictions"], self.inputs["dataset"])) as pairs:
            wanted = min(len(pairs), self.config.scenes)
            write_arrays(path, gather(pairs, scenes_of(number, self.size, wanted)))


_OPENED: KeptOpen[_Gathering, Pairs] = KeptOpen(Pairs.close)


def _gather_all(config: ProbeConfig, inputs: Inputs, out: Path, context: Context) -> dict[str, Array]:
    """The objects and slots of all scenes, as :func:`gather` returns them for some."""
    pairs = Pairs(inputs["predictions"], inputs["dataset"])
    pixels = pairs.info.height * pairs.info.width
    size, wanted = unit_size(pixels, batch_size(pixels)), min(len(pairs), config.scenes)
    units = number_of_units(size, wanted)
    if units == 1:
        return gather(pairs, range(wanted))
    gathering = _Gathering(config, reachable(inputs, context.engine), size)
    with closing(_OPENED):
        paths = make_units(gathering, out, f"{STEM}-scenes-{size}", range(units), context.engine, context.reporter)
        parts = [read_arrays(path) for path in paths]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


@dataclass(frozen=True)
class _Fitting:
    """Trains a kind of probe for one fold, as a unit: those of a kind follow each other. Picklable."""

    config: ProbeConfig
    inputs: Mapping[str, Artifact]
    gathered: Path

    def __call__(self, number: int, path: Path) -> None:
        with _LOADED.use(self, self.load) as (objects, factors):
            write_arrays(path, as_arrays(self.fit(number, objects, factors)))

    def load(self) -> tuple[Objects, list[Factor]]:
        """The objects that were gathered, and the factors to predict."""
        objects, info = objects_of(read_arrays(self.gathered)), dataset_info(self.inputs["dataset"])
        return objects, _choose(self.config, self.inputs["predictions"], objects, info.classes)[0]

    def fit(self, number: int, objects: Objects, factors: Sequence[Factor]) -> FoldPredicted:
        """Predict the objects of a fold."""
        from iodine_kit.evaluation.probing.prediction import predict_fold
        from iodine_kit.evaluation.probing.summary import FITTED

        probe, fold = FITTED[number // self.config.folds], number % self.config.folds
        return predict_fold(probe, objects, factors, self.config.validation.of(probe), fold)


_LOADED: KeptOpen[_Fitting, tuple[Objects, list[Factor]]] = KeptOpen()


def _fit_all(
    fitting: _Fitting,
    numbers: range,
    objects: Objects,
    factors: Sequence[Factor],
    gathered: Mapping[str, Array],
    out: Path,
    context: Context,
    advance: Advance,
) -> Iterator[FoldPredicted]:
    """The predictions of all kinds of probes and all folds; of few objects in this process, without files."""
    if len(objects) < FEW_OBJECTS and context.engine == IN_THIS_PROCESS:
        for number in numbers:
            yield fitting.fit(number, objects, factors)
            advance(1)
        return
    write_arrays(fitting.gathered, gathered)
    with closing(_LOADED):
        for path in make_units(fitting, out, f"{STEM}-fit", numbers, context.engine, context.reporter):
            yield from_arrays(read_arrays(path))
            advance(1)


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
