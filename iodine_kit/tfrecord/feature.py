"""The features of a ``tf.train.Example``, as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from iodine_kit.errors import SchemaError

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Kind = Literal["bytes", "float", "int64", "empty"]


@dataclass(frozen=True, eq=False, slots=True)
class Feature:
    """One feature of an Example.

    Attributes:
        name: its key.
        kind: which list it holds; ``"empty"`` if none.
        values: its values in order, ``[number of values]``: uint8 (all entries joined), float32 or int64. May be a
            read-only view of the record; `as_uint8`, `as_float32` and `as_int64` return arrays of their own.
        sizes: the different lengths, in bytes, of the entries of a bytes list.
    """

    name: str
    kind: Kind
    values: Bytes | Floats | Ints
    sizes: frozenset[int] = frozenset()


def as_uint8(feature: Feature) -> Bytes:
    """Return a bytes feature as ``uint8[number of bytes]``, stored as one entry per byte or as blobs of equal length.

    Raises:
        SchemaError: the feature holds numbers, or byte strings of several lengths, which cannot be joined to an array.
    """
    _check_kind(feature, "bytes")
    if len(feature.sizes) > 1:
        lengths = f"{min(feature.sizes)} to {max(feature.sizes)} bytes"
        raise SchemaError(f"feature '{feature.name}' holds strings of {lengths}, not an array of uint8")
    return np.array(feature.values, dtype=np.uint8)


def as_float32(feature: Feature) -> Floats:
    """Return a float feature as ``float32[number of values]``; SchemaError if it holds something else."""
    _check_kind(feature, "float")
    return np.array(feature.values, dtype=np.float32)


def as_int64(feature: Feature) -> Ints:
    """Return an int64 feature as ``int64[number of values]``; SchemaError if it holds something else."""
    _check_kind(feature, "int64")
    return np.array(feature.values, dtype=np.int64)


def _check_kind(feature: Feature, wanted: Kind) -> None:
    if feature.kind not in (wanted, "empty"):
        raise SchemaError(f"feature '{feature.name}' holds {feature.kind} values, not {wanted} values")
