"""Joins the shards of a split: one HDF5 file that presents the data of all, and that is useless without them.

A virtual data set shows zeros for files that it does not find, but a link to a missing file is an error. So the virtual
data sets are in the last shard, and the joined file only has links to them.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from iodine_kit.new_file import put_in_place
from iodine_kit.system import require_free_space, storage_errors
from iodine_kit.untrusted.hdf5 import JOINED, VIEW, create_file

MISSING = "a shard of this split cannot be opened: copy all files of the split to one folder"
"""Key of the scenes in a shard that HDF5 cannot open, whose images are black; only other programs read it."""


def join(directory: Path, split: str, names: Sequence[str], schema: str) -> None:
    """Write ``<split>.h5``, which joins the shards with these names; can be repeated."""
    import h5py

    last = directory / names[-1]
    with h5py.File(last, "r") as shard:
        columns = ["image", "mask", "key", *(f"factors/{name}" for name in shard.get("factors", {}))]
        finished = VIEW in shard
    if not finished:
        _replace(last, lambda copy: _add_view(copy, directory, names, columns), copied=True)
    _replace(directory / f"{split}.h5", lambda new: _write_links(new, names, columns, schema))


def _replace(path: Path, write: Callable[[Path], None], *, copied: bool = False) -> None:
    """Write a file, or change a copy of it, and give it its name when it is complete."""
    temporary = path.with_suffix(".tmp")
    with storage_errors(path, "written"):
        if copied:
            require_free_space(path.parent, path.stat().st_size)
            shutil.copyfile(path, temporary)
        write(temporary)
        put_in_place(temporary, path)


def _add_view(path: Path, directory: Path, names: Sequence[str], columns: Sequence[str]) -> None:
    import h5py

    # The first shards have equal shapes, and the last one is the file itself.
    with h5py.File(directory / names[0], "r") as first, h5py.File(path, "r+", libver=("v108", "v110")) as last:
        for column in columns:
            shapes = [first[column].shape] * (len(names) - 1) + [last[column].shape]
            _add_virtual(last, column, names, shapes)


def _write_links(path: Path, names: Sequence[str], columns: Sequence[str], schema: str) -> None:
    import h5py

    with create_file(path) as file:
        file.attrs["schema"] = schema
        file.attrs[JOINED] = list(names)
        for column in columns:
            group, _, name = column.rpartition("/")
            parent = file.require_group(group) if group else file  # created by a link, a group would store the time
            parent[name] = h5py.ExternalLink(names[-1], f"/{VIEW}/{column}")


def _add_virtual(file: Any, column: str, names: Sequence[str], shapes: Sequence[tuple[int, ...]]) -> None:
    """Write one virtual data set with low-level calls, because those of h5py would store the time."""
    import h5py

    whole = h5py.h5s.create_simple((sum(shape[0] for shape in shapes), *shapes[0][1:]))
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_obj_track_times(False)
    if column == "key":
        properties.set_fill_value(np.array(MISSING.encode(), h5py.string_dtype()))
    start = 0
    for name, shape in zip(names, shapes, strict=True):
        part = whole.copy()
        part.select_hyperslab((start, *(0,) * (len(shape) - 1)), shape)
        source = "." if name == names[-1] else name
        properties.set_virtual(part, source.encode(), column.encode(), h5py.h5s.create_simple(shape))
        start += shape[0]
    group, _, last = f"{VIEW}/{column}".rpartition("/")
    h5py.h5d.create(file.require_group(group).id, last.encode(), file[column].id.get_type(), whole, properties)
