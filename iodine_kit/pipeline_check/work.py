"""What a stage has to do: time on the reference machine, disk and memory, from its configuration and its scenes."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from iodine_kit.artifacts.dataset import DatasetFacts
from iodine_kit.artifacts.trained_model import configured
from iodine_kit.models import Arithmetic
from iodine_kit.system import usable_cores

REFERENCE = "AMD EPYC (Zen 5), one thread"
"""The machine of the rates below: medians of artifacts made with this package while its other core was in use."""
TRAINING_FLOPS, INFERENCE_FLOPS, BFLOAT16 = 110e9, 110e9, 1.3
"""Floating point operations per second, and how many times as fast training in bfloat16 is."""
THREAD_GAIN = 0.85
"""A step with n threads is n to this power times as fast."""
DECODE_SECONDS = 0.0035
"""Of a decode of the smallest network: what calling PyTorch's operations takes, whatever their size."""
SCENE_SECONDS, SCENE_PIXEL_SECONDS, RENDERED_SECONDS = 1.5e-4, 8e-8, 1.0
WRITTEN = 200e6
"""Bytes per second, written twice: scenes wait in a journal until their shard is full."""
SCORED_PIXEL_SECONDS, RESAMPLED_SECONDS, METRICS = 1.5e-7, 5e-9, 19
PROBED_OBJECT_SECONDS = 2.5e-3
SHOWN_SECONDS, SHOWN_PIXEL_SECONDS = 1e-3, 4e-7
START = {
    "dataset": 0.1, "run": 3.0, "predictions": 1.0, "evaluation": 0.7, "probe": 2.0, "traversal": 0.5, "report": 1.5,
}  # fmt: skip
"""Seconds that a stage takes for the fewest scenes, above all to load its libraries."""
PROCESS = {
    "dataset": 120e6, "run": 350e6, "predictions": 350e6, "evaluation": 160e6, "probe": 250e6, "traversal": 350e6,
    "report": 250e6,
}  # fmt: skip
"""Memory of the process before any scene is loaded, in bytes: Python and the libraries."""
_GAPS = 1.2  # as in iodine_kit.stages.train.run_estimate
_BATCH_BYTES = 200e6


@dataclass(frozen=True)
class Situation:
    """What decides how much work a stage has.

    Attributes:
        config: resolved tables by name: its own ones and those of the stages before.
        data: facts of the data set.
        scene_bytes: mean size of a stored scene; 0 if unknown.
        threads: of the CPU; 0 if unknown.
    """

    config: Mapping[str, Any]
    data: DatasetFacts
    scene_bytes: float = 0.0
    threads: int = 0
    execution: Mapping[str, Any] = field(default_factory=dict)

    @property
    def pixels(self) -> int:
        """Pixels of an image."""
        return self.data.info.height * self.data.info.width

    @property
    def scenes(self) -> int:
        """Scenes that are predicted."""
        return int(self.config["infer"]["scenes"])

    def arithmetic(self, **options: Any) -> Arithmetic | None:
        """Of the model, with its K and T replaced by ``options``; ``None`` if its plug-in has no formula."""
        plugin, config = configured(self.config["model"])
        formula = getattr(plugin, "arithmetic", None)
        changed = {name: value for name, value in options.items() if value is not None}
        if formula is None:
            return None
        found: Arithmetic = formula(config.model_copy(update=changed), self.data.info.height, self.data.info.width)
        return found


@dataclass(frozen=True)
class Work:
    """Time on the reference machine, in seconds; size of the artifact and largest memory of the process, in bytes."""

    seconds: float
    disk: float
    memory: float


def work_of(role: str, situation: Situation) -> Work | None:
    """The work of the stage that makes ``role``; ``None`` if it cannot be foreseen."""
    work = _WORK[role](situation)
    if work is None:
        return None
    return Work(START[role] + work.seconds, work.disk, PROCESS[role] + work.memory)


def _dataset(situation: Situation) -> Work | None:
    scenes = sum(situation.data.splits.values())
    if not scenes:
        return None
    is_rendered = situation.config["dataset"]["name"] == "clevr" and situation.config["origin"] == "generated"
    each = RENDERED_SECONDS if is_rendered else SCENE_SECONDS + SCENE_PIXEL_SECONDS * situation.pixels
    size = scenes * (situation.scene_bytes or 4 * situation.pixels)
    shard = min(scenes, int(situation.config.get("format", {}).get("scenes_per_shard", scenes)))
    waiting = shard * situation.scene_bytes
    return Work(scenes * each + 2 * size / WRITTEN, size + waiting, _BATCH_BYTES)


def _run(situation: Situation) -> Work | None:
    train, model = situation.config["train"], situation.arithmetic()
    if model is None:
        return None
    decodes = 1 + int(situation.config["model"].get("steps", 1))
    speed = TRAINING_FLOPS * threads_of(situation) ** THREAD_GAIN
    speed *= BFLOAT16 if train["precision"] == "bfloat16" else 1
    step = DECODE_SECONDS * decodes + train["batch_size"] * model.training_flops / speed
    validated = 0
    if train["validate_every"]:
        rounds = ceil(train["steps"] / train["validate_every"])
        validated = rounds * min(train["validate_scenes"], situation.data.splits.get(train["validate_split"], 0))
    seconds = train["steps"] * step + validated * model.inference_flops / speed
    weights = 4 * model.parameters
    copies = (train["ema"] is not None) + (train["select"] != "last")
    checkpoint = weights * (3 + copies)
    log = train["steps"] / train["log_every"] * 1200
    kept = int(situation.execution.get("keep", 2))
    images = train["batch_size"] / int(situation.execution.get("accumulate", 1))
    memory = _GAPS * (images * model.training_bytes + weights * (4 + copies + (train["validate_every"] > 0)))
    return Work(seconds, checkpoint * (kept + 1) + weights + log, memory)


def _predictions(situation: Situation) -> Work | None:
    infer = situation.config["infer"]
    model = situation.arithmetic(slots=infer["slots"], steps=infer["steps"])
    if model is None:
        return None
    slots, decodes, pixels = infer["slots"] or 1, 1 + (infer["steps"] or 0), situation.pixels
    latent = int(situation.config["model"].get("latent", 64))
    speed = INFERENCE_FLOPS * threads_of(situation) ** THREAD_GAIN
    batches = ceil(situation.scenes / infer["batch_size"])
    restarts = infer["restarts"]
    seconds = restarts * (situation.scenes * model.inference_flops / speed + batches * decodes * DECODE_SECONDS)
    sizes = {
        "step_mask": decodes * pixels, "soft_mask": 2 * slots * pixels, "component": 3 * slots * pixels,
        "reconstruction": 12 * pixels, "latents": 8 * slots * latent, "elbo": 12 * decodes,
    }  # fmt: skip
    scene = pixels + 64 + sum(sizes[name] for name in infer["store"])
    batch = min(infer["batch_size"], situation.scenes)
    memory = _GAPS * batch * model.inference_bytes + 2 * batch * scene
    return Work(seconds + 2 * situation.scenes * scene / WRITTEN, situation.scenes * scene, memory)


def _evaluation(situation: Situation) -> Work:
    config, scenes = situation.config["eval"], situation.scenes
    size = config["resolution"]
    pixels = situation.pixels if size == "model" else size * size
    resamples = config["resamples"] * scenes * METRICS * RESAMPLED_SECONDS
    rows = scenes * (300 + 60 * situation.data.info.entities)
    return Work(scenes * pixels * SCORED_PIXEL_SECONDS + resamples, 60e3 + rows, _BATCH_BYTES)


def _probe(situation: Situation) -> Work:
    scenes = min(situation.scenes, situation.config["probe"]["scenes"])
    objects = scenes * max(situation.data.info.entities - len(situation.data.info.background), 1)
    rounds = situation.config["probe"]["rounds"] if situation.config["probe"]["match"] == "loss" else 1
    return Work(rounds * objects * PROBED_OBJECT_SECONDS, 60e3, _BATCH_BYTES + 20e3 * objects)


def _traversal(situation: Situation) -> Work | None:
    config, slots = situation.config["traverse"], situation.config["infer"]["slots"] or 1
    pictures = config["scenes"] * config["dimensions"] * config["values"]
    model = situation.arithmetic(slots=slots, steps=0)
    if model is None:
        return None
    seconds = pictures * model.inference_flops / INFERENCE_FLOPS
    return Work(seconds, 6 * pictures * situation.pixels + 50e3, pictures * model.inference_bytes / config["scenes"])


def _report(situation: Situation) -> Work:
    shown = min(situation.scenes, situation.config["report"]["scenes"])
    seconds = shown * (SHOWN_SECONDS + SHOWN_PIXEL_SECONDS * situation.pixels)
    pictures = min(situation.config["report"]["most_megabytes"] * 1e6, shown * (1500 + 3 * situation.pixels))
    return Work(seconds, 1.2e6 + 1.4 * pictures, _BATCH_BYTES + shown * 60 * situation.pixels)


def threads_of(situation: Situation) -> int:
    """CPU threads of PyTorch: as configured, else as the environment says, else one per core."""
    asked = situation.threads or int(situation.execution.get("threads", 0) or 0)
    environment = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    return asked or (int(environment) if environment.isdecimal() and int(environment) else usable_cores())


_WORK: Mapping[str, Callable[[Situation], Work | None]] = {
    "dataset": _dataset, "run": _run, "predictions": _predictions, "evaluation": _evaluation, "probe": _probe,
    "traversal": _traversal, "report": _report,
}  # fmt: skip
