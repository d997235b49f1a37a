"""Write ``tf.train.Example`` messages: equal arrays give equal bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


def serialize_example(features: Mapping[str, NDArray[Any]], *, per_byte: bool = True) -> bytes:
    """Return arrays as a serialised ``tf.train.Example``, sorted by name, flattened in C order.

    uint8 becomes a BytesList (one entry per byte as in DeepMind's files, or one blob if ``per_byte`` is false),
    float32 a packed FloatList, int64 a packed Int64List. Shapes are not stored.

    Raises:
        ValueError: an array has another dtype.
    """
    entries = (map_entry(name, features[name], per_byte) for name in sorted(features))
    return field(1, b"".join(field(1, entry) for entry in entries))


def map_entry(name: str, values: NDArray[Any], per_byte: bool) -> bytes:
    """Return one entry of the map of features, without its own tag; ``ValueError`` for another dtype."""
    if values.dtype == np.uint8:
        feature = field(1, _one_byte_entries(values) if per_byte else field(1, values.tobytes()))
    elif values.dtype == np.float32:
        feature = field(2, _packed(values.astype("<f4").tobytes()))
    elif values.dtype == np.int64:
        feature = field(3, _packed(b"".join(map(_varint, values.ravel().tolist()))))
    else:
        raise ValueError(f"feature '{name}' is {values.dtype}; an Example holds uint8, float32 or int64")
    return field(1, name.encode()) + field(2, feature)


def _one_byte_entries(values: NDArray[np.uint8]) -> bytes:
    entries = np.empty((values.size, 3), dtype=np.uint8)
    entries[:] = (0x0A, 0x01, 0x00)  # the tag of field 1, a length of 1, and the byte itself
    entries[:, 2] = values.ravel()
    return entries.tobytes()


def _packed(content: bytes) -> bytes:
    return field(1, content) if content else b""


def field(number: int, content: bytes) -> bytes:
    """Return a length-delimited field."""
    return b"".join((bytes([number << 3 | 2]), _varint(len(content)), content))


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1  # a negative number is its two's complement
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
