"""Metrics: each module of this folder is one metric, and defines what :class:`MetricPlugin` requires."""

from __future__ import annotations

from typing import Literal, Protocol

from iodine_kit.metrics._comparison import Comparison, checked_ignored, checked_masks, hungarian
from iodine_kit.metrics._contingency import adjusted_rand_index
from iodine_kit.metrics._conventions import (
    DEGENERATE,
    IGNORED,
    RECOVERY_IOU,
    Convention,
    MetricOptions,
    Scores,
    needs_masks,
)
from iodine_kit.registry import Registry

__all__ = [
    "DEGENERATE", "METRICS", "RECOVERY_IOU", "Comparison", "Convention", "MetricOptions", "MetricPlugin", "Scores",
    "adjusted_rand_index", "checked_ignored", "checked_masks", "describe", "hungarian", "needs_masks",
]  # fmt: skip


class MetricPlugin(Protocol):
    """What a metric defines. Scores are per scene; their mean is over the scenes that have one.

    A metric of masks that uses only the properties of :class:`Comparison` omits pixels to ignore. If another sentence
    must explain them than :data:`IGNORED`, the metric may define it as ``IGNORED``. Call :meth:`Comparison.scores`
    instead of ``score``: it knows in which scenes these pixels make every metric of masks undefined.
    """

    VERSION: int
    """Raised whenever the same masks would get another score."""

    TITLE: str
    """Name of the metric in tables."""

    CONVENTION: str
    """Exactly what is computed, degenerate scenes included; :func:`describe` fills in the options."""

    NEEDS: str | None
    """Field of :class:`iodine_kit.records.PredictionBatch` that it needs beside the masks; ``None`` for masks alone.

    It decides whether the metric needs true masks: see :func:`needs_masks`.
    """

    UNIT: str
    """Unit of the score, such as ``"dB"``; ``""`` if it has none."""

    BETTER: Literal["higher", "lower"]
    """Whether higher or lower scores are better."""

    BY_STEP: bool
    """Whether it is also scored after every decode: only for cheap metrics of masks alone."""

    def score(self, comparison: Comparison) -> Scores:
        """Return the score of every scene of a comparison."""


def describe(plugin: MetricPlugin, options: MetricOptions, *, ignores: bool = False) -> str:
    """Return ``CONVENTION`` with ``{degenerate}`` and ``{tolerance}`` replaced by the chosen options.

    Args:
        ignores: whether the scenes may have pixels to ignore; then a sentence on them follows.
    """
    sentence = plugin.CONVENTION.replace("{degenerate}", DEGENERATE[options.convention])
    sentence = sentence.replace("{tolerance}", f"{100 * options.tolerance:g} %")
    more = getattr(plugin, "IGNORED", IGNORED if needs_masks(plugin) else "") if ignores else ""
    return f"{sentence} {more}" if more else sentence


class _Metrics(Registry[MetricPlugin]):
    """The metrics. Users know them by their titles in tables, too, which differ from the names."""

    def titles(self) -> dict[str, str]:
        """Title of every built-in metric by name."""
        return {name: self.load(name).TITLE for name in self.built_in()}

    def suggest(self, name: str) -> str:
        """As :meth:`Registry.suggest`; a title suggests its metric."""
        titled = next((one for one, title in self.titles().items() if title.lower() == name.lower()), None)
        return super().suggest(name) if titled is None else f"; did you mean '{titled}'?"


METRICS = _Metrics("metric", "iodine_kit.metrics", MetricPlugin)
