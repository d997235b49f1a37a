"""A split of a prepared data set, as a sequence of scenes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from iodine_kit.api.arguments import Place, argument, find
from iodine_kit.api.scenes import SHOWN, SceneBatch, picture_html
from iodine_kit.artifacts.dataset import check_split, dataset_info, has_masks, open_split
from iodine_kit.formats import Reader
from iodine_kit.records import DatasetInfo, Scene
from iodine_kit.store import Artifact


class Dataset:
    """A split of a prepared data set; see :func:`load_dataset`.

    It is a map-style data set of PyTorch, also for several worker processes:
    ``DataLoader(data, batch_size=32, shuffle=True, collate_fn=ik.SceneBatch.of, num_workers=2)``.

    Its files are open from the first access to a scene until :meth:`close`, or until the end of a ``with`` block.

    Attributes:
        artifact: the data set in its store; ``artifact.path`` is its directory.
        split: name of the split.
        info: what is true of every scene: height, width, number of entities, background, licence …
        has_masks: whether the scenes have true masks; without them, every mask is 0 and means nothing.
    """

    def __init__(self, artifact: Artifact, split: str) -> None:
        with argument("split"):
            self._length = check_split(artifact, split)
        self.artifact, self.split = artifact, split
        self.info: DatasetInfo = dataset_info(artifact)
        self.has_masks = has_masks(artifact, split)
        self._opened: tuple[int, Reader] | None = None

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Scene]:
        return (self[index] for index in range(len(self)))

    @overload
    def __getitem__(self, index: int) -> Scene: ...
    @overload
    def __getitem__(self, index: slice) -> SceneBatch: ...
    def __getitem__(self, index: int | slice) -> Scene | SceneBatch:
        """Return a scene with its factors; for a slice such as ``data[:8]`` a batch, which has no factors."""
        if isinstance(index, slice):
            return self.batch(range(len(self))[index])
        scene = self._reader.scene(self._positions([index])[0])
        return scene if self.info.ignored is None else replace(scene, ignored=True)

    def batch(self, indices: Sequence[int] | NDArray[Any]) -> SceneBatch:
        """Return the images and masks of some scenes, in the order of ``indices``; -1 is the last scene.

        Raises:
            IndexError: if an index is outside of the split; the message names it.
            ValueError: if ``indices`` is no sequence of integers.
        """
        scenes = self._reader.batch(self._positions(indices))
        info, masked = self.info, scenes.has_masks
        return SceneBatch(scenes.keys, scenes.image, scenes.mask, info.background, info.ignored, has_masks=masked)

    def batches(self, size: int) -> Iterator[SceneBatch]:
        """Return all scenes once, in order, ``size`` at a time; the last batch may be smaller.

        Raises:
            ValueError: if ``size`` is below 1.
        """
        if size < 1:
            raise ValueError(f"size: it must be at least 1 (given: {size})")
        return (self[start : start + size] for start in range(0, len(self), size))

    def keys(self) -> list[str]:
        """Return the names of all scenes, in order."""
        return self._reader.keys()

    def close(self) -> None:
        """Close the files. They are opened again when a scene is read."""
        if self._opened is not None and self._opened[0] == os.getpid():
            self._opened[1].close()
        self._opened = None

    def __enter__(self) -> Dataset:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _positions(self, indices: Sequence[int] | NDArray[Any]) -> NDArray[np.int64]:
        """The indices, counted from the start of the split."""
        given = np.asarray(indices)
        if given.ndim != 1 or (given.size and given.dtype.kind not in "iu"):
            raise ValueError(f"indices: pass a sequence of integers (given: {given.ndim} axes of {given.dtype})")
        places = given.astype(np.int64)
        outside = places[(places < -len(self)) | (places >= len(self))]
        if outside.size:
            raise IndexError(f"indices: there is no scene {outside[0]}: split '{self.split}' has {len(self)} scenes")
        return np.where(places < 0, places + len(self), places)

    @property
    def _reader(self) -> Reader:
        """The open files. A process that was forked must not share the position in a file, so it opens its own."""
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = (os.getpid(), open_split(self.artifact, self.split))
        return self._opened[1]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None}

    def __repr__(self) -> str:
        info = self.info
        size = f"{info.height}×{info.width} pixels{'' if self.has_masks else ', no masks'}"
        return f"Dataset {info.dataset}, split '{self.split}': {len(self)} scenes, {size}"

    def _repr_html_(self) -> str:
        return picture_html(self[:SHOWN], repr(self), len(self))


def load_dataset(dataset: Place, split: str = "test", *, store: str | Path | None = None) -> Dataset:
    """Open a split of a prepared data set.

    Args:
        dataset: an artifact; the path of its directory; or, in ``store``, its ``name-key``, the first letters of its
            key, or a name such as ``"tetrominoes"``, which means the most recent data set of that name.
        split: such as ``train``, ``val`` or ``test``.
        store: directory of all artifacts. Defaults to ``IODINE_KIT_STORE``, or else ``data``.

    Raises:
        ValueError: if there is no such data set or split; the message names the argument.
        ArtifactCorruptError: if files of the data set were changed.

    >>> import iodine_kit as ik
    >>> artifact = ik.prepare("tetrominoes", generate=6, split={"train": 4, "test": 2})
    >>> data = ik.load_dataset("tetrominoes", split="train")
    >>> data
    Dataset tetrominoes, split 'train': 4 scenes, 35×35 pixels
    >>> data[0].key, data[0].image.shape, data[0].factors["color"].shape
    ('train-00000000', (35, 35, 3), (4, 3))
    >>> [len(batch) for batch in data.batches(3)]
    [3, 1]
    """
    return Dataset(find("dataset", dataset, "dataset", store), split)
