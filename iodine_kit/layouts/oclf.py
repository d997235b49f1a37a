"""OCLF (object-centric-learning-framework): shards ``SPLIT/shard-000000.tar`` with ``INDEX.FEATURE.npy.gz``.

The features are those of DeepMind's TFRecord files; the members of a sample are consecutive. Nothing is extracted
to disk.
"""

from __future__ import annotations

import io
import re
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import IO

import numpy as np

from iodine_kit import config as configuration
from iodine_kit.errors import CorruptDataError, SchemaError
from iodine_kit.layouts import Expected, Item, Wanted
from iodine_kit.layouts._arrays import as_image, as_mask, check_fields, check_size, largest_record
from iodine_kit.records import Array, Scene
from iodine_kit.split_rules import split_name
from iodine_kit.system import refusal, storage_errors
from iodine_kit.untrusted.folders import any_below, files_below, is_data
from iodine_kit.untrusted.npy import HEADER_BYTES, Header, read_header

VERSION = 1
SUMMARY = "OCLF: WebDataset shards in train, val and test with DeepMind's features as .npy.gz"
DATASETS = ("clevr", "multi-dsprites", "tetrominoes", "objects-room")
PREPROCESS: dict[str, dict[str, object]] = {}
OWN_SPLITS = True
NAMES_MATTER = True

_PATTERN = "*.tar"
_MEMBER = re.compile(r"([\w-]+)\.(\w+)\.npy\.gz")
_SLACK = 1 << 20  # bytes of a sample beyond its arrays: headers, and the overhead of gzip
_GZIP = 31  # zlib's code for the container


class Config(configuration.Config):
    """No options: folders are splits."""


def recognises(path: Path) -> bool:
    """Whether it is a shard, or a folder with shards in it or in its splits."""
    return any_below(path, _PATTERN, _begins_with_a_feature)


def files(paths: Sequence[Path], config: Config) -> list[Path]:
    """The given shards, and those in folders by name."""
    return files_below(paths, _PATTERN)


def items(paths: Sequence[Path], expected: Expected, config: Config) -> Iterator[Item]:
    """The samples of each shard in turn, still compressed; the shard's folder is the split."""
    return (item for _, item in numbered_items(paths, expected, config, lambda number, item: True))


def numbered_items(
    paths: Sequence[Path], expected: Expected, config: Config, wanted: Wanted
) -> Iterator[tuple[int, Item]]:
    """The samples of each shard in turn that are wanted; of the others, only the headers are read."""
    largest, number = largest_record(expected) + _SLACK, 0
    for path in files(paths, config):
        split = split_name(path.parent.name)
        for key, members in groupby(_members(path, largest), lambda member: member.key):
            item = Item(f"{path}: sample {key}", features := dict[str, bytes](), split)
            if wanted(number, item):
                features.update(_features(key, members, path, largest))
                yield number, item
            number += 1


def scenes(item: Item, key: str, expected: Expected, config: Config) -> list[Scene]:
    """Decompress and check one sample."""
    headers = {name: _header(content, f"{item.place}, {name}") for name, content in item.payload.items()}
    check_fields({name: (header.dtype, header.count) for name, header in headers.items()}, expected, item.place)
    arrays = {name: _array(content, headers[name], f"{item.place}, {name}") for name, content in item.payload.items()}
    size = expected.info.height, expected.info.width
    check_size(headers["image"].shape, [size], expected.dataset, item.place)
    image = as_image(arrays.pop("image"), item.place)
    mask = as_mask(arrays.pop("mask"), size, expected.info.entities, item.place)
    return [Scene(key, image, mask, {name: arrays[name].reshape(expected.fields[name].shape) for name in arrays})]


def _begins_with_a_feature(path: Path) -> bool:
    with _shard(path) as tar:
        first = next((member for member in tar if member.isreg() and is_data(member.name)), None)
    return first is not None and _MEMBER.fullmatch(PurePosixPath(first.name).name) is not None


@dataclass(frozen=True)
class _Member:
    """A file of a shard; ``read`` returns its bytes, unless the next member was requested."""

    key: str
    feature: str
    read: Callable[[], bytes]


def _features(key: str, members: Iterable[_Member], path: Path, largest: int) -> Iterator[tuple[str, bytes]]:
    """The members of a sample, by feature; together they take at most ``largest`` bytes."""
    found, size = set[str](), 0
    for member in members:
        feature, content = member.feature, member.read()
        size += tarfile.BLOCKSIZE + len(content)
        if feature in found or size > largest:
            problem = f"has {feature} twice" if feature in found else f"takes more than {largest} bytes"
            raise SchemaError(f"{path}: sample {key} {problem}, as no published sample does; replace the shard")
        found.add(feature)
        yield feature, content


def _members(path: Path, largest: int) -> Iterator[_Member]:
    """The files of a shard, in constant memory."""
    with _shard(path) as tar:
        while (member := tar.next()) is not None:
            tar.members.clear()  # type: ignore[attr-defined] # otherwise tarfile keeps every header
            content = None
            if is_data(member.name):
                _check(member, path, largest)
                content = tar.extractfile(member)
            if content is not None:  # it is None for a folder
                yield _Member(*_split(PurePosixPath(member.name).name, path), partial(_read, content, path))
        end = tar.offset
    # tarfile takes a damaged header for the end of the archive; the samples after it would be lost silently.
    with storage_errors(path), path.open("rb") as file:
        file.seek(end)
        rest = file.read(1 << 20)
    if len(rest) < tarfile.BLOCKSIZE or rest.strip(b"\0"):
        raise CorruptDataError(f"{path}: is truncated or damaged at byte {end}; download it again")


@contextmanager
def _shard(path: Path) -> Iterator[tarfile.TarFile]:
    with _tar_errors(path), tarfile.open(path, "r:", bufsize=1 << 16) as tar:
        yield tar


def _read(content: IO[bytes], path: Path) -> bytes:
    with _tar_errors(path):
        return content.read()


@contextmanager
def _tar_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (tarfile.TarError, OSError, EOFError, ValueError, MemoryError) as error:
        problem = f"{path}: cannot be read as a tar archive ({error}); download it again"
        raise refusal(error, path) or CorruptDataError(problem) from error


def _check(member: tarfile.TarInfo, path: Path, largest: int) -> None:
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts:
        raise SchemaError(f"{path}: member '{member.name}' has a path outside of the archive; it is refused")
    if member.issparse() or not (member.isreg() or member.isdir()):
        raise SchemaError(f"{path}: member '{member.name}' is a link or a device; it is refused")
    if member.size > largest:
        raise SchemaError(f"{path}: member '{member.name}' has {member.size} bytes, more than any published one")


def _split(name: str, path: Path) -> tuple[str, str]:
    """Key and feature of a member."""
    parts = _MEMBER.fullmatch(name)
    if parts is None:
        raise SchemaError(
            f"{path}: member '{name}' does not have a name like INDEX.FEATURE.npy.gz; is this another kind of shard?"
        )
    return parts[1], parts[2]


def _header(content: bytes, place: str) -> Header:
    return read_header(io.BytesIO(_inflate(content, HEADER_BYTES, place)[0]), place)


def _array(content: bytes, header: Header, place: str) -> Array:
    """The array that a header announces; it must decompress to exactly as many bytes."""
    values, complete = _inflate(content, header.end + 1, place)
    if len(values) != header.end or not complete:
        raise CorruptDataError(
            f"{place}: does not decompress to the {header.end} bytes that its header says; download the shard again"
        )
    flat: Array = np.frombuffer(values, header.dtype, header.count, header.offset)
    return flat.reshape(header.shape, order=header.order)


def _inflate(content: bytes, most: int, place: str) -> tuple[bytes, bool]:
    """Decompress at most ``most`` bytes; also return whether the stream ended there with the right checksum."""
    stream = zlib.decompressobj(_GZIP)
    try:
        return stream.decompress(content, most), stream.eof
    except zlib.error as error:
        raise CorruptDataError(
            f"{place}: not a GZIP stream, or a damaged one ({error}); download the shard again"
        ) from None
