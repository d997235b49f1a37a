"""The index of a checkpoint: a table of keys and values, sorted by key, with the layout of LevelDB's SSTable.

A footer of 48 bytes points to an index block, which points to the data blocks. A key is stored as its difference from
the previous key. Every block is followed by a byte for its compression and a masked CRC-32C.
Source: TensorFlow, ``core/lib/io/table_format.txt`` and ``format.h``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from iodine_kit.errors import CorruptDataError
from iodine_kit.tfrecord.compression import masked_crc32c
from iodine_kit.tfrecord.wire import WireError, varint

FOOTER: Final = 48
MAGIC: Final = 0xDB4775248B80FB57
TRAILER: Final = 5  # bytes after a block: compression (1) and checksum (4)
_UNCOMPRESSED: Final = 0
_COMPRESSIONS: Final = {1: "Snappy", 2: "Zlib"}
_LONGEST_KEY: Final = 1024
_MOST_ENTRIES: Final = 100_000

Handle = tuple[int, int]  # a block's first byte, and its length without the trailer


def read_table(data: bytes, place: str) -> dict[bytes, bytes]:
    """Return all entries of a table.

    Args:
        data: the whole file.
        place: its name, for messages.

    Raises:
        CorruptDataError: the file is not such a table, is truncated or altered, or uses an unsupported compression.
    """
    if len(data) < FOOTER or int.from_bytes(data[-8:], "little") != MAGIC:
        raise CorruptDataError(
            f"{place}: not the index of a TensorFlow checkpoint, or truncated: its last 8 bytes are not the format's "
            "mark; download it again, or give the .index file of a checkpoint of format V2"
        )
    try:
        return dict(_entries(data, place))
    except WireError as error:
        raise CorruptDataError(f"{place}: {error.problem} at byte {error.at}; download the file again") from None


def _entries(data: bytes, place: str) -> Iterator[tuple[bytes, bytes]]:
    """The entries of all data blocks, whose keys must ascend."""
    start = len(data) - FOOTER
    _, at = _handle(data, start, len(data))  # the meta index, which is empty in TensorFlow's files
    index, _ = _handle(data, at, len(data))
    before, count = None, 0
    for _, value in _block(data, index, place):
        block, _ = _handle(value, 0, len(value))
        for key, content in _block(data, block, place):
            count += 1
            if (before is not None and key <= before) or count > _MOST_ENTRIES:
                reason = "keys do not ascend" if count <= _MOST_ENTRIES else f"more than {_MOST_ENTRIES:,} entries"
                raise CorruptDataError(f"{place}: {reason} in the index; download the file again")
            before = key
            yield key, content


def _block(data: bytes, handle: Handle, place: str) -> Iterator[tuple[bytes, bytes]]:
    """Verify a block and yield its entries."""
    start, length = handle
    end = start + length
    if end + TRAILER > len(data) - FOOTER:
        raise CorruptDataError(f"{place}: the block at byte {start} exceeds the file; download the file again")
    stored = int.from_bytes(data[end + 1 : end + TRAILER], "little")
    if masked_crc32c(data[start : end + 1]) != stored:
        raise CorruptDataError(f"{place}: checksum mismatch in the block at byte {start}; download the file again")
    if data[end] != _UNCOMPRESSED:
        name = _COMPRESSIONS.get(data[end], f"kind {data[end]}")
        raise CorruptDataError(
            f"{place}: the block at byte {start} is compressed ({name}), which is not supported; "
            "save the checkpoint again with TensorFlow's Saver, which does not compress"
        )
    restarts = 4 * (1 + int.from_bytes(data[max(start, end - 4) : end], "little"))
    if length < 4 or restarts > length:
        raise WireError(start, "block without its list of restarts")
    return _pairs(data, start, end - restarts)


def _pairs(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, bytes]]:
    key = b""
    while at < end:
        begin = at
        shared, at = varint(data, at, end)
        own, at = varint(data, at, end)
        length, at = varint(data, at, end)
        if shared > len(key) or own + length > end - at or shared + own > _LONGEST_KEY:
            raise WireError(begin, "entry that does not fit its block")
        key = key[:shared] + data[at : at + own]
        at += own + length
        yield key, data[at - length : at]


def _handle(data: bytes, at: int, end: int) -> tuple[Handle, int]:
    start, at = varint(data, at, end)
    length, at = varint(data, at, end)
    return (start, length), at
