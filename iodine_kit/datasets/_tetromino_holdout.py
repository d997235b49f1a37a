"""Combinations of shape and colour that are held out from training, to test generalisation to new combinations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from iodine_kit.config import Config
from iodine_kit.datasets._tetromino_shapes import COLOURS
from iodine_kit.records import Array

ColourName = Literal["blue", "green", "cyan", "red", "magenta", "yellow"]
NAMES: tuple[ColourName, ...] = ("blue", "green", "cyan", "red", "magenta", "yellow")
"""Names of :data:`COLOURS`, in their order."""


class Holdout(Config):
    """Holds out every combination of a shape in ``shape`` and a colour in ``color``.

    Attributes:
        shape: ids of the held-out shapes, 1 to 19, as in the factor ``shape``.
        color: names of the held-out colours.
        splits: splits in which every scene has at least one held-out piece; the scenes of all other splits have none.
            The keys of generated scenes begin with the name of the split.
    """

    shape: Annotated[tuple[Annotated[int, Field(ge=1, le=19)], ...], Field(min_length=1)]
    color: Annotated[tuple[ColourName, ...], Field(min_length=1)]
    splits: tuple[str, ...] = ("test",)

    @model_validator(mode="after")
    def _leave_enough(self) -> Holdout:
        """Scenes without held-out pieces are found by rejection sampling, so most samples must be accepted."""
        share = len(set(self.shape)) / 19 * len(set(self.color)) / len(NAMES)
        if share > 0.5:
            raise ValueError(f"holds out {100 * share:.0f} % of all combinations: hold out at most half of them")
        return self


def held_out(holdout: Holdout, shape: Array, colour: Array) -> Array:
    """Which pieces are held out, ``bool[n]``, by shape id and index into :data:`COLOURS`, ``int[n]`` each."""
    names = [NAMES.index(name) for name in holdout.color]
    result: Array = np.isin(shape, holdout.shape) & np.isin(colour, names)
    return result


def held_out_rows(holdout: Holdout, factors: Mapping[str, Array]) -> Array:
    """Which rows of a stored scene are held-out pieces, ``bool[N]``; false for the row of the background."""
    palette = np.array(COLOURS)
    same = (np.asarray(factors["color"])[:, None] == palette[None]).all(-1)
    return held_out(holdout, np.asarray(factors["shape"]), np.where(same.any(1), same.argmax(1), -1))


def related_rows(holdout: Holdout, factors: Mapping[str, Array]) -> tuple[Array, Array]:
    """Which rows of a stored scene have a held-out shape, and which a held-out colour, ``bool[N]`` each."""
    palette = np.array([COLOURS[NAMES.index(name)] for name in holdout.color])
    colour: Array = (np.asarray(factors["color"])[:, None] == palette[None]).all(-1).any(-1)
    return np.isin(factors["shape"], holdout.shape), colour


def obeys(holdout: Holdout, shape: Array, colour: Array, key: str) -> bool:
    """Whether a scene with these pieces is allowed in its split; ``key`` starts with its name: ``"test-00000007"``."""
    return bool(held_out(holdout, shape, colour).any()) == (key.rpartition("-")[0] in holdout.splits)
