"""The original CLEVR v1.0 (Johnson et al. 2017): ``images/train/CLEVR_train_000000.png``, … and ``scenes/*.json``.

It has no masks: every mask is 0, so models can be trained but not scored. Factors have the names, ids and shapes of
CLEVR with masks; ``pixel_coords`` are those of the 320×480 image. The objects of the test split were not published:
all its factors are 0, also ``visibility``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from iodine_kit import config as configuration
from iodine_kit.errors import CorruptDataError, SchemaError, SourceError, StorageError
from iodine_kit.layouts import Expected, Item
from iodine_kit.records import Array, Scene
from iodine_kit.split_rules import SPLITS
from iodine_kit.untrusted.pictures import read_rgb

VERSION = 1
SUMMARY = "the original CLEVR v1.0 folder: PNG images and scene JSON, no masks (every mask is 0)"
DATASETS = ("clevr",)
# The part that IODINE sees of CLEVR with masks. CLEVR with masks shows the scene at 2/3 of this scale, with 20 more of
# these rows at the top and at the bottom: its row r is row 1.5 r - 20 here.
PREPROCESS: dict[str, dict[str, object]] = {"clevr": {"crop": "24:312,96:384", "size": 128}}
OWN_SPLITS = True
NAMES_MATTER = True

_FOLDER = "CLEVR_v1.0"
_SIZE = (320, 480)
_WORDS = ("size", "material", "shape", "color")
_CHUNK = 1 << 20  # characters
_LONGEST = 1 << 24  # characters of one entry; published ones have a few thousand
_AFTER_VALUE = frozenset(" \t\r\n,:]}")
_NOT_SPACE = re.compile(r"[^ \t\r\n]")

Classes = Mapping[str, tuple[str, ...]]


class Config(configuration.Config):
    """No options: the folder must be as it was published."""


def recognises(path: Path) -> bool:
    """Whether it is the folder ``CLEVR_v1.0`` or its parent. See :class:`iodine_kit.layouts.LayoutPlugin`."""
    try:
        return any(_images(_root(path), split) for split in SPLITS)
    except OSError:
        return False


def files(paths: Sequence[Path], config: Config) -> list[Path]:
    """Images and scene files of every split with a folder of images."""
    listed: list[Path] = []
    for root, split, images in _parts(paths):
        listed += images if split == "test" else [_scene_file(root, split), *images]
    return listed


def items(paths: Sequence[Path], expected: Expected, config: Config) -> Iterator[Item]:
    """The images in turn, each with the objects that the scene file of its split lists."""
    for root, split, images in _parts(paths):
        if split == "test":
            yield from (Item(str(image), (image, None), split) for image in images)
        else:
            yield from _annotated(_scene_file(root, split), split, images)


def scenes(item: Item, key: str, expected: Expected, config: Config) -> list[Scene]:
    """Decode one image and turn its objects into factors."""
    path, objects = item.payload
    image = read_rgb(path, item.place)
    if image.shape[:2] != _SIZE:
        problem = f"image has {image.shape[0]}×{image.shape[1]} pixels; CLEVR v1.0 has {_SIZE[0]}×{_SIZE[1]}"
        raise SchemaError(f"{item.place}: {problem}")
    factors = _unknown(expected)
    if item.split != "test":
        place = f"{item.place}: its entry in CLEVR_{item.split}_scenes.json"
        _describe(factors, objects, expected.info.classes, place)
    return [Scene(key, image, np.zeros(_SIZE, np.uint8), factors, has_mask=False)]


def _root(path: Path) -> Path:
    return path / _FOLDER if (path / _FOLDER).is_dir() else path


def _images(root: Path, split: str) -> list[Path]:
    return sorted((root / "images" / split).glob(f"CLEVR_{split}_??????.png"))


def _parts(paths: Sequence[Path]) -> Iterator[tuple[Path, str, list[Path]]]:
    """Every split with a folder of images: root, name and images."""
    for path in paths:
        root = _root(path)
        parts = [(root, split, _images(root, split)) for split in SPLITS if (root / "images" / split).is_dir()]
        if not any(images for _, _, images in parts):
            raise SourceError(
                f"{path}: has no images/train/CLEVR_train_000000.png or similar; give the folder {_FOLDER}"
            )
        yield from parts


def _scene_file(root: Path, split: str) -> Path:
    path = root / "scenes" / f"CLEVR_{split}_scenes.json"
    if not path.is_file():
        raise SourceError(f"{path}: no such file, although there are images of '{split}'; unpack the archive again")
    return path


def _annotated(path: Path, split: str, images: Sequence[Path]) -> Iterator[Item]:
    """Items in the order of the scene file, which must list each image once."""
    known = {image.name: image for image in images}
    waiting = dict(known)
    for number, entry in enumerate(_entries(path)):
        name = entry.get("image_filename") if isinstance(entry, dict) else None
        if not isinstance(name, str):
            raise SchemaError(f"{path}: entry {number} has no 'image_filename'; this is not a scene file of CLEVR v1.0")
        if name not in known:
            raise SourceError(f"{path}: lists {name!r}, which is not in images/{split}; unpack the archive again")
        if waiting.pop(name, None) is None:
            raise SchemaError(f"{path}: lists {name!r} twice; unpack the archive again")
        yield Item(str(known[name]), (known[name], entry.get("objects")), split)
    if waiting:
        raise SchemaError(f"{min(waiting.values())}: has no entry in {path}; unpack the archive again")


def _unknown(expected: Expected) -> dict[str, Array]:
    """The factors of CLEVR with masks, all 0."""
    specs = {name: spec for name, spec in expected.fields.items() if name not in ("image", "mask")}
    return {name: np.zeros(spec.shape, spec.dtype) for name, spec in specs.items()}


def _describe(factors: Mapping[str, Array], objects: object, classes: Classes, place: str) -> None:
    """Fill in factors: row 0 is the background, visible and otherwise 0; then the objects; then zeros."""
    most = len(factors["visibility"]) - 1
    if not isinstance(objects, list) or len(objects) > most:
        raise SchemaError(f"{place}: has no list of at most {most} objects; unpack the archive again")
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
        raise SchemaError(f"{place}: not described as in CLEVR v1.0 ({error}); unpack the archive again") from error


def _number(name: str, word: object, known: tuple[str, ...]) -> int:
    if word not in known[1:]:  # 0 is for "none"
        raise ValueError(f"unknown {name} {word!r}")
    return known.index(str(word))


def _entries(path: Path) -> Iterator[Any]:
    """The entries of ``scenes`` one by one: the file has hundreds of megabytes and is never in memory as a whole."""
    try:
        with path.open(encoding="utf-8") as file:
            yield from _Stream(file, path).elements("scenes")
    except UnicodeDecodeError as error:
        raise CorruptDataError(f"{path}: is not UTF-8 text ({error}); unpack the archive again") from error
    except OSError as error:
        raise StorageError(f"{path}: cannot be read ({error.strerror or error}); check its permissions") from error


class _Stream:
    """A JSON text, of which only a window is in memory; ``_window[_at]`` is the next character."""

    def __init__(self, file: TextIO, path: Path) -> None:
        self._file, self._path = file, path
        self._window, self._at, self._dropped = "", 0, 0
        self._decoder = json.JSONDecoder()

    def elements(self, wanted: str) -> Iterator[Any]:
        """The elements of the array ``wanted`` of the outermost object; its other members are skipped."""
        found, sign = False, self._take("{")
        while sign != "}":
            key, _ = self._value(), self._take(":")
            if key == wanted:
                found = True
                yield from self._array()
            else:
                self._value()
            sign = self._take(",}")
        if not found:
            raise SchemaError(f"{self._path}: has no '{wanted}'; this is not a scene file of CLEVR v1.0")

    def _array(self) -> Iterator[Any]:
        self._take("[")
        if self._next() == "]":
            self._take("]")
            return
        yield self._value()
        while self._take(",]") == ",":
            yield self._value()

    def _take(self, allowed: str) -> str:
        sign = self._next()
        if sign not in allowed:
            raise self._damaged()
        self._at += 1
        return sign

    def _next(self) -> str:
        """The next character that is not white space."""
        while (sign := _NOT_SPACE.search(self._window, self._at)) is None:
            self._at = len(self._window)
            self._extend()
        self._at = sign.start()
        return sign[0]

    def _value(self) -> Any:
        self._next()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._window, self._at)
            except (ValueError, RecursionError):
                value, end = None, len(self._window)  # the value may only be cut off by the end of the window
            if self._window[end : end + 1] in _AFTER_VALUE:  # and not within a number: the 1 of 1.5 is a value too
                self._at = end
                return value
            self._extend()

    def _extend(self) -> None:
        """Drop what was used, and read at least as much as is left, so that a long value is not parsed too often."""
        rest = self._window[self._at :]
        chunk = self._file.read(max(_CHUNK, len(rest))) if len(rest) < _LONGEST else ""
        if not chunk:
            raise self._damaged()
        self._window, self._at, self._dropped = rest + chunk, 0, self._dropped + self._at

    def _damaged(self) -> CorruptDataError:
        where = f"not valid JSON from character {self._dropped + self._at} on"
        return CorruptDataError(f"{self._path}: {where}; it is incomplete or altered; unpack the archive again")
