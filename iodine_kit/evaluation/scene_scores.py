"""Scores of scenes, as columns: of some scenes, such as a batch or a unit of work, and of all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from iodine_kit.records import Array, Floats64

Columns = dict[tuple[str, ...], Array]
"""Arrays by group and name, such as ``("values", "ari")``: a row per scene, or per object in the group ``table``."""


@dataclass(frozen=True, eq=False)
class SceneScores:
    """Scores of N scenes; its size does not depend on that of the images.

    Attributes:
        keys: of the scenes.
        objects, foreground: visible objects, and the number of their pixels, ``int64[N]``; ``None`` without masks.
        values: scores by metric, ``float64[N]``; NaN is undefined.
        degenerate: by metric, ``bool[N]``, where a convention decided.
        steps: scores after every decode of the metrics that are scored by step, ``float64[N, T+1]``.
        table: a row per visible object, by column: ``scene`` (its number), ``entity``, ``pixels``, ``slot`` (−1 for
            none), ``iou`` with that slot, and ``best_iou`` with any. No rows without masks.
        ignored: number of ignored pixels, ``int64[N]``; ``None`` where the data set has no such pixels.
    """

    keys: list[str]
    objects: NDArray[np.int64] | None
    foreground: NDArray[np.int64] | None
    values: dict[str, Floats64]
    degenerate: dict[str, NDArray[np.bool_]]
    steps: dict[str, Floats64]
    table: dict[str, Array]
    ignored: NDArray[np.int64] | None = None


def joined(parts: Sequence[Columns]) -> Columns:
    """The columns of all parts, one below the other."""
    return {name: np.concatenate([part[name] for part in parts]) for name in (parts[0] if parts else {})}


_NO_OBJECTS: dict[str, Array] = {
    **{name: np.zeros(0, np.int64) for name in ("scene", "entity", "pixels", "slot")},
    **{name: np.zeros(0) for name in ("iou", "best_iou")},
}


def gathered(keys: list[str], columns: Columns) -> SceneScores:
    """The scores of the scenes with these keys, from the columns of all of them."""

    def group(name: str) -> dict[str, Array]:
        return {names[1]: column for names, column in columns.items() if names[0] == name}

    return SceneScores(
        keys, columns.get(("objects",)), columns.get(("foreground",)), group("values"), group("degenerate"),
        group("steps"), group("table") or _NO_OBJECTS, columns.get(("ignored",)),
    )  # fmt: skip
