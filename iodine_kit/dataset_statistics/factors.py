"""The factors of visible objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from iodine_kit.dataset_statistics.binned import Binned
from iodine_kit.dataset_statistics.distribution import Distribution
from iodine_kit.records import Array, Scene

VISIBILITY = "visibility"
UNNAMED = "(no name)"
"""What values are called that are no class's number."""


@dataclass(frozen=True)
class Factor:
    """A factor over visible objects, either by class or as numbers.

    Attributes:
        classes: objects by class, those that never occur too; empty if the factor is a number.
        components: one of a single number, several of a vector.
    """

    classes: Mapping[str, int]
    components: tuple[Distribution, ...] = ()


class FactorCounts:
    """Counts the factors of one scene after the other."""

    def __init__(self, classes: Mapping[str, Sequence[str]]) -> None:
        """``classes`` names the values of categorical factors."""
        self._names = classes
        self._categories: dict[str, NDArray[np.int64]] = {}
        self._numbers: dict[str, list[Binned]] = {}

    def add(self, scene: Scene, visible: NDArray[np.bool_]) -> None:
        """Count objects that are ``visible bool[N]``; what has no row for each entity is no object's factor."""
        for name, values in scene.factors.items():
            if name == VISIBILITY or values.ndim < 1 or len(values) != len(visible):
                continue
            if name in self._names and values.ndim == 1:
                self._add_classes(name, values[visible])
            else:
                self._add_numbers(name, values.reshape(len(values), -1)[visible])

    def merge(self, other: FactorCounts) -> None:
        """Count in what another one counted."""
        for name, counts in other._categories.items():
            self._categories[name] = self._categories.get(name, 0) + counts
        for name, columns in other._numbers.items():
            for mine, theirs in zip(self._columns(name, len(columns)), columns, strict=True):
                mine.merge(theirs)

    def factors(self) -> dict[str, Factor]:
        """All of them by name."""
        by_class = {name: Factor(self._named(name, counts)) for name, counts in self._categories.items()}
        numbers = {
            name: Factor({}, tuple(column.distribution() for column in columns))
            for name, columns in self._numbers.items()
        }
        return dict(sorted((by_class | numbers).items()))

    def _add_classes(self, name: str, values: Array) -> None:
        """The last count is of values that are no class's number."""
        known = len(self._names[name])
        numbers = np.asarray(values, np.float64)
        fits = (numbers % 1 == 0) & (numbers >= 0) & (numbers < known)
        ids = np.where(fits, numbers, known).astype(np.int64)
        self._categories[name] = self._categories.get(name, 0) + np.bincount(ids, minlength=known + 1)

    def _add_numbers(self, name: str, rows: Array) -> None:
        for column, values in zip(self._columns(name, rows.shape[1]), rows.T, strict=True):
            column.add(values)

    def _columns(self, name: str, count: int) -> list[Binned]:
        return self._numbers.setdefault(name, [Binned() for _ in range(count)])

    def _named(self, name: str, counts: NDArray[np.int64]) -> dict[str, int]:
        """Classes by name; 0, which stands for no object, only if an object has it all the same."""
        names = (*self._names[name], UNNAMED)
        pairs = zip(names, counts.tolist(), strict=True)
        first, *rest, unnamed = pairs
        return dict([first] * bool(first[1]) + rest + [unnamed] * bool(unnamed[1]))
