"""Small data sets in the published layouts: one module per layout, with the layout's name.

They follow the published bytes and share no code with the package, neither readers nor writers. Each module offers

``make(folder, scenes, seed, **variant)``
    the data set;
``VARIANTS``
    sets of keywords of ``make`` to read once;
``SMALL``
    sets of keywords of ``make`` to damage;
``NEEDED``
    patterns of files whose absence must be reported, if the source is a folder;
``lone(folder)``
    a data set, one of its files, and the position of a byte that belongs to only one scene; optional;
``FLAWS``
    the flawed masks that ``make`` can write;
``mix(fake)``
    a source that partly belongs to another data set;
``HOSTILE``
    by name, functions that put content into a source that matches its checksums but must be refused.
"""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Bytes = NDArray[np.uint8]

PIXEL = (13, 29)
"""Row and column of the flaw in a flawed mask, which is the mask of the last scene."""

MARKER = "unpickled"
"""Name of a file that must not be created."""


@dataclass(frozen=True)
class Truth:
    """One scene as it was written: ``image u8[H, W, 3]``, ``mask u8[H, W]``, and the factors with a certain value.

    A factor has a row for the background and for each object; a reader may add rows of 0.
    """

    image: Bytes
    mask: Bytes
    factors: dict[str, Array] = field(default_factory=dict)
    split: str = ""


@dataclass(frozen=True)
class Fake:
    """A data set on disk: its ``[dataset]`` table, the source that a user would give, and its scenes."""

    dataset: str
    config: dict[str, Any]
    source: Path
    truth: list[Truth]

    def files(self) -> list[Path]:
        """All files of the source, sorted."""
        return [self.source] if self.source.is_file() else sorted(p for p in self.source.rglob("*") if p.is_file())


class Bomb:
    """Creates a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.marker), "w")


def save_pickle(path: Path, marker: Path) -> None:
    """Write an array whose only element is a :class:`Bomb`."""
    np.save(path, np.array([Bomb(marker)], dtype=object), allow_pickle=True)


def save_bomb(path: Path) -> None:
    """Write an intact PNG file whose header announces 60,000×60,000 pixels."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)), (b"IDAT", zlib.compress(bytes(1000)))]
    parts = [struct.pack(">I", len(data)) + kind + data + _crc(kind + data) for kind, data in [*chunks, (b"IEND", b"")]]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


def _crc(data: bytes) -> bytes:
    return struct.pack(">I", zlib.crc32(data))


OPEN_HEADER = b"\x93NUMPY\x01\x00\x76\x00" + b"{'descr': '<U2', 'shape': (".ljust(117) + b"\n"
"""The header of a ``.npy`` file with a bracket that never closes."""


def npy_head(shape: tuple[int, ...], dtype: str = "|u1") -> bytes:
    """The header of a ``.npy`` file of any shape and type."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": dtype, "fortran_order": False, "shape": shape})
    return stream.getvalue()


def draw(rng: np.random.Generator, size: tuple[int, int], objects: int, channels: int = 3) -> tuple[Bytes, Bytes]:
    """Boxes in front of a background, in different colours and shades: image ``[H, W, C]`` and index mask ``[H, W]``.

    Every object has at least one visible pixel, and no two rows or columns of the image are equal, so that a rotated,
    mirrored or shifted image is detected.
    """
    height, width = size
    mask = np.zeros(size, np.uint8)
    for index in range(1, objects + 1):
        top, left = rng.integers(0, height * 3 // 4), rng.integers(0, width * 3 // 4)
        mask[top : top + height // 4, left : left + width // 4] = index
    mask[np.arange(1, objects + 1), np.arange(objects)[::-1]] = np.arange(1, objects + 1)
    colour = rng.integers(0, 200, (objects + 1, channels))
    shade = (np.arange(height)[:, None] * 3 + np.arange(width) * 5) % 56
    return (colour[mask] + shade[..., None]).astype(np.uint8), mask


def one_hot(mask: Bytes, entities: int, flaw: str = "", value: int = 255) -> Bytes:
    """``u8[K, H, W, 1]`` of 0 and ``value``; a ``flaw`` gives ``PIXEL`` all owners (overlap) or none (gap)."""
    hot = value * (mask == np.arange(entities)[:, None, None]).astype(np.uint8)[..., None]
    if flaw:
        hot[:, *PIXEL] = {"overlap": value, "gap": 0}[flaw]
    return hot


def rows(rng: np.random.Generator, objects: int, entities: int, *shape: int) -> NDArray[np.float32]:
    """A factor ``f32[K, …]``: 0 for the background and for missing entities."""
    values = np.zeros((entities, *shape), np.float32)
    values[1 : objects + 1] = rng.uniform(0.1, 1, (objects, *shape))
    return values


def kinds(rng: np.random.Generator, objects: int, entities: int, count: int) -> Bytes:
    """A factor ``u8[K]`` of 1…count, 0 for the background and for missing entities."""
    values = np.zeros(entities, np.uint8)
    values[1 : objects + 1] = rng.integers(1, count + 1, objects)
    return values


def visible(objects: int, entities: int) -> NDArray[np.float32]:
    """The visibility ``f32[K]`` of the background and ``objects`` objects."""
    return (np.arange(entities) <= objects).astype(np.float32)
