"""Write TensorFlow checkpoints of format V2, byte for byte as TensorFlow does, and also invalid ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from iodine_kit.tfrecord import masked_crc32c

_DTYPES = {"float32": 1, "float64": 2, "int32": 3, "int64": 9, "float16": 19}
_MAGIC = 0xDB4775248B80FB57
Values = Mapping[str, np.ndarray]


def varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


def number(field: int, value: int) -> bytes:
    """A field of a message; the default, 0, is omitted."""
    return varint(field << 3) + varint(value) if value else b""


def message(field: int, content: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(content)) + content


def header(shards: int = 1, endianness: int = 0, oldest: int = 0) -> bytes:
    return number(1, shards) + number(2, endianness) + message(3, number(1, 1) + number(2, oldest))


def entry(value: np.ndarray, shard: int, offset: int, data: bytes, sliced: bool = False) -> bytes:
    shape = b"".join(message(2, number(1, size)) for size in value.shape)
    crc = varint(6 << 3 | 5) + masked_crc32c(data).to_bytes(4, "little")
    where = number(3, shard) + number(4, offset) + number(5, len(data)) + crc
    return number(1, _DTYPES[str(value.dtype)]) + message(2, shape) + where + (message(7, b"") if sliced else b"")


def block(entries: list[tuple[bytes, bytes]], interval: int, compression: int = 0) -> bytes:
    """A block with its trailer; every ``interval`` entries, a key is stored in full."""
    out, restarts, before = b"", [], b""
    for count, (key, value) in enumerate(entries):
        if count % interval == 0:
            restarts.append(len(out))
            before = b""
        shared = next(
            (i for i, (a, b) in enumerate(zip(before, key, strict=False)) if a != b), min(len(before), len(key))
        )
        out += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        before = key
    restarts = restarts or [0]
    out += b"".join(place.to_bytes(4, "little") for place in [*restarts, len(restarts)]) + bytes([compression])
    return out + masked_crc32c(out).to_bytes(4, "little")


def table(entries: list[tuple[bytes, bytes]], compression: int = 0) -> bytes:
    """A table with one data block."""
    data, meta = block(entries, 16, compression), block([], 1)
    last = bytes([min(entries[-1][0][0] + 1, 255)]) if entries[-1][0] else b"\x01"
    index = block([(last, varint(0) + varint(len(data) - 5))], 1)
    handles = [(len(data), len(meta) - 5), (len(data) + len(meta), len(index) - 5)]
    footer = b"".join(varint(part) for handle in handles for part in handle).ljust(40, b"\0")
    return data + meta + index + footer + _MAGIC.to_bytes(8, "little")


def write(prefix: Path, values: Values, shards: int = 1, sliced: str = "") -> Path:
    """Write a checkpoint with its variables distributed over ``shards``; return the path of its index."""
    contents, entries = [b""] * shards, [(b"", header(shards))]
    for place, (name, value) in enumerate(sorted(values.items())):
        shard, data = place % shards, value.tobytes()
        entries.append((name.encode(), entry(value, shard, len(contents[shard]), data, name == sliced)))
        contents[shard] += data
    prefix.parent.mkdir(parents=True, exist_ok=True)
    for shard, content in enumerate(contents):
        prefix.with_name(f"{prefix.name}.data-{shard:05d}-of-{shards:05d}").write_bytes(content)
    index = prefix.with_name(prefix.name + ".index")
    index.write_bytes(table(entries))
    return index
