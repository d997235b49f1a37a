"""A folder of your own images, with or without masks.

Masks are in folders with a usual name, such as ``masks`` or ``labels``, beside or below the images (``images/a.jpg``,
``masks/a.png``), or next to each image as ``a_mask.png``; a mask can also be several files, one for each object.
Folders or lists called train, val or test give the splits. Without masks, every mask is 0. Where names allow two
readings, an error names the options.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from iodine_kit.config import PathText
from iodine_kit.errors import SchemaError
from iodine_kit.layouts import Expected, Item
from iodine_kit.layouts._folder_survey import FolderSurvey
from iodine_kit.layouts._folder_survey import survey as survey_of
from iodine_kit.records import IGNORED, IN_ALL, Scene
from iodine_kit.untrusted.folders import any_below
from iodine_kit.untrusted.mask_meaning import MaskOptions
from iodine_kit.untrusted.mask_pixels import shared_palette
from iodine_kit.untrusted.masks import Mask, read_mask
from iodine_kit.untrusted.pictures import SUFFIXES, read_picture

VERSION = 2
SUMMARY = "a folder of your own images (PNG, JPEG, WebP, BMP, TIFF), with masks or without"
DATASETS = ("folder",)
PREPROCESS: dict[str, dict[str, object]] = {}
OWN_SPLITS = False  # they exist only if folders or lists give every image one
NAMES_MATTER = True

_OVERLAP = "masks of objects overlap; where they do, the object of the later file is in front"
_OTHERS = ("clevr-v1", "clevrtex")


class Config(MaskOptions):
    """Which pictures are images or masks, which splits they have, what the pixels mean, and how images are read.

    Attributes:
        masks: folders of the masks: their name, at any depth, or one path, absolute or relative to the source; or what
            the names of masks end or begin with, such as ``_bar``; ``none`` ignores masks. Defaults to folders and
            names that mean masks, such as ``masks/``, ``labels/`` and ``a_mask.png``.
        images: name of the folders of the images; pictures elsewhere are not used. Defaults to all but masks.
        splits: ``auto``: from folders or lists called train, val and test, and similarly; ``none``: ignore such names.
        unpaired: whether to ``refuse`` images without a mask and masks without an image, or to ``skip`` them.
        links: whether symbolic links may only lead to places ``inside`` the source, or ``all`` are followed.
        bits: significant bits of grey images of 16 bits: the largest value is 2 to this power, minus 1.
    """

    masks: PathText = ""
    images: PathText = ""
    splits: Literal["auto", "none"] = "auto"
    unpaired: Literal["refuse", "skip"] = "refuse"
    links: Literal["inside", "all"] = "inside"
    bits: Annotated[int, Field(ge=8, le=16)] = 16


def recognises(path: Path) -> bool:
    """Whether it is a folder with a picture anywhere below it that belongs to no other layout of pictures."""
    from iodine_kit.layouts import LAYOUTS  # here, because they are plug-ins like this one

    has_pictures = any_below(path, "*", lambda file: file != path and file.suffix.lower() in SUFFIXES)
    return has_pictures and not any(LAYOUTS.load(name).recognises(path) for name in _OTHERS)


def survey(paths: Sequence[Path], config: Config) -> FolderSurvey:
    """What the folders hold: the files, the records, and sentences about them. See :mod:`iodine_kit.layouts`."""
    return survey_of(paths, config)


def files(paths: Sequence[Path], config: Config) -> list[Path]:
    """Every image, followed by its masks, and the lists of splits."""
    return list(survey_of(paths, config).files)


def items(paths: Sequence[Path], expected: Expected, config: Config) -> Iterator[Item]:
    """The images in the natural order of their paths."""
    records = survey_of(paths, config).records
    masks = (mask for one in records for mask in one.masks)
    palette = shared_palette(masks, config.background_colour) if config.mask_values == "auto" else None
    for one in records:
        yield Item(str(one.image), (one.image, one.masks, palette), one.split, one.key)


def scenes(item: Item, key: str, expected: Expected, config: Config) -> list[Scene]:
    """Decode one image and its mask."""
    path, mask_paths, palette = item.payload
    picture = read_picture(path, item.place, config.bits)
    image = picture.pixels
    if not mask_paths:
        return [Scene(key, image, np.zeros(image.shape[:2], np.uint8), has_mask=False, remarks=picture.remarks)]
    masks = [read_mask(mask, str(mask), config, picture, palette) for mask in mask_paths]
    for mask_path, mask in zip(mask_paths, masks, strict=True):
        if mask.index.shape != image.shape[:2]:
            height, width = mask.index.shape
            sizes = f"{height}×{width} pixels, its image {path} {image.shape[0]}×{image.shape[1]}"
            raise SchemaError(
                f"{mask_path}: has {sizes}; make both the same size, or ignore masks with --set layout.masks=none"
            )
    whole = masks[0] if len(masks) == 1 else _combined(masks, mask_paths)
    return [Scene(key, image, whole.index, ignored=whole.ignored, remarks=picture.remarks + whole.remarks)]


def _combined(masks: Sequence[Mask], paths: Sequence[Path]) -> Mask:
    """One mask of several, each with one object, numbered from 1 in their order; where they overlap, the later one."""
    if len(masks) >= IGNORED:
        raise SchemaError(f"{paths[0]}: is one of {len(masks)} masks of an image; there can be at most 254 objects")
    whole, overlap, ignored = np.zeros_like(masks[0].index), False, np.zeros(masks[0].index.shape, bool)
    for number, (mask, path) in enumerate(zip(masks, paths, strict=True), start=1):
        ignored |= (mask.index == IGNORED) & mask.ignored
        is_object = (mask.index > 0) & ~((mask.index == IGNORED) & mask.ignored)
        objects = len(np.unique(mask.index[is_object]))
        if objects > 1:
            raise SchemaError(
                f"{path}: has {objects} objects, but is one of {len(masks)} masks of an image, which must have one "
                "object each: save them as one mask, or ignore masks with --set layout.masks=none"
            )
        overlap |= bool((whole[is_object] > 0).any())
        whole[is_object] = number
    whole[ignored & (whole == 0)] = IGNORED
    remarks = tuple(
        remark
        for remark in dict.fromkeys(remark for mask in masks for remark in mask.remarks)
        if not remark.startswith(IN_ALL) or all(remark in mask.remarks for mask in masks)
    )
    return Mask(whole, bool(ignored.any()), (*remarks, _OVERLAP) if overlap else remarks)
