"""Images that occur twice: in a split they weigh double, across splits they leak."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from iodine_kit.records import Bytes

_DIGEST = 16
MOST_EXAMPLES = 10

Ids = NDArray[np.int64]
Place = tuple[str, int]
"""A split and a scene's index in it."""


class Fingerprints:
    """A hash of every image of a split: 16 bytes each is all that is kept."""

    def __init__(self) -> None:
        self._digests = bytearray()

    def add(self, image: Bytes) -> None:
        """Take in ``uint8[H, W, 3]``."""
        self._digests += hashlib.blake2b(image.tobytes(), digest_size=_DIGEST).digest()

    def array(self) -> NDArray[np.bytes_]:
        """All of them, ``S16[n]``."""
        return np.ndarray(len(self._digests) // _DIGEST, f"S{_DIGEST}", bytes(self._digests))


@dataclass(frozen=True)
class Duplicates:
    """Images that are equal in every pixel.

    Attributes:
        distinct: different images of the whole data set.
        repeats: by split, scenes whose image an earlier scene of the split has.
        shared: by split and other split, scenes of the former whose image occurs in the latter.
        leaking: distinct images that occur in more than one split.
        examples: the first few scenes whose image occurred before, each after the scene in which it occurred first;
            those across splits come first.
    """

    distinct: int
    repeats: Mapping[str, int]
    shared: Mapping[str, Mapping[str, int]]
    leaking: int
    examples: tuple[tuple[Place, Place], ...]


def find_duplicates(splits: Mapping[str, Fingerprints]) -> Duplicates:
    """Compare all images of all splits with each other."""
    ids = _numbered(splits)
    distinct = max((int(part.max()) + 1 for part in ids.values() if len(part)), default=0)
    present = {split: np.bincount(part, minlength=distinct) > 0 for split, part in ids.items()}
    return Duplicates(
        distinct=distinct,
        repeats={split: len(part) - int(present[split].sum()) for split, part in ids.items()},
        shared={
            split: {other: int(present[other][part].sum()) for other in ids if other != split}
            for split, part in ids.items()
        },
        leaking=_in_several(list(present.values()), distinct),
        examples=_examples(ids),
    )


def _in_several(present: Sequence[NDArray[np.bool_]], distinct: int) -> int:
    splits = np.zeros(distinct, np.int64)
    for one in present:
        splits += one
    return int(np.count_nonzero(splits > 1))


def _numbered(splits: Mapping[str, Fingerprints]) -> dict[str, Ids]:
    """Per split a number for every image, the same for equal ones, from 0 without gaps."""
    arrays = [prints.array() for prints in splits.values()]
    if not arrays:
        return {}
    joined = np.concatenate(arrays)
    ids = np.unique(joined, return_inverse=True)[1].astype(np.int64)
    ends = np.cumsum([len(array) for array in arrays])[:-1]
    return dict(zip(splits, np.split(ids, ends), strict=True))


def _examples(ids: Mapping[str, Ids]) -> tuple[tuple[Place, Place], ...]:
    if not ids:
        return ()
    joined = np.concatenate(list(ids.values()))
    first = np.unique(joined, return_index=True)[1][joined]
    again = np.flatnonzero(first != np.arange(len(joined)))
    starts = np.cumsum([0, *(len(part) for part in ids.values())])
    home = np.searchsorted(starts, np.arange(len(joined)), "right") - 1
    across = home[again] != home[first[again]]
    chosen = [*again[across][:MOST_EXAMPLES], *again[~across][:MOST_EXAMPLES]][:MOST_EXAMPLES]
    names = list(ids)

    def place(row: int) -> Place:
        return names[home[row]], int(row - starts[home[row]])

    return tuple((place(first[row]), place(row)) for row in chosen)
