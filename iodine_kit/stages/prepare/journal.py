"""What is done so far, in one file that may be cut off anywhere without harm.

The file is a sequence of frames, each ``length u32 | CRC-32 u32 | body``, and a body is a line of JSON, then bytes.
A frame holds samples of one or more records, and the state of the work after them. A frame that is cut off or damaged
ends the journal: what it told of is simply done again.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from time import monotonic
from typing import Any, BinaryIO

from iodine_kit.formats import Columns, Sample

NAME = "prepare.journal"
_FRAME = struct.Struct("<II")
_WRITTEN_TOGETHER = 64
_BYTES_TOGETHER = 8 << 20
_SECONDS_AT_STAKE = 1.0


@dataclass
class State:
    """Where the work stands.

    Attributes:
        next_record: the first record of the source that was not looked at.
        shards: scenes of every finished shard, by split.
        kept: records of which scenes were kept, by split.
        files: bytes of every finished shard, by name.
        dropped: scenes that the filter left out.
        surplus: scenes that fit, of records whose split was full.
        entities: of the kept scenes, at most.
        bad: number of every bad record, and why.
        columns: of every scene; empty before the first.
        made_with: programs from outside that generate the scenes, with their versions.
    """

    next_record: int = 0
    shards: dict[str, list[int]] = field(default_factory=dict)
    kept: dict[str, int] = field(default_factory=dict)
    files: dict[str, int] = field(default_factory=dict)
    dropped: int = 0
    surplus: int = 0
    entities: int = 0
    bad: list[tuple[int, str]] = field(default_factory=list)
    columns: Columns = field(default_factory=dict)
    made_with: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Place:
    """A sample in the file: its key, where its parts begin, and their sizes in order."""

    key: str
    offset: int
    sizes: dict[str, int]


class Journal:
    """Samples that wait until there are enough for a shard, and the state of everything before them."""

    def __init__(self, path: Path) -> None:
        """Open the journal with what an interrupted run left in it, if there is one."""
        self._path = path
        self.state = State()
        self._waiting: dict[str, list[_Place]] = {}
        self._unwritten: list[tuple[str, Sample]] = []
        self._unwritten_bytes = 0
        self._told = 0  # bad records that the file tells of
        self._written_at = monotonic()
        self._file: BinaryIO | None = None
        self._end = 0
        if path.exists():
            self._recover()

    def waiting(self, split: str) -> int:
        """How many samples of a split wait, those just added left out until they are written."""
        return len(self._waiting.get(split, ()))

    def append(self, split: str, samples: Sequence[Sample]) -> None:
        """Add a record's samples; the state must tell of them already. They are written together with others."""
        self._unwritten += [(split, sample) for sample in samples]
        self._unwritten_bytes += sum(len(part) for sample in samples for part in sample.parts.values())
        many = len(self._unwritten) >= _WRITTEN_TOGETHER or self._unwritten_bytes >= _BYTES_TOGETHER
        if many or monotonic() - self._written_at > _SECONDS_AT_STAKE:
            self.write()

    def write(self) -> None:
        """Write the samples that were added, and the state after them, as one frame."""
        if self._file is None:
            self._file = self._path.open("wb")
        described = [[split, s.key, {n: len(p) for n, p in s.parts.items()}] for split, s in self._unwritten]
        line = {"samples": described, **vars(self.state), "bad": self.state.bad[self._told :]}
        header = json.dumps(line, separators=(",", ":")).encode() + b"\n"
        parts = b"".join(part for _, sample in self._unwritten for part in sample.parts.values())
        _write_frame(self._file, header, parts)
        self._admit(line, self._end + _FRAME.size + len(header))
        self._end += _FRAME.size + len(header) + len(parts)
        self._unwritten.clear()
        self._unwritten_bytes, self._told = 0, len(self.state.bad)
        self._written_at = monotonic()

    def samples(self, split: str, start: int, stop: int | None = None) -> Iterator[Sample]:
        """Waiting samples of a split, by their place in the queue, read from the file in order."""
        if self._file is not None:
            self._file.flush()
        with self._path.open("rb") as file:
            for place in self._waiting.get(split, [])[start:stop]:
                file.seek(place.offset)
                yield Sample(place.key, _parts(file.read(sum(place.sizes.values())), place.sizes))

    def shard_is_finished(self, split: str, count: int) -> None:
        """Forget the first ``count`` waiting samples of a split: they lie in a shard. Replaces the file in one go."""
        if self._unwritten:
            self.write()
        self.state.shards.setdefault(split, []).append(count)
        replacement = self._path.with_suffix(".tmp")
        replacement.unlink(missing_ok=True)  # of a replacement that was cut short
        fresh = Journal(replacement)
        fresh.state = self.state
        fresh.write()
        for name in self._waiting:
            for sample in self.samples(name, count if name == split else 0):
                fresh.append(name, [sample])
        if fresh._unwritten:
            fresh.write()
        fresh.close()
        self.close()
        fresh._path.replace(self._path)
        self._waiting, self._end, self._told = fresh._waiting, fresh._end, fresh._told
        self._file = self._path.open("ab")

    def close(self) -> None:
        """Leave the file for the next run. What was added and not yet written is done again then."""
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._file = None

    def remove(self) -> None:
        """Forget everything."""
        self.close()
        self._path.unlink(missing_ok=True)

    def _admit(self, line: dict[str, Any], offset: int) -> None:
        """Count in the samples of a frame, which begin at ``offset``."""
        for split, key, sizes in line["samples"]:
            self._waiting.setdefault(split, []).append(_Place(key, offset, sizes))
            offset += sum(sizes.values())

    def _recover(self) -> None:
        with self._path.open("r+b") as file:
            for offset, body in _frames(file):
                header = body[: body.index(b"\n") + 1]
                line = json.loads(header)
                self._admit(line, offset + len(header))
                self.state = _state(line, self.state.bad)
                self._end = offset + len(body)
            file.truncate(self._end)
        self._told = len(self.state.bad)
        if self._end:
            self._file = self._path.open("ab")


def _parts(body: bytes, sizes: Mapping[str, int]) -> dict[str, bytes]:
    """The parts of a sample, which follow each other; one slice each costs a fifth of one read each."""
    ends = accumulate(sizes.values())
    return {name: body[end - size : end] for (name, size), end in zip(sizes.items(), ends, strict=True)}


def _write_frame(file: BinaryIO, header: bytes, parts: bytes) -> None:
    file.write(_FRAME.pack(len(header) + len(parts), zlib.crc32(parts, zlib.crc32(header))))
    file.write(header)
    file.write(parts)
    file.flush()  # to the system: what is written outlives this process


def _frames(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Every whole frame: where its body begins, and the body."""
    while len(head := file.read(_FRAME.size)) == _FRAME.size:
        length, checksum = _FRAME.unpack(head)
        offset = file.tell()
        body = file.read(length)
        if len(body) < length or zlib.crc32(body) != checksum:
            return
        yield offset, body


def _state(line: dict[str, Any], bad: list[tuple[int, str]]) -> State:
    """The state of a frame, which tells only of the bad records that no frame before it told of."""
    values = {name: line[name] for name in State.__dataclass_fields__}
    values["columns"] = {name: (dtype, tuple(shape)) for name, (dtype, shape) in line["columns"].items()}
    values["bad"] = bad + [(record, why) for record, why in line["bad"]]
    return State(**values)
