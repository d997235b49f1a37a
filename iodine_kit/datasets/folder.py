"""A person's own images, with or without masks."""

from __future__ import annotations

from iodine_kit import config as configuration
from iodine_kit.records import DatasetInfo
from iodine_kit.tfrecord import FieldSpec

VERSION = 1
SUMMARY = "your own images, of any size, with masks or without"
PREPROCESS: dict[str, object] = {}
SCHEMAS: dict[str, dict[str, FieldSpec]] = {}
PUBLISHED_KEYS: tuple[str, ...] = ()
generate = None


class Config(configuration.Config):
    """Nothing to choose: where masks are and what they mean belongs to the layout."""


def info(config: Config) -> DatasetInfo:
    """Height, width and number of entities are 0: as the images are."""
    return DatasetInfo("folder", 0, 0, 0)


def fields(config: Config) -> dict[str, FieldSpec]:
    """None: these are no TFRecord files."""
    return {}


def splits(config: Config) -> dict[str, int]:
    """None: its layout says."""
    return {}


def urls(config: Config) -> tuple[str, ...]:
    """None: the images are a person's own."""
    return ()
