"""The content of a report, gathered once, so that sections only choose from it and draw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from iodine_kit.evaluation.facts import Better, ComparisonFacts, Ends, ModelFacts, ObjectFacts, SceneGroups
from iodine_kit.evaluation.probing.facts import ProbeFacts
from iodine_kit.records import Array, Bytes, Floats


@dataclass(frozen=True)
class MetricSummary:
    """A metric over the scenes of a split.

    Attributes:
        title, convention: of the metric plug-in.
        mean, std, median: over the ``n`` scenes where it is defined; NaN if there is none.
        undefined: number of scenes without a score, which are omitted.
        published: the value in the literature, for example ``"99.2 ± 0.4 %"``, or "".
        scores: ``float64[n + undefined]``, per scene, NaN where undefined.
        by_step: mean after every decode, ``float64[T+1]``, or empty.
        unit: "" | "nats" | "dB" | …; better: "higher" | "lower".
        interval: of the mean, (low, high), or ``None``.
        degenerate: number of scenes whose score a convention gives.
        group: one of :data:`GROUPS`, or a name of its own.
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
    unit: str = ""
    better: Better = "higher"
    interval: Ends | None = None
    degenerate: int = 0
    group: str = "Segmentation"


GROUPS = ("Segmentation", "Image", "Likelihood")


@dataclass(frozen=True)
class SceneView:
    """One scene of the report. Shapes are as in :mod:`iodine_kit.records`, without the batch axis.

    Attributes:
        key: of the scene.
        scores: by the metric's name.
        image: ``uint8[H, W, 3]``; true_mask ``uint8[H, W]``, or ``None`` for a scene without a mask.
        step_mask: ``uint8[T+1, H, W]``; the last is the prediction.
        soft_mask: ``float[K, H, W]`` or ``None``; component: ``uint8[K, H, W, 3]`` or ``None``.
        reconstruction: ``float32[H, W, 3]`` in [0, 1], not clipped, or ``None``.
        objects: number of visible objects; ``None`` if it is unknown.
        others: predictions of other runs as (name, ``uint8[H, W]``, score by the first metric).
        ignored: value of ``true_mask`` in the pixels to ignore; ``None`` if there are none.
    """

    key: str
    scores: Mapping[str, float]
    image: Bytes
    true_mask: Bytes | None
    step_mask: Bytes
    soft_mask: Array | None = None
    component: Bytes | None = None
    reconstruction: Floats | None = None
    objects: int | None = 0
    others: Sequence[tuple[str, Bytes, float]] = ()
    ignored: int | None = None

    @property
    def ignores(self) -> bool:
        """Whether the true mask has pixels to ignore."""
        return self.ignored is not None and bool(np.any(self.true_mask == self.ignored))


@dataclass(frozen=True)
class Traversal:
    """One slot of a scene with its most informative latent dimensions varied, one at a time.

    Attributes:
        key, slot: of the scene, and the index of the slot.
        image: ``uint8[H, W, 3]``, the input.
        dimension: ``int64[D]``; offset: ``float32[V]``, in standard deviations of the dimension over object slots.
        component: ``uint8[D, V, H, W, 3]``, the slot alone; blend: ``uint8[D, V, H, W, 3]``, the whole scene.
    """

    key: str
    slot: int
    image: Bytes
    dimension: Array
    offset: Floats
    component: Bytes
    blend: Bytes


@dataclass(frozen=True)
class LineageItem:
    """One artifact of the lineage.

    Attributes:
        role: dataset, run, predictions or evaluation.
        directory: ``kind/name-key12``; key: all 64 digits.
        facts: (label, value) pairs to show.
        files: (path, bytes, sha256); sources: (name, bytes, sha256) of files from outside the store.
        config: values by dotted name.
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
    """The content of the report.

    Attributes:
        title, summary: heading and one paragraph of plain text.
        dataset, split, resolution: what was evaluated; resolution as (height, width).
        slots, steps: K and T at test time; K is ``None`` if unknown, T is 0 for a model that does not refine.
        restarts: inferences per scene, of which the one with the lowest loss was kept.
        metrics: by name, the most important first.
        scenes: to show, in the order of the data set.
        training: rows of the training log, with the columns of :mod:`iodine_kit.reporting.curves`.
        training_facts: (label, value) pairs on the speed of training and the device.
        total: number of scenes of the evaluation; ``scenes`` may be fewer.
        model: the name of the model if the lineage has no run, else "".
        rules: (label, sentence) pairs: true masks if something is to say, resizing, method of the intervals.
        level: of the intervals, for example 0.95.
        groups, objects: metrics of groups of scenes, and objects by size, if they are known.
        worst, best: keys of the scenes with the lowest and the highest scores by the first metric.
        elbo: final ELBO of each scene in nats, ``float64[total]``, or ``None``.
        comparison: facts of a comparison with other evaluations, or ``None``.
        evaluations: names of all evaluations that are compared; everything but the comparison shows the first one.
            Empty for a single evaluation.
        seeds: means over seeds of the model of the first evaluation; ``None`` if it has one seed.
        probe: facts of a probe of the latents, or ``None``.
        traversals: of some slots.
        most_bytes: limit on the size of the scenes' pictures; scenes beyond it are omitted. ``None`` for no limit.
        elbo_by_step: mean ELBO in nats per image after every decode, ``[T+1]``, or empty.
        lineage: from the data set to the evaluation.
        command: the shell command that reproduces the report.
    """

    title: str
    summary: str
    dataset: str
    split: str
    resolution: tuple[int, int]
    slots: int | None
    steps: int
    metrics: Mapping[str, MetricSummary]
    scenes: Sequence[SceneView]
    training: Sequence[Mapping[str, Any]]
    elbo_by_step: Sequence[float]
    lineage: Sequence[LineageItem]
    command: str
    restarts: int = 1
    training_facts: Sequence[tuple[str, str]] = ()
    total: int = 0
    model: str = ""
    rules: Sequence[tuple[str, str]] = ()
    level: float = 0.95
    groups: SceneGroups | None = None
    objects: ObjectFacts | None = None
    worst: Sequence[str] = ()
    best: Sequence[str] = ()
    elbo: Array | None = None
    comparison: ComparisonFacts | None = None
    evaluations: Sequence[str] = ()
    seeds: ModelFacts | None = None
    probe: ProbeFacts | None = None
    traversals: Sequence[Traversal] = ()
    most_bytes: int | None = None
