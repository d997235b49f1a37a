"""A folder of PNG files, one index mask per scene: ``mask`` from the pixels, ``key`` from the names of the files.

Indices are in grey pictures (of 8 or 16 bits) or those of palettes. Files are in the order of the numbers in their
names: ``2.png`` is before ``10.png``.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from iodine_kit.errors import CorruptDataError, SchemaError, SourceError
from iodine_kit.predictions.readers import Column
from iodine_kit.predictions.readers._arrays import ArrayColumn
from iodine_kit.records import Array

VERSION = 1
_GREY = frozenset({"1", "L", "P", "I", "I;16", "I;16B", "I;16L", "I;16N"})
_BROKEN = (OSError, EOFError, SyntaxError, ValueError, struct.error, zlib.error, Image.DecompressionBombError)


def recognises(path: Path, head: bytes) -> bool:
    """Whether it is a folder; what is in it, is looked at later, and told of."""
    return path.is_dir()


def files(path: Path) -> list[Path]:
    """Its PNG files, by the numbers in their names; hidden ones do not count.

    Raises:
        SourceError: if there is none, or one is a link that leaves the folder.
    """
    found = [file for file in path.iterdir() if file.suffix.lower() == ".png" and not file.name.startswith(".")]
    if not found:
        raise SourceError(f"{path}: this folder has no .png files in it; give the folder that has")
    root = path.resolve()
    for file in found:
        if not file.resolve().is_relative_to(root):
            raise SourceError(
                f"{file} is a link that leaves its folder, and is not followed; put the file itself there"
            )
    return sorted(found, key=_by_number)


def columns(path: Path) -> Mapping[str, Column]:
    """The masks and their keys.

    Raises:
        CorruptDataError: if a picture is damaged.
        SchemaError: if pictures have colours, or several sizes.
    """
    found = files(path)
    sizes = [_size(file) for file in found]
    for file, size in zip(found, sizes, strict=True):
        if size != sizes[0]:
            first = f"{found[0].name} {sizes[0][0]}×{sizes[0][1]}"
            raise SchemaError(f"{file}: is {size[0]}×{size[1]} pixels and {first}; masks have to be of one size")
    return {
        "mask": _Pictures(tuple(found), (len(found), *sizes[0])),
        "key": ArrayColumn(np.array([file.stem for file in found])),
    }


@dataclass(frozen=True)
class _Pictures:
    files: tuple[Path, ...]
    shape: tuple[int, ...]

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.int32)

    def rows(self, indices: NDArray[np.int64]) -> Array:
        return np.stack([_read(self.files[int(index)]) for index in indices])


def _size(file: Path) -> tuple[int, int]:
    """Height and width from the header, which also says whether it holds indices."""
    try:
        with Image.open(file, formats=["PNG"]) as picture:
            if picture.mode not in _GREY:
                raise SchemaError(
                    f"{file}: has {picture.mode} pixels; a mask is a grey or a palette picture of indices: "
                    "colours do not tell which slot is which"
                )
            return picture.height, picture.width
    except _BROKEN as error:
        raise _broken(file, error) from error


def _read(file: Path) -> NDArray[np.int32]:
    try:
        with Image.open(file, formats=["PNG"]) as picture:
            picture.verify()  # the checksums, which decoding passes over
        with Image.open(file, formats=["PNG"]) as picture:
            return np.asarray(picture).astype(np.int32)
    except _BROKEN as error:
        raise _broken(file, error) from error


def _broken(file: Path, error: Exception) -> CorruptDataError:
    return CorruptDataError(f"{file}: truncated, altered, or no PNG file ({error}); replace it")


def _by_number(file: Path) -> tuple[list[tuple[int, str]], str]:
    parts = re.findall(r"\d+|\D+", file.stem)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts], file.name
