"""What evaluations must have in common to be compared, and which metrics can be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from iodine_kit.errors import SchemaError
from iodine_kit.stages.evaluate import VERSION, read_scenes
from iodine_kit.store import Artifact

_CONFIGURED = ("convention", "tolerance", "interpolation")


def check(evaluations: Sequence[Artifact]) -> None:
    """Raise :class:`SchemaError` unless all are of the same true masks of the same scenes, by the same rules."""
    for one in evaluations:
        if one.manifest.identity.version != VERSION:
            raise SchemaError(f"{one.path} was evaluated by another version of iodine-kit: evaluate again")
    first, *others = evaluations
    keys = read_scenes(first)["key"].tolist()
    for other in others:
        mine, theirs = _conditions(first), _conditions(other)
        differing = [f"{name} {mine[name]} and {theirs[name]}" for name in mine if mine[name] != theirs[name]]
        if not differing and read_scenes(other)["key"].tolist() != keys:
            differing = ["scenes that are not the same"]
        if differing:
            raise SchemaError(f"{first.path} and {other.path} cannot be compared: {'; '.join(differing)}")


def comparable(evaluations: Sequence[Artifact]) -> tuple[list[str], dict[str, str]]:
    """Metrics that all evaluations have in the same sense, in the order of the first, and why others are left out."""
    found, left_out = [], {}
    for name in dict.fromkeys(name for one in evaluations for name in one.facts["metrics"]):
        reason = _obstacle(name, evaluations)
        if reason:
            left_out[name] = reason
        else:
            found.append(name)
    return found, left_out


def _conditions(evaluation: Artifact) -> Mapping[str, Any]:
    facts, identity = evaluation.facts, evaluation.manifest.identity
    truth = identity.inputs.get("truth", identity.inputs["dataset"])
    conditions = {name: facts[name] for name in ("dataset", "split", "scenes")}
    conditions |= {"resolution": "×".join(map(str, facts["resolution"])), "true masks": truth.directory}
    return conditions | {name: evaluation.config["eval"][name] for name in _CONFIGURED}


def _obstacle(name: str, evaluations: Sequence[Artifact]) -> str:
    figures = [one.facts["metrics"].get(name) for one in evaluations]
    if None in figures:
        return "not evaluated everywhere"
    if len({one.manifest.identity.plugins[f"metric/{name}"] for one in evaluations}) > 1:
        return "evaluated by different versions of it: evaluate again"
    if len({tuple(one["resolution"]) for one in figures}) > 1:
        return "evaluated at different resolutions"
    return ""
