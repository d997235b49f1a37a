"""infer: a trained model segments a split into ``predictions.h5``."""

from __future__ import annotations

from dataclasses import fields, replace
from functools import partial, reduce
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field

from iodine_kit.artifacts.dataset import check_split, dataset_info, open_split
from iodine_kit.artifacts.trained_model import TrainedModel, of_run
from iodine_kit.config import Config, build, split_table
from iodine_kit.errors import CountError, DivergedError
from iodine_kit.loader import in_order
from iodine_kit.predictions.file import PREDICTIONS, PredictionWriter
from iodine_kit.pretrained.images import ImageStatistics, difference, measure
from iodine_kit.progress import Reporter
from iodine_kit.records import PredictionBatch
from iodine_kit.runner import Context, Facts, Inputs, Job, Tables
from iodine_kit.store import Artifact, Identity
from iodine_kit.system import keep_freed_memory

if TYPE_CHECKING:
    from torch import Tensor

    from iodine_kit.models import Inference

VERSION = 2
TABLES = ("infer",)
INPUTS = ("run", "dataset")
StoredField = Literal["step_mask", "soft_mask", "component", "reconstruction", "latents", "elbo"]
ALL_FIELDS: tuple[StoredField, ...] = ("step_mask", "soft_mask", "component", "reconstruction", "latents", "elbo")
LOOKED_AT = 64
"""Images by which a split is compared with what a model was trained on."""
Positive = Annotated[int, Field(ge=1)]


class InferConfig(Config):
    """What to infer.

    Attributes:
        split: of the data set; ``scenes``: only the first so many.
        slots, steps: K and T at test time; none is the training's.
        restarts: independent inferences per scene. The one with the lowest final loss is kept: NLL + β·KL, with the β
            of the model (for β = 1, the highest ELBO). The posterior has several modes (section 4.4 of the paper), and
            refinement can end in a poor one. No truth is used.
        store: what to keep beside the hard masks.
        batch_size: images at a time; part of the key, because it decides which noise a scene gets.
        seed: of the posterior samples.
    """

    split: str = "test"
    scenes: Positive | None = None
    slots: Annotated[int, Field(ge=1, le=255)] | None = None
    steps: Annotated[int, Field(ge=0)] | None = None
    restarts: Annotated[int, Field(ge=1, le=100)] = 1
    store: tuple[StoredField, ...] = ALL_FIELDS
    batch_size: Positive = 32
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0


class InferExecution(Config):
    """How it is executed; no part of the key."""

    device: str = "auto"
    threads: Annotated[int, Field(ge=0)] = 0


def plan(tables: Tables, inputs: Inputs, context: Context, model: TrainedModel | None = None) -> Job:
    """Resolve the configuration for a trained model and the data set to segment.

    ``model`` has weights that no run in the store holds; by default it is the model of the input ``run``.
    """
    model, dataset, reporter = model or of_run(inputs["run"]), inputs["dataset"], context.reporter
    only = _only_split(model, dataset)
    given = {**model.defaults, **only, **tables.get("infer", {})}
    if only and "split" not in tables.get("infer", {}):
        reporter.note(f"note: infer.split={only['split']}, the only split of {dataset.path}", routine=True)
    config, execution = configure({"infer": given})
    available = check_split(dataset, config.split)
    count = config.scenes or available
    if count > available:
        raise CountError(f"{dataset.path}: split '{config.split}' has {available} scenes, not {count}")
    info, trained = dataset_info(dataset), model.config.model_dump()
    model.plugin.check_image(model.config, info.height, info.width)
    if model.images and (told := difference(model.images, _measured(dataset, config.split, count))):
        reporter.note(f"note: {model.title}: {told}: its masks may be poor", routine=True)
    resolved: dict[str, Any] = {
        **config.model_dump(mode="json"),
        "slots": config.slots or trained.get("slots"),
        "steps": trained.get("steps") if config.steps is None else config.steps,
        "scenes": count,
    }
    # Rebuilt with the test-time values, so that what the model forbids is refused before anything runs.
    at_test: dict[str, Any] = {name: resolved[name] for name in ("slots", "steps") if name in trained}
    build(model.plugin.Config, {**trained, **at_test}, "infer")
    identity = Identity(
        kind="predictions",
        name=model.name,
        stage="infer",
        version=VERSION,
        plugins=dict(model.plugins),
        config={"infer": resolved, **model.settings},
        inputs={**model.inputs, "dataset": dataset.reference},
        sources=model.sources,
    )
    resolved_config = InferConfig.model_validate(resolved)
    return Job(identity, lambda out: _make(resolved_config, execution, model, dataset, out, reporter))


def _only_split(model: TrainedModel, dataset: Artifact) -> dict[str, str]:
    """Of a data set of one split, that; but not of a model's own data set, where it is what it was trained on."""
    splits = list(dataset.facts["splits"])
    return {"split": splits[0]} if len(splits) == 1 and model.trained_on is None and not model.dataset else {}


def _measured(dataset: Artifact, split: str, count: int) -> ImageStatistics:
    """What the first images of a split look like."""
    return measure(open_split(dataset, split).batch(range(min(count, LOOKED_AT))).image)


def configure(tables: Tables) -> tuple[InferConfig, InferExecution]:
    """Validate the tables."""
    values, execution_values = split_table(tables.get("infer", {}), [InferConfig, InferExecution], "infer")
    return build(InferConfig, values, "infer"), build(InferExecution, execution_values, "infer")


def _make(
    config: InferConfig,
    execution: InferExecution,
    trained: TrainedModel,
    dataset: Artifact,
    out: Path,
    reporter: Reporter,
) -> Facts:
    import torch

    from iodine_kit.tensors import images_to, pick_device, step_generator, tf32

    if execution.threads:
        torch.set_num_threads(execution.threads)
    device = pick_device(execution.device)
    if device.type == "cpu":
        keep_freed_memory()
    model = trained.load().to(device)
    reader = open_split(dataset, config.split)
    assert config.scenes is not None
    writing, tracking = PredictionWriter(out / PREDICTIONS, config.scenes), reporter.track("infer", config.scenes)
    with tf32(False), writing as writer, tracking as advance:
        for number, batch in enumerate(in_order(reader, config.batch_size, config.scenes)):
            images = images_to(device, batch.image)
            tries = (
                model.infer(
                    images, step_generator(config.seed, number + (again << 40)), slots=config.slots, steps=config.steps
                )
                for again in range(config.restarts)
            )
            inference = reduce(partial(better_of, beta=float(model.beta)), tries)
            _check_finite(batch.keys, inference)
            writer.append(to_prediction(batch.keys, inference, config.store))
            advance(len(batch))
    facts = config.model_dump(include={"scenes", "split", "slots", "steps", "restarts"})
    return facts | trained.keep(out)


def better_of(first: Inference, second: Inference, beta: float = 1.0) -> Inference:
    """Of two inferences for the same images, scene by scene the one with the lower NLL + β·KL after its last step."""
    import torch

    old_B, new_B = ((one.nll_BS + beta * one.kl_BS)[:, -1] for one in (first, second))
    better_B = new_B < old_B
    values = {}
    for field in fields(first):
        old, new = getattr(first, field.name), getattr(second, field.name)
        values[field.name] = torch.where(better_B.view(-1, *[1] * (new.ndim - 1)), new, old)
    return replace(first, **values)


def to_prediction(keys: tuple[str, ...], inference: Inference, store: tuple[StoredField, ...]) -> PredictionBatch:
    """Bring an inference to numpy, keeping what ``store`` names."""
    kept: dict[str, Any] = {}
    if "step_mask" in store:
        kept["step_mask"] = _numpy(inference.step_mask_BSHW)
    if "soft_mask" in store:
        kept["soft_mask"] = _numpy(inference.mask_BKHW).astype(np.float16)
    if "component" in store:
        kept["component"] = _numpy((inference.mean_BKCHW.clamp(0, 1) * 255).round().byte().permute(0, 1, 3, 4, 2))
    if "reconstruction" in store:
        kept["reconstruction"] = _numpy(inference.reconstruction_BCHW.permute(0, 2, 3, 1))
    if "latents" in store:
        kept |= {"latent_loc": _numpy(inference.loc_BKZ), "latent_scale": _numpy(inference.scale_BKZ)}
    if "elbo" in store:
        nll, kl = _numpy(inference.nll_BS), _numpy(inference.kl_BS)
        kept |= {"elbo": -(nll + kl), "nll": nll, "kl": kl}
    return PredictionBatch(keys=keys, mask=_numpy(inference.step_mask_BSHW[:, -1]), **kept)


def _check_finite(keys: tuple[str, ...], inference: Inference) -> None:
    bad = (~inference.nll_BS.add(inference.kl_BS).isfinite()).any(1).nonzero().flatten().tolist()
    if bad:
        advice = "fewer infer.steps, or train again"
        raise DivergedError(f"inference of scene {keys[bad[0]]} gave a loss that is not finite: try {advice}")


def _numpy(tensor: Tensor) -> Any:
    return tensor.cpu().contiguous().numpy()
