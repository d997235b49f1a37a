"""Metrics: foreground ARI beside a loop over scikit-learn's, and the time and memory of all metrics together.

Scenes are drawn balls like CLEVR's, cropped to 128×128. Predictions are as a trained model's: outlines off by a pixel
or two, the background divided between three slots. ARI is measured with speckles in them, too, and with noise for both
masks. All metrics are scored in batches of 256, those of masks after each of six decodes as well; the scenes come again
and again. Set OMP_NUM_THREADS for more than a thread.
Results go to reports/benchmarks/ as JSON; tables.py makes the page there of them.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from _measure import cpu_seconds, in_turn, machine_facts, origin, parser, write_result
from _published import ALL
from tables import show

from iodine_kit.metrics import METRICS, Comparison, MetricPlugin, ari
from iodine_kit.preprocessing import PreprocessConfig, preprocess
from iodine_kit.records import Bytes, PredictionBatch, SceneBatch

RESULTS = Path(__file__).parents[1] / "reports" / "benchmarks"
SIZE, SLOTS, STEPS, BATCH, BACKGROUND = 128, 7, 5, 256, (0,)
_CROP = PreprocessConfig(crop="iodine", size=SIZE)
_SHARED = {"counting pixels": "table_BNK", "matching": "match_BN", "squared error": "squared_error_B"}


@dataclass(frozen=True)
class Pair:
    """Scenes and what was predicted for them."""

    truth: SceneBatch
    prediction: PredictionBatch

    def compare(self) -> Comparison:
        """Without anything worked out yet."""
        return Comparison(self.truth, self.prediction, BACKGROUND)


def main() -> None:
    """Measure, print and write down."""
    options = parser(__doc__, repetitions=7)
    options.add_argument(
        "--output", type=Path, default=RESULTS, help="folder of the JSON (default: reports/benchmarks)"
    )
    given = options.parse_args()
    few, many, repetitions = (16, 64, 1) if given.quick else (320, 10_000, given.repetitions)
    come_by, machine = origin(), machine_facts("cpu", int(os.environ["OMP_NUM_THREADS"]))
    shape = {
        **come_by, "size": SIZE, "batch": BATCH, "slots": SLOTS, "steps": STEPS,
        "ari": {name: beside_scikit_learn(pair, repetitions) for name, pair in kinds(draw(few, seed=0)).items()},
        "all": all_together(many, few),
    }  # fmt: skip
    result = {"program": "metrics", "machine": machine, "shapes": {str(SIZE): shape}}
    show(result)
    if not given.quick:
        print(write_result(given.output, result))


def draw(count: int, seed: int) -> Pair:
    """Scenes and predictions of which no two are alike."""
    rng = np.random.default_rng(seed)
    scenes = [preprocess(scene, _CROP) for scene in ALL[0].scenes(count)]
    image, mask = np.stack([scene.image for scene in scenes]), np.stack([scene.mask for scene in scenes])
    keys = tuple(scene.key for scene in scenes)
    steps = np.stack([np.stack([segment(one, rng) for _ in range(STEPS + 1)]) for one in mask])
    guess = (image / 255 + rng.normal(0, 0.03, image.shape)).astype(np.float32)
    nats = rng.normal(size=(count, STEPS + 1)).astype(np.float32)
    prediction = PredictionBatch(keys, steps[:, -1], steps, reconstruction=guess, elbo=nats, nll=nats, kl=nats)
    return Pair(SceneBatch(keys, image, mask), prediction)


def segment(mask: Bytes, rng: np.random.Generator) -> Bytes:
    """Slots that hold about one object each, of which three share the background."""
    slots = np.roll(mask, rng.integers(-2, 3, 2), (0, 1)) % SLOTS
    thirds = np.broadcast_to(np.arange(SIZE) * 3 // SIZE, mask.shape)
    return rng.permutation(SLOTS)[np.where(slots == 0, thirds, slots)].astype(np.uint8)


def kinds(pair: Pair) -> dict[str, Pair]:
    """The pair as it is, with one pixel in a hundred given to any slot, and with noise for masks."""
    rng = np.random.default_rng(2)
    noise, more = rng.integers(0, SLOTS, (2, *pair.truth.mask.shape), dtype=np.uint8)
    speckled = np.where(rng.random(noise.shape) < 0.01, noise, pair.prediction.mask)
    keys, image = pair.truth.keys, pair.truth.image
    return {
        "like a model's": pair,
        "speckled": Pair(pair.truth, PredictionBatch(keys, speckled)),
        "noise": Pair(SceneBatch(keys, image, more), PredictionBatch(keys, noise)),
    }


def beside_scikit_learn(pair: Pair, repetitions: int) -> dict[str, Any]:
    """CPU seconds of foreground ARI, ours and scikit-learn's scene by scene, in turn."""
    from sklearn.metrics import adjusted_rand_score

    def loop() -> list[float]:
        masks = zip(pair.truth.mask, pair.prediction.mask, strict=True)
        return [adjusted_rand_score(true[true > 0], slots[true > 0]) for true, slots in masks]

    def ours() -> Any:
        return ari.score(pair.compare()).values

    works: dict[str, Callable[[], float]] = {
        "iodine-kit": lambda: cpu_seconds(ours),
        "scikit-learn": lambda: cpu_seconds(loop),
    }
    difference = float(np.abs(ours() - np.array(loop())).max())
    return {"scenes": len(pair.truth), "cpu": in_turn(works, repetitions), "difference": difference}


def all_together(count: int, few: int) -> dict[str, Any]:
    """Seconds of all metrics over so many scenes, CPU seconds of every part, and memory after the first and last."""
    metrics = {name: METRICS.load(name) for name in METRICS.built_in()}
    pair = draw(min(2 * BATCH, few, count), seed=1)
    score_all(next(batches(pair, 1)).compare(), metrics)  # what loads late
    before, parts = peak(), dict.fromkeys([*_SHARED, *metrics, "decodes"], 0.0)
    wall, cpu, memory = perf_counter(), process_time(), []
    for batch in batches(pair, count):
        for part, seconds in score_all(batch.compare(), metrics).items():
            parts[part] += seconds
        memory.append(peak())
    wall, cpu = perf_counter() - wall, process_time() - cpu
    figures = {"scenes": count, "wall": wall, "cpu": cpu, "parts": parts}
    return {**figures, "memory": {"before": before, "first": memory[0], "last": memory[-1]}}


def batches(pair: Pair, count: int) -> Iterator[Pair]:
    """So many scenes, those of a pair again and again, in batches as they are read from files."""
    order = list(islice(cycle(range(len(pair.truth))), count))
    for start in range(0, count, BATCH):
        some, stored = np.array(order[start : start + BATCH]), vars(pair.prediction)
        keys = tuple(pair.truth.keys[scene] for scene in some)
        fields = {name: value[some] for name, value in stored.items() if name != "keys" and value is not None}
        truth = SceneBatch(keys, pair.truth.image[some], pair.truth.mask[some])
        yield Pair(truth, PredictionBatch(keys, **fields))


def score_all(comparison: Comparison, metrics: Mapping[str, MetricPlugin]) -> dict[str, float]:
    """CPU seconds of what metrics share, of every metric, and of those of masks after every decode."""
    seconds = {part: cpu_seconds(partial(getattr, comparison, name)) for part, name in _SHARED.items()}
    seconds |= {name: cpu_seconds(partial(metric.score, comparison)) for name, metric in metrics.items()}
    by_step = [metric for metric in metrics.values() if metric.BY_STEP]
    seconds["decodes"] = cpu_seconds(lambda: [one.score(step) for step in comparison.steps() for one in by_step])
    return seconds


def peak() -> int:
    """The largest resident memory so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    main()
