"""Blocks of records as units of work: a worker reads its own part of the source, and writes the encoded samples.

A block says nothing about splits and shards, because only the records before it decide these for some rules: a filter
or a damaged record moves all that follow. The file of a block is a sequence of the journal's frames: one that says how
the scenes were made, one for each record, and one about the end. A record that cannot be used ends its block; its error
is in the last frame, so that it is raised after the records before it are stored.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from time import perf_counter
from typing import Any, BinaryIO

from iodine_kit import errors
from iodine_kit.config import differences
from iodine_kit.datasets import DATASETS, external_versions
from iodine_kit.errors import ConfigError, IodineKitError, ResumeError, StorageError
from iodine_kit.formats import Columns, Sample
from iodine_kit.stages.prepare.journal import frames, split_parts, write_frame
from iodine_kit.stages.prepare.process_record import RecordResult
from iodine_kit.stages.prepare.source import Source, SourcePlan
from iodine_kit.units import KeptOpen, working_in

STEM = "records"
"""Beginning of the names of files."""
_SIZE_BITS = 4
LARGEST = 1 << 2**_SIZE_BITS - 1
"""Most records of a block."""
_DEFAULTS = {one.name: one.default for one in fields(RecordResult) if one.default is not MISSING}


def unit_number(start: int, size: int) -> int:
    """The number of the block of ``size`` records, a power of two, that begins with record ``start``."""
    return start << _SIZE_BITS | size.bit_length() - 1


def records_of(number: int) -> range:
    """The records of a block."""
    start = number >> _SIZE_BITS
    return range(start, start + (1 << (number & (1 << _SIZE_BITS) - 1)))


@dataclass(frozen=True)
class BlockEnd:
    """What is known after a block.

    Attributes:
        seen: number of records that are known to exist.
        ended: whether the source ends in or before the block.
        records, bytes: number of records that the block was made of, and the size of its samples.
        seconds: how long this took, without the time to reach the first record.
        error: name of the class of an error, and its message; empty if every record could be used.
    """

    seen: int = 0
    ended: bool = False
    records: int = 0
    bytes: int = 0
    seconds: float = 0.0
    error: tuple[str, str] | tuple[()] = ()


@dataclass(frozen=True)
class ProcessBlock:
    """The work of a unit; can be pickled.

    Attributes:
        source: which records there are.
        made_with: external programs that have to generate the scenes, and their versions.
        folder: the working directory of the command, which relative paths begin at.
        run: a name of this run of the stage. A worker keeps a source open from one block of a run to the next.
    """

    source: SourcePlan
    made_with: Mapping[str, str]
    folder: Path
    run: str

    def __call__(self, number: int, path: Path) -> None:
        """Write the block."""
        with path.open("wb") as file:
            _write(file, {"made_with": dict(self.made_with)})
            end = self._process(records_of(number), file)
            _write(file, {**vars(end), "end": True})

    def _process(self, block: range, file: BinaryIO) -> BlockEnd:
        written, count, started = _Written(file), 0, perf_counter()
        try:
            with self._entered(), _OPENED.use(self.run, self._open) as source:
                for record, item in source.candidates(block.start, block.stop):
                    started = started if count else perf_counter()
                    written.add(self.source.processor.process(record, item))
                    count += 1
        except IodineKitError as raised:
            return BlockEnd(error=(_public_class(raised), str(raised)))
        return BlockEnd(source.seen, source.ended, count, written.bytes, perf_counter() - started)

    def _open(self) -> Source:
        """The source, if this machine has the programs that generate the scenes."""
        self._check_versions()
        return Source(self.source)

    @contextmanager
    def _entered(self) -> Iterator[None]:
        """Work where the command was given, so that paths and messages are the same as there.

        Raises:
            StorageError: if this machine has no such folder, and a path begins at it.
        """
        with ExitStack() as stack:
            try:
                stack.enter_context(working_in(self.folder))
            except OSError as error:
                relative = [path for path in self.source.files() if not path.is_absolute()]
                if relative:
                    raise StorageError(
                        f"{relative[0]}: a worker on {socket.gethostname()} has no folder {self.folder} that this path "
                        f"could begin at ({error.strerror}): give the whole path, of a file system that all machines "
                        "share"
                    ) from None
            yield

    def _check_versions(self) -> None:
        if not self.made_with:
            return
        processor = self.source.processor
        own = dict(external_versions(DATASETS.load(processor.dataset), processor.dataset_config))
        if own != self.made_with:
            raise ConfigError(
                f"a worker on {socket.gethostname()} would generate other scenes, because it has other programs "
                f"({'; '.join(differences(dict(self.made_with), own))}): install the same versions on all machines"
            )


_OPENED: KeptOpen[str, Source] = KeptOpen()


class _Written:
    """Writes results to a file. Dtypes and shapes are written only if they differ from those of the last record."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._columns: Columns | None = None
        self.bytes = 0

    def add(self, result: RecordResult) -> None:
        values = {name: value for name, value in vars(result).items() if value != _DEFAULTS.get(name, MISSING)}
        parts = [part for sample in values.pop("samples", ()) for part in sample.parts.values()]
        line = {**values, "samples": [[one.key, {k: len(v) for k, v in one.parts.items()}] for one in result.samples]}
        if result.columns == self._columns:
            line.pop("columns", None)
        self._columns = result.columns or self._columns
        self.bytes += sum(map(len, parts))
        _write(self._file, line, b"".join(parts))


def read_block(path: Path, made_with: Mapping[str, str]) -> Iterator[RecordResult | BlockEnd]:
    """Yield the results of a block, and then its end.

    Raises:
        ResumeError: if other programs than ``made_with`` generated the scenes.
        StorageError: if the file is damaged.
    """
    columns: Columns | None = None
    with path.open("rb") as file:
        for _, body in frames(file):
            end = body.index(b"\n") + 1
            line = json.loads(body[:end])
            if "end" in line:
                yield _end(line)
                return
            if "made_with" in line:
                _require_same_programs(line["made_with"], made_with)
                continue
            if "columns" in line:
                columns = {name: (dtype, tuple(shape)) for name, (dtype, shape) in line["columns"].items()}
            yield _result(line, body[end:], columns)
    raise StorageError(f"{path}: was damaged after it was written; check the disk, and run the command again to resume")


def is_usable(path: Path) -> bool:
    """Whether every record of a finished block could be used; those that follow an error are not in its file."""
    line = b"{}"
    with path.open("rb") as file:
        for _, body in frames(file):
            line = body
    return not json.loads(line[: line.index(b"\n") + 1]).get("error")


def raise_again(end: BlockEnd) -> None:
    """Raise the error that ended a block, if there is one."""
    if end.error:
        name, message = end.error
        raise getattr(errors, name)(message)


def _public_class(error: IodineKitError) -> str:
    """The first class of an error that the module of errors defines; others may need more than a message."""
    names = (kind.__name__ for kind in type(error).__mro__ if getattr(errors, kind.__name__, None) is kind)
    return next(names, IodineKitError.__name__)


def _require_same_programs(recorded: Mapping[str, str], current: Mapping[str, str]) -> None:
    if recorded != current:
        changed = "; ".join(differences(dict(recorded), dict(current)))
        raise ResumeError(f"the interrupted run used other programs ({changed}); start again with --overwrite")


def _write(file: BinaryIO, line: Mapping[str, Any], parts: bytes = b"") -> None:
    write_frame(file, json.dumps(line, separators=(",", ":")).encode() + b"\n", parts)


def _result(line: dict[str, Any], body: bytes, columns: Columns | None) -> RecordResult:
    samples, offset = [], 0
    for key, sizes in line.pop("samples"):
        size = sum(sizes.values())
        samples.append(Sample(key, split_parts(body[offset : offset + size], sizes)))
        offset += size
    line["remarks"] = tuple(line.get("remarks", ()))
    line["columns"] = columns if samples else None
    return RecordResult(**line, samples=tuple(samples))


def _end(line: dict[str, Any]) -> BlockEnd:
    del line["end"]
    return BlockEnd(**{**line, "error": tuple(line["error"])})
