"""The file of a traversal, ``traversals.h5``: one slot per scene, decoded with one latent dimension moved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from iodine_kit.records import Bytes, Floats
from iodine_kit.untrusted import hdf5
from iodine_kit.untrusted.hdf5_heaps import read_texts

TRAVERSALS = "traversals.h5"
SCHEMA = "iodine-kit/traversals/1"


@dataclass(frozen=True)
class Traversals:
    """N scenes, D latent dimensions, V values of each.

    Attributes:
        slot: that was moved, ``uint8[N]``.
        image: of the scenes, ``uint8[N, H, W, 3]``.
        dimension: the D dimensions, most informative first, ``int64[D]``.
        value: what they were set to, ``float32[D, V]``.
        offset: the same in standard deviations from the dimension's mean, ``float32[V]``.
        component: the moved slot where its mask is, ``uint8[N, D, V, H, W, 3]``.
        blend: the whole scene, of the same shape.
    """

    keys: Sequence[str]
    slot: Bytes
    image: Bytes
    dimension: NDArray[np.int64]
    value: Floats
    offset: Floats
    component: Bytes
    blend: Bytes


_COLUMNS = tuple(field.name for field in fields(Traversals) if field.name != "keys")


def write_traversals(directory: Path, traversals: Traversals) -> None:
    """Write ``traversals.h5`` into the directory of an artifact."""
    import h5py  # here, because every pipeline plans its traversals, and few read the file

    with hdf5.create_file(directory / TRAVERSALS) as file:
        file.attrs["schema"] = SCHEMA
        file.create_dataset("key", data=list(traversals.keys), dtype=h5py.string_dtype())
        for name in _COLUMNS:
            file.create_dataset(name, data=getattr(traversals, name))


def read_traversals(directory: Path) -> Traversals:
    """Read the file that :func:`write_traversals` wrote.

    Raises:
        CorruptDataError: it is damaged.
        StorageError: the system refuses to read it.
    """
    import h5py

    path = directory / TRAVERSALS
    with hdf5.reading(str(path)), h5py.File(path) as file:
        keys = read_texts(file["key"], path)
        return Traversals(keys, **{name: file[name][:] for name in _COLUMNS})
