"""Metrics: each module of this folder is one and offers what :class:`MetricPlugin` says."""

from __future__ import annotations

from typing import Literal, Protocol

from iodine_kit.metrics._comparison import Comparison, hungarian
from iodine_kit.metrics._contingency import adjusted_rand_index
from iodine_kit.metrics._conventions import DEGENERATE, RECOVERY_IOU, Convention, MetricOptions, Scores
from iodine_kit.registry import Registry

__all__ = [
    "DEGENERATE", "METRICS", "RECOVERY_IOU", "Comparison", "Convention", "MetricOptions", "MetricPlugin", "Scores",
    "adjusted_rand_index", "describe", "hungarian",
]  # fmt: skip


class MetricPlugin(Protocol):
    """What a module of this folder offers. Scores are per scene; their mean is over the scenes that have one."""

    VERSION: int
    """Raised whenever the same masks would get another score."""

    TITLE: str
    """Its name in tables."""

    CONVENTION: str
    """What was computed, leaving no question, degenerate scenes included; :func:`describe` fills the options in."""

    NEEDS: str | None
    """Field of :class:`iodine_kit.records.PredictionBatch` that must have been stored, beside the masks."""

    UNIT: str
    """Unit of the score, such as ``"dB"``; ``""`` if it has none."""

    BETTER: Literal["higher", "lower"]
    """Which scores are the better ones."""

    BY_STEP: bool
    """Whether it is cheap and of masks alone, so that it is scored after every decode too."""

    def score(self, comparison: Comparison) -> Scores:
        """Score every scene of a comparison."""


def describe(plugin: MetricPlugin, options: MetricOptions) -> str:
    """The convention in force: ``{degenerate}`` and ``{tolerance}`` of ``CONVENTION`` filled in."""
    sentence = plugin.CONVENTION.replace("{degenerate}", DEGENERATE[options.convention])
    return sentence.replace("{tolerance}", f"{100 * options.tolerance:g} %")


METRICS: Registry[MetricPlugin] = Registry("metric", "iodine_kit.metrics", MetricPlugin)
