"""The unit of work of ``infer``: a few batches of a split, segmented by a model, in a predictions file of their own."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Hashable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

from iodine_kit.artifacts.dataset import open_split
from iodine_kit.artifacts.trained_model import PortableModel
from iodine_kit.engines.local import THREADS
from iodine_kit.formats import Reader
from iodine_kit.inference import InferenceOptions, check_finite, infer_batch, to_device, to_prediction
from iodine_kit.predictions.file import PredictionWriter
from iodine_kit.stages.infer.config import InferConfig
from iodine_kit.store import Artifact
from iodine_kit.units import KeptOpen

WORK_OF_A_UNIT = 1 << 23
"""Pixels × slots × decodes × inferences of a unit: some seconds to a minute on a CPU core."""
_OPENED: KeptOpen[Hashable, tuple[Any, Reader]] = KeptOpen(lambda opened: opened[1].close(), alone=True)
"""The model and the split; one unit at a time uses all cores, and the memory of a device has room for one."""


@dataclass(frozen=True)
class Segmentation:
    """Segments the scenes of a unit. Can be pickled; a unit depends on its number only, and not on who makes it.

    Attributes:
        model: loaded once per process.
        dataset: holds the split.
        config: with the number of scenes.
        device, threads: as in the table ``infer``; ``device`` may be one that only this process has.
        batches: number of batches of a unit.
    """

    model: PortableModel
    dataset: Artifact
    config: InferConfig
    device: str
    threads: int
    batches: int

    @property
    def scenes(self) -> int:
        """Number of scenes of a unit; the last unit can have fewer."""
        return self.batches * self.config.batch_size

    @property
    def count(self) -> int:
        """Number of units."""
        return ceil((self.config.scenes or 0) / self.scenes)

    def __call__(self, number: int, path: Path) -> None:
        """Make the unit of this number, from 0; the file gets its rows, in order.

        Raises:
            DivergedError: if the loss of a scene is not finite.
            StorageError: if the disk is too small for the scenes from the first of the unit to the last of all.
        """
        size, total = self.config.batch_size, self.config.scenes or 0
        options = InferenceOptions(self.config.seed, self.config.slots, self.config.steps, self.config.restarts)
        start = number * self.scenes
        stop = min(start + self.scenes, total)
        with (
            self._opened() as (model, reader),
            PredictionWriter(path, stop - start, room_for=total - start) as writer,
        ):
            for first in range(start, stop, size):
                batch = reader.batch(range(first, min(first + size, stop)))
                inference = infer_batch(model, batch.image, first // size, options)
                check_finite(batch.keys, inference)
                writer.append(to_prediction(batch.keys, inference, self.config.store))

    def _opened(self) -> AbstractContextManager[tuple[Any, Reader]]:
        """The model on its device, and the split; both stay open for the next unit in this process."""
        device, threads = own_device(self.device), self.threads or own_threads()
        key = (self.model, device, threads, self.dataset.path, self.dataset.reference.content, self.config.split)
        return _OPENED.use(
            key, lambda: (to_device(self.model.load(), device, threads), open_split(self.dataset, self.config.split))
        )


def batches_of_a_unit(config: InferConfig, height: int, width: int) -> int:
    """The number of batches of a unit for images of this size. It depends on nothing that is not part of the key."""
    decodes = (config.steps or 0) + 1
    scene = height * width * (config.slots or 1) * decodes * config.restarts
    return max(1, WORK_OF_A_UNIT // (scene * config.batch_size))


def close() -> None:
    """Free the model and close the split that this process keeps for its next unit."""
    _OPENED.close()


def own_device(name: str) -> str:
    """The device that a name means in this process; of several workers of this machine, each takes its own GPU.

    Engines for clusters set ``CUDA_VISIBLE_DEVICES``, so that every worker sees only its GPU.
    """
    if name not in ("auto", "cuda") or THREADS not in os.environ:
        return name
    import torch

    gpus = torch.cuda.device_count()
    number = multiprocessing.current_process().name.rpartition("-")[2]  # SpawnProcess-1, SpawnProcess-2, …
    return f"cuda:{(int(number) - 1) % gpus}" if gpus and number.isdecimal() else name


def own_threads() -> int:
    """The threads of this worker of several on this machine; 0, PyTorch's default, if they are set in another way.

    PyTorch reads the environment when it is imported, which a script may have done before the worker was prepared.
    """
    share = os.environ.get(THREADS, "")
    return int(share) if share and share == os.environ.get("OMP_NUM_THREADS") else 0
