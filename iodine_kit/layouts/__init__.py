"""Layouts: how published files store scenes. Each module of this folder reads one layout.

A layout turns files into items, in order and at little cost, and an item into scenes, which is the work. The two steps
are separate so that other processes can make scenes, a resumed stage can skip them, and damaged ones can be omitted.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from iodine_kit.config import Config
from iodine_kit.records import DatasetInfo, Scene
from iodine_kit.registry import Registry
from iodine_kit.tfrecord import FieldSpec


@dataclass(frozen=True)
class Expected:
    """The data set that a source should hold.

    Attributes:
        dataset: plug-in name.
        info: properties of its published scenes.
        fields: the features of its TFRecord file; empty if none was published.
        others: the features of every known TFRecord file, to name the data set that a wrong file belongs to.
        options: the data set's configuration, such as the variant.
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
        place: where it is, for messages: ``train.tfrecords: record 12``.
        payload: what the layout needs to decode it; can be sent to another process.
        split: the split in which it was published; empty if the source has no splits.
        key: key of its scene, unique within its split; empty for a number.
    """

    place: str
    payload: Any
    split: str = ""
    key: str = ""


@dataclass(frozen=True)
class Survey:
    """What a source holds, before any of it is read.

    Attributes:
        files: every file that will be read.
        auxiliary: those that hold no scenes of their own, such as masks.
        lines: the same for people, in sentences; may be empty.
        facts: the same for programs, in JSON's types.
    """

    files: Sequence[Path]
    auxiliary: Collection[Path] = ()
    lines: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


class LayoutPlugin(Protocol):
    """What a module of this folder offers.

    Optional are ``READS_NAMES = True``: ``items`` reads only names and headers, so that counting the records is fast;
    and functions of the names and with the arguments of :func:`survey` and :func:`numbered_items`, without ``layout``.
    """

    VERSION: int
    """Raised whenever the same files would give other scenes."""

    SUMMARY: str
    """One line for lists."""

    DATASETS: tuple[str, ...]
    """Data sets that were published in this layout; empty means any."""

    PREPROCESS: Mapping[str, Mapping[str, Any]]
    """By data set: values of ``[preprocess]`` that replace the data set's own, for layouts whose images differ."""

    OWN_SPLITS: bool
    """Whether every record has a published split."""

    NAMES_MATTER: bool
    """Whether splits, masks or the order of records depend on file names, so that names are part of the identity."""

    Config: type[Config]

    def recognises(self, path: Path) -> bool:
        """Whether a file or folder looks like this layout; may raise :class:`iodine_kit.errors.StorageError`."""

    def files(self, paths: Sequence[Path], config: Any) -> list[Path]:
        """Every file that will be read, so that its bytes can be identified.

        Raises:
            iodine_kit.errors.SourceError: one is missing.
        """

    def items(self, paths: Sequence[Path], expected: Expected, config: Any) -> Iterator[Item]:
        """All records in their published order.

        Raises:
            iodine_kit.errors.CorruptDataError: a file is so damaged that the records after the damage cannot be read.
            iodine_kit.errors.SchemaError: the files hold something else.
        """

    def scenes(self, item: Item, key: str, expected: Expected, config: Any) -> Sequence[Scene]:
        """Decode one record: one scene with the key ``key``; for a video one per frame, ``key-00``, ``key-01``, …

        Raises:
            iodine_kit.errors.CorruptDataError: this record is damaged.
            iodine_kit.errors.SchemaError: it does not match ``expected``.
        """


def survey(layout: LayoutPlugin, paths: Sequence[Path], config: Any) -> Survey:
    """What a layout finds in a source. A layout that guesses by names offers a function ``survey(paths, config)``.

    Raises:
        iodine_kit.errors.SourceError: a file is missing.
        iodine_kit.errors.SchemaError: names allow two readings; the message names the options.
    """
    own: Callable[[Sequence[Path], Any], Survey] | None = getattr(layout, "survey", None)
    return own(paths, config) if own else Survey(layout.files(paths, config))


Wanted = Callable[[int, "Item | None"], bool]
"""Whether the record of a number is wanted; called for every record in order, with the item if it is known already."""


_NumberedItems = Callable[[Sequence[Path], Expected, Any, Wanted], Iterator[tuple[int, Item]]]


def numbered_items(
    layout: LayoutPlugin, paths: Sequence[Path], expected: Expected, config: Any, wanted: Wanted
) -> Iterator[tuple[int, Item]]:
    """The records of ``items`` that are wanted, with their numbers from 0.

    A layout that can pass over a record at less cost than reading it offers a function ``numbered_items(paths,
    expected, config, wanted)``.

    Raises:
        iodine_kit.errors.IodineKitError: what ``items`` and ``wanted`` raise.
    """
    own: _NumberedItems | None = getattr(layout, "numbered_items", None)
    if own:
        return own(paths, expected, config, wanted)
    records = enumerate(layout.items(paths, expected, config))
    return ((number, item) for number, item in records if wanted(number, item))


LAYOUTS: Registry[LayoutPlugin] = Registry("layout", "iodine_kit.layouts", LayoutPlugin)
