# SPDX-License-Identifier: Apache-2.0
# Part of a program that runs inside Blender's Python (GPL-3.0-or-later); Apache-2.0 is compatible with that licence.
"""Read OpenEXR files as ``scene.py`` makes Blender write them: one part, scan lines, 32-bit, uncompressed."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def read(path: Path) -> dict[str, NDArray[np.float32]]:
    """Read the channels of a file, each ``f32[height, width]``, by name.

    Raises:
        ValueError: if the file does not have this layout.
    """
    data = path.read_bytes()
    attributes, start = _header(data)
    names = _channels(attributes["channels"])
    left, top, right, bottom = struct.unpack("<4i", attributes["dataWindow"])
    width, height = right - left + 1, bottom - top + 1
    if attributes["compression"] != b"\0" or struct.unpack("<I", data[4:8])[0] & 0x1A00:
        raise ValueError(f"{path}: not an uncompressed OpenEXR file with one part")
    # After the header: a table of offsets, then for each line its y, its length and its values, channel by channel.
    line = np.dtype([("y", "<i4"), ("bytes", "<i4"), ("values", "<f4", (len(names), width))])
    lines = np.frombuffer(data, line, height, start + 8 * height)
    return {name: lines["values"][:, index].copy() for index, name in enumerate(names)}


def _header(data: bytes) -> tuple[dict[str, bytes], int]:
    """Attributes by name, and the offset of their end."""
    attributes, position = {}, 8
    while data[position] != 0:
        name, kind, rest = data[position : position + 600].split(b"\0", 2)
        position += len(name) + len(kind) + 2
        size = int.from_bytes(rest[:4], "little")
        attributes[name.decode()] = data[position + 4 : position + 4 + size]
        position += 4 + size
    return attributes, position + 1


def _channels(data: bytes) -> list[str]:
    names = []
    while data[0] != 0:
        name, rest = data.split(b"\0", 1)
        if struct.unpack("<i", rest[:4])[0] != 2:
            raise ValueError(f"OpenEXR channel {name.decode()} does not contain 32-bit floating point numbers")
        names.append(name.decode())
        data = rest[16:]
    return names
