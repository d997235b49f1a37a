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
        unit: "" | "nats" | "dB" | …; better: "higher" | "lower".
        interval: of the mean, (low, high), or ``None``.
        degenerate: number of scenes whose score a convention decided.
        group: what the metric is about: see :data:`GROUPS`.
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
    better: str = "higher"
    interval: tuple[float, float] | None = None
    degenerate: int = 0
    group: str = "Segmentation"


GROUPS = ("Segmentation", "Image", "Likelihood")


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
        objects: number of visible objects.
        others: what other runs predicted, (name, ``uint8[H, W]``, score by the first metric).
    """

    key: str
    scores: Mapping[str, float]
    image: Bytes
    true_mask: Bytes
    step_mask: Bytes
    soft_mask: Array | None = None
    component: Bytes | None = None
    reconstruction: Floats | None = None
    objects: int = 0
    others: Sequence[tuple[str, Bytes, float]] = ()


@dataclass(frozen=True)
class Traversal:
    """A slot of a scene, its most informative latent dimensions moved while all else stays.

    Attributes:
        key, slot: which.
        image: ``uint8[H, W, 3]``, the input.
        dimension: ``int64[D]``; offset: ``float32[V]``, in standard deviations of the dimension over object slots.
        component: ``uint8[D, V, H, W, 3]``, the slot alone; blend: ``uint8[D, V, H, W, 3]``, the whole image.
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
        slots, steps: K and T at test time, K ``None`` if unknown, T 0 for a model that does not refine; ``restarts``:
            inferences per scene, of which the best by ELBO was kept.
        metrics: by name, the most important first.
        scenes: to picture, in the data set's order.
        training: rows of the training log, whose columns :mod:`iodine_kit.reporting.curves` knows.
        training_facts: (label, value) pairs on how fast training went, and on what.
        total: scenes of the evaluation, of which ``scenes`` may be a part.
        model: whose predictions these are, where no run of the chain says it; "" otherwise.
        rules: (label, sentence) pairs: convention, resizing, how intervals were drawn.
        level: of the intervals, for example 0.95.
        groups, objects: breakdowns by scene and by object, as an evaluation's facts have them.
        worst, best: keys of scenes by the first metric.
        elbo: final ELBO per scene in nats, ``float64[total]``, or ``None``.
        comparison: facts of a comparison with other runs, or ``None``.
        probe: facts of a probe of the latents, or ``None``.
        traversals: of some slots.
        most_bytes: of the scenes' pictures; further scenes are left out.
        elbo_by_step: mean ELBO in nats per image after every decode, ``[T+1]``, or empty.
        lineage: from the data set to the evaluation.
        command: the shell command that makes this report again.
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
    groups: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    objects: Sequence[Mapping[str, Any]] = ()
    worst: Sequence[str] = ()
    best: Sequence[str] = ()
    elbo: Array | None = None
    comparison: Mapping[str, Any] | None = None
    probe: Mapping[str, Any] | None = None
    traversals: Sequence[Traversal] = ()
    most_bytes: int | None = None
