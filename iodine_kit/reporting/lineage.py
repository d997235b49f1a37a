"""The lineage of artifacts for pages: how a data set was made, and which artifacts and files led to a result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from iodine_kit.config import flatten
from iodine_kit.reporting.context import LineageItem
from iodine_kit.store import Artifact
from iodine_kit.store.made import code_version


def dataset_provenance(dataset: Artifact) -> list[tuple[str, str]]:
    """How a data set was made, as (label, value) pairs; what does not apply is omitted."""
    config, facts = dataset.config, dataset.facts
    preprocess = config.get("preprocess", {})
    records, sources = facts.get("records", {}), dataset.manifest.identity.sources
    size = preprocess.get("size")
    pairs = [
        ("Origin", _origin(config)),
        ("Data set", _settings(config.get("dataset", {}))),
        ("Layout of the source", _settings(config.get("layout", {}))),
        ("Raw files", f"{len(sources):,}, {sum(s.bytes for s in sources):,} bytes" if sources else ""),
        ("Protocol", config.get("protocol") or ("none" if sources else "")),
        ("Splits", _rule(config.get("split", {}))),
        ("Published counts", _pairs(facts.get("expected", {}))),
        ("Crop", str(preprocess.get("crop", ""))),
        ("Resized to", f"{size} × {size}" if size else "unchanged"),
        ("Objects allowed", _allowed(preprocess)),
        ("Records read", f"{records['read']:,}" if "read" in records else ""),
        ("Scenes filtered out", f"{records['filtered_scenes']:,}" if "filtered_scenes" in records else ""),
        ("Bad records omitted", f"{records['bad']:,}" if "bad" in records else ""),
        ("Stored as", _settings(config.get("format", {}))),
        ("Licence", facts["info"].get("licence", "")),
        ("Citation", facts["info"].get("citation", "")),
    ]
    return [(label, value) for label, value in pairs if value]


def lineage_of(
    role: str, artifact: Artifact, facts: Sequence[tuple[str, str]] = (), *, most_sources: int | None = None
) -> LineageItem:
    """An artifact of the lineage: when and by which code it was made, its files, and the files it was made from.

    Args:
        role: of the artifact in the lineage.
        artifact: with its manifest.
        facts: more facts to show, as (label, value) pairs.
        most_sources: raw files are not listed if there are more than this number.
    """
    manifest = artifact.manifest
    made, sources = manifest.made, manifest.identity.sources
    listed = sources if most_sources is None or len(sources) <= most_sources else ()
    seconds = [("seconds", f"{made['seconds']:.1f}")] if "seconds" in made else []
    known = [("made", str(made.get("finished", "?"))), *seconds, ("code", code_version(made, 12))]
    return LineageItem(
        role=role,
        directory=artifact.reference.directory,
        key=manifest.key,
        facts=[*known, *facts],
        files=[(path, record.bytes, record.sha256) for path, record in manifest.files.items()],
        sources=[(source.name, source.bytes, source.sha256) for source in listed],
        config=flatten(manifest.identity.config),
    )


def _origin(config: Mapping[str, Any]) -> str:
    seed = f", seed {config['seed']}" if "seed" in config else ""
    return f"{config.get('origin', '')}{seed}"


def _settings(table: Mapping[str, Any]) -> str:
    """``"hdf5, compression none"``: a plug-in's name and its settings."""
    values = [f"{key.replace('_', ' ')} {value}" for key, value in table.items()
            if key != "name" and value not in (None, "", [], {})]  # fmt: skip
    return ", ".join([*([table["name"]] if "name" in table else []), *values])


def _rule(split: Mapping[str, Any]) -> str:
    """``"kept records in order: train 240, val 30"``."""
    parts = [f"{name} {'–'.join(map(str, numbers))}" for name, *numbers in split.get("splits", [])]
    others = [f"{key} {value}" for key, value in split.items() if key not in ("rule", "splits")]
    return f"{split.get('rule', '')}{': ' if parts or others else ''}{', '.join(parts + others)}"


def _pairs(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def _allowed(preprocess: Mapping[str, Any]) -> str:
    low, high = preprocess.get("min_objects"), preprocess.get("max_objects")
    if low is None and high is None:
        return "any number"
    ends = [f"at least {low}"] * (low is not None) + [f"at most {high}"] * (high is not None)
    return f"{' and '.join(ends)}, counted by {preprocess.get('count', 'factors')}"
