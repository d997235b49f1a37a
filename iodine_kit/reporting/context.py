"""Everything a report may show, gathered once, so that sections only choose and draw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from iodine_kit.records import Array, Bytes, Floats


@dataclass(frozen=True)
class MetricSummary:
    """A metric over the scenes of a split.

    Attributes:
        title, convention: as the metric states them.
        mean, std, median: over the ``n`` scenes where it is defined; NaN if there is none.
        undefined: number of scenes left out.
        published: what the literature reports, for example ``"99.2 ± 0.4 %"``; "" if nothing.
        scores: ``float64[n + undefined]``, per scene, NaN where undefined.
        by_step: mean after every decode, ``float64[T+1]``, or empty.
    """

    title: str
    convention: str
    mean: float
    std: float
    median: float
    n: int
    undefined: int
    scores: Array
    published: str = ""
    by_step: Sequence[float] = ()


@dataclass(frozen=True)
class SceneView:
    """One scene as the report shows it. Shapes as in :mod:`iodine_kit.records`, without the batch axis.

    Attributes:
        key: the scene's.
        scores: by metric name.
        image: ``uint8[H, W, 3]``; true_mask ``uint8[H, W]``.
        step_mask: ``uint8[T+1, H, W]``; the last is the prediction.
        soft_mask: ``float[K, H, W]`` or ``None``; component: ``uint8[K, H, W, 3]`` or ``None``.
        reconstruction: ``float32[H, W, 3]`` in [0, 1], not clipped, or ``None``.
    """

    key: str
    scores: Mapping[str, float]
    image: Bytes
    true_mask: Bytes
    step_mask: Bytes
    soft_mask: Array | None = None
    component: Bytes | None = None
    reconstruction: Floats | None = None


@dataclass(frozen=True)
class LineageItem:
    """One artifact of the chain that led here.

    Attributes:
        role: dataset, run, predictions or evaluation.
        directory: ``kind/name-key12``; key: all 64 digits.
        facts: (label, value) pairs worth telling.
        files: (path, bytes, sha256); sources: (name, bytes, sha256) of files from outside the store.
        config: dotted name → value.
    """

    role: str
    directory: str
    key: str
    facts: Sequence[tuple[str, str]]
    files: Sequence[tuple[str, int, str]]
    sources: Sequence[tuple[str, int, str]] = ()
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ReportContext:
    """The report's material.

    Attributes:
        title, summary: heading and one paragraph of plain text.
        dataset, split, resolution: what was evaluated; resolution as (height, width).
        slots, steps: K and T at test time; ``restarts``: inferences per scene, of which the best by ELBO was kept.
        metrics: by name, the most important first.
        scenes: to picture, in the data set's order.
        training: rows of the training log, whose columns :mod:`iodine_kit.reporting.curves` knows.
        training_facts: (label, value) pairs on how fast training went, and on what.
        elbo_by_step: mean ELBO in nats per image after every decode, ``[T+1]``, or empty.
        lineage: from the data set to the evaluation.
        command: the shell command that makes this report again.
    """

    title: str
    summary: str
    dataset: str
    split: str
    resolution: tuple[int, int]
    slots: int
    steps: int
    metrics: Mapping[str, MetricSummary]
    scenes: Sequence[SceneView]
    training: Sequence[Mapping[str, Any]]
    elbo_by_step: Sequence[float]
    lineage: Sequence[LineageItem]
    command: str
    restarts: int = 1
    training_facts: Sequence[tuple[str, str]] = ()
