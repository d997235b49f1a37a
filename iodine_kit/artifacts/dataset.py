"""Opening a split of a prepared data set."""

from __future__ import annotations

from typing import Any

from iodine_kit.errors import CountError, did_you_mean
from iodine_kit.formats import FORMATS, Reader
from iodine_kit.records import DatasetInfo
from iodine_kit.store import Artifact


def dataset_info(dataset: Artifact) -> DatasetInfo:
    """What is true of every scene of a data set artifact."""
    info: dict[str, Any] = dict(dataset.facts["info"])
    classes = {name: tuple(values) for name, values in info["classes"].items()}
    return DatasetInfo(**{**info, "background": tuple(info["background"]), "classes": classes})


def check_split(dataset: Artifact, split: str) -> int:
    """Return the number of scenes; raises :class:`CountError` if the data set has no such split."""
    splits = dataset.facts["splits"]
    if split not in splits:
        raise CountError(f"{dataset.path} has no split '{split}'{did_you_mean(split, splits)}")
    return int(splits[split])


def open_split(dataset: Artifact, split: str) -> Reader:
    """Open a split of a data set artifact for reading."""
    check_split(dataset, split)
    return FORMATS.load(dataset.facts["format"]).open_split(dataset.path, split)
