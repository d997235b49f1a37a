"""Layouts: the ways in which data sets were published. Each module of this folder reads one.

A layout turns files into items, in order and cheaply, and an item into scenes, which is the work. The two are apart
so that scenes can be made in other processes, skipped after an interruption, and left out when they are damaged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from iodine_kit.config import Config
from iodine_kit.records import DatasetInfo, Scene
from iodine_kit.registry import Registry
from iodine_kit.tfrecord import FieldSpec


@dataclass(frozen=True)
class Expected:
    """The data set that a source is said to hold.

    Attributes:
        dataset: plug-in name.
        info: what is true of its scenes as published.
        fields: the features of its TFRecord file; empty if none was published.
        others: the features of every known TFRecord file, to name the one that a file turns out to be.
        options: the data set's configuration, such as which of its variants is wanted.
    """

    dataset: str
    info: DatasetInfo
    fields: Mapping[str, FieldSpec]
    others: Mapping[str, Mapping[str, FieldSpec]]
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Item:
    """One record of a source, not yet decoded.

    Attributes:
        place: where it lies, for messages: ``train.tfrecords: record 12``.
        payload: what the layout needs to decode it; can be sent to another process.
        split: the split in which it was published, if the source has splits.
    """

    place: str
    payload: Any
    split: str = ""


class LayoutPlugin(Protocol):
    """What a module of this folder offers."""

    VERSION: int
    """Raised whenever the same files would give other scenes."""

    SUMMARY: str
    """One line for lists."""

    DATASETS: tuple[str, ...]
    """Data sets that were published so; empty means any."""

    PREPROCESS: Mapping[str, Mapping[str, Any]]
    """By data set: values of ``[preprocess]`` that differ from the data set's own, where this layout's images do."""

    OWN_SPLITS: bool
    """Whether every record comes with the split in which it was published."""

    NAMES_MATTER: bool
    """Whether splits, masks or the order of records depend on the names of files, so that those count too."""

    Config: type[Config]

    def recognises(self, path: Path) -> bool:
        """Whether a file or folder looks like this layout; never raises."""

    def files(self, paths: Sequence[Path], config: Any) -> list[Path]:
        """Every file that will be read, so that its bytes can be identified.

        Raises:
            iodine_kit.errors.SourceError: if one is missing.
        """

    def items(self, paths: Sequence[Path], expected: Expected, config: Any) -> Iterator[Item]:
        """All records in their published order.

        Raises:
            iodine_kit.errors.CorruptDataError: if a file is damaged so that what follows cannot be found.
            iodine_kit.errors.SchemaError: if the files hold something else.
        """

    def scenes(self, item: Item, key: str, expected: Expected, config: Any) -> Sequence[Scene]:
        """Decode one record: one scene called ``key``, or for a video one per frame, ``key-00``, ``key-01``, …

        Raises:
            iodine_kit.errors.CorruptDataError: if this record is damaged.
            iodine_kit.errors.SchemaError: if it is not what ``expected`` says.
        """


LAYOUTS: Registry[LayoutPlugin] = Registry("layout", "iodine_kit.layouts", LayoutPlugin)
