"""What evaluations must have in common to be compared, and which metrics can be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from iodine_kit.artifacts.evaluations import check_masks, check_version, evaluation_facts, read_scenes
from iodine_kit.artifacts.predictions_and_truth import PredictionsFacts
from iodine_kit.artifacts.start_weights import ROLE
from iodine_kit.artifacts.trained_model import keeps_weights
from iodine_kit.config import flatten
from iodine_kit.errors import ArtifactCorruptError, ArtifactNotFoundError, ConfigError, SchemaError
from iodine_kit.evaluation.facts import MetricFacts
from iodine_kit.store import Artifact, Store
from iodine_kit.store.manifest import canonical_json

_CONFIGURED = ("convention", "tolerance", "interpolation")


def check(evaluations: Sequence[Artifact], store: Store) -> None:
    """Raise :class:`SchemaError` unless all are of the same true masks of the same scenes, by the same rules."""
    for one in evaluations:
        check_version(one)
        _check_masks(one, store)
    first, *others = evaluations
    keys = read_scenes(first)["key"].tolist()
    for other in others:
        mine, theirs = _conditions(first), _conditions(other)
        differing = [f"{name} {mine[name]} and {theirs[name]}" for name in mine if mine[name] != theirs[name]]
        if not differing and read_scenes(other)["key"].tolist() != keys:
            differing = ["scenes that are not the same"]
        if differing:
            raise SchemaError(f"{first.path} and {other.path} cannot be compared: {'; '.join(differing)}")


def _check_masks(evaluation: Artifact, store: Store) -> None:
    """As :func:`check_masks`, if the true masks are still there as they were: a comparison itself needs only scores."""
    inputs = evaluation.manifest.identity.inputs
    try:
        truth = store.resolve(inputs.get("truth", inputs["dataset"]))
    except (ArtifactNotFoundError, ArtifactCorruptError):
        return
    check_masks(evaluation, truth)


def comparable(evaluations: Sequence[Artifact]) -> tuple[list[str], dict[str, str]]:
    """Metrics that all evaluations computed in the same way, in the order of the first, and why others are omitted."""
    found, left_out = [], {}
    metrics = [evaluation_facts(one).metrics for one in evaluations]
    for name in dict.fromkeys(name for one in metrics for name in one):
        reason = _obstacle(name, evaluations, [one.get(name) for one in metrics])
        if reason:
            left_out[name] = reason
        else:
            found.append(name)
    return found, left_out


def _conditions(evaluation: Artifact) -> Mapping[str, Any]:
    facts, identity = evaluation_facts(evaluation), evaluation.manifest.identity
    truth = identity.inputs.get("truth", identity.inputs["dataset"])
    conditions: dict[str, Any] = {"dataset": facts.dataset, "split": facts.split, "scenes": facts.scenes}
    conditions |= {"resolution": "×".join(map(str, facts.resolution)), "true masks": truth.directory}
    return conditions | {name: evaluation.config["eval"][name] for name in _CONFIGURED}


def _obstacle(name: str, evaluations: Sequence[Artifact], metrics: Sequence[MetricFacts | None]) -> str:
    if None in metrics:
        return "not evaluated everywhere"
    if len({one.manifest.identity.plugins[f"metric/{name}"] for one in evaluations}) > 1:
        return "evaluated by different versions of it: evaluate again"
    if len({metric.resolution for metric in metrics if metric}) > 1:
        return "evaluated at different resolutions"
    return ""


Values = dict[str, Any]
_OF_THE_FIGURES = ("metrics", "resamples", "level", "seed", "table")
"""Settings of an evaluation that do not change the score of a scene."""
_NAMED = 3


@dataclass(frozen=True)
class Trained:
    """An evaluation with what it came from.

    Attributes:
        settings: everything that makes its model what it is, but for the seed.
        seed: of training; ``None`` if the model was not trained here.
        name: of the model, for people.
    """

    evaluation: Artifact
    settings: Values
    seed: int | None
    name: str


@dataclass(frozen=True)
class Model:
    """Evaluations of one model, one per seed, in the order given."""

    name: str
    members: Sequence[Trained]

    @property
    def evaluations(self) -> list[Artifact]:
        """The evaluations."""
        return [member.evaluation for member in self.members]


def trace(evaluation: Artifact, store: Store) -> Trained:
    """Follow an evaluation back to its training; imported predictions have none and are known by their model's name."""
    predictions = store.resolve(evaluation.manifest.identity.inputs["predictions"])
    identity = predictions.manifest.identity
    scored = {key: value for key, value in evaluation.config["eval"].items() if key not in _OF_THE_FIGURES}
    if keeps_weights(predictions):
        weights = {"weights": [source.sha256 for source in identity.sources]}
        settings = {**identity.config, **weights, "eval": scored, "code": [identity.plugins, identity.version]}
        return Trained(evaluation, settings, None, PredictionsFacts.of(predictions).model)
    if "run" not in identity.inputs:
        name = PredictionsFacts.of(predictions).model or identity.name
        settings = {"imported": name, "eval": scored}
        if not PredictionsFacts.of(predictions).named:  # called as its file: two files of one name are two models
            settings["file"] = ", ".join(source.sha256 for source in identity.sources)[:8]
        return Trained(evaluation, settings, None, name)
    run = store.resolve(identity.inputs["run"])
    trained = _training(run, store)
    code = [*trained.pop("code"), identity.version]
    settings = {**trained, **identity.config, "eval": scored, "code": code}
    return Trained(evaluation, settings, run.config.get("train", {}).get("seed"), run.manifest.identity.name)


def _training(run: Artifact, store: Store) -> Values:
    """What made a run's weights what they are, but for the seed; of the run or file that it started from too."""
    identity = run.manifest.identity
    settings: Values = {
        **run.config,
        # Nothing is known of how imported weights were trained.
        "train": {key: value for key, value in run.config.get("train", {}).items() if key != "seed"},
        "code": [identity.version, identity.plugins],
        "trained on": _origin(run),
    }
    if ROLE in identity.inputs:
        settings["started from"] = _training(store.resolve(identity.inputs[ROLE]), store)
    elif identity.sources and "dataset" in identity.inputs:
        settings["started from"] = [source.sha256 for source in identity.sources]
    return settings


def _origin(run: Artifact) -> Any:
    """What a run learned from: its data set, or the files that its weights were imported from."""
    identity = run.manifest.identity
    if "dataset" in identity.inputs:
        return identity.inputs["dataset"].key
    return [source.sha256 for source in identity.sources]


def group(traced: Sequence[Trained], names: Sequence[str]) -> list[Model]:
    """Models in the order in which they first occur.

    Args:
        names: for all of them, or none: then they are named for what distinguishes them.

    Raises:
        ConfigError: if there is another number of names, a name occurs twice, or an evaluation does.
    """
    groups: dict[bytes, list[Trained]] = {}
    for one in traced:
        groups.setdefault(canonical_json(one.settings), []).append(one)
    members = list(groups.values())
    _refuse_repetitions(traced)
    if names and len(names) != len(members):
        found = "; ".join(f"{i + 1}: {_listed(group)}" for i, group in enumerate(members))
        raise ConfigError(f"compare.names: {len(names)} names for {len(members)} models ({found})")
    if len(set(names)) != len(names):
        raise ConfigError("compare.names: a name is given to two models")
    return [Model(name, group) for name, group in zip(names or _own_names(members), members, strict=True)]


def _refuse_repetitions(traced: Sequence[Trained]) -> None:
    seen: dict[str, Artifact] = {}
    for one in traced:
        predictions = one.evaluation.manifest.identity.inputs["predictions"].key
        settings = {**one.settings.get("eval", {}), "predictions": predictions}
        mark = canonical_json(settings).decode()
        if mark in seen:
            raise ConfigError(
                f"{one.evaluation.path} and {seen[mark].path} are of the same predictions: give one of them"
            )
        seen[mark] = one.evaluation


def _own_names(members: Sequence[Sequence[Trained]]) -> list[str]:
    """Every model's name, with the settings that distinguish those of one name."""
    firsts = [group[0] for group in members]
    names = []
    for one in firsts:
        alike = [flatten(other.settings) for other in firsts if other.name == one.name]
        names.append(_distinguished(one, alike) if len(alike) > 1 else one.name)
    return [name if names.count(name) == 1 else f"{name} #{i + 1}" for i, name in enumerate(names)]


def _distinguished(one: Trained, alike: Sequence[Mapping[str, Any]]) -> str:
    mine = flatten(one.settings)
    differing = [key for key in mine if any(other.get(key, mine) != mine[key] for other in alike)]
    named = [f"{key.rpartition('.')[2]} {mine[key]}" for key in differing if key not in ("code", "trained on")]
    more = ["…"] if len(named) > _NAMED else []
    return f"{one.name} ({', '.join(named[:_NAMED] + more)})" if named else one.name


def _listed(group: Sequence[Trained]) -> str:
    return ", ".join(one.evaluation.reference.directory for one in group)
