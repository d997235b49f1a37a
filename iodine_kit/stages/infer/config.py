"""The ``[infer]`` table."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from iodine_kit.config import Config
from iodine_kit.inference import ALL_FIELDS, StoredField

Positive = Annotated[int, Field(ge=1)]


class InferConfig(Config):
    """What to infer.

    Attributes:
        split: split of the data set to segment.
        scenes: number of scenes, from the start of the split. Defaults to all.
        slots: K, number of slots. Defaults to that of training.
        steps: T, number of refinement steps. Defaults to that of training.
        restarts: independent inferences per scene. The one with the lowest final loss is kept: NLL + β·KL, with the β
            of the model (for β = 1, the highest ELBO). The posterior has several modes (section 4.4 of the paper), and
            refinement can end in a poor one. No true masks are used.
        store: fields to store beside the hard masks.
        batch_size: images per batch. It is part of the key, because it decides which noise a scene gets.
        seed: seed of the posterior samples.
    """

    split: str = "test"
    scenes: Positive | None = None
    slots: Annotated[int, Field(ge=1, le=255)] | None = None
    steps: Annotated[int, Field(ge=0)] | None = None
    restarts: Annotated[int, Field(ge=1, le=100)] = 1
    store: tuple[StoredField, ...] = ALL_FIELDS
    batch_size: Positive = 32
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0


class InferExecution(Config):
    """How inference is executed; not part of the key.

    Attributes:
        device: ``auto`` (a GPU if there is one), ``cpu``, ``cuda``, ``cuda:1``, … Of several workers or ranks on a
            machine, ``auto`` and ``cuda`` give each its own GPU.
        threads: CPU threads of each process; 0 means PyTorch's default, or an equal share of the cores for each of
            several workers. Another number of threads can change a result by rounding.
    """

    device: str = "auto"
    threads: Annotated[int, Field(ge=0)] = 0
