"""CLEVRTex (Karazija et al. 2021): ``0/CLEVRTEX_full_000000.png`` and, for its mask, ``…_flat.png``; 320×240 pixels.

A mask's palette index is the entity. The depth, albedo, shadow and normal maps and the JSON files are ignored, so
scenes have no factors. Splits follow the authors' loader: in the order of the numbers, the first tenth is test, the
next tenth val, the rest train. All images of the variant ``outd`` are test. Keys are names of images.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from iodine_kit import config as configuration
from iodine_kit.errors import SchemaError, SourceError
from iodine_kit.layouts import Expected, Item, Survey
from iodine_kit.layouts._arrays import small_index
from iodine_kit.records import Scene
from iodine_kit.untrusted.folders import any_below, files_below, in_order
from iodine_kit.untrusted.masks import read_index
from iodine_kit.untrusted.pictures import read_rgb

VERSION = 2
SUMMARY = "CLEVRTex's folders of PNG images and palette masks, without their other maps"
DATASETS = ("clevrtex",)
PREPROCESS: dict[str, dict[str, object]] = {}
OWN_SPLITS = True
NAMES_MATTER = True
READS_NAMES = True

_PATTERN = "CLEVRTEX_*.png"
_NAME = re.compile(r"CLEVRTEX_([a-z]+)_(\d{6})\.png")
_FLAT = "_flat.png"

Pair = tuple[Path, Path]
"""An image and its mask."""


class Config(configuration.Config):
    """No options: names say the variant and the number."""


def recognises(path: Path) -> bool:
    """Whether a folder has images with such names. See :class:`iodine_kit.layouts.LayoutPlugin`."""
    return path.is_dir() and any_below(path, _PATTERN, lambda file: _NAME.fullmatch(file.name) is not None)


def files(paths: Sequence[Path], config: Config) -> list[Path]:
    """Every image, followed by its mask."""
    return [file for pair in _pairs(paths) for file in pair]


def survey(paths: Sequence[Path], config: Config) -> Survey:
    """The same files; masks hold no scenes of their own."""
    pairs = _pairs(paths)
    return Survey([file for pair in pairs for file in pair], [mask for _, mask in pairs])


def items(paths: Sequence[Path], expected: Expected, config: Config) -> Iterator[Item]:
    """The images in the order of their numbers; all must be of the configured variant."""
    variant = str(expected.options["variant"])
    pairs = _numbered(_pairs(paths), variant)
    for number in range(len(pairs)):
        split = "test" if variant == "outd" else _split(number, len(pairs))
        yield Item(str(pairs[number][0]), pairs[number], split, pairs[number][0].stem)


def scenes(item: Item, key: str, expected: Expected, config: Config) -> list[Scene]:
    """Decode one image and its mask."""
    path, mask_path = item.payload
    image, index = read_rgb(path, item.place), read_index(mask_path, str(mask_path))
    size = (expected.info.height, expected.info.width)
    for file, shape in ((path, image.shape[:2]), (mask_path, index.shape)):
        if shape != size:
            raise SchemaError(f"{file}: has {shape[0]}×{shape[1]} pixels; CLEVRTex has {size[0]}×{size[1]}")
    return [Scene(key, image, small_index(index, expected.info.entities, str(mask_path)))]


def _pairs(paths: Sequence[Path]) -> list[Pair]:
    """Images and their masks; every image needs a mask and every mask an image."""
    there = set(files_below(paths, _PATTERN))
    images = {file for file in there if _NAME.fullmatch(file.name)}
    images |= {file.with_name(file.name.removesuffix(_FLAT) + ".png") for file in there if file.name.endswith(_FLAT)}
    pairs = [(image, image.with_name(image.stem + _FLAT)) for image in in_order(images)]
    for file in (file for pair in pairs for file in pair):
        if file not in there:
            raise SourceError(f"{file}: no such file, although its image or mask exists; unpack the archive again")
    if not pairs:
        raise SourceError(f"{paths[0]}: has no images such as CLEVRTEX_full_000000.png; give the folder of a variant")
    return pairs


def _numbered(pairs: Sequence[Pair], variant: str) -> dict[int, Pair]:
    """Pairs by number: all of one variant, from 0, without gaps, because splits depend on the number of pairs."""
    numbered: dict[int, Pair] = {}
    for image, mask in pairs:
        name = _NAME.fullmatch(image.name)
        if name is None or name[1] != variant:
            kind = f"is of variant '{name[1]}'" if name else "has another name"
            raise SchemaError(f"{image}: {kind}, not of '{variant}'; set dataset.variant, or give another folder")
        if (number := int(name[2])) in numbered:
            raise SchemaError(f"{image}: {numbered[number][0]} has the same number; give only one folder")
        numbered[number] = (image, mask)
    gap = next((number for number in range(len(numbered)) if number not in numbered), None)
    if gap is not None:
        raise SourceError(
            f"{pairs[0][0].parent}: image {gap:06d} is missing, although later images exist; unpack all archives"
        )
    return numbered


def _split(number: int, total: int) -> str:
    if number < total // 10:
        return "test"
    return "val" if number < total * 2 // 10 else "train"
