"""Your own images, with or without masks."""

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
    """No options: the layout defines where masks are and what their values mean."""


def info(config: Config) -> DatasetInfo:
    """Height, width and number of entities are 0, because they depend on the images."""
    return DatasetInfo("folder", 0, 0, 0)


def fields(config: Config) -> dict[str, FieldSpec]:
    """None: these are not TFRecord files."""
    return {}


def splits(config: Config) -> dict[str, int]:
    """None: the layout defines the splits."""
    return {}


def urls(config: Config) -> tuple[str, ...]:
    """None: the images are your own."""
    return ()
