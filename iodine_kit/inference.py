"""Inference with a trained model, one batch after the other: for the stage ``infer`` and for the Python interface."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import partial, reduce
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import DTypeLike

from iodine_kit.errors import DivergedError
from iodine_kit.records import Array, PredictionBatch
from iodine_kit.system import keep_freed_memory

if TYPE_CHECKING:
    from torch import Tensor

    from iodine_kit.models import Inference

StoredField = Literal["step_mask", "soft_mask", "component", "reconstruction", "latents", "elbo"]
ALL_FIELDS: tuple[StoredField, ...] = ("step_mask", "soft_mask", "component", "reconstruction", "latents", "elbo")


@dataclass(frozen=True)
class InferenceOptions:
    """How to infer.

    Attributes:
        seed: of the posterior samples.
        slots, steps: K and T; ``None`` takes the values of training.
        restarts: inferences per scene; the one with the lowest final loss is kept.
    """

    seed: int = 0
    slots: int | None = None
    steps: int | None = None
    restarts: int = 1


def to_device(model: Any, device: str, threads: int = 0) -> Any:
    """Move a model to the device of that name; ``auto`` is the GPU if there is one.

    Args:
        threads: of the CPU; 0 leaves the number to PyTorch.

    Raises:
        ConfigError: if there is no such device.
    """
    import torch

    from iodine_kit.tensors import pick_device

    if threads:
        torch.set_num_threads(threads)
    chosen = pick_device(device)
    if chosen.type == "cpu":
        keep_freed_memory()
    return model.to(chosen)


def infer_batch(model: Any, image_BHWC: Array, number: int, options: InferenceOptions) -> Inference:
    """Segment a batch of images on the device of the model.

    The noise of a scene depends on the seed, on the ``number`` of the batch (from 0) and on its place in the batch.

    Args:
        model: a :class:`iodine_kit.models.Model` in evaluation mode.
        image_BHWC: ``uint8[B, H, W, 3]``, or ``float32[B, H, W, 3]`` in [0, 1].
    """
    import torch

    from iodine_kit.tensors import images_to, send, step_generator, tf32

    device = next(model.parameters()).device
    if image_BHWC.dtype == np.uint8:
        images = images_to(device, image_BHWC)
    else:
        images = send(torch.from_numpy(image_BHWC), device).permute(0, 3, 1, 2)
    with tf32(False):
        inferences = (
            model.infer(
                images, step_generator(options.seed, number + (restart << 40)), slots=options.slots, steps=options.steps
            )
            for restart in range(options.restarts)
        )
        inference: Inference = reduce(partial(better_of, beta=float(model.beta)), inferences)
    return inference


def better_of(first: Inference, second: Inference, beta: float = 1.0) -> Inference:
    """Of two inferences for the same images, for each scene the one with the lower NLL + β·KL after its last step."""
    import torch

    old_B, new_B = ((one.nll_BS + beta * one.kl_BS)[:, -1] for one in (first, second))
    better_B = new_B < old_B
    values = {}
    for field in fields(first):
        old, new = getattr(first, field.name), getattr(second, field.name)
        values[field.name] = torch.where(better_B.view(-1, *[1] * (new.ndim - 1)), new, old)
    return replace(first, **values)


def check_finite(keys: tuple[str, ...], inference: Inference) -> None:
    """Raise :class:`DivergedError`, with the key of the first scene whose NLL or KL is NaN or infinite."""
    bad = (~inference.nll_BS.add(inference.kl_BS).isfinite()).any(1).nonzero().flatten().tolist()
    if bad:
        raise DivergedError(
            f"inference of scene {keys[bad[0]]} has a loss that is not finite: use fewer refinement steps "
            "(infer.steps), or train again"
        )


def to_prediction(
    keys: tuple[str, ...], inference: Inference, store: tuple[StoredField, ...], soft_mask: DTypeLike = np.float16
) -> PredictionBatch:
    """Copy an inference to NumPy: the hard masks, and the fields that ``store`` names.

    Args:
        soft_mask: type of the soft masks; files store ``float16``.
    """
    kept: dict[str, Any] = {}
    if "step_mask" in store:
        kept["step_mask"] = _numpy(inference.step_mask_BSHW)
    if "soft_mask" in store:
        kept["soft_mask"] = _numpy(inference.mask_BKHW).astype(soft_mask)
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


def _numpy(tensor: Tensor) -> Any:
    return tensor.cpu().contiguous().numpy()
