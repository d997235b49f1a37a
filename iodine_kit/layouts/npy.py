"""Multi-dSprites as GENESIS (Engelcke et al. 2020) generates it: NumPy arrays of images and of masks, per split.

GENESIS writes ``training_images_rand4.npy``, float32[N, 64, 64, 3] from 0 to 1, and ``training_masks_rand4.npy``,
float64[N, 64, 64, 1] with indices; likewise for validation and test. Other arrays are read as well if their names form
the same pairs: ``images``, ``imgs`` or ``data`` in the one is ``masks`` in the other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from iodine_kit import config as configuration
from iodine_kit.errors import SchemaError, SourceError
from iodine_kit.layouts import Expected, Item, Survey
from iodine_kit.layouts._arrays import as_image, as_mask, check_size
from iodine_kit.records import Array, Scene
from iodine_kit.split_rules import split_name
from iodine_kit.system import storage_errors
from iodine_kit.untrusted.folders import any_below, files_below, files_in, one_form
from iodine_kit.untrusted.npy import file_header, map_array

VERSION = 1
SUMMARY = "NumPy arrays *images*.npy and *masks*.npy, such as GENESIS writes for Multi-dSprites"
DATASETS = ("multi-dsprites",)
PREPROCESS: dict[str, dict[str, object]] = {}
OWN_SPLITS = True
NAMES_MATTER = True
READS_NAMES = True

_PATTERN = "*.npy"
_IMAGES = re.compile(r"images?|imgs?|(?<![a-z])data(?![a-z])", re.IGNORECASE)
_MASKS = re.compile(r"masks?", re.IGNORECASE)
_Pair = tuple[Path, Path | None]


class Config(configuration.Config):
    """Options of this layout; names and shapes say which array is which.

    Attributes:
        masks: whether there are masks. Without them, every pixel is background, and segmentation metrics have no
            meaning.
    """

    masks: bool = True


def recognises(path: Path) -> bool:
    """Whether it is an array of images, or a folder with one."""
    return any_below(path, _PATTERN, _is_stack_of_images)


def files(paths: Sequence[Path], config: Config) -> list[Path]:
    """Each array of images, followed by its masks, which are in the same folder and need not be given."""
    return [file for pair in _pairs(paths, config) for file in pair if file is not None]


def survey(paths: Sequence[Path], config: Config) -> Survey:
    """The same files; masks hold no scenes of their own."""
    return Survey(files(paths, config), [masks for _, masks in _pairs(paths, config) if masks is not None])


def items(paths: Sequence[Path], expected: Expected, config: Config) -> Iterator[Item]:
    """The rows of each array in turn; the beginning of the file name is the split."""
    for images, masks in _pairs(paths, config):
        shape = file_header(images).shape
        check_size(shape[1:], [(expected.info.height, expected.info.width)], expected.dataset, str(images))
        if masks and file_header(masks).shape[:1] != shape[:1]:
            raise SchemaError(f"{masks}: has shape {list(file_header(masks).shape)} for {shape[0]} images; replace it")
        for row in range(shape[0]):
            yield Item(f"{images}: row {row}", (images, masks, row), split_name(images.name))


def scenes(item: Item, key: str, expected: Expected, config: Config) -> list[Scene]:
    """Read and check one row."""
    images, masks, row = item.payload
    image = as_image(np.array(_mapped(images)[row]), item.place)
    mask = np.zeros(image.shape[:2], np.uint8)
    if masks:
        place = f"{masks}: row {row}"
        mask = as_mask(np.array(_mapped(masks)[row]), image.shape[:2], expected.info.entities, place)
    return [Scene(key, image, mask, has_mask=masks is not None)]


def _mapped(path: Path) -> Array:
    """A whole array, kept open by this process for the rows that follow."""
    with storage_errors(path):
        status = path.stat()
    return _kept(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=8)
def _kept(path: Path, modified: int, size: int) -> Array:
    return map_array(path)


def _pairs(paths: Sequence[Path], config: Config) -> list[_Pair]:
    """Arrays of images with their masks.

    Raises:
        SourceError: there are no images, several of one split, images without masks, or masks without images.
    """
    given = files_below(paths, _PATTERN)
    images = [file for file in given if _are_images(file) or (file in paths and not _are_masks(file))]
    _check_splits(images)
    pairs: list[_Pair] = [(file, _masks_of(file) if config.masks else None) for file in images]
    used = [masks for _, masks in pairs]
    for file in given:
        if config.masks and _are_masks(file) and file not in used:
            raise SourceError(f"{file}: its images are missing; add {_MASKS.sub('images', file.name)}")
    if not images:
        raise SourceError(
            f"{paths[0]}: no .npy file has 'images', 'imgs' or 'data' in its name; give the file of images"
        )
    return pairs


def _masks_of(images: Path) -> Path:
    for file in files_in(images.parent, _PATTERN):
        if _are_masks(file) and _kind(file) == _kind(images):
            return file
    name = _IMAGES.sub("masks", images.name)
    raise SourceError(f"{images}: its masks are missing; add {name}, or --set layout.masks=false if there are none")


def _check_splits(images: Sequence[Path]) -> None:
    known: dict[str, Path] = {}
    for file in images:
        split = split_name(file.name)
        if split in known:
            raise SourceError(f"{file} and {known[split].name} are both '{split}'; give the files of one data set")
        if split:
            known[split] = file


def _are_images(file: Path) -> bool:
    return _IMAGES.search(file.stem) is not None and not _are_masks(file)


def _are_masks(file: Path) -> bool:
    return _MASKS.search(file.stem) is not None


def _kind(file: Path) -> str:
    """The common part of the names of images and of their masks."""
    return _MASKS.sub("*", _IMAGES.sub("*", one_form(file.stem)))


def _is_stack_of_images(file: Path) -> bool:
    return file.suffix.lower() == ".npy" and _are_images(file) and len(file_header(file).shape) == 4
