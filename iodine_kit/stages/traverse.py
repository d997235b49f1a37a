"""traverse: renders what each latent dimension of a slot encodes, by changing it while everything else stays.

One slot of a scene is decoded again and again with one of its latent dimensions set to other values; all other
dimensions and slots keep their posterior means.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from iodine_kit.artifacts.dataset import open_split
from iodine_kit.artifacts.predictions_and_truth import PredictionsFacts
from iodine_kit.artifacts.trained_model import TrainedModel, behind
from iodine_kit.artifacts.traversals_file import Traversals, write_traversals
from iodine_kit.config import Config, build, split_table
from iodine_kit.errors import CountError, SchemaError
from iodine_kit.evaluation.probing.slots import owned_shares
from iodine_kit.inference import to_device
from iodine_kit.predictions.file import PREDICTIONS, PredictionReader
from iodine_kit.progress import Reporter
from iodine_kit.records import Floats
from iodine_kit.runner import Context, FactValues, Inputs, Job, Tables
from iodine_kit.store import Artifact, Identity

if TYPE_CHECKING:
    from torch import Tensor

VERSION = 1
TABLES = ("traverse",)
INPUTS = ("predictions", "dataset")


class TraverseConfig(Config):
    """Which latents to change, and how far.

    Attributes:
        scenes: number of scenes, the first ones of the split. One slot of each is shown: of the slots that own a pixel,
            the one with the smallest posterior volume. No truth is used.
        dimensions: number of latent dimensions, the most informative ones: over all slots that own a pixel, those with
            the largest variance of the posterior means divided by the mean posterior variance.
        values: number of evenly spaced values of a dimension.
        range: largest distance from the dimension's mean, in standard deviations of its posterior means.
    """

    scenes: Annotated[int, Field(ge=1, le=64)] = 4
    dimensions: Annotated[int, Field(ge=1, le=64)] = 6
    values: Annotated[int, Field(ge=2, le=64)] = 9
    range: Annotated[float, Field(gt=0, le=10)] = 2.0


class TraverseExecution(Config):
    """How it is executed; not part of the key.

    Attributes:
        device: ``auto`` (a GPU if there is one), ``cpu``, ``cuda``, ``cuda:1``, …
        threads: CPU threads; 0 means PyTorch's default.
    """

    device: str = "auto"
    threads: Annotated[int, Field(ge=0)] = 0


def plan(tables: Tables, inputs: Inputs, context: Context, model: TrainedModel | None = None) -> Job:
    """Check that there are enough scenes and dimensions. ``model`` defaults to the one that made the predictions.

    Raises:
        SchemaError: if the latents were not stored.
        CountError: if more scenes or dimensions are asked for than exist.
    """
    predictions, dataset = inputs["predictions"], inputs["dataset"]
    trained = model or behind(predictions, context.store)
    config, execution = configure(tables)
    reader = PredictionReader(predictions.path / PREDICTIONS)
    if not {"latent_loc", "latent_scale"} <= reader.fields():
        raise SchemaError(f"{predictions.path}: no latents are stored: run infer again with 'latents' in infer.store")
    latent = reader.batch(0, 1).latent_loc
    assert latent is not None
    for name, wanted, found in (
        ("scenes", config.scenes, len(reader)),
        ("dimensions", config.dimensions, latent.shape[2]),
    ):
        if wanted > found:
            raise CountError(f"{predictions.path}: traverse.{name}={wanted}, but there are only {found}")
    identity = Identity(
        kind="traversal",
        name=predictions.manifest.identity.name,
        stage="traverse",
        version=VERSION,
        config={"traverse": config.model_dump(mode="json")},
        inputs={"predictions": predictions.reference, **trained.inputs, "dataset": dataset.reference},
    )
    return Job(identity, lambda out: _make(config, execution, predictions, trained, dataset, out, context.reporter))


def configure(tables: Tables) -> tuple[TraverseConfig, TraverseExecution]:
    """Validate the tables."""
    values, execution = split_table(tables.get("traverse", {}), [TraverseConfig, TraverseExecution], "traverse")
    return build(TraverseConfig, values, "traverse"), build(TraverseExecution, execution, "traverse")


def _make(
    config: TraverseConfig,
    execution: TraverseExecution,
    predictions: Artifact,
    trained: TrainedModel,
    dataset: Artifact,
    out: Path,
    reporter: Reporter,
) -> FactValues:
    import torch

    from iodine_kit.tensors import tf32

    model = to_device(trained.load(), execution.device, execution.threads)
    device = next(model.parameters()).device
    reader = PredictionReader(predictions.path / PREDICTIONS)
    loc_NKZ, scale_NKZ = reader.column("latent_loc"), reader.column("latent_scale")
    if not (np.isfinite(loc_NKZ).all() and np.isfinite(scale_NKZ).all() and (scale_NKZ > 0).all()):
        raise SchemaError(
            f"{predictions.path}: latents are not finite, or a standard deviation is not above 0: run infer again"
        )
    used_NK = owned_shares(reader.column("mask"), loc_NKZ.shape[1]) > 0
    dimensions, values_DV = places(loc_NKZ[used_NK], scale_NKZ[used_NK], config)
    split = PredictionsFacts.of(predictions).split
    scenes = open_split(dataset, split).batch(range(config.scenes))
    slots = sharpest(scale_NKZ[: config.scenes], used_NK[: config.scenes])
    height, width = scenes.mask.shape[1:]
    drawn = []
    with tf32(False), reporter.track("traverse", config.scenes) as advance:
        for loc_KZ, slot in zip(loc_NKZ, slots, strict=False):
            moved = torch.from_numpy(moves(loc_KZ, int(slot), dimensions, values_DV)).to(device)
            mask_BKHW, mean_BKCHW = model.decode(moved, height, width)
            drawn.append(_pictures(mask_BKHW, mean_BKCHW, int(slot), values_DV.shape))
            advance(1)
    components, blends = (np.stack(pictures) for pictures in zip(*drawn, strict=True))
    traversals = Traversals(
        keys=scenes.keys,
        slot=slots.astype(np.uint8),
        image=scenes.image,
        dimension=dimensions,
        value=values_DV,
        offset=_offsets(config),
        component=components,
        blend=blends,
    )
    write_traversals(out, traversals)
    return {"scenes": config.scenes, "split": split, "dimensions": dimensions.tolist()}


def sharpest(scale_NKZ: Floats, used_NK: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Of each scene's slots in use the one with the smallest posterior volume, ``int64[N]``."""
    volume_NK = np.log(scale_NKZ.astype(np.float64)).sum(2)
    slots: NDArray[np.int64] = np.where(used_NK, volume_NK, np.inf).argmin(1)
    return slots


def places(loc_MZ: Floats, scale_MZ: Floats, config: TraverseConfig) -> tuple[NDArray[np.int64], Floats]:
    """The most informative dimensions, ``int64[D]``, and the values to set them to, ``float32[D, V]``."""
    mean_Z, std_Z = loc_MZ.mean(0, dtype=np.float64), loc_MZ.std(0, dtype=np.float64)
    informative_Z = std_Z**2 / np.maximum((scale_MZ.astype(np.float64) ** 2).mean(0), 1e-12)
    dimensions = np.argsort(-informative_Z, kind="stable")[: config.dimensions]
    values_DV = mean_Z[dimensions, None] + std_Z[dimensions, None] * _offsets(config)
    return dimensions, values_DV.astype(np.float32)


def moves(loc_KZ: Floats, slot: int, dimensions: NDArray[np.int64], values_DV: Floats) -> Floats:
    """Copies of a scene's latents, one per dimension and value, ``float32[D·V, K, Z]``; one number differs in each."""
    count, places = values_DV.shape
    moved = np.broadcast_to(loc_KZ, (count, places, *loc_KZ.shape)).copy()
    for index, dimension in enumerate(dimensions):
        moved[index, :, slot, dimension] = values_DV[index]
    return moved.reshape(-1, *loc_KZ.shape)


def _offsets(config: TraverseConfig) -> Floats:
    return np.linspace(-config.range, config.range, config.values, dtype=np.float32)


def _pictures(mask_BKHW: Tensor, mean_BKCHW: Tensor, slot: int, shape: tuple[int, ...]) -> tuple[Any, Any]:
    """The changed slot where its mask is, and the whole scene: ``uint8[D, V, H, W, 3]`` each."""
    parts = mean_BKCHW * mask_BKHW[:, :, None]
    both = (x.clamp(0, 1).mul(255).round().byte().permute(0, 2, 3, 1) for x in (parts[:, slot], parts.sum(1)))
    return tuple(image.cpu().numpy().reshape(*shape, *image.shape[1:]) for image in both)  # type: ignore[return-value]
