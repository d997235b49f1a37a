"""Packages a finished run and its evaluations as a pretrained model: a folder with the weights and their card."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from iodine_kit.addresses import without_secrets
from iodine_kit.artifacts.dataset import check_split, dataset_info, open_split
from iodine_kit.artifacts.evaluations import check_version, evaluation_facts
from iodine_kit.artifacts.run import RunFacts
from iodine_kit.artifacts.start_weights import ROLE
from iodine_kit.artifacts.trained_model import of_run
from iodine_kit.config import named
from iodine_kit.errors import ConfigError, SchemaError
from iodine_kit.evaluation.facts import MetricFacts
from iodine_kit.formatting import byte_size
from iodine_kit.models import MODELS
from iodine_kit.pretrained import PREFIX
from iodine_kit.pretrained.card import CARD, NAME, Card, Data, Inference, Metric, Phase, Scores, card_text
from iodine_kit.pretrained.image_profile import measure
from iodine_kit.store import Artifact, SourceFile, Store
from iodine_kit.store.made import code_version
from iodine_kit.system import storage_error
from iodine_kit.training.run_files import WEIGHTS

LARGEST = 3_000_000
"""Largest size of the weights of a pretrained model, in bytes."""
SAMPLED_IMAGES = 256
"""Number of training images that the card's image statistics are computed from."""


@dataclass(frozen=True)
class CardText:
    """What a card states that no artifact records.

    Attributes:
        summary: of the model, in one sentence.
        remake: the one command that trains the model again.
        licence: of the weights, as an SPDX identifier.
    """

    summary: str
    remake: str
    licence: str = "Apache-2.0"


def package(
    name: str, evaluations: Sequence[Artifact], store: Store, folder: Path, text: CardText, *, overwrite: bool = False
) -> Path:
    """Write ``folder/name`` with weights and card; the first evaluation's settings become the defaults of ``infer``.

    Raises:
        SchemaError: if the evaluations are not of one run that was trained here.
        ConfigError: if the name is not allowed, the weights are larger than :data:`LARGEST`, or the folder exists and
            ``overwrite`` is not set.
    """
    if not re.fullmatch(NAME, name):
        raise ConfigError(
            f"'{name}' is not allowed as the name of a model: use lower-case letters, digits, '.', '_' and '-'"
        )
    run, predictions = _run_of(evaluations, store)
    data = (run.path / WEIGHTS).read_bytes()
    if len(data) > LARGEST:
        raise ConfigError(
            f"{run.path / WEIGHTS}: {byte_size(len(data))} are more than the {byte_size(LARGEST)} that a "
            f"pretrained model may have: train a smaller network"
        )
    place = folder / name
    if place.exists() and not overwrite:
        raise ConfigError(f"{place} exists: pass --overwrite to replace it")
    card = _card(name, run, evaluations, predictions, store, data, text)
    temporary = folder / f".{name}.tmp"
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        (temporary / WEIGHTS).write_bytes(data)
        (temporary / CARD).write_text(card_text(card), "utf-8")
        shutil.rmtree(place, ignore_errors=True)
        temporary.rename(place)
    except OSError as error:
        raise storage_error(error, error.filename or place, "written") from None
    return place


def _run_of(evaluations: Sequence[Artifact], store: Store) -> tuple[Artifact, list[Artifact]]:
    for one in evaluations:
        check_version(one)
    predictions = [store.resolve(one.manifest.identity.inputs["predictions"]) for one in evaluations]
    runs = {}
    for made in predictions:
        if "run" not in made.manifest.identity.inputs:
            raise SchemaError(
                f"{made.path}: not predictions of a finished run: run infer with a finished run, then eval"
            )
        run = store.resolve(made.manifest.identity.inputs["run"])
        runs[run.manifest.key] = run
    if len(runs) != 1:
        raise SchemaError(
            f"the evaluations are of {len(runs)} runs, but a card describes one run: evaluate one run only"
        )
    run = next(iter(runs.values()))
    if "dataset" not in run.manifest.identity.inputs:
        raise SchemaError(f"{run.path}: its weights were imported, but a card must state how the weights were trained")
    return run, predictions


def _card(
    name: str,
    run: Artifact,
    evaluations: Sequence[Artifact],
    predictions: Sequence[Artifact],
    store: Store,
    data: bytes,
    text: CardText,
) -> Card:
    dataset, phases = store.resolve(run.manifest.identity.inputs["dataset"]), _phases(run, store)
    split, model = run.config["train"]["split"], of_run(run)
    scenes = open_split(dataset, split).batch(range(min(SAMPLED_IMAGES, check_split(dataset, split))))
    inferred, made = predictions[0].config["infer"], run.manifest.made
    return Card(
        name=name,
        summary=text.summary,
        licence=text.licence,
        model=named(run.config["model"]["name"], model.config),
        version=MODELS.load(run.config["model"]["name"]).VERSION,
        parameters=RunFacts.of(run).parameters,
        weights_sha256=hashlib.sha256(data).hexdigest(),
        weights_bytes=len(data),
        inference=Inference(**{key: inferred[key] for key in Inference.model_fields}),
        data=Data(
            dataset=dataset_info(dataset).dataset,
            key=dataset.manifest.key,
            protocol=dataset.config.get("protocol"),
            config=dataset.config,
            sources=_public(dataset),
        ),
        images=measure(scenes.image),
        training=tuple(_phase(phase) for phase in phases),
        scores=tuple(_scores(*pair, store) for pair in zip(evaluations, predictions, strict=True)),
        remake=text.remake,
        software={
            **{name: made.get(name, "?") for name in ("iodine_kit", "python")},
            **made.get("packages", {}),
        },
    )


def _phases(run: Artifact, store: Store) -> list[Artifact]:
    """A run and the runs that it started from, oldest first."""
    phases = [run]
    while ROLE in (inputs := phases[-1].manifest.identity.inputs):
        phases.append(store.resolve(inputs[ROLE]))
    return phases[::-1]


def _phase(run: Artifact) -> Phase:
    facts, made = RunFacts.of(run), run.manifest.made
    per_step, steps = facts.seconds_per_step, facts.steps or 0
    trained_here = "train" in run.config
    return Phase(
        run=run.reference.directory,
        key=run.manifest.key,
        model=run.config["model"],
        train=run.config.get("train", {}),
        started_from=_public(run),
        steps=steps,
        images=steps * run.config["train"]["batch_size"] if trained_here else 0,
        seconds=round(steps * per_step, 1) if per_step else None,
        device=facts.device,
        threads=facts.threads,
        commit=code_version(made),
        finished=made.get("finished", "?"),
    )


def _scores(evaluation: Artifact, predictions: Artifact, store: Store) -> Scores:
    facts, inferred = evaluation_facts(evaluation), predictions.config["infer"]
    dataset = store.resolve(predictions.manifest.identity.inputs["dataset"])
    return Scores(
        dataset=facts.dataset,
        dataset_key=dataset.manifest.key,
        dataset_config=dataset.config,
        split=facts.split,
        scenes=facts.scenes,
        slots=facts.slots,
        steps=facts.steps,
        restarts=facts.restarts,
        seed=inferred["seed"],
        level=facts.bootstrap.level,
        metrics={name: _metric(one) for name, one in facts.metrics.items()},
    )


def _metric(facts: MetricFacts) -> Metric:
    return Metric(**{key: getattr(facts, key) for key in Metric.model_fields})


def _public(artifact: Artifact) -> tuple[SourceFile, ...]:
    """The source files of an artifact, without their paths on this machine and without secrets of addresses."""
    sources = artifact.manifest.identity.sources
    places = [without_secrets(s.location) if "://" in s.location or PREFIX in s.location else "" for s in sources]
    return tuple(s.model_copy(update={"location": place}) for s, place in zip(sources, places, strict=True))
