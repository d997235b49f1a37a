"""A demonstration context: tetrominoes, with predictions that start as noise and end close to the true masks."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from iodine_kit.datasets import tetrominoes
from iodine_kit.records import Scene
from iodine_kit.reporting.context import LineageItem, MetricSummary, ReportContext, SceneView

SLOTS, STEPS = 4, 5


def view(scene: Scene, rng: np.random.Generator, slots: int = SLOTS, steps: int = STEPS) -> SceneView:
    """A scene with predictions of shuffled slots; noise falls with every step."""
    order = rng.permutation(slots)
    truth = order[scene.mask % slots]
    onehot = np.eye(slots)[truth]
    noise = rng.normal(size=(steps + 1, *truth.shape, slots)) * rng.choice([0.5, 1, 1, 2, 3])
    certainty, doubt = np.linspace(0, 4, steps + 1), np.linspace(2, 0.5, steps + 1)
    logits = onehot * certainty[:, None, None, None] + noise * doubt[:, None, None, None]
    soft = np.exp(logits[-1] - logits[-1].max(-1, keepdims=True))
    soft = np.moveaxis(soft / soft.sum(-1, keepdims=True), -1, 0)
    image = scene.image / 255
    component = np.stack([(image * 255 * 0.95 + rng.uniform(0, 6)).astype(np.uint8) for _ in range(slots)])
    blurred = (image + np.roll(image, 1, 0) + np.roll(image, -1, 0) + np.roll(image, 1, 1) + np.roll(image, -1, 1)) / 5
    reconstruction = (0.8 * image + 0.2 * blurred + rng.normal(scale=0.01, size=image.shape)).astype(np.float32)
    score = adjusted_rand_score(scene.mask[scene.mask > 0], logits[-1].argmax(-1)[scene.mask > 0])
    return SceneView(
        key=scene.key,
        scores={"ari": float(score), "mse": float(((reconstruction - image) ** 2).mean())},
        image=scene.image,
        true_mask=scene.mask,
        step_mask=logits.argmax(-1).astype(np.uint8),
        soft_mask=soft.astype(np.float16),
        component=component,
        reconstruction=reconstruction,
    )


def training_log(rows: int, rng: np.random.Generator) -> list[dict[str, float]]:
    """A log whose loss falls and flattens, negative at last, with a spike in the gradient norm."""
    log = []
    for step in range(0, rows * 50, 50):
        nll = 9000 * math.exp(-step / 6000) - 2400 + rng.normal(scale=120)
        kl = 60 * (1 - math.exp(-step / 3000)) + rng.normal(scale=2)
        norm = 40 * math.exp(-step / 4000) + abs(rng.normal(scale=3)) + (900 if step == 25 * 50 else 0)
        log.append({"step": float(step), "loss": nll + kl, "nll": nll, "kl": kl, "grad_norm": norm})
    return log


def lineage() -> list[LineageItem]:
    """The whole chain, with made-up digests."""
    digest = [f"{i:x}" * 64 for i in range(1, 9)]
    return [
        LineageItem("dataset", "dataset/tetrominoes-111111111111", digest[0],
                    [("scenes", "60,000 train, 320 test"), ("format", "webdataset")],
                    [("train-000000.tar", 52_428_800, digest[1]), ("test-000000.tar", 1_228_800, digest[2])],
                    sources=[("tetrominoes_train.tfrecords", 301_989_888, digest[3])],
                    config={"dataset.name": "tetrominoes", "dataset.cell": 5, "split.train": 60000}),
        LineageItem("run", "run/tetrominoes-555555555555", digest[4],
                    [("steps", "50,000"), ("device", "cpu"), ("parameters", "72,340")],
                    [("model.safetensors", 290_112, digest[5])],
                    config={"model.slots": 4, "model.steps": 5, "train.learning_rate": 0.0003, "train.amp": None}),
        LineageItem("predictions", "predictions/tetrominoes-777777777777", digest[6], [("scenes", "320")],
                    [("predictions.npz", 9_830_400, digest[6])]),
        LineageItem("evaluation", "evaluation/tetrominoes-888888888888", digest[7], [("metrics", "ari, ari-all, mse")],
                    [("scores.csv", 20_480, digest[7])]),
    ]  # fmt: skip


def demo_context(scenes: int = 16, cell: int = 2, slots: int = SLOTS, seed: int = 0) -> ReportContext:
    """The context of a finished evaluation."""
    rng = np.random.default_rng(seed)
    views = [
        view(tetrominoes.generate(tetrominoes.Config(cell=cell), rng, f"test-{i:06d}"), rng, slots)
        for i in range(scenes)
    ]
    scores = np.append(1 - rng.gamma(0.4, 0.04, 318).clip(0, 1.2), [np.nan, np.nan])
    defined = scores[:-2]
    error = rng.gamma(4, 0.0001, 320)
    return ReportContext(
        title="IODINE on Tetrominoes",
        summary="Foreground segmentation of the test split by a model that was trained without any labels.",
        dataset="tetrominoes", split="test", resolution=(7 * cell, 7 * cell), slots=slots, steps=STEPS,
        metrics={
            "ari": MetricSummary("FG-ARI", "Adjusted Rand index over the pixels whose true entity is not background; a "
                                 "scene without foreground pixels is undefined and omitted.", float(defined.mean()),
                                 float(defined.std()), float(np.median(defined)), 318, 2, scores, "99.2 ± 0.4 %",
                                 (0.21, 0.62, 0.871, 0.94, 0.969, float(defined.mean()))),
            "ari-all": MetricSummary("ARI (all pixels)", "Adjusted Rand index over all pixels, the background counted "
                                     "as one more entity.", 0.71, 0.08, 0.72, 320, 0, np.full(320, 0.71), "",
                                     (0.05, 0.33, 0.5, 0.62, 0.69, 0.71)),
            "mse": MetricSummary("MSE", "Squared difference between the mixture's mean image, not clipped, and the "
                                 "input, both in [0, 1].", float(error.mean()), float(error.std()),
                                 float(np.median(error)), 320, 0, error),
        },
        scenes=views,
        training=training_log(1000, rng),
        elbo_by_step=(-9100.0, -2100.0, 900.5, 1900.0, 2280.0, 2350.0),
        lineage=lineage(),
        command="iodine-kit report evaluation/tetrominoes-888888888888 --out report.html",
    )  # fmt: skip


@pytest.fixture(scope="session")
def context() -> ReportContext:
    """Sixteen scenes of 14×14 pixels and everything else a report can show."""
    return demo_context()


@pytest.fixture(scope="session")
def make_context() -> Callable[..., ReportContext]:
    """:func:`demo_context`, for other sizes."""
    return demo_context
