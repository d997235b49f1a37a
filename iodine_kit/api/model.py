"""Trained models that segment images given as arrays."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from iodine_kit import records
from iodine_kit.api.arguments import AnyArray, Place, argument, find, open_store, to_bytes, to_images
from iodine_kit.api.scenes import SHOWN, SceneBatch, picture_html
from iodine_kit.artifacts.dataset import dataset_info
from iodine_kit.artifacts.trained_model import TrainedModel, of_pretrained, of_run
from iodine_kit.artifacts.unfinished_run_model import at_checkpoint
from iodine_kit.config import build
from iodine_kit.errors import ArtifactNotFoundError, ConfigError, IodineKitError
from iodine_kit.formatting import counted
from iodine_kit.inference import ALL_FIELDS, InferenceOptions, check_finite, infer_batch, to_device, to_prediction
from iodine_kit.pretrained import PREFIX
from iodine_kit.pretrained.image_profile import difference, measure
from iodine_kit.progress import Silent
from iodine_kit.records import Bytes, Floats, PredictionBatch
from iodine_kit.stages.infer import COMPARED_IMAGES, InferConfig
from iodine_kit.store import Artifact, Store
from iodine_kit.store.manifest import MANIFEST
from iodine_kit.system import to_path
from iodine_kit.training.run_files import WEIGHTS


@dataclass(frozen=True, eq=False, repr=False)
class Segmentation:
    """How a model segments B images with K slots and T refinement steps; Z latent dimensions per slot.

    Attributes:
        mask: ``uint8[B, H, W]``, the slot with the largest mask at each pixel, from 0.
        step_mask: ``uint8[B, T+1, H, W]``, the same after each of the T+1 decodes; ``mask`` is the last one.
        soft_mask: ``float32[B, K, H, W]``, the share of each slot; the shares of a pixel sum to 1.
        component: ``uint8[B, K, H, W, 3]``, the RGB image that each slot draws.
        reconstruction: ``float32[B, H, W, 3]``, the mixture of all components, in [0, 1], not clipped.
        latent_loc, latent_scale: ``float32[B, K, Z]``, mean and standard deviation of the posterior.
        elbo: ``float32[B, T+1]``, in nats per image, after each decode: −(``nll`` + ``kl``).
        nll, kl: ``float32[B, T+1]``, the two terms of the ELBO.
        restarts: inferences per image, of which the one with the lowest final loss was kept.
    """

    mask: Bytes
    step_mask: Bytes
    soft_mask: Floats
    component: Bytes
    reconstruction: Floats
    latent_loc: Floats
    latent_scale: Floats
    elbo: Floats
    nll: Floats
    kl: Floats
    restarts: int = 1

    def __len__(self) -> int:
        return len(self.mask)

    def __getitem__(self, rows: slice) -> Segmentation:
        """Return the segmentation of some of the images, such as ``segmentation[:4]``."""
        if not isinstance(rows, slice):
            raise TypeError("a segmentation takes slices: write segmentation[2:3] for image 2")
        return replace(self, **{name: getattr(self, name)[rows] for name in _ARRAYS})

    def __repr__(self) -> str:
        scenes, slots, height, width = self.soft_mask.shape
        settings = f"{counted(slots, 'slot')}, {counted(self.elbo.shape[1] - 1, 'refinement step')}"
        return f"Segmentation of {counted(scenes, 'image')}, {height}×{width} pixels: {settings}"

    def _repr_html_(self) -> str:
        first = self[:SHOWN]
        pixels = np.rint(first.reconstruction.clip(0, 1) * 255).astype(np.uint8)
        scenes = SceneBatch(tuple(map(str, range(len(first)))), pixels, first.mask, background=())
        return picture_html(scenes, repr(self), len(self), "reconstruction and predicted mask")

    def prediction(self, keys: tuple[str, ...]) -> PredictionBatch:
        """Return the same arrays as a record of the toolkit, for images of these ``keys``."""
        return PredictionBatch(keys, **{name: getattr(self, name) for name in _ARRAYS})


_ARRAYS = tuple(field.name for field in fields(Segmentation) if field.name != "restarts")


class SegmentationModel:
    """A trained model in evaluation mode, without gradients; see :func:`load_model`.

    Attributes:
        trained: configuration of the model, and where its weights come from.
        store: the store of its run; ``None`` for weights that no run in a store holds.
        module: the ``torch.nn.Module``, which is a :class:`iodine_kit.models.Model`.
    """

    def __init__(self, trained: TrainedModel, device: str = "auto", store: Store | None = None) -> None:
        module = trained.load()
        with argument("device"):
            self.module: Any = to_device(module, device)
        self.trained, self.store = trained, store

    def __repr__(self) -> str:
        options = self.trained.plugin.test_time_options(self.trained.config)
        shown = ", ".join(f"{value} {name}" for name, value in options.items())
        return f"SegmentationModel {self.trained.title or self.trained.name}, trained with {shown}"

    @property
    def image_size(self) -> tuple[int, int] | None:
        """Height and width in pixels of the images that it was trained on; ``None`` if this is not known."""
        if self.trained.images is not None:
            return self.trained.images.height, self.trained.images.width
        if self.store is None or self.trained.trained_on is None:
            return None
        try:
            info = dataset_info(self.store.resolve(self.trained.trained_on))
        except IodineKitError:  # the data set was deleted or rebuilt
            return None
        return info.height, info.width

    def segment(
        self,
        images: records.SceneBatch | AnyArray,
        *,
        seed: int = 0,
        steps: int | None = None,
        slots: int | None = None,
        restarts: int | None = None,
        batch_size: int | None = None,
    ) -> Segmentation:
        """Segment images. The stage ``infer`` gives the same numbers for the same seed, options and batch size.

        Args:
            images: NumPy array or PyTorch tensor, ``uint8[B, H, W, 3]`` in 0…255 or floats ``[B, H, W, 3]`` in [0, 1];
                or a batch of scenes, whose images are segmented.
            seed: of the posterior samples, in [0, 2⁶³).
            steps: refinement steps T.
            slots: number of slots K, in 1…255.
            restarts: inferences per image, in 1…100; the one with the lowest final loss is kept.
            batch_size: images at a time. It decides which noise an image gets.

        ``steps``, ``slots``, ``restarts`` and ``batch_size`` default to those of the card of a pretrained model. For
        other models, ``steps`` and ``slots`` default to the values of training, ``restarts`` to 1, and ``batch_size``
        to 32.

        Raises:
            ValueError: for images of a wrong shape, type, range or size, or another wrong argument; it is named.
            DivergedError: if the loss of an image is not finite.

        Warns:
            UserWarning: if images differ clearly in size or colour from those that the model was trained on.

        >>> import iodine_kit as ik
        >>> model = ik.load_model("pretrained:tetrominoes", device="cpu")
        >>> segmentation = model.segment(ik.generate("tetrominoes", 2).image, steps=3, restarts=1)
        >>> segmentation
        Segmentation of 2 images, 35×35 pixels: 4 slots, 3 refinement steps
        >>> segmentation.mask.shape, segmentation.soft_mask.shape, segmentation.elbo.shape
        ((2, 35, 35), (2, 4, 35, 35), (2, 4))
        """
        given = {"seed": seed, "steps": steps, "slots": slots, "restarts": restarts, "batch_size": batch_size}
        config = self._options({name: value for name, value in given.items() if value is not None})
        pixels = to_images("images", images.image if isinstance(images, records.SceneBatch) else images)
        with argument("images"):
            self.trained.plugin.check_image(self.trained.config, *pixels.shape[1:3])
        self._compare(pixels[:COMPARED_IMAGES])
        options = InferenceOptions(config.seed, config.slots, config.steps, config.restarts)
        parts = []
        for number, start in enumerate(range(0, len(pixels), config.batch_size)):
            batch = pixels[start : start + config.batch_size]
            keys = tuple(str(start + row) for row in range(len(batch)))
            inference = infer_batch(self.module, batch, number, options)
            check_finite(keys, inference)
            parts.append(to_prediction(keys, inference, ALL_FIELDS, soft_mask=np.float32))
        arrays = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _ARRAYS}
        return Segmentation(**arrays, restarts=config.restarts)

    def _options(self, given: dict[str, Any]) -> InferConfig:
        """All options with their defaults; raises :class:`ValueError` for one that is wrong."""
        trained = self.trained
        fixed = {"slots", "steps"} & given.keys() - trained.plugin.test_time_options(trained.config).keys()
        if fixed:
            raise ValueError(f"{min(fixed)}: this model cannot change it after training")
        try:
            config = build(InferConfig, {**trained.defaults, **given}, "segment")
            changed = {name: value for name, value in given.items() if name in ("slots", "steps")}
            build(trained.plugin.Config, {**trained.config.model_dump(), **changed}, "segment")
        except ConfigError as error:
            raise ValueError(str(error).removeprefix("segment.")) from error
        return config

    def _compare(self, images: Bytes | Floats) -> None:
        if self.trained.images is None:
            return
        changed = difference(self.trained.images, measure(to_bytes(images)))
        if changed:
            name = self.trained.title or self.trained.name
            warnings.warn(f"images: {name}: {changed}: the masks may be poor", stacklevel=3)


def load_model(model: Place, *, device: str = "auto", store: str | Path | None = None) -> SegmentationModel:
    """Load a trained model for inference: in evaluation mode, without gradients.

    Args:
        model: ``"pretrained:NAME"`` (``iodine-kit models`` lists them); a run as an artifact, by the path of its
            directory or, in ``store``, by its ``name-key``, the first letters of its key, or a name, which means the
            most recent run of that name; or the ``.safetensors`` file of a run or of a checkpoint.
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"`` …; ``"auto"`` is the GPU if there is one.
        store: directory of all artifacts. Defaults to ``IODINE_KIT_STORE``, or else ``data``.

    Raises:
        ValueError: if there is no such model or device; the message names the argument.
        ArtifactCorruptError: if files of the model were changed.

    >>> load_model("pretrained:tetrominoes", device="cpu")
    SegmentationModel pretrained:tetrominoes, trained with 4 slots, 3 steps
    """
    trained, home = find_model("model", model, store)
    return SegmentationModel(trained, device, home)


def find_model(name: str, model: Place, store: str | Path | None) -> tuple[TrainedModel, Store | None]:
    """Return the trained model that the argument ``name`` means, and the store of its run; see :func:`load_model`."""
    if isinstance(model, Artifact):
        return _of_run(find(name, model, "run", store))
    place = str(model)
    with argument(name):
        if place.startswith(PREFIX):
            return of_pretrained(place), None
        path = to_path(place)
        if path.name == WEIGHTS and (path.parent / MANIFEST).is_file():
            return _of_run(find(name, path.parent, "run", store))
        if path.suffix == ".safetensors" and not path.is_file():
            raise ArtifactNotFoundError(f"{place}: no such file")
        if path.suffix == ".safetensors":
            trained = at_checkpoint(open_store(store), place, None, Silent())
            return trained, Store(path.absolute().parents[2]) if trained.trained_on else None  # STORE/run/RUN/FILE
    return _of_run(find(name, model, "run", store))


def _of_run(run: Artifact) -> tuple[TrainedModel, Store]:
    return of_run(run), Store.of(run)
