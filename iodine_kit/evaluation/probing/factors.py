"""What is predicted: each factor as a number or a class; a constant factor is not predicted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from iodine_kit.records import Array

Kind = Literal["number", "class"]
FEW = 16
"""Whole numbers and vectors with at most so many different values are classes."""
ANGLE = "orientation"
"""A factor of this name is an angle; the release predicts it as one too."""
MANY = 4
"""Least number of objects per value of such a class, on average: among few objects, every factor has few values."""
CONVENTION = (
    f"A factor is a class if the data set names its values, or if it is a whole number or truth value by type, or a "
    f"vector, with at most {FEW} different values that have {MANY} objects each on average or more; else it is a "
    f"number, and a vector one number for each component; {ANGLE}, in radians, is its cosine and its sine, so that "
    "there is no jump where a turn is complete (a sprite that looks the same after less than a turn still has one)"
)


@dataclass(frozen=True, eq=False)
class Factor:
    """One thing to predict of each of M objects.

    Attributes:
        name: of the data set; components of vectors have an index, as in ``color[0]``.
        kind: a number is scored by R², a class by accuracy.
        values: ``float64[M]`` of a number; ``int64[M]`` of a class, its index among those that occur.
        classes: how many classes occur; 0 for a number.
    """

    name: str
    kind: Kind
    values: NDArray[np.float64] | NDArray[np.int64]
    classes: int = 0


def factors_of(columns: Mapping[str, Array], named: Mapping[str, Sequence[str]]) -> tuple[list[Factor], dict[str, str]]:
    """Everything that can be predicted, and by name why a factor cannot.

    Args:
        columns: ``[M, …]`` by name, of visible objects.
        named: names of the values of categorical factors, by factor.
    """
    predicted: list[Factor] = []
    left_out: dict[str, str] = {}
    for name, values in sorted(columns.items()):
        reason = _reason(values)
        if reason:
            left_out[name] = reason
            continue
        for factor in _split(name, values, name in named):
            if _constant(factor.values):
                left_out[factor.name] = "it has the same value for all objects"
            else:
                predicted.append(factor)
    return predicted, left_out


def _reason(values: Array) -> str:
    if values.dtype.kind not in "biuf":
        return "its values are no numbers"
    return "" if np.isfinite(values.astype(np.float64)).all() else "some of its values are not finite"


def _split(name: str, values: Array, named: bool) -> list[Factor]:
    rows = values.reshape(len(values), -1)
    ids, different = _distinct(rows)
    vector = rows.shape[1] > 1
    whole = values.dtype.kind in "biu"
    few = different <= min(FEW, len(values) // MANY)
    if (named and not vector) or ((vector or whole) and few):
        return [Factor(name, "class", ids, different)]
    numbers = rows.astype(np.float64)
    if name == ANGLE and not vector:
        angle = numbers[:, 0]
        return [Factor(f"{name}[cos]", "number", np.cos(angle)), Factor(f"{name}[sin]", "number", np.sin(angle))]
    names = [f"{name}[{place}]" for place in range(rows.shape[1])] if vector else [name]
    return [Factor(each, "number", column) for each, column in zip(names, numbers.T, strict=True)]


def _distinct(rows: Array) -> tuple[NDArray[np.int64], int]:
    different, ids = np.unique(rows, axis=0, return_inverse=True)
    return ids.reshape(-1).astype(np.int64), len(different)


def _constant(values: Array) -> bool:
    """Up to rounding: a standard deviation far below the values counts as zero."""
    return bool(np.std(values) <= 1e-9 * max(1.0, float(np.abs(values).max(initial=0))))
