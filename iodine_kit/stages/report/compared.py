"""The evaluations that a report compares: what distinguishes them, and the artifacts that each was made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from iodine_kit.artifacts.evaluations import comparison_facts
from iodine_kit.config import flatten, short_keys
from iodine_kit.errors import ArtifactCorruptError, ArtifactNotFoundError
from iodine_kit.evaluation.facts import ComparisonFacts, ModelFacts
from iodine_kit.formatting import setting
from iodine_kit.store import Artifact, Store

Chain = Mapping[str, Artifact]
OTHER = "evaluation-"
"""Roles of further evaluations: ``evaluation-2`` with ``predictions-2``, and so on."""
_SEED = "train.seed"
_MOST = 3
"""Settings in a name."""


@dataclass(frozen=True)
class Compared:
    """An evaluation of a report.

    Attributes:
        name: what distinguishes it from the others, for example ``seed=0, beta=4.0``; "" for the only one.
        chain: its run, predictions and evaluation by role; no run if the predictions were imported.
    """

    name: str
    chain: Chain


def compared_evaluations(chain: Chain, store: Store) -> tuple[list[Compared], ComparisonFacts | None]:
    """All evaluations of a report, and the comparison with the same names of models; ``None`` without a comparison."""
    chains = [{role: chain[role] for role in ("run", "predictions", "evaluation") if role in chain}]
    for role in chain:
        if role.startswith(OTHER):
            predictions = chain[role.replace("evaluation", "predictions")]
            chains.append({**_run(predictions, store), "predictions": predictions, "evaluation": chain[role]})
    if "comparison" not in chain:
        return [Compared("", chains[0])], None
    facts = comparison_facts(chain["comparison"])
    models = [_model_of(one, facts) for one in chains]
    if _named_by_settings(chains, facts):
        names = [_text(one) for one in _distinguishing(chains)]
        return _named(names, chains), _renamed(facts, models, _distinguishing(chains, _SEED))
    names = [_with_seed(model, one["evaluation"]) for model, one in zip(models, chains, strict=True)]
    return _named(names, chains), facts


def _run(predictions: Artifact, store: Store) -> Chain:
    inputs = predictions.manifest.identity.inputs
    try:
        return {"run": store.resolve(inputs["run"])} if "run" in inputs else {}
    except (ArtifactNotFoundError, ArtifactCorruptError):  # a report needs no file of it
        return {}


def _named_by_settings(chains: Sequence[Chain], facts: ComparisonFacts) -> bool:
    """Whether all were trained here, and the user has given no names to the models."""
    names = {one["run"].manifest.identity.name if "run" in one else "" for one in chains}
    name = next(iter(names))
    return len(names) == 1 and name != "" and all(f"{one.name} ".startswith(f"{name} ") for one in facts.models)


def _distinguishing(chains: Sequence[Chain], omitted: str = "") -> list[dict[str, str]]:
    """For each evaluation the settings that differ, by the short name of their key; the seed first."""
    every = [flatten({**one["run"].config, **one["predictions"].config}) for one in chains]
    keys = sorted({key for one in every for key in one} - {omitted}, key=lambda key: (key != _SEED, _place(key, every)))
    differing = [key for key in keys if any(one.get(key, every) != every[0].get(key, every) for one in every)]
    shown = short_keys(differing)
    return [{shown[key]: _value(one[key]) for key in differing if key in one} for one in every]


def _place(key: str, every: Sequence[Mapping[str, Any]]) -> int:
    return next(list(one).index(key) for one in every if key in one)


def _value(value: Any) -> str:
    return value if isinstance(value, str) else setting(value).replace(" ", "")


def _text(settings: Mapping[str, str]) -> str:
    texts = [f"{key}={value}" for key, value in settings.items()]
    return ", ".join(texts[:_MOST] + (["…"] if len(texts) > _MOST else []))


def _model_of(chain: Chain, facts: ComparisonFacts) -> ModelFacts | None:
    directory = chain["evaluation"].reference.directory
    return next((model for model in facts.models if directory in model.evaluations), None)


def _with_seed(model: ModelFacts | None, evaluation: Artifact) -> str:
    if model is None:
        return evaluation.manifest.key[:8]
    seed = model.seeds[model.evaluations.index(evaluation.reference.directory)]
    return model.name if len(model.seeds) == 1 else f"{model.name}, seed={seed}"


def _named(names: Sequence[str], chains: Sequence[Chain]) -> list[Compared]:
    """With the first digits of the key after names that are not distinct."""
    return [
        Compared(name if names.count(name) == 1 else f"{name} {one['evaluation'].manifest.key[:8]}".strip(), one)
        for name, one in zip(names, chains, strict=True)
    ]


def _renamed(
    facts: ComparisonFacts, models: Sequence[ModelFacts | None], settings: Sequence[Mapping[str, str]]
) -> ComparisonFacts:
    """The comparison with models named by their ``settings``; unchanged if the names would not be distinct."""
    names = {model.name: _text(one) for model, one in zip(models, settings, strict=True) if model}
    if len(set(names.values())) < len(facts.models) or not all(names.values()):
        return facts
    return facts.model_copy(update={
        "models": [one.model_copy(update={"name": names[one.name]}) for one in facts.models],
        "pairs": [one.model_copy(update={"a": names[one.a], "b": names[one.b]}) for one in facts.pairs],
    })  # fmt: skip
