"""Detect the compression of a TFRecord file from its first bytes, and decompress it in constant memory."""

from __future__ import annotations

import importlib
import io
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import google_crc32c

from iodine_kit.errors import CorruptDataError, SourceError
from iodine_kit.system import storage_error, storage_errors

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

Compression = Literal["gzip", "zlib", "none"]

WINDOW_BITS: Final = {"gzip": 31, "zlib": 15}  # zlib's code for the two containers
_COMPRESSED_CHUNK: Final = 1 << 16
# So small that it stays in a core's cache between zlib and the record, and in the heap. For megabytes at a time, the
# system would map and clear memory again for every record, which takes as long as decompression.
_INFLATED_CHUNK: Final = 1 << 18
_HEAD: Final = 12  # bytes: a plain file's first length (8) and its checksum (4)


def masked_crc32c(data: bytes) -> int:
    """Return the CRC-32C (Castagnoli) of ``data``, rotated right by 15 bits and shifted by a constant, in 0…2³²-1.

    Source: TensorFlow's TFRecord framing, which masks the sum because a record may itself contain checksums.
    """
    crc = int(google_crc32c.value(data))
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def _fastest() -> Any:
    """The module that decompresses: zlib-ng if it is installed (extra ``fast``), which gives the same bytes faster."""
    try:
        return importlib.import_module("zlib_ng.zlib_ng")
    except ImportError:
        return zlib


_zlib: Final = _fastest()


class InflateError(CorruptDataError):
    """A compressed stream is truncated or altered; ``problem`` describes it without the file's name."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(path, problem)  # both, so that the error can be sent from a worker process
        self.path = path
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}"


class _Inflater(io.RawIOBase):
    """The decompressed bytes of all members of a GZIP or ZLIB file; zlib verifies the checksum of each member."""

    def __init__(self, file: io.BufferedReader, path: Path, compression: Literal["gzip", "zlib"]) -> None:
        self._file = file
        self._path = path
        self._name = compression.upper()
        self._window_bits = WINDOW_BITS[compression]
        self._member = _zlib.decompressobj(self._window_bits)
        self._pending = b""  # compressed bytes read from the file and not yet inflated

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        target = memoryview(buffer).cast("B")
        inflated = b""
        while not inflated and self._compressed_bytes_left():
            inflated = self._inflate(len(target))
        target[: len(inflated)] = inflated
        return len(inflated)

    def close(self) -> None:
        self._file.close()
        super().close()

    def _compressed_bytes_left(self) -> bool:
        """Fill ``_pending``; return False at the end of the file, where the last member must be complete."""
        self._fill()
        while self._member.eof and self._pending:
            self._pending = self._pending.lstrip(b"\0")  # tape and block devices pad files with zeros
            if self._pending:
                self._member = _zlib.decompressobj(self._window_bits)
            self._fill()
        if not self._pending and not self._member.eof:
            problem = f"the {self._name} stream is truncated after {self._file.tell()} compressed bytes"
            raise InflateError(self._path, f"{problem}; the file is incomplete, download it again")
        return bool(self._pending)

    def _fill(self) -> None:
        if not self._pending:
            self._pending = self._file.read(_COMPRESSED_CHUNK)

    def _inflate(self, limit: int) -> bytes:
        try:
            inflated: bytes = self._member.decompress(self._pending, min(limit, _INFLATED_CHUNK))
        except _zlib.error as error:
            reason = str(error).rpartition(": ")[2]
            problem = f"the {self._name} stream is altered before compressed byte {self._file.tell()} ({reason})"
            raise InflateError(self._path, f"{problem}; download the file again") from error
        self._pending = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
        return inflated


def sniff(path: Path) -> Compression:
    """Return the compression of the TFRecord file ``path``, detected from its first 12 bytes.

    Raises:
        SourceError: there is no such file.
        StorageError: the operating system refuses to read it.
        CorruptDataError: it is neither GZIP, nor ZLIB, nor a plain TFRecord file.
    """
    with _open(path) as file:
        return _sniff_open(file, path)


def open_inflated(path: Path) -> io.BufferedReader:
    """Open the TFRecord file ``path`` to read its decompressed bytes, in constant memory for any length.

    A file may have several GZIP or ZLIB members. Close the stream, or use it as a context manager.

    Raises:
        SourceError, StorageError, CorruptDataError: as `sniff`.
        InflateError: while reading; a CorruptDataError: the compressed stream is truncated or altered.
    """
    file = _open(path)
    try:
        compression = _sniff_open(file, path)
    except BaseException:
        file.close()
        raise
    if compression == "none":
        return file
    return io.BufferedReader(_Inflater(file, path, compression), _INFLATED_CHUNK)


def _open(path: Path) -> io.BufferedReader:
    try:
        return path.open("rb")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise SourceError(f"{path}: no such file; check the path or download the data set first") from error
    except IsADirectoryError as error:
        raise SourceError(f"{path}: this is a folder; give a TFRecord file in it") from error
    except OSError as error:
        raise storage_error(error, path) from error


def _sniff_open(file: io.BufferedReader, path: Path) -> Compression:
    with storage_errors(path):
        head = file.peek(_HEAD)[:_HEAD]
    # A plain file's length may begin with the magic bytes of GZIP or ZLIB, so its checksum is tested first.
    if len(head) == _HEAD and masked_crc32c(head[:8]) == int.from_bytes(head[8:], "little"):
        return "none"
    if head[:2] == b"\x1f\x8b":
        return "gzip"
    if len(head) > 1 and head[0] == 0x78 and int.from_bytes(head[:2], "big") % 31 == 0:
        return "zlib"
    start = f"starts with bytes {head.hex(' ')}" if head else "is empty"
    raise CorruptDataError(f"{path}: not a TFRecord file (neither GZIP, ZLIB nor plain; {start})")
