"""Opening a split of a prepared data set."""

from __future__ import annotations

from iodine_kit.artifacts.facts import DatasetFacts
from iodine_kit.errors import CountError, did_you_mean
from iodine_kit.formats import FORMATS, Reader
from iodine_kit.records import DatasetInfo
from iodine_kit.store import Artifact


def dataset_info(dataset: Artifact) -> DatasetInfo:
    """Return what is true of every scene of a data set."""
    return DatasetFacts.of(dataset).info


def check_split(dataset: Artifact, split: str) -> int:
    """Return the number of scenes; raises :class:`CountError` if the data set has no such split."""
    splits = DatasetFacts.of(dataset).splits
    if split not in splits:
        raise CountError(f"{dataset.path} has no split '{split}'{did_you_mean(split, splits)}")
    return splits[split]


def open_split(dataset: Artifact, split: str) -> Reader:
    """Open a split of a data set for reading; raises :class:`CountError` if the data set has no such split."""
    check_split(dataset, split)
    return FORMATS.load(DatasetFacts.of(dataset).format).open_split(dataset.path, split)
