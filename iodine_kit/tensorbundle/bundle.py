"""The variables of a checkpoint: their names, types and shapes from the index, their values from the shards."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Final

import numpy as np

from iodine_kit.errors import CorruptDataError, SchemaError, SourceError, did_you_mean
from iodine_kit.records import Array
from iodine_kit.tensorbundle.files import INDEX, Files
from iodine_kit.tensorbundle.table import read_table
from iodine_kit.tfrecord.compression import masked_crc32c
from iodine_kit.tfrecord.wire import LENGTH, VARINT, WireError, fields, varint

_LARGEST_INDEX: Final = 16 << 20  # bytes; IODINE's takes 2 kB
_VERSION: Final = 1  # newest known version of the format
_HEADER: Final = b""
_DTYPES: Final = {1: "<f4", 2: "<f8", 3: "<i4", 9: "<i8", 19: "<f2"}
"""NumPy's names of the supported types, by their numbers in TensorFlow's ``types.proto``."""


@dataclass(frozen=True)
class Variable:
    """The entry of a variable in the index.

    Attributes:
        dtype: number of its type in TensorFlow's ``types.proto``; 1 is ``float32``.
        shard, offset, size: position of its bytes, and their number.
        crc32c: masked checksum of its bytes.
        sliced: whether it is stored in several pieces, as partitioned variables are.
    """

    shape: tuple[int, ...] = ()
    dtype: int = 0
    shard: int = 0
    offset: int = 0
    size: int = 0
    crc32c: int = 0
    sliced: bool = False


class Bundle:
    """A checkpoint, whose values are read on request.

    Attributes:
        variables: entries of all variables by name, sorted.
        prefix: beginning of the names of its files.
    """

    def __init__(self, files: Files, prefix: str) -> None:
        """Read the index.

        Raises:
            SourceError: there is no index with this prefix.
            CorruptDataError: the index is damaged, or of another format.
        """
        self.files, self.prefix = files, prefix
        self._names, index = set(files.names()), prefix + INDEX
        if index not in self._names:
            raise SourceError(f"{files.place(index)}: no such file; give a checkpoint's .index file or its folder")
        self.place = files.place(index)
        if files.size(index) > _LARGEST_INDEX:
            raise CorruptDataError(f"{self.place}: too large for the index of a checkpoint; give the .index file")
        table = read_table(files.read(index, 0, _LARGEST_INDEX), self.place)
        self._shards = self._read_header(table.pop(_HEADER, None))
        self.variables = {self._text(key): self._variable(key, value) for key, value in table.items()}

    def read(self, name: str) -> Array:
        """The values of a variable.

        Raises:
            SchemaError: there is no such variable, or its type is not supported.
            SourceError: its shard is missing.
            CorruptDataError: the shard is truncated, or the checksum does not match.
        """
        if name not in self.variables:
            raise SchemaError(f"{self.place}: has no variable '{name}'{did_you_mean(name, self.variables)}")
        variable = self.variables[name]
        dtype = _DTYPES.get(variable.dtype)
        if dtype is None or variable.sliced:
            kind = "in slices" if variable.sliced else f"of TensorFlow's type {variable.dtype}"
            raise SchemaError(f"{self.place}: '{name}' is stored {kind}, which is not supported")
        if prod(variable.shape) * np.dtype(dtype).itemsize != variable.size:
            shape = list(variable.shape)
            raise CorruptDataError(
                f"{self.place}: '{name}' has shape {shape} but {variable.size} bytes; download the file again"
            )
        data = self._data(name, variable)
        return np.frombuffer(data, dtype).reshape(variable.shape)

    def shard_of(self, name: str) -> str:
        """Name of the file with the values of a variable; raises :class:`SourceError` if it is missing."""
        shard = f"{self.prefix}.data-{self.variables[name].shard:05d}-of-{self._shards:05d}"
        if shard not in self._names:
            raise SourceError(f"{self.files.place(shard)}: this shard of the checkpoint is missing; download it too")
        return shard

    def _data(self, name: str, variable: Variable) -> bytes:
        shard = self.shard_of(name)
        place, size, end = self.files.place(shard), self.files.size(shard), variable.offset + variable.size
        if end > size:  # checked before reading: an altered index may state any length
            raise CorruptDataError(
                f"{place}: truncated: it has {size} bytes, but '{name}' ends at byte {end}; download it again"
            )
        data = self.files.read(shard, variable.offset, variable.size)
        if masked_crc32c(data) != variable.crc32c:
            raise CorruptDataError(
                f"{place}: checksum mismatch for '{name}': its bytes were altered; download it again"
            )
        return data

    def _read_header(self, value: bytes | None) -> int:
        """Return the number of shards; refuse other formats."""
        try:
            header = None if value is None else _header(value)
        except WireError:
            header = None
        if header is None:
            raise CorruptDataError(
                f"{self.place}: a table, but not the index of a checkpoint of format V2; save a checkpoint of format "
                "V1 again with tf.train.Saver(write_version=2)"
            )
        shards, endianness, oldest = header
        if endianness or oldest > _VERSION or not 0 < shards < 100_000:
            reason = (
                "big-endian" if endianness else f"in {shards} shards" if oldest <= _VERSION else "of a newer format"
            )
            raise CorruptDataError(f"{self.place}: a checkpoint {reason}, which is not supported")
        return shards

    def _text(self, key: bytes) -> str:
        try:
            return key.decode()
        except UnicodeDecodeError:
            raise CorruptDataError(f"{self.place}: the name {key!r} is not text; download the file again") from None

    def _variable(self, key: bytes, value: bytes) -> Variable:
        try:
            variable = _entry(value)
        except WireError as error:
            name = self._text(key)
            raise CorruptDataError(
                f"{self.place}: the entry of '{name}' is damaged ({error.problem}); download the file again"
            ) from None
        if variable.shard >= self._shards:
            raise CorruptDataError(
                f"{self.place}: '{self._text(key)}' is in shard {variable.shard}, but the last is {self._shards - 1}"
            )
        return variable


def _header(value: bytes) -> tuple[int, int, int]:
    """Number of shards, endianness and the oldest version that can read it, from a BundleHeaderProto."""
    numbers, oldest = {1: 0, 2: 0}, 0
    for number, wire, start, end in fields(value, 0, len(value)):
        if number in numbers:
            numbers[number] = _number(value, wire, start, end)
        elif number == 3 and wire == LENGTH:
            versions = {n: _number(value, w, s, e) for n, w, s, e in fields(value, start, end) if n == 2}
            oldest = versions.get(2, 0)
    return numbers[1], numbers[2], oldest


def _entry(value: bytes) -> Variable:
    """A variable, from a BundleEntryProto."""
    numbers, crc, sliced = {1: 0, 3: 0, 4: 0, 5: 0}, 0, False
    shape: tuple[int, ...] = ()
    for number, wire, start, end in fields(value, 0, len(value)):
        if number in numbers:
            numbers[number] = _number(value, wire, start, end)
        elif number == 2 and wire == LENGTH:
            shape = _shape(value, start, end)
        elif number == 6 and end - start == 4:
            crc = int.from_bytes(value[start:end], "little")
        elif number == 7:
            sliced = True
    return Variable(shape, numbers[1], numbers[3], numbers[4], numbers[5], crc, sliced)


def _shape(value: bytes, start: int, end: int) -> tuple[int, ...]:
    """A shape, from a TensorShapeProto; a missing size is 0."""
    sizes = []
    for number, wire, first, behind in fields(value, start, end):
        if number == 2 and wire == LENGTH:
            given = [_number(value, w, s, e) for n, w, s, e in fields(value, first, behind) if n == 1]
            sizes.append(given[-1] if given else 0)
    return tuple(sizes)


def _number(value: bytes, wire: int, start: int, end: int) -> int:
    if wire != VARINT:
        raise WireError(start, "a message instead of a number")
    return varint(value, start, end)[0]
