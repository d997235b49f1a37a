"""Write TFRecord files: complete or not at all; equal records give equal bytes."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from iodine_kit.errors import CountError
from iodine_kit.new_file import new_file
from iodine_kit.system import storage_errors
from iodine_kit.tfrecord.compression import WINDOW_BITS, Compression, masked_crc32c
from iodine_kit.tfrecord.framing import MAX_PAYLOAD_BYTES

_LEVEL: Final = 6  # zlib's default, explicit so that the written bytes stay the same if it changes


def write_records(path: Path, payloads: Iterable[bytes], compression: Compression = "gzip") -> int:
    """Write ``payloads`` as the TFRecord file ``path`` and return their number.

    Equal payloads give equal bytes: neither time nor file name is stored. The file gets its name when it is complete;
    after an error, an existing file is unchanged. Source: TensorFlow's TFRecord framing.

    Raises:
        StorageError: the operating system refuses to write.
        CountError: there are no payloads and no compression, so the file would be empty.
        ValueError: a payload is above 1 GiB, which the reader refuses.
    """
    with new_file(path) as file:
        return _write_all(path, file, payloads, compression)


def _write_all(path: Path, file: BinaryIO, payloads: Iterable[bytes], compression: Compression) -> int:
    packer = _packer(compression)
    count = 0
    for payload in payloads:
        packed = packer.compress(_frame(payload))
        with storage_errors(path, "written"):
            file.write(packed)
        count += 1
    if not count and compression == "none":
        raise CountError(f"{path}: there are no records to write, so an uncompressed file would be empty")
    with storage_errors(path, "written"):
        file.write(packer.flush())
    return count


def _frame(payload: bytes) -> bytes:
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise ValueError(f"a payload of {len(payload)} bytes is above the limit of {MAX_PAYLOAD_BYTES}")
    length = struct.pack("<Q", len(payload))
    length_sum, payload_sum = (struct.pack("<I", masked_crc32c(part)) for part in (length, payload))
    return b"".join((length, length_sum, payload, payload_sum))


class _Packer(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


class _Plain:
    """Does not compress."""

    def compress(self, data: bytes, /) -> bytes:
        return data

    def flush(self) -> bytes:
        return b""


def _packer(compression: Compression) -> _Packer:
    if compression == "none":
        return _Plain()
    return zlib.compressobj(_LEVEL, zlib.DEFLATED, WINDOW_BITS[compression])
