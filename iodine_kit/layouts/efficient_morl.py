"""EfficientMORL (Emami et al. 2021): one HDF5 file per data set, a group per split with imgs, masks and factors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from iodine_kit import config as configuration
from iodine_kit.errors import SchemaError
from iodine_kit.layouts import Expected, Item
from iodine_kit.layouts._arrays import as_image, as_mask, check_size
from iodine_kit.layouts._hdf5 import columns, entity_factors, hdf5_files, names, recognised, shapes
from iodine_kit.records import Array, Scene
from iodine_kit.split_rules import SPLITS
from iodine_kit.untrusted.hdf5 import reading

VERSION = 1
SUMMARY = "EfficientMORL (Emami et al. 2021): HDF5 with groups train, val and test"
DATASETS = ("clevr", "multi-dsprites", "tetrominoes")
PREPROCESS: dict[str, dict[str, object]] = {}
OWN_SPLITS = True
NAMES_MATTER = False
READS_NAMES = True

_CROPPED = {"clevr": [(192, 192), (128, 128), (96, 96)]}
"""Sizes of other copies of these files besides the published one; use them with crop=none."""
# The columns of CLEVR's factors, in the order in which its evaluation (eval.py) reads them.
_CLEVR = ("x", "y", "z", "rotation", "size", "material", "shape", "color", "visibility")


class Config(configuration.Config):
    """No options: shapes and values say how images and masks are stored."""


def recognises(path: Path) -> bool:
    """Whether it is an HDF5 file with a split's ``imgs``, or a folder with one."""
    return recognised(path, lambda file: any("imgs" in names(file, split) for split in _splits(file)))


def files(paths: Sequence[Path], config: Config) -> list[Path]:
    """The given files, and the only HDF5 file of each given folder."""
    return hdf5_files(paths)


def items(paths: Sequence[Path], expected: Expected, config: Config) -> Iterator[Item]:
    """The rows of train, val and test, of each file in turn."""
    for path in files(paths, config):
        splits = _splits(path)
        if not splits or len(splits) < len(names(path)):
            groups = ", ".join(names(path)) or "none"
            raise SchemaError(f"{path}: has groups {groups}, not only train, val and test; is this another layout?")
        for split in splits:
            shape = shapes(path, ("imgs", "masks"), split)["imgs"]
            sizes = [(expected.info.height, expected.info.width), *_CROPPED.get(expected.dataset, ())]
            check_size(shape[1:], sizes, expected.dataset, f"{path}: {split}")
            for row in range(shape[0]):
                yield Item(f"{path}: {split} row {row}", (path, split, row), split)


def scenes(item: Item, key: str, expected: Expected, config: Config) -> list[Scene]:
    """Read and check one row: an image of bytes or from 0 to 1, one mask per entity."""
    path, split, row = item.payload
    table = columns(path, split)
    with reading(item.place):
        pixels, owned = table["imgs"][row], table["masks"][row]
        factors = entity_factors(table, row, len(table["imgs"]), len(owned), ("imgs", "masks"))
    image = as_image(pixels, item.place)
    if owned.ndim == 4:
        owned = owned[..., 0]  # stored once, or once for each channel of the image
    mask = as_mask(owned, image.shape[:2], expected.info.entities, item.place)
    return [Scene(key, image, mask, _named(factors) if expected.dataset == "clevr" else factors)]


def _splits(path: Path) -> list[str]:
    groups = names(path)
    return [split for split in SPLITS if split in groups]


def _named(factors: dict[str, Array]) -> dict[str, Array]:
    """CLEVR's factors by their names, if they are the columns of one array."""
    values = factors.get("factors")
    if values is None or values.ndim != 2 or values.shape[1] != len(_CLEVR):
        return factors
    return {name: values[:, column].astype(np.float32) for column, name in enumerate(_CLEVR)}
