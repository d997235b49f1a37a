"""What differs between two artifacts: configuration, code, inputs, facts, metrics and files."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from iodine_kit.config import differences
from iodine_kit.formatting import byte_size
from iodine_kit.store.artifact import Artifact
from iodine_kit.store.manifest import Reference

MOST_LISTED = 100
"""Characters of a value that are shown."""


class MetricDifference(NamedTuple):
    """A metric of two evaluations: its title, both means, and their difference; ``None`` for what is undefined."""

    title: str
    first: float | None
    second: float | None
    difference: float | None


class Differences(NamedTuple):
    """What differs, as sentences such as ``"train.steps: 50 -> 100"``; empty for what is the same.

    Attributes:
        config: the configuration that shapes the artifacts.
        code: the stage and its plug-ins, then what never enters a key: iodine-kit, its commit, Python and packages.
        inputs: the artifacts and source files that they were made from.
        facts: what the stages recorded, such as counts; without metrics.
        metrics: every metric that one of them has, also if it is the same.
        files: files that only one of them has, or that differ.
    """

    config: list[str]
    code: list[str]
    inputs: list[str]
    facts: list[str]
    metrics: dict[str, MetricDifference]
    files: list[str]


def compare(first: Artifact, second: Artifact) -> Differences:
    """Compare two artifacts by their manifests; no other file is read."""
    one, other = first.manifest, second.manifest
    return Differences(
        config=differences(one.identity.config, other.identity.config),
        code=differences(_code(first), _code(second)),
        inputs=differences(_inputs(first), _inputs(second)),
        facts=[_short(line) for line in differences(_without_metrics(one.facts), _without_metrics(other.facts))],
        metrics=_metrics(one.facts, other.facts),
        files=_files(first, second),
    )


def _code(artifact: Artifact) -> dict[str, Any]:
    identity, made = artifact.manifest.identity, artifact.manifest.made
    git = made.get("git")
    packages = made.get("packages")
    return {
        f"stage {identity.stage}": identity.version,
        **{f"plug-in {name}": version for name, version in identity.plugins.items()},
        "iodine-kit": made.get("iodine_kit"),
        "commit": git.get("commit") if isinstance(git, Mapping) else None,
        "uncommitted changes": git.get("dirty") if isinstance(git, Mapping) else None,
        "Python": made.get("python"),
        **(packages if isinstance(packages, Mapping) else {}),
    }


def _inputs(artifact: Artifact) -> dict[str, str]:
    identity = artifact.manifest.identity
    files = {f"source file {source.name}": f"sha256 {source.sha256[:12]}" for source in identity.sources}
    return {**{role: _named(one) for role, one in identity.inputs.items()}, **files}


def _named(reference: Reference) -> str:
    return f"{reference.directory} with content {reference.content[:12]}" if reference.content else reference.directory


def _without_metrics(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if name != "metrics"}


def _metrics(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, MetricDifference]:
    found = {}
    one, other = first.get("metrics"), second.get("metrics")
    one, other = one if isinstance(one, Mapping) else {}, other if isinstance(other, Mapping) else {}
    for name in dict.fromkeys([*one, *other]):
        before, after = _mean(one.get(name)), _mean(other.get(name))
        described = one.get(name) or other.get(name)
        title = described.get("title", name) if isinstance(described, Mapping) else name
        difference = None if before is None or after is None else after - before
        found[name] = MetricDifference(str(title), before, after, difference)
    return found


def _mean(metric: Any) -> float | None:
    value = metric.get("mean") if isinstance(metric, Mapping) else None
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _files(first: Artifact, second: Artifact) -> list[str]:
    one, other = first.manifest.files, second.manifest.files
    lines = []
    for name in sorted(one.keys() | other.keys()):
        if name not in other:
            lines.append(f"{name}: {byte_size(one[name].bytes)} -> absent")
        elif name not in one:
            lines.append(f"{name}: absent -> {byte_size(other[name].bytes)}")
        elif one[name] != other[name]:
            sizes = [byte_size(files[name].bytes) for files in (one, other)]
            lines.append(f"{name}: {sizes[0]} -> {sizes[1]}" if sizes[0] != sizes[1] else f"{name}: other bytes")
    return lines


def _short(line: str) -> str:
    return line if len(line) <= 2 * MOST_LISTED else line[: 2 * MOST_LISTED] + "…"
