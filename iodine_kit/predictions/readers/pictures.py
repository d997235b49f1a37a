"""A folder of PNG files, one mask per scene: ``mask`` from the pixels, ``key`` from the names of the files.

A label is the value of a grey picture (8 or 16 bits) or the index of a palette picture; the colours of an RGB picture
are numbered in the order of appearance, with black as 0. Transparent pixels have label 0. Files are in natural order:
``2.png`` comes before ``10.png``. If the folder itself has no PNG files, those in its subfolders are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iodine_kit.errors import SchemaError, SourceError
from iodine_kit.predictions.readers import ArrayColumn, Column
from iodine_kit.records import Array
from iodine_kit.untrusted.folders import files_in, refuse_dangling_links, scene_keys, walk
from iodine_kit.untrusted.masks import read_labels, stored_size
from iodine_kit.untrusted.pictures import refuse_link_outside

VERSION = 2
_CONVERTIBLE = (".tif", ".tiff", ".bmp", ".gif", ".pgm", ".ppm")
"""Suffixes of pictures without loss; JPEG mixes labels."""


def recognises(path: Path, head: bytes) -> bool:
    """Whether it is a folder; :func:`files` and :func:`columns` check what is in it."""
    return path.is_dir()


def files(path: Path) -> list[Path]:
    """Its PNG files in natural order, without what other programs leave.

    Raises:
        SourceError: there is none, or one is a link to a file outside of the folder.
        StorageError: the operating system refuses to list the folder.
    """
    found = files_in(path, "*.png") or list(walk(path, lambda name: name.lower().endswith(".png")))
    if not found:
        other = next(walk(path, lambda name: name.lower().endswith(_CONVERTIBLE)), None)
        command = f"magick mogrify -format png '*{other.suffix}'" if other else ""
        convert = f"; or convert its pictures to PNG, with ImageMagick: {command}" if command else ""
        raise SourceError(f"{path}: this folder has no .png files; give the folder that has them{convert}")
    for file in found:
        refuse_link_outside(file, path)
    refuse_dangling_links(found)
    return found


def columns(path: Path) -> Mapping[str, Column]:
    """The masks and their keys.

    Raises:
        CorruptDataError: a picture is damaged.
        SchemaError: pictures have several frames or sizes, or pixels that are neither numbers nor colours.
        StorageError: the operating system refuses to read one.
    """
    found = files(path)
    sizes = [stored_size(file, str(file)) for file in found]
    for file, size in zip(found, sizes, strict=True):
        if size != sizes[0]:
            first = f"{found[0].name} {sizes[0][0]}×{sizes[0][1]}"
            raise SchemaError(f"{file}: is {size[0]}×{size[1]} pixels and {first}; all masks must have the same size")
    return {
        "mask": _Pictures(tuple(found), (len(found), *sizes[0])),
        "key": ArrayColumn(np.array(scene_keys([file.relative_to(path) for file in found]))),
    }


@dataclass(frozen=True)
class _Pictures:
    files: tuple[Path, ...]
    shape: tuple[int, ...]

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.int64)

    def rows(self, indices: NDArray[np.int64]) -> Array:
        files = [self.files[int(index)] for index in indices]
        return np.stack([read_labels(file, str(file)) for file in files])
