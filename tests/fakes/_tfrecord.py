"""``tf.train.Example`` messages and TFRecord files, byte by byte from their specifications."""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Iterable
from pathlib import Path

import google_crc32c
import numpy as np

from fakes import Array


def varint(value: int) -> bytes:
    """Protobuf's base 128 number."""
    groups = [value >> shift & 127 for shift in range(0, max(value.bit_length(), 1), 7)]
    return bytes([*(group | 128 for group in groups[:-1]), groups[-1]])


def field(number: int, payload: bytes) -> bytes:
    """A length-delimited field."""
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def feature(values: Array, blob: bool = False) -> bytes:
    """A ``Feature``: floats packed in a FloatList, bytes one entry each in a BytesList or all in one entry."""
    if values.dtype == np.float32:
        return field(2, field(1, values.astype("<f4").tobytes()))
    if blob:
        return field(1, field(1, values.tobytes()))
    entries = np.empty((values.size, 3), np.uint8)
    entries[:] = 0x0A, 1, 0
    entries[:, 2] = values.ravel()
    return field(1, entries.tobytes())


def example(features: dict[str, Array], rng: np.random.Generator, blob: bool = False) -> bytes:
    """An ``Example`` with its features in a random order, as in a protobuf map."""
    order = rng.permutation(sorted(features))
    entries = [field(1, name.encode()) + field(2, feature(features[name], blob)) for name in order]
    return field(1, b"".join(field(1, entry) for entry in entries))


def masked(data: bytes) -> bytes:
    """TFRecord's checksum."""
    crc = google_crc32c.value(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def frame(record: bytes) -> bytes:
    """One record with its length and checksums."""
    length = struct.pack("<Q", len(record))
    return length + masked(length) + record + masked(record)


def write(path: Path, records: Iterable[bytes], compression: str = "gzip") -> None:
    """Write a TFRecord file: ``gzip``, ``zlib`` or ``plain``."""
    stream = b"".join(map(frame, records))
    deflate = {"gzip": lambda data: gzip.compress(data, 1), "zlib": lambda data: zlib.compress(data, 1), "plain": bytes}
    path.write_bytes(deflate[compression](stream))
