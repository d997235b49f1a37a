"""CLEVRTex (Karazija et al. 2021): 3 to 10 textured objects on a textured ground, and five test variants of it."""

from __future__ import annotations

from typing import Literal

from iodine_kit import config as configuration
from iodine_kit.records import DatasetInfo
from iodine_kit.tfrecord import FieldSpec

VERSION = 1
SUMMARY = "3 to 10 textured objects on a textured ground, 240×320; published files, fetched by hand"
PREPROCESS = {"crop": "centre:192", "size": 128}
SCHEMAS: dict[str, dict[str, FieldSpec]] = {}
CITATION = (
    "Karazija et al., ClevrTex: A Texture-Rich Benchmark for Unsupervised Multi-Object Segmentation, "
    "NeurIPS Datasets and Benchmarks 2021"
)
LICENCE = "CC-BY-4.0"
PUBLISHED_KEYS = ("variant",)
generate = None

Variant = Literal["full", "pbg", "vbg", "grassbg", "camo", "outd"]


class Config(configuration.Config):
    """Selects among the published variants.

    Attributes:
        variant: published variant: ``full``; ``pbg``, plain background; ``vbg``, plain objects on a varied background;
            ``grassbg``, grass as background; ``camo``, objects and ground of one material; ``outd``, shapes and
            materials that the other variants do not have.
    """

    variant: Variant = "full"


def info(config: Config) -> DatasetInfo:
    """Facts that hold for every scene as published."""
    return DatasetInfo("clevrtex", 240, 320, 11, (0,), {}, CITATION, LICENCE)


def fields(config: Config) -> dict[str, FieldSpec]:
    """None: the data set was not published as TFRecord files."""
    return {}


def splits(config: Config) -> dict[str, int]:
    """None: the layout defines the splits."""
    return {}


def urls(config: Config) -> tuple[str, ...]:
    """None: the archives must be downloaded by hand from robots.ox.ac.uk/~vgg/data/clevrtex."""
    return ()
