"""The progress of a preparation, in one file that remains valid if it is cut off at any byte.

The file is a sequence of frames, each ``length u32 | CRC-32 u32 | body``. A body is a line of JSON, followed by bytes.
A frame contains the samples of one or more records, and the state of the work after them. The first frame that is
incomplete or damaged ends the journal; the records of that frame are processed again. When a shard is finished, the
file is replaced: its first frame has the state, and counts the samples of later frames that still wait for a shard.
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

from iodine_kit.errors import ArtifactCorruptError
from iodine_kit.formats import Columns, Sample

NAME = "prepare.journal"
_FRAME = struct.Struct("<II")
_SAMPLES_PER_FRAME = 64
_BYTES_PER_FRAME = 8 << 20
_SECONDS_PER_FRAME = 1.0
"""A frame is written once any of these limits is reached; at most this much work is lost when the process is killed."""


@dataclass
class State:
    """The progress after some records.

    Attributes:
        next_record: the first record of the source that is not processed yet.
        shards: number of scenes of every finished shard, by split.
        kept: number of records with kept scenes, by split.
        files: size in bytes of every finished shard, by file name.
        sha256: hash of every finished shard, by file name; a journal of an earlier version has none.
        dropped: number of scenes that the filter removed.
        surplus: number of scenes that passed the filter, but whose split was full.
        entities: largest number of entities in a kept scene.
        unmasked: number of kept scenes without a mask, by split.
        ignored: whether a kept scene marks pixels to ignore.
        remarks: what users should know, each with the number of records and the place of the first.
        bad: number of every damaged record, and the reason.
        columns: dtypes and shapes of every scene; empty before the first.
        made_with: external programs that generate the scenes, and their versions.
        finishing: whether all shards are written; the format may rename them or complete them.
    """

    next_record: int = 0
    shards: dict[str, list[int]] = field(default_factory=dict)
    kept: dict[str, int] = field(default_factory=dict)
    files: dict[str, int] = field(default_factory=dict)
    sha256: dict[str, str] = field(default_factory=dict)
    dropped: int = 0
    surplus: int = 0
    entities: int = 0
    unmasked: dict[str, int] = field(default_factory=dict)
    ignored: bool = False
    remarks: dict[str, tuple[int, str]] = field(default_factory=dict)
    bad: list[tuple[int, str]] = field(default_factory=list)
    columns: Columns = field(default_factory=dict)
    made_with: dict[str, str] = field(default_factory=dict)
    finishing: bool = False


@dataclass(frozen=True)
class _SamplePosition:
    """A sample in the file: its key, the offset of its first part, and the sizes of its parts in order."""

    key: str
    offset: int
    sizes: dict[str, int]


class Journal:
    """Samples that wait for their shard to fill up, and the state of the work."""

    def __init__(self, path: Path) -> None:
        """Open the journal; if the file exists, recover what an interrupted run wrote.

        Raises:
            ArtifactCorruptError: if the file is damaged where samples wait that are processed already.
        """
        self._path = path
        self.state = State()
        self._waiting: dict[str, list[_SamplePosition]] = {}
        self._unwritten: list[tuple[str, Sample]] = []
        self._unwritten_bytes = 0
        self._bad_written = 0  # number of the bad records that are in the file
        self._written_at = monotonic()
        self._file: BinaryIO | None = None
        self._end = 0
        self._follow = 0  # number of samples that the state counts and that later frames contain
        if path.exists():
            self._recover()

    def waiting(self, split: str) -> int:
        """Number of written samples of a split that are not in a shard yet."""
        return len(self._waiting.get(split, ()))

    def append(self, split: str, samples: Sequence[Sample]) -> None:
        """Add the samples of a record. Update ``state`` first: both are written together, later or now."""
        self._unwritten += [(split, sample) for sample in samples]
        self._unwritten_bytes += sum(len(part) for sample in samples for part in sample.parts.values())
        is_full = len(self._unwritten) >= _SAMPLES_PER_FRAME or self._unwritten_bytes >= _BYTES_PER_FRAME
        if is_full or monotonic() - self._written_at > _SECONDS_PER_FRAME:
            self.write()

    def write(self) -> None:
        """Write the samples that were appended, and the current state, as one frame."""
        if self._file is None:
            self._file = self._path.open("wb")
        described = [[split, s.key, {n: len(p) for n, p in s.parts.items()}] for split, s in self._unwritten]
        line = {"samples": described, **vars(self.state), "bad": self.state.bad[self._bad_written :]}
        if self._follow:
            line["follow"], self._follow = self._follow, 0
        header = json.dumps(line, separators=(",", ":")).encode() + b"\n"
        parts = b"".join(part for _, sample in self._unwritten for part in sample.parts.values())
        write_frame(self._file, header, parts)
        self._file.flush()  # to the operating system, so that the frame survives the death of this process
        self._index_samples(line, self._end + _FRAME.size + len(header))
        self._end += _FRAME.size + len(header) + len(parts)
        self._unwritten.clear()
        self._unwritten_bytes, self._bad_written = 0, len(self.state.bad)
        self._written_at = monotonic()

    def sync(self) -> None:
        """Wait until everything that was written is on the disk."""
        if self._file is not None:
            os.fsync(self._file.fileno())

    def samples(self, split: str, start: int, stop: int | None = None) -> Iterator[Sample]:
        """Read the waiting samples ``start`` to ``stop - 1`` of a split from the file, in order."""
        if self._file is not None:
            self._file.flush()
        with self._path.open("rb") as file:
            for position in self._waiting.get(split, [])[start:stop]:
                file.seek(position.offset)
                yield Sample(position.key, split_parts(file.read(sum(position.sizes.values())), position.sizes))

    def finish_shard(self, split: str, count: int) -> None:
        """Remove the first ``count`` waiting samples of a split, which are in a shard. Replaces the file atomically."""
        if self._unwritten:
            self.write()
        self.state.shards.setdefault(split, []).append(count)
        replacement = self._path.with_suffix(".tmp")
        replacement.unlink(missing_ok=True)  # of an interrupted replacement
        fresh = Journal(replacement)
        fresh.state = self.state
        fresh._follow = sum(map(len, self._waiting.values())) - count
        fresh.write()
        for name in self._waiting:
            for sample in self.samples(name, count if name == split else 0):
                fresh.append(name, [sample])
        if fresh._unwritten:
            fresh.write()
        fresh.close()
        self.close()
        fresh._path.replace(self._path)
        self._waiting, self._end, self._bad_written = fresh._waiting, fresh._end, fresh._bad_written
        self._file = self._path.open("ab")

    def close(self) -> None:
        """Close the file for the next run. Samples that were appended but not written will be processed again."""
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._file = None

    def remove(self) -> None:
        """Close and delete the file."""
        self.close()
        self._path.unlink(missing_ok=True)

    def _index_samples(self, line: dict[str, Any], offset: int) -> None:
        """Add the samples of a frame to the waiting ones; their bytes start at ``offset``."""
        for split, key, sizes in line["samples"]:
            self._waiting.setdefault(split, []).append(_SamplePosition(key, offset, sizes))
            offset += sum(sizes.values())

    def _recover(self) -> None:
        follow = 0
        with self._path.open("r+b") as file:
            for offset, body in frames(file):
                header = body[: body.index(b"\n") + 1]
                line = json.loads(header)
                self._index_samples(line, offset + len(header))
                follow += line.get("follow", 0)
                self.state = _state(line, self.state.bad)
                self._end = offset + len(body)
            if sum(map(len, self._waiting.values())) < follow:
                raise ArtifactCorruptError(
                    f"{self._path}: is damaged, and scenes in it are lost; start again with --overwrite"
                )
            file.truncate(self._end)
        self._bad_written = len(self.state.bad)
        if self._end:
            self._file = self._path.open("ab")


def split_parts(body: bytes, sizes: Mapping[str, int]) -> dict[str, bytes]:
    """Split the bytes of a sample into its parts; slicing takes a fifth of the time of one read per part."""
    ends = accumulate(sizes.values())
    return {name: body[end - size : end] for (name, size), end in zip(sizes.items(), ends, strict=True)}


def write_frame(file: BinaryIO, header: bytes, parts: bytes) -> None:
    """Write a body, ``header`` with a line of JSON and ``parts``, after its length and checksum."""
    file.write(_FRAME.pack(len(header) + len(parts), zlib.crc32(parts, zlib.crc32(header))))
    file.write(header)
    file.write(parts)


def frames(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield the offset and the bytes of the body of every intact frame."""
    while len(head := file.read(_FRAME.size)) == _FRAME.size:
        length, checksum = _FRAME.unpack(head)
        offset = file.tell()
        body = file.read(length)
        if len(body) < length or zlib.crc32(body) != checksum:
            return
        yield offset, body


def _state(line: dict[str, Any], bad: list[tuple[int, str]]) -> State:
    """The state in a frame; a frame lists only the bad records that are not in an earlier frame."""
    values = {name: line[name] for name in State.__dataclass_fields__ if name in line}
    values["columns"] = {name: (dtype, tuple(shape)) for name, (dtype, shape) in line["columns"].items()}
    values["remarks"] = {text: (count, first) for text, (count, first) in line.get("remarks", {}).items()}
    values["bad"] = bad + [(record, why) for record, why in line["bad"]]
    return State(**values)
