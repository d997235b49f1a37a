"""TensorFlow's TFRecord framing: ``length u64 | its checksum u32 | payload | its checksum u32``, little-endian."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from iodine_kit.errors import CorruptDataError
from iodine_kit.system import storage_error
from iodine_kit.tfrecord.compression import InflateError, masked_crc32c, open_inflated

MAX_PAYLOAD_BYTES: Final = 1 << 30
HEADER_BYTES: Final = 12
_FOOTER_BYTES: Final = 4


def corrupt_record(path: Path, index: int, offset: int, problem: str) -> CorruptDataError:
    """Return the error for record ``index`` of ``path`` with a fault at byte ``offset`` of the decompressed stream."""
    return CorruptDataError(f"{path}: record {index}, byte {offset} uncompressed: {problem}")


def read_records(path: Path) -> Iterator[tuple[int, int, bytes]]:
    """Yield the records of a TFRecord file (GZIP, ZLIB or plain) after verifying both checksums of each.

    Yields:
        The record's number from 0, the byte of the decompressed stream at which it begins, and its payload.

    Raises:
        SourceError, StorageError, CorruptDataError: as :func:`read_frames` and :func:`verify`.
    """
    for index, offset, payload, checksum in read_frames(path):
        verify(path, index, offset, payload, checksum)
        yield index, offset, payload


def verify(path: Path, index: int, offset: int, payload: bytes, checksum: int) -> None:
    """Raise a CorruptDataError that names record and byte if a payload does not have its stored checksum."""
    computed = masked_crc32c(payload)
    if computed != checksum:
        raise corrupt_record(path, index, offset, _mismatch("data", computed, checksum))


def read_frames(
    path: Path, wanted: Callable[[int], bool] = lambda index: True
) -> Iterator[tuple[int, int, bytes, int]]:
    """Yield the records of a TFRecord file (GZIP, ZLIB or plain) after verifying only their lengths.

    So a caller can omit a record whose payload is altered and read the next one.

    Args:
        path: the file.
        wanted: whether to yield the record of a number, called for each record in order. Of the others, a plain file is
            read only at their headers, and a compressed one is inflated.

    Yields:
        The record's number from 0, the byte of the decompressed stream at which it begins, its payload, and the
        checksum that :func:`verify` compares it with.

    Source: TensorFlow's TFRecord framing.

    Raises:
        SourceError: there is no such file.
        StorageError: the operating system refuses to read it.
        CorruptDataError: it is truncated, altered or not a TFRecord file; the message names record and byte.
    """
    with open_inflated(path) as stream:
        index = offset = 0
        while True:
            try:
                length = _read_length(stream)
                if length is None:
                    return
                is_wanted = wanted(index)
                payload, checksum = _read_body(stream, length, is_wanted)
            except InflateError as error:
                raise corrupt_record(path, index, offset, error.problem) from error
            except _FramingError as error:
                raise corrupt_record(path, index, offset, str(error)) from error
            except (OSError, MemoryError) as error:
                raise storage_error(error, path) from error
            if is_wanted:
                yield index, offset, payload, checksum
            index += 1
            offset += HEADER_BYTES + length + _FOOTER_BYTES


class _FramingError(Exception):
    """A fault of a record, without its place."""


def _read_length(stream: io.BufferedReader) -> int | None:
    """Return the length of the next payload, or None at the end of the stream."""
    header = stream.read(HEADER_BYTES)
    if not header:
        return None
    _check_complete(header, HEADER_BYTES, "length")
    computed, stored = masked_crc32c(header[:8]), int.from_bytes(header[8:], "little")
    if computed != stored:
        raise _FramingError(_mismatch("length", computed, stored))
    (length,) = struct.unpack_from("<Q", header)
    if length > MAX_PAYLOAD_BYTES:
        raise _FramingError(f"its length of {length} bytes is above the limit of {MAX_PAYLOAD_BYTES}")
    return int(length)


def _read_body(stream: io.BufferedReader, length: int, is_wanted: bool) -> tuple[bytes, int]:
    """Return the payload and its checksum; of a record that is not wanted, anything."""
    if not is_wanted and stream.seekable():
        start = stream.tell()
        stream.seek(start + length + _FOOTER_BYTES - 1)
        if stream.read(1):
            return b"", 0
        stream.seek(start)  # it is truncated: where, is found by reading
    payload = stream.read(length)
    _check_complete(payload, length, "payload")
    footer = stream.read(_FOOTER_BYTES)
    _check_complete(footer, _FOOTER_BYTES, "data checksum")
    return payload, int.from_bytes(footer, "little")


def _check_complete(data: bytes, length: int, part: str) -> None:
    if len(data) < length:
        missing = f"truncated {part}: {len(data)} of {length} bytes"
        raise _FramingError(f"{missing}; the file is incomplete, download it again")


def _mismatch(part: str, computed: int, stored: int) -> str:
    mismatch = f"bad {part} CRC: {computed:08x}, stored is {stored:08x}"
    return f"{mismatch}; the file is altered or not a TFRecord file, download it again"
