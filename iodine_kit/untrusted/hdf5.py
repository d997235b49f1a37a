"""HDF5 files of unknown origin: data that are in the file itself. Links and paths are never followed.

Open every file with :func:`open_file`, every group with :func:`open_group` and every other member with
:func:`open_member`. Pass every data set through :func:`own_data` before reading it. :func:`create_file` makes files.
"""

from __future__ import annotations

import importlib
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from iodine_kit.errors import CorruptDataError, SchemaError, SourceError
from iodine_kit.system import missing_filter, refusal, storage_errors
from iodine_kit.untrusted import check_row_size
from iodine_kit.untrusted.hdf5_heaps import check_all_heaps

MAGIC = b"\x89HDF\r\n\x1a\n"
JOINED = "shards"
"""Attribute of a file of the format ``hdf5`` that joins others: their names."""
VIEW = "joined"
"""Group of the last of these files, with virtual data sets that present the data of all."""

# What h5py raises for a damaged file; AttributeError for a name that is not text.
_ERRORS = (OSError, LookupError, AttributeError, RuntimeError, TypeError, ValueError)
# Types of messages in an object header, and the most bytes of a header, far above those of any published file.
_LAYOUT, _CONTINUED = 8, 16
_LARGEST_HEADER = 1 << 24


@contextmanager
def reading(place: str) -> Iterator[None]:
    """Turn what h5py raises into an error that names the place.

    Raises:
        CorruptDataError: the file is damaged.
        StorageError, MemoryLimitError: the system or the HDF5 library refuses, see :func:`iodine_kit.system.refusal`.
    """
    try:
        yield
    except (*_ERRORS, MemoryError) as error:
        problem = f"{place}: truncated, or cannot be read as HDF5: {error}"
        raise refusal(error, place) or CorruptDataError(problem) from error


def open_file(path: Path, **options: int) -> Any:
    """Open a file for reading; ``options`` are passed to ``h5py.File``; raises what :func:`reading` raises."""
    import h5py  # in functions, because a list of layouts loads this module and reads no file

    with reading(str(path)):
        return h5py.File(path, "r", **options)


@contextmanager
def create_file(path: Path) -> Iterator[Any]:
    """A new file, which is closed in any case; raises :class:`StorageError` if the system refuses to write.

    HDF5 crashes if it cannot write when it closes a file. So after a failure, the rest of the file goes nowhere. And it
    ignores a failure when it closes a data set. So all that ``file.create_dataset`` makes stay open until the end.
    """
    import h5py

    with storage_errors(path, "written"), h5py.File(path, "w", libver=("v108", "v108")) as file:
        file.create_dataset = _keep_open(file.create_dataset)
        try:
            yield file
            file.flush()
        except (OSError, RuntimeError):
            with Path(os.devnull).open("r+b") as nowhere, suppress(RuntimeError):
                os.dup2(nowhere.fileno(), file.id.get_vfd_handle())
                file.close()
            raise


def _keep_open(create: Callable[..., Any]) -> Callable[..., Any]:
    """``create_dataset`` of a file, except that a data set is written when it is kept already."""
    kept: list[Any] = []

    def create_dataset(name: str, shape: Any = None, dtype: Any = None, data: Any = None, **options: Any) -> Any:
        values = None if data is None else np.asarray(data)
        known = {} if values is None else {"shape": values.shape, "dtype": values.dtype}
        given = {"shape": shape, "dtype": dtype}
        wanted = known | {option: value for option, value in given.items() if value is not None}
        kept.append(create(name, **wanted, **options))
        if values is not None:
            kept[-1][...] = values
        return kept[-1]

    return create_dataset


def open_group(file: Any, group: str, path: Path) -> Any:
    """The group with the name ``a/b/c``, or the file itself if the name is empty; no data set is opened.

    Raises:
        CorruptDataError: a name is not text.
        SchemaError: a part of the name is a link or not a group.
    """
    import h5py

    for name in filter(None, group.split("/")):
        if is_link(file, name, path):
            raise _refused_link(name, path)
        try:
            file = h5py.Group(h5py.h5g.open(file.id, name.encode()))
        except ValueError as error:
            raise SchemaError(f"{path}: '{group}' is not a group") from error
    return file


def joined_shards(file: Any, path: Path) -> list[Path]:
    """The shards that a file of the format ``hdf5`` joins, which are in the same folder; empty for any other file.

    Raises:
        CorruptDataError: it names a file in another folder.
        SourceError: a shard is missing.
    """
    if JOINED not in file.attrs or "schema" not in file.attrs:
        return []
    check_all_heaps(path)  # attributes are texts of variable length
    with reading(str(path)):
        if not str(file.attrs["schema"]).startswith("iodine-kit/hdf5/"):
            return []
        names = [str(name) for name in file.attrs[JOINED]]
    for name in names:
        if Path(name).name != name:
            raise CorruptDataError(f"{path}: its shard '{name}' is not in the same folder")
    shards = [path.with_name(name) for name in names]
    missing = [shard for shard in shards if not shard.exists()]
    if missing:
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        problem = f"joins {len(names)} shards, of which {missing[0]}{more} is missing"
        raise SourceError(f"{path}: {problem}; copy all files of the split to the same folder")
    return shards


def is_view(group: Any, name: str | bytes) -> bool:
    """Whether a group of the last shard only presents data that are in the other shards."""
    return name == VIEW and group.name == "/" and "schema" in group.attrs


def is_link(group: Any, name: str | bytes, path: Path) -> bool:
    """Whether a member of a group is a soft or external link; the link is not followed.

    Raises:
        CorruptDataError: the name is not text.
    """
    import h5py

    if isinstance(name, bytes):
        raise CorruptDataError(f"{path}: the name {name!r} is not text; replace the file")
    return bool(group.id.links.get_info(name.encode()).type != h5py.h5l.TYPE_HARD)


def open_member(group: Any, name: str | bytes, path: Path, *, check_heaps: bool = True) -> Any:
    """A member of a group. Where the HDF5 library will read global heaps, these are checked first.

    The library loops for ever on a damaged heap. It reads heaps to open a virtual data set, and to read values of
    variable length, such as texts. Other members need no check, which reads the whole file, once per process.

    Args:
        group: an open group of the file.
        name: of the member.
        path: of the file.
        check_heaps: may be false if this file was checked before by another process.

    Raises:
        CorruptDataError: the name is not text, or a global heap is damaged.
        SchemaError: it is a link.
    """
    import h5py

    if is_link(group, name, path):
        raise _refused_link(str(name), path)
    if check_heaps and may_be_virtual(group, str(name), path):
        check_all_heaps(path)
    member = group[name]
    if check_heaps and isinstance(member, h5py.Dataset) and member.dtype.hasobject:
        check_all_heaps(path)
    return member


def own_data(dataset: Any, path: Path) -> Any:
    """The data set itself.

    Raises:
        SchemaError: its data are in other files, or one row or chunk takes more than 1 GiB.
        StorageError: it was compressed with a filter that is not installed.
    """
    if dataset.is_virtual or dataset.external:
        raise SchemaError(f"{path}: the data of '{dataset.name}' are in other files, which are not opened")
    check_row_size(dataset.shape, dataset.dtype.itemsize, f"{path}: '{dataset.name}'", dataset.chunks or ())
    require_filters(dataset, path)
    return dataset


def require_filters(dataset: Any, path: Path) -> None:
    """Register the filters of the package hdf5plugin if a data set needs one; :class:`StorageError` if that fails."""
    import h5py

    pipeline = dataset.id.get_create_plist()
    for place in range(pipeline.get_nfilters()):
        number, _, _, name = pipeline.get_filter(place)
        if not h5py.h5z.filter_avail(number):
            with suppress(ImportError):
                importlib.import_module("hdf5plugin")
        if not h5py.h5z.filter_avail(number) and _passed(dataset, place):
            raise missing_filter(f"{path}: '{dataset.name}'", f"{number} ({name.decode(errors='replace')})")


def _passed(dataset: Any, place: int) -> bool:
    """Whether the first chunk passed this filter; chunks for which a filter fails are stored without it."""
    return bool(dataset.id.get_num_chunks() and not dataset.id.get_chunk_info(0).filter_mask >> place & 1)


def _refused_link(name: str, path: Path) -> SchemaError:
    return SchemaError(f"{path}: '{name}' is a link, and links are not followed; give a file that holds the data")


def may_be_virtual(group: Any, name: str, path: Path) -> bool:
    """Whether a member that is no link is a virtual data set, or has a header that this function cannot read.

    The HDF5 library says so only of a member that is open, which is too late. This function reads the header itself.

    Source: "Data Object Headers" and "The Data Layout Message" of the HDF5 File Format Specification.
    """
    base = group.file.userblock_size
    if group.file.id.get_create_plist().get_sizes() != (8, 8):
        return True
    address = base + group.id.links.get_info(name.encode()).u
    try:
        with path.open("rb") as file:
            # From version 3 on, the second byte is the class of the layout: 3 is virtual. Versions 1 and 2 have none.
            return any(kind == _LAYOUT and body[0] > 2 and body[1] > 2 for kind, body in _messages(file, base, address))
    except (struct.error, LookupError, OverflowError, ValueError):
        return True


def _messages(file: BinaryIO, base: int, address: int) -> Iterator[tuple[int, bytes]]:
    """The messages of an object header, each with its type; ``base`` is the position of address 0."""
    file.seek(address)
    start = file.read(64)
    if start[:5] == b"OHDR\x02":
        flags = start[5]
        head = struct.Struct("<BHBH" if flags & 4 else "<BHB")  # with the order of creation
        size_bytes = 1 << (flags & 3)
        at = 6 + (16 if flags & 32 else 0) + (4 if flags & 16 else 0)  # after times, and numbers of attributes
        first = (address + at + size_bytes, int.from_bytes(start[at : at + size_bytes], "little"))
        around = (4, 4)  # signature and checksum of further blocks
    elif start[:1] == b"\x01":
        head, first, around = struct.Struct("<HHB3x"), (address + 16, struct.unpack_from("<I", start, 8)[0]), (0, 0)
    else:
        raise ValueError("this is no header of a known version")
    blocks, total = [first], 0
    for place, size in blocks:
        total += size
        if size < 0 or total > _LARGEST_HEADER:  # blocks may form a ring
            raise ValueError("this header is too large")
        file.seek(place)
        block, at = file.read(size), 0
        if len(block) < size:
            raise ValueError("this header is truncated")
        while at + head.size <= len(block):
            kind, length = head.unpack_from(block, at)[:2]
            body = block[at + head.size : at + head.size + length]
            at += head.size + length
            yield kind, body
            if kind == _CONTINUED:
                offset, extent = struct.unpack("<QQ", body[:16])
                blocks.append((base + offset + around[0], extent - sum(around)))
