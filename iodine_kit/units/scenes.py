"""Units of scenes: parts of an evaluation or a probe that several workers make, and that survive an interruption.

A unit is a range of scenes whose size depends on the images alone, so that a repeated command finds the same units
whatever its engine. The file of a unit holds arrays (npz, without pickles).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from iodine_kit.engines import IN_THIS_PROCESS, EngineConfig
from iodine_kit.errors import FINAL
from iodine_kit.records import Array
from iodine_kit.store import Artifact
from iodine_kit.units.files import pattern
from iodine_kit.untrusted.npy import PARSING

UNIT_PIXELS = 8 << 20
"""Pixels of the scenes of a unit: about a second of work, so that little is lost with it."""
MOST_SCENES = 4096


def unit_size(pixels: int, batch: int) -> int:
    """Number of scenes per unit, whole batches of ``batch`` scenes; ``pixels`` of one scene."""
    return batch * max(1, min(UNIT_PIXELS // pixels, MOST_SCENES) // batch)


def scenes_of(number: int, size: int, count: int) -> range:
    """The scenes of a unit, of ``count`` in all."""
    return range(number * size, min((number + 1) * size, count))


def number_of_units(size: int, count: int) -> int:
    """How many units ``count`` scenes have."""
    return -(-count // size)


def write_arrays(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write a unit; the names may contain ``/``."""
    with path.open("wb") as file:
        np.savez(file, **dict(arrays))  # type: ignore[arg-type]


def read_arrays(path: Path) -> dict[str, Array]:
    """Read a unit; its hash was checked when it was found."""
    with PARSING, np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def reachable(inputs: Mapping[str, Artifact], engine: EngineConfig) -> dict[str, Artifact]:
    """Inputs as the workers of an engine find them: other machines have other working directories."""
    if engine.name == IN_THIS_PROCESS.name:
        return dict(inputs)
    return {role: replace(artifact, path=artifact.path.absolute()) for role, artifact in inputs.items()}


@contextmanager
def keeping_units(directory: Path, stem: str) -> Iterator[None]:
    """Keep the finished units for the next run, unless it would end with the same error."""
    try:
        yield
    except FINAL:
        for path in directory.glob(pattern(stem)):
            path.unlink(missing_ok=True)
        raise
    except KeyboardInterrupt:
        if any(directory.glob(pattern(stem))):
            message = "finished units are kept; run the same command again to resume"
            raise KeyboardInterrupt(message) from None
        raise
