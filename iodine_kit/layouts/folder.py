"""A folder of your own images, with or without masks.

Masks have the names of their images and are in a folder ``masks`` beside or below the images (``images/a.jpg``,
``masks/a.png``), or next to each image as ``a_mask.png``. If every image is below a folder ``train``, ``val`` or
``test``, that is its split. Without masks, every mask is 0. Links to folders are not followed; links to files outside
of the folder are refused.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from iodine_kit.errors import SchemaError, SourceError
from iodine_kit.layouts import Expected, Item
from iodine_kit.records import Scene
from iodine_kit.split_rules import SPLITS
from iodine_kit.untrusted.folders import is_data
from iodine_kit.untrusted.mask_meaning import MaskOptions
from iodine_kit.untrusted.mask_pixels import shared_palette
from iodine_kit.untrusted.masks import read_mask
from iodine_kit.untrusted.pictures import SUFFIXES, read_picture, refuse_link_outside

VERSION = 1
SUMMARY = "a folder of your own images (PNG, JPEG, WebP, BMP, TIFF), with masks or without"
DATASETS = ("folder",)
PREPROCESS: dict[str, dict[str, object]] = {}
OWN_SPLITS = False  # they exist only if all images are below folders called train, val and test
NAMES_MATTER = True

_MASK_SUFFIXES = (".png", ".bmp", ".tif", ".tiff")
_PUBLISHED = re.compile(r"CLEVR(TEX)?_[a-z]+_\d{6}")
_MASKS, _MARK = "masks", "_mask"


class Config(MaskOptions):
    """Where the masks are, what their pixels mean, and how images are read.

    Attributes:
        masks: folder of the masks, absolute or relative to the source; ``none`` ignores masks. Defaults to folders
            called ``masks``, and files next to the images.
        bits: significant bits of grey images of 16 bits: the largest value is 2 to this power, minus 1.
    """

    masks: str = ""
    bits: Annotated[int, Field(ge=8, le=16)] = 16


def recognises(path: Path) -> bool:
    """Whether it is a folder with a picture anywhere below it. See :class:`iodine_kit.layouts.LayoutPlugin`."""
    try:
        return path.is_dir() and any(_is_own(file) for file in path.rglob("*"))
    except OSError:
        return False


def files(paths: Sequence[Path], config: Config) -> list[Path]:
    """Every image, followed by its mask if there is one."""
    pairs = [pair for path in paths for pair in _pairs(path, config)]
    return [file for pair in pairs for file in pair if file is not None]


def items(paths: Sequence[Path], expected: Expected, config: Config) -> Iterator[Item]:
    """The images in the order of their paths."""
    pairs = [(path, *pair) for path in paths for pair in _pairs(path, config)]
    splits = [_split(image.relative_to(path)) for path, image, _ in pairs]
    masks = (mask for *_, mask in pairs if mask)
    palette = shared_palette(masks, config.background_colour) if config.mask_values == "auto" else None
    for (_, image, mask), split in zip(pairs, splits, strict=True):
        yield Item(str(image), (image, mask, palette), split if all(splits) else "")


def scenes(item: Item, key: str, expected: Expected, config: Config) -> list[Scene]:
    """Decode one image and its mask."""
    path, mask_path, palette = item.payload
    picture = read_picture(path, item.place, config.bits)
    image = picture.pixels
    if mask_path is None:
        return [Scene(key, image, np.zeros(image.shape[:2], np.uint8), has_mask=False, remarks=picture.remarks)]
    mask = read_mask(mask_path, str(mask_path), config, picture, palette)
    if mask.index.shape != image.shape[:2]:
        height, width = mask.index.shape
        sizes = f"{height}×{width} pixels, its image {path} {image.shape[0]}×{image.shape[1]}"
        raise SchemaError(f"{mask_path}: has {sizes}; make both the same size")
    return [Scene(key, image, mask.index, ignored=mask.ignored, remarks=picture.remarks + mask.remarks)]


def _is_own(file: Path) -> bool:
    """Whether it is a picture, but not one of a published data set with its own layout."""
    return file.suffix.lower() in SUFFIXES and not _PUBLISHED.match(file.name)


def _split(relative: Path) -> str:
    return next((part for part in relative.parts[:-1] if part in SPLITS), "")


def _pairs(root: Path, config: Config) -> list[tuple[Path, Path | None]]:
    """Every image with its mask; either all images have masks, or none has."""
    pictures = _pictures(root)
    folders, beside = _mask_folders(root, pictures, config), _masks_beside(pictures)
    masks = {} if config.masks == "none" else _lossless(beside | _masks_in(folders))
    others = {*beside.values(), *(file for file in pictures if _is_below(file, root, folders))}
    images = [file for file in pictures if file not in others]
    if not images:
        raise SourceError(
            f"{root}: this folder has no images ({', '.join(sorted(SUFFIXES))}); give the folder that has them"
        )
    pairs = [(image, masks.get(image.with_suffix(""))) for image in images]
    if config.masks != "none" and (folders or beside):
        _require_all(pairs, masks.values())
    return pairs


def _require_all(pairs: Sequence[tuple[Path, Path | None]], masks: Collection[Path]) -> None:
    """Refuse images without their own mask, and masks without images: the likely reason is a wrong name."""
    first: dict[Path, Path] = {}
    for image, mask in pairs:
        if mask and first.setdefault(mask, image) != image:
            raise SchemaError(f"{image}: {first[mask]} has the same mask, {mask}; give every image its own name")
    advice = "fix its name, add the missing file, or ignore masks with --set layout.masks=none"
    lacking = [image for image, mask in pairs if mask is None]
    if lacking:
        problem = f"has no mask (PNG, BMP or TIFF); {len(lacking)} of {len(pairs)} images have none"
        raise SourceError(f"{lacking[0]}: {problem}: {advice}")
    spare = sorted({*masks} - {mask for _, mask in pairs if mask})
    if spare:
        problem = f"is the mask of no image; {len(spare)} of {len(set(masks))} masks have none"
        raise SourceError(f"{spare[0]}: {problem}: {advice}")


def _pictures(root: Path) -> list[Path]:
    """All pictures below a folder, sorted, without hidden ones."""
    if not root.is_dir():
        raise SourceError(f"{root}: no such folder; check the path")
    pictures = []
    for file in sorted(root.rglob("*")):
        if not is_data(file.relative_to(root)) or file.suffix.lower() not in SUFFIXES or not file.is_file():
            continue
        refuse_link_outside(file, root)
        pictures.append(file)
    return pictures


def _mask_folders(root: Path, pictures: Sequence[Path], config: Config) -> dict[Path, Path]:
    """Folders of masks, each with the folder to which the names of its images are relative."""
    if config.masks == "none":
        return {}
    if config.masks:
        return {root / os.path.relpath(root / config.masks, root): root}
    below = {folder for file in pictures for folder in file.parents if folder.name == _MASKS and root in folder.parents}
    if below:
        return {folder: folder.parent for folder in sorted(below)}
    sibling = root.absolute().parent / _MASKS
    return {sibling: root} if sibling.is_dir() and not sibling.samefile(root) else {}


def _is_below(file: Path, root: Path, folders: Collection[Path]) -> bool:
    """Whether a picture is in a folder of masks, used or not."""
    return _MASKS in file.relative_to(root).parts[:-1] or any(file.is_relative_to(folder) for folder in folders)


def _masks_beside(pictures: Sequence[Path]) -> dict[Path, Path]:
    """Every ``a_mask.png`` with an image ``a``, by the image without its suffix."""
    names = {file.with_suffix("") for file in pictures}
    marked = [(_owner(file), file) for file in pictures if file.stem.endswith(_MARK)]
    return {owner: file for owner, file in marked if owner in names and owner.name != file.stem}


def _masks_in(folders: Mapping[Path, Path]) -> dict[Path, Path]:
    """All pictures in folders of masks, by the image without its suffix."""
    found = {}
    for folder, start in folders.items():
        for file in _pictures(folder):
            name = _owner(file.relative_to(folder))
            found[start / name] = found[start / "images" / name] = file
    return found


def _owner(mask: Path) -> Path:
    """``a`` for ``a_mask.png``, and for ``a.png``."""
    return mask.with_name(mask.stem.removesuffix(_MARK) or mask.stem)


def _lossless(masks: Mapping[Path, Path]) -> dict[Path, Path]:
    """Without masks in lossy formats, which would create entities."""
    return {owner: file for owner, file in masks.items() if file.suffix.lower() in _MASK_SUFFIXES}
