"""Dittadi et al. 2022, object-centric-library: one HDF5 file per data set, masks as indices.

This layout also reads the files that multi_object_datasets_torch makes from DeepMind's: the same names, channels first,
one mask per entity. The shapes say which of the two a file is.

The ``NAME-metadata.npy`` beside a file is a pickle, which could run any program: it is not needed and never opened.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from iodine_kit import config as configuration
from iodine_kit.errors import SchemaError
from iodine_kit.layouts import Expected, Item
from iodine_kit.layouts._arrays import as_image, as_mask, check_size
from iodine_kit.layouts._hdf5 import columns, entity_factors, hdf5_files, is_broken, names, recognised, shapes
from iodine_kit.records import Array, DatasetInfo, Scene
from iodine_kit.untrusted.hdf5 import reading

VERSION = 1
SUMMARY = "object-centric-library (Dittadi et al. 2022): HDF5 with image, mask and factors; also from DeepMind's files"
DATASETS = ("clevr", "multi-dsprites", "objects-room", "tetrominoes", "clevrtex")
# Published cropped and resized. A file of the original size keeps it, because its crop is not known here.
PREPROCESS: dict[str, dict[str, object]] = {
    "clevr": {"crop": "none", "size": None},
    "clevrtex": {"crop": "none", "size": None},
}
OWN_SPLITS = False
NAMES_MATTER = False
_RESIZED = (128, 128)
_COUNT = "num_actual_objects"


class Config(configuration.Config):
    """No options: shapes say how images and masks are stored."""


def recognises(path: Path) -> bool:
    """Whether it is an HDF5 file with ``image`` and ``mask``, or a folder with one; or a damaged HDF5 file."""
    return is_broken(path) or recognised(path, lambda file: {"image", "mask"} <= set(names(file)))


def files(paths: Sequence[Path], config: Config) -> list[Path]:
    """The given files, and the only HDF5 file of each given folder."""
    return hdf5_files(paths)


def items(paths: Sequence[Path], expected: Expected, config: Config) -> Iterator[Item]:
    """The rows of each file in turn; the published files have no splits."""
    sizes = [(expected.info.height, expected.info.width)]
    if expected.dataset in PREPROCESS:
        sizes.append(_RESIZED)
    for path in files(paths, config):
        known = shapes(path, ("image", "mask"))
        shape = known["image"]
        for name, other in known.items():
            if other[0] != shape[0]:
                raise SchemaError(f"{path}: '{name}' has {other[0]} rows for {shape[0]} images; replace the file")
        check_size(shape[1:], sizes, expected.dataset, str(path))
        for row in range(shape[0]):
            yield Item(f"{path}: row {row}", (path, row))


def scenes(item: Item, key: str, expected: Expected, config: Config) -> list[Scene]:
    """Read and check one row."""
    path, row = item.payload
    table = columns(path)
    with reading(item.place):
        pixels, owners = table["image"][row], table["mask"][row]
        rows = table["visibility"].shape[1] if "visibility" in table else expected.info.entities
        factors = entity_factors(table, row, len(table["image"]), rows, ("image", "mask", _COUNT))
        objects = int(np.sum(table[_COUNT][row])) if _COUNT in table else None
    image = as_image(pixels, item.place)
    mask = as_mask(owners, image.shape[:2], expected.info.entities, item.place)
    factors = _with_background(factors, objects, expected.info)
    if any(mask.max() >= len(values) for values in factors.values()):
        raise SchemaError(
            f"{item.place}: the mask has index {mask.max()}, but factors have {rows} rows; replace the file"
        )
    return [Scene(key, image, mask, factors)]


def _with_background(factors: dict[str, Array], objects: int | None, info: DatasetInfo) -> dict[str, Array]:
    """Factors with a row for every index of the mask.

    In the published files the background has rows: according to their code, visibility sums to more than the number of
    objects. If it does not, and exactly the background's rows are missing, they are inserted first: visible, else 0.
    """
    missing, visibility = len(info.background), factors.get("visibility")
    if visibility is None or len(visibility) != info.entities - missing or visibility.sum() != objects:
        return factors
    return {
        name: np.concatenate([np.full((missing, *values.shape[1:]), name == "visibility", values.dtype), values])
        for name, values in factors.items()
    }
