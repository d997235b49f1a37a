"""The description of a data set: what it is, and its files with their hashes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from iodine_kit.addresses import without_secrets
from iodine_kit.artifacts.dataset import DatasetFacts
from iodine_kit.datasets import DATASETS
from iodine_kit.errors import UnknownNameError
from iodine_kit.stages.croissant.record_sets import Json, members, record_sets
from iodine_kit.store import Artifact, FileRecord

CONFORMS_TO = "http://mlcommons.org/croissant/1.1"
_TERMS = (
    "arrayShape", "citeAs", "column", "containedIn", "equivalentProperty", "extract", "field", "fileObject",
    "fileProperty", "fileSet", "format", "includes", "isArray", "isLiveDataset", "jsonPath", "key", "md5",
    "parentField", "path", "recordSet", "references", "regex", "repeated", "replace", "samplingRate", "separator",
    "source", "subField", "transform",
)  # fmt: skip
CONTEXT: Mapping[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "dct": "http://purl.org/dc/terms/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
    **{term: f"cr:{term}" for term in _TERMS},
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "description": {"@container": "@language"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "name": {"@container": "@language"},
}
"""The context that every Croissant file repeats."""
ENCODINGS = {
    ".h5": "application/x-hdf5", ".tar": "application/x-tar", ".json": "application/json", ".png": "image/png",
    ".npz": "application/zip", ".webp": "image/webp", ".jpg": "image/jpeg",
}  # fmt: skip
_SPDX = re.compile(r"\b[A-Z][A-Za-z0-9.]*(?:-[A-Za-z0-9.]+)*-\d+\.\d+\b")


def croissant(dataset: Artifact, splits: Sequence[str], url: str = "") -> Json:
    """The description of a data set as JSON.

    Args:
        dataset: a data set artifact.
        splits: names of splits that exist.
        url: the address of the folder of the files; without it, their addresses are relative to the description.
    """
    facts = DatasetFacts.of(dataset)
    info, made = facts.info, dataset.manifest.made
    licences = [f"https://spdx.org/licenses/{name}.html" for name in _SPDX.findall(info.licence)]
    known = {
        "license": licences or info.licence,
        "citeAs": info.citation,
        "url": url,
        "datePublished": str(made.get("finished", ""))[:10],
        "isBasedOn": [
            without_secrets(one.location) for one in dataset.manifest.identity.sources if "://" in one.location
        ],
    }
    return {
        "@context": dict(CONTEXT),
        "@type": "sc:Dataset",
        "name": dataset.path.name,
        "description": _description(facts, splits),
        "conformsTo": CONFORMS_TO,
        "version": "1.0.0",
        "identifier": dataset.manifest.key,
        **{name: value for name, value in known.items() if value},
        "distribution": [*_file_objects(dataset, splits, url), *_file_sets(dataset, splits)],
        "recordSet": record_sets(dataset, splits),
    }


def files_of(dataset: Artifact, splits: Sequence[str]) -> dict[str, FileRecord]:
    """The files of the data set that belong to these splits, or to all."""
    others = [re.compile(_shards(split)) for split in DatasetFacts.of(dataset).splits if split not in splits]
    files = dataset.manifest.files
    return {name: one for name, one in files.items() if not any(other.fullmatch(name) for other in others)}


def _description(facts: DatasetFacts, splits: Sequence[str]) -> str:
    info = facts.info
    try:
        about = DATASETS.load(info.dataset).SUMMARY
    except UnknownNameError:  # a plug-in of another package
        about = info.dataset
    masks = (
        "A mask has the index of an entity at each pixel. Indices of the background: "
        f"{', '.join(map(str, info.background))}."
    )
    ignored = "" if info.ignored is None else f" Pixels to ignore have the index {info.ignored}."
    counts = ", ".join(f"{split} {facts.splits[split]}" for split in splits)
    size = f"Images of {info.height}×{info.width} pixels."
    return f"{about}. {size} {masks}{ignored} Scenes: {counts}. Prepared by iodine-kit."


def _shards(split: str) -> str:
    return rf"{re.escape(split)}(-\d{{6}})?\.(h5|tar|index\.npz)"


def _file_objects(dataset: Artifact, splits: Sequence[str], url: str) -> Iterable[Json]:
    for name, record in files_of(dataset, splits).items():
        yield {
            "@type": "cr:FileObject",
            "@id": name,
            "name": name,
            "contentUrl": f"{url.rstrip('/')}/{name}" if url else name,
            "contentSize": f"{record.bytes} B",
            "encodingFormat": ENCODINGS.get(Path(name).suffix, "application/octet-stream"),
            "sha256": record.sha256,
        }


def _file_sets(dataset: Artifact, splits: Sequence[str]) -> Iterable[Json]:
    """The members of tar shards, by kind; none for other formats."""
    for split in splits:
        shards = [name for name in dataset.manifest.files if name.endswith(".tar") and re.match(_shards(split), name)]
        for kind, suffix in members(dataset, split).items():
            yield {
                "@type": "cr:FileSet",
                "@id": f"{split}-{kind}-files",
                "name": f"{split}-{kind}-files",
                "containedIn": [{"@id": shard} for shard in shards],
                "encodingFormat": ENCODINGS[Path(suffix).suffix],
                "includes": f"*.{suffix}",
            }
