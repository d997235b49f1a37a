"""Images that occur more than once: within a split they count twice, across splits they leak test data."""

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
"""A split, and the index of a scene in it."""


class Fingerprints:
    """A hash of 16 bytes of every image of a split."""

    def __init__(self) -> None:
        self._digests = bytearray()

    def add(self, image: Bytes) -> None:
        """Add ``uint8[H, W, 3]``."""
        self._digests += hashlib.blake2b(image.tobytes(), digest_size=_DIGEST).digest()

    def array(self) -> NDArray[np.bytes_]:
        """All hashes, ``S16[n]``."""
        return np.ndarray(len(self._digests) // _DIGEST, f"S{_DIGEST}", bytes(self._digests))


@dataclass(frozen=True)
class Duplicates:
    """Images that are equal in every pixel.

    Attributes:
        distinct: number of different images in the whole data set.
        repeats: by split, the number of scenes whose image also belongs to an earlier scene of the split.
        shared: by split and other split, the number of scenes of the first whose image occurs in the second.
        leaking: number of different images that occur in more than one split.
        examples: pairs of scenes with the same image, first occurrence first; pairs across splits come first. At most
            ``MOST_EXAMPLES``.
    """

    distinct: int
    repeats: Mapping[str, int]
    shared: Mapping[str, Mapping[str, int]]
    leaking: int
    examples: tuple[tuple[Place, Place], ...]


def find_duplicates(splits: Mapping[str, Fingerprints]) -> Duplicates:
    """Compare all images of all splits with each other."""
    ids = _image_ids(splits)
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


def _image_ids(splits: Mapping[str, Fingerprints]) -> dict[str, Ids]:
    """By split, a number for every image: equal images have the same number; numbers start at 0 and have no gaps."""
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
