"""Make predictions: units on an engine or on several ranks, and one file of them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from secrets import token_hex

from iodine_kit.artifacts.dataset import dataset_info, open_split
from iodine_kit.artifacts.trained_model import TrainedModel
from iodine_kit.errors import DivergedError, StorageError
from iodine_kit.predictions.assembly import PredictionAssembly
from iodine_kit.predictions.file import PREDICTIONS
from iodine_kit.runner import Context, FactValues
from iodine_kit.stages.infer.config import InferConfig, InferExecution
from iodine_kit.stages.infer.segment import Segmentation, batches_of_a_unit, close
from iodine_kit.store import Artifact
from iodine_kit.training.distributed import World
from iodine_kit.units import finished_units, make_unit, make_units

_STEM = "infer"
STATE = f"{_STEM}-*"
"""Pattern of the files of finished units, and of the file that counts the scenes in the predictions file."""


def make(
    config: InferConfig,
    execution: InferExecution,
    trained: TrainedModel,
    dataset: Artifact,
    context: Context,
    out: Path,
) -> FactValues:
    """Segment the scenes into ``out`` and return the facts of the predictions; on every rank of the context's world.

    An interruption keeps finished units for the next call, unless the error is one that the next call raises again.

    Raises:
        DivergedError: if the loss of a scene is not finite.
    """
    facts = config.model_dump(include={"scenes", "split", "slots", "steps", "restarts"})
    world, info = context.world, dataset_info(dataset)
    if world.first:
        facts |= trained.keep(out)
    place, device = out, execution.device
    if world.size > 1:
        place = _shared_directory(world, out)
        device = str(world.device_for(device, execution.threads, "infer.device"))
    work = Segmentation(
        trained.portable(place),
        replace(dataset, path=dataset.path.absolute()),
        config,
        device,
        execution.threads,
        batches_of_a_unit(config, info.height, info.width),
    )
    try:
        _fill(work, place, context)
    except DivergedError:
        for path in place.glob(STATE) if world.first else ():
            path.unlink()
        raise
    except KeyboardInterrupt:
        if not any(place.glob(STATE)):
            raise
        raise KeyboardInterrupt("finished scenes are kept; run the same command again to resume") from None
    finally:
        close()
    return facts


def _fill(work: Segmentation, directory: Path, context: Context) -> None:
    """Make all units, and append them to the predictions file in order, on the first rank."""
    stem, world = f"{_STEM}-{work.scenes}", context.world
    if not world.first:
        for _ in _rounds(work, directory, stem, 0, world):
            pass
        return
    reader = open_split(work.dataset, work.config.split)
    keys = reader.keys()[: work.config.scenes]
    reader.close()
    mark = directory / f"{stem}-scenes"
    assembly = PredictionAssembly(directory / PREDICTIONS, mark, keys, work.config.batch_size)
    with context.reporter.track("infer", len(keys), assembly.rows) as advance:
        if world.size > 1:
            for _ in _rounds(work, directory, stem, assembly.rows // work.scenes, world):
                finished = finished_units(directory, stem)
                while path := finished.get(assembly.rows // work.scenes):
                    advance(assembly.append(path))
        if assembly.rows < len(keys):
            left = range(assembly.rows // work.scenes, work.count)
            with closing(make_units(work, directory, stem, left, context.engine, context.reporter)) as paths:
                for path in paths:
                    advance(assembly.append(path))


def _rounds(work: Segmentation, directory: Path, stem: str, first: int, world: World) -> Iterator[None]:
    """Make the missing units from ``first`` on, in rounds in which every rank makes one; yields after every round.

    The ranks wait for each other, so that the loss of one ends all. A file that the first rank cannot see yet, as on
    some network file systems, is not made again unless it stays away until the end.
    """
    finished = finished_units(directory, stem) if world.first else {}
    missing = json.dumps([number for number in range(first, work.count) if number not in finished])
    numbers: list[int] = json.loads(world.share(missing.encode()))
    for start in range(0, len(numbers), world.size):
        for number in numbers[start + world.rank : start + world.rank + 1]:
            make_unit(work, directory, stem, number)
        world.barrier()
        yield


def _shared_directory(world: World, out: Path) -> Path:
    """The directory of the first rank, for all ranks.

    Raises:
        StorageError: if this rank cannot see it.
    """
    token = out.absolute() / f".seen-{token_hex(8)}.tmp"
    if world.first:
        token.touch()
    token = Path(os.fsdecode(world.share(os.fsencode(token))))
    if not token.exists():
        raise StorageError(
            f"rank {world.rank} cannot see {token.parent}: choose a store (--store) on a file system that all ranks "
            "share"
        )
    world.barrier()
    if world.first:
        token.unlink()
    return token.parent
