"""CLEVR without masks (Johnson et al. 2017): as published, CoGenT, or rendered with its generator.

Published: ``images/train/CLEVR_train_000000.png``, … and ``scenes/CLEVR_train_scenes.json``; CoGenT has ``trainA``,
``valA``, ``valB``, ``testA`` and ``testB``. The folder is the split.

The generator writes ``images/CLEVR_new_000000.png`` and ``CLEVR_scenes.json``, or for each image a file
``scenes/CLEVR_new_000000.json``. Its images ``new`` belong to no split; another name there is the split.

All images of a source have the same size: 320×480 as published, 240×320 as the generator renders by default, or another
size, which needs another crop.

There are no masks: every mask is 0, so models can be trained but not scored. Factors have the names, ids and shapes of
CLEVR with masks; ``pixel_coords`` are those of the image. A split ``test…`` needs no scene file, because its objects
were not published: all its factors are 0, also ``visibility``.
"""

from __future__ import annotations

import re
import shlex
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from iodine_kit import config as configuration
from iodine_kit.errors import SchemaError, SourceError
from iodine_kit.layouts import Expected, Item
from iodine_kit.records import Array, Scene
from iodine_kit.split_rules import SPLITS
from iodine_kit.system import storage_errors
from iodine_kit.untrusted.folders import files_in, is_data, scene_keys
from iodine_kit.untrusted.json_files import document, elements
from iodine_kit.untrusted.pictures import read_rgb

VERSION = 2
SUMMARY = (
    "CLEVR folders, as published or rendered by its generator: PNG images and scene JSON, no masks (every mask is 0)"
)
DATASETS = ("clevr",)
# The part that IODINE sees of CLEVR with masks. CLEVR with masks shows the scene at 2/3 of the published scale, with 20
# more of these rows at the top and at the bottom: its row r is row 1.5 r - 20 here.
PREPROCESS: dict[str, dict[str, object]] = {"clevr": {"crop": "clevr", "size": 128}}
OWN_SPLITS = True
NAMES_MATTER = True

_FOLDERS = ("CLEVR_v1.0", "CLEVR_CoGenT_v1.0")
_NAME = re.compile(r"CLEVR_([A-Za-z0-9]+)_\d{6,}\.png")
_ALL = "CLEVR_scenes.json"
_SIZE = (320, 480)
_NO_SPLIT = "new"  # what the generator calls its images by default
_WORDS = ("size", "material", "shape", "color")

Classes = Mapping[str, tuple[str, ...]]


class Config(configuration.Config):
    """No options: the folder must be as it was published."""


@dataclass(frozen=True)
class _Part:
    """The images of a split, and the files with their scenes: one for all, one for each image, or none."""

    split: str
    images: list[Path]
    scenes: list[Path]


def recognises(path: Path) -> bool:
    """Whether it is such a folder or its parent. See :class:`iodine_kit.layouts.LayoutPlugin`."""
    return path.is_dir() and any(_images(_root(path)).values())


def files(paths: Sequence[Path], config: Config) -> list[Path]:
    """Images and scene files of every split."""
    return [file for part in _parts(paths) for file in (*part.scenes, *part.images)]


def items(paths: Sequence[Path], expected: Expected, config: Config) -> Iterator[Item]:
    """The images in turn, each with the objects that its scene file lists; the name of a file is the key."""
    parts = list(_parts(paths))
    images = [image for part in parts for image in part.images]
    keys = dict(zip(images, scene_keys([PurePath(image.name) for image in images]), strict=True))
    size = _size(images[0])
    for part in parts:
        split = "" if part.split == _NO_SPLIT else part.split
        described = _annotated(part) if part.scenes else ((image, None, "") for image in part.images)
        for image, objects, place in described:
            yield Item(str(image), (image, objects, place, size), split, keys[image])


def scenes(item: Item, key: str, expected: Expected, config: Config) -> list[Scene]:
    """Decode one image and turn its objects into factors."""
    path, objects, place, size = item.payload
    image = read_rgb(path, item.place)
    if image.shape[:2] != size:
        problem = f"image has {image.shape[0]}×{image.shape[1]} pixels; the first one has {size[0]}×{size[1]}"
        raise SchemaError(f"{item.place}: {problem}; give images of one size")
    factors = _unknown(expected)
    if place:
        _describe(factors, objects, expected.info.classes, f"{item.place}: its entry in {place}")
    return [Scene(key, image, np.zeros(size, np.uint8), factors, has_mask=False)]


def _root(path: Path) -> Path:
    root = next((path / name for name in _FOLDERS if (path / name).is_dir()), path)
    return root.parent if root.name == "images" and not (root / "images").is_dir() else root


def _images(root: Path) -> dict[str, list[Path]]:
    """Images by split: those in a folder with the name of the split, and those in the folder above."""
    above = root / "images" if (root / "images").is_dir() else root
    found: dict[str, list[Path]] = {}
    with storage_errors(above):
        folders = sorted((one for one in above.iterdir() if one.is_dir() and is_data(one.name)), key=_split_order)
    for folder in folders:
        own = [file for file in files_in(folder, "CLEVR_*.png") if _split(file) == folder.name]
        if own or folder.name in SPLITS or _scene_file(root, folder.name).is_file():
            found[folder.name] = own
    for file in files_in(above, "CLEVR_*.png"):
        if split := _split(file):
            found.setdefault(split, []).append(file)
    return found


def _split(file: Path) -> str:
    name = _NAME.fullmatch(file.name)
    return name[1] if name else ""


def _split_order(folder: Path) -> tuple[int, str]:
    places = (place for place, split in enumerate(SPLITS) if folder.name.startswith(split))
    return next(places, len(SPLITS)), folder.name


def _parts(paths: Sequence[Path]) -> Iterator[_Part]:
    """Every split with its images and scene files."""
    for path in paths:
        root = _root(path)
        found = _images(root) if root.is_dir() else {}
        if not any(found.values()):
            raise SourceError(
                f"{path}: has no images/train/CLEVR_train_000000.png or similar; give the folder {_FOLDERS[0]}"
            )
        for split, images in found.items():
            yield _Part(split, images, _scene_files(root, split, images))


def _scene_file(root: Path, split: str) -> Path:
    return root / "scenes" / f"CLEVR_{split}_scenes.json"


def _scene_files(root: Path, split: str, images: Sequence[Path]) -> list[Path]:
    usual = _scene_file(root, split)
    one = next((file for file in (usual, root / _ALL, root / "scenes" / _ALL) if file.is_file()), None)
    if one:
        return [one]
    each = [root / "scenes" / f"{image.stem}.json" for image in images]
    if not any(file.is_file() for file in each):
        if split.startswith("test"):
            return []
        raise SourceError(
            f"{usual}: no such file, although there are images of '{split}'; unpack the archive again, or read the "
            f"pictures alone: iodine-kit prepare folder --source {shlex.quote(str(images[0].parent))}"
        )
    for image, file in zip(images, each, strict=True):
        if not file.is_file():
            raise SourceError(f"{file}: no such file, although there is {image}, and other images have theirs; add it")
    return each


def _annotated(part: _Part) -> Iterator[tuple[Path, Any, str]]:
    """Images with their objects, and the name of the file that lists them; in its order, each image once."""
    known = {image.name: image for image in part.images}
    waiting = dict(known)
    for path, number, entry in _listed(part.scenes):
        name = entry.get("image_filename") if isinstance(entry, dict) else None
        if not isinstance(name, str):
            raise SchemaError(f"{path}: entry {number} has no 'image_filename'; this is not a scene file of CLEVR")
        if path.name == _ALL and _split(Path(name)) != part.split:
            continue
        if name not in known:
            raise SourceError(f"{path}: lists {name!r}, which is not in images/{part.split}; unpack the archive again")
        if waiting.pop(name, None) is None:
            raise SchemaError(f"{path}: lists {name!r} twice; unpack the archive again")
        yield known[name], entry.get("objects"), path.name
    if waiting:
        raise SchemaError(f"{min(waiting.values())}: has no entry in {part.scenes[0]}; unpack the archive again")


def _listed(paths: Sequence[Path]) -> Iterator[tuple[Path, int, Any]]:
    for path in paths:
        if path.name.endswith("_scenes.json"):
            yield from ((path, number, entry) for number, entry in enumerate(elements(path, "scenes")))
        else:
            yield path, 0, document(path)


def _size(path: Path) -> tuple[int, int]:
    """Height and width in the header of a PNG file; those of published images if it is damaged."""
    try:
        with path.open("rb") as file:
            width, height = struct.unpack(">II", file.read(24)[16:])
    except (OSError, struct.error):
        return _SIZE
    return height, width


def _unknown(expected: Expected) -> dict[str, Array]:
    """The factors of CLEVR with masks, all 0."""
    specs = {name: spec for name, spec in expected.fields.items() if name not in ("image", "mask")}
    return {name: np.zeros(spec.shape, spec.dtype) for name, spec in specs.items()}


def _describe(factors: Mapping[str, Array], objects: object, classes: Classes, place: str) -> None:
    """Fill in factors: row 0 is the background, visible and otherwise 0; then the objects; then zeros."""
    most = len(factors["visibility"]) - 1
    if not isinstance(objects, list) or len(objects) > most:
        raise SchemaError(f"{place}: has no list of at most {most} objects, as every scene of CLEVR")
    factors["visibility"][: len(objects) + 1] = 1
    for row, one in enumerate(objects, start=1):
        for name, value in _row(one, classes, f"{place}: object {row}").items():
            factors[name][row] = value


def _row(one: Any, classes: Classes, place: str) -> dict[str, Any]:
    """One object's factors; words become the ids of CLEVR with masks."""
    try:
        x, y, z = map(float, one["3d_coords"])
        across, down, depth = map(float, one["pixel_coords"])
        row = {"x": x, "y": y, "z": z, "rotation": float(one["rotation"]), "pixel_coords": (across, down, depth)}
        return row | {name: _number(name, one[name], classes[name]) for name in _WORDS}
    except (LookupError, TypeError, ValueError, OverflowError) as error:
        raise SchemaError(f"{place}: not described as in CLEVR ({error})") from error


def _number(name: str, word: object, known: tuple[str, ...]) -> int:
    if word not in known[1:]:  # 0 is for "none"
        raise ValueError(f"unknown {name} {word!r}")
    return known.index(str(word))
