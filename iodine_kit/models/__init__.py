"""Models. Each module or package of this folder is one, has its name, and provides what :class:`ModelPlugin` lists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from iodine_kit.config import Config
from iodine_kit.records import Microbatch
from iodine_kit.registry import Registry

if TYPE_CHECKING:
    from torch import Generator, Tensor


@dataclass(frozen=True)
class Computation:
    """How a model computes. It changes the results by rounding only.

    Attributes:
        precision: of convolutions; likelihood, softmax, layer norms and gradients use at least ``float32``.
        recompute: compute the decoder's activations again in the backward pass instead of keeping them.
        closed_form: compute the gradients that are inputs by formula; otherwise by automatic differentiation, which is
            slower.
    """

    precision: Literal["float32", "bfloat16"] = "float32"
    recompute: bool = False
    closed_form: bool = True


@dataclass(frozen=True)
class LossTerms:
    """A training loss and its terms, in nats per image: sums over the given images, divided by the whole batch's size.

    The terms of all microbatches of a batch add up to the mean over the batch.

    Attributes:
        loss: scalar to differentiate, ``nll + kl``.
        nll, kl: scalars with graphs, weighted over the decodes as in the loss; ``kl`` includes β.
        nll_T: negative log-likelihood at every decode, detached; ``[T+1]``.
        kl_TK: KL of every slot at every decode, detached; ``[T+1, K]``.
    """

    loss: Tensor
    nll: Tensor
    kl: Tensor
    nll_T: Tensor
    kl_TK: Tensor


@dataclass(frozen=True)
class Inference:
    """The result of inference on images ``[B, 3, H, W]``; S = T+1 decodes. All tensors are detached.

    Attributes:
        step_mask_BSHW: ``uint8``, the index of the slot with the largest mask, at every decode.
        mask_BKHW: soft masks of the last decode, summing to 1 over slots.
        mean_BKCHW: RGB means of the last decode, not clipped.
        reconstruction_BCHW: Σ_k mask · mean, not clipped.
        loc_BKZ, scale_BKZ: the posterior's mean and standard deviation at the last decode.
        nll_BS, kl_BS: in nats per image, at every decode.
    """

    step_mask_BSHW: Tensor
    mask_BKHW: Tensor
    mean_BKCHW: Tensor
    reconstruction_BCHW: Tensor
    loc_BKZ: Tensor
    scale_BKZ: Tensor
    nll_BS: Tensor
    kl_BS: Tensor


class Model(Protocol):
    """A model that segments scenes. It is also a ``torch.nn.Module``."""

    computation: Computation
    """How to compute; it may change at any time."""

    beta: Tensor
    """KL weight in the loss, and in the gradients that are inputs: a scalar buffer that is not saved. It starts at the
    configuration's value; training may set another one at every step."""

    def noise(self, generator: Generator | None, microbatch: Microbatch) -> Tensor:
        """Draw the noise of a training step for the images of a microbatch.

        It is drawn for the whole batch, so that splitting a batch does not change its noise.
        """

    def forward(self, image_BCHW: Tensor, noise: Tensor, total: int) -> LossTerms:
        """Return the training loss for images in [0, 1] of a batch of ``total``: a function of tensors only."""

    def loss(self, image_BCHW: Tensor, generator: Generator | None, microbatch: Microbatch | None = None) -> LossTerms:
        """Draw the noise and return the loss; without a ``microbatch``, the images are the whole batch."""

    def infer(
        self,
        image_BCHW: Tensor,
        generator: Generator | None,
        *,
        slots: int | None = None,
        steps: int | None = None,
    ) -> Inference:
        """Segment images in [0, 1]; ``slots`` and ``steps`` override the configuration."""

    def decode(self, latent_BKZ: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
        """Decode the latents of slots: soft masks ``[B, K, H, W]`` and RGB means ``[B, K, 3, H, W]``."""


@dataclass(frozen=True)
class Arithmetic:
    """What a model computes and keeps for one image, found out without building it.

    Attributes:
        parameters: number of learned parameters.
        training_flops, inference_flops: floating point operations in matrix products and convolutions, of a training
            step (forward and backward) and of an inference.
        training_bytes, inference_bytes: of the tensors in float32 at the moment of the largest memory, without weights.
    """

    parameters: int
    training_flops: float
    inference_flops: float
    training_bytes: float
    inference_bytes: float


class ModelPlugin(Protocol):
    """What a module of this folder provides.

    ``arithmetic(config, height, width)`` is optional: it returns the :class:`Arithmetic` of images of this size without
    loading PyTorch. ``iodine-kit check`` needs it to estimate a pipeline.
    """

    VERSION: int
    """To be increased whenever the same configuration and data would train another model."""

    PRESETS: Mapping[str, Any]
    """Published configurations by name; ``model.preset`` selects one."""

    DEFAULT_PRESETS: Mapping[str, str]
    """Data set name → name of the preset that training on it starts from. Other data sets get no preset."""

    Config: type[Config]

    def build(self, config: Any, seed: int) -> Any:
        """Return a newly initialised :class:`Model`, a ``torch.nn.Module``; the same seed gives the same weights."""

    def check_image(self, config: Any, height: int, width: int) -> None:
        """Raise :class:`iodine_kit.errors.ImageSizeError` if the network cannot process images of this size."""

    def test_time_options(self, config: Any) -> Mapping[str, int]:
        """Return the fields of ``config`` that inference may override, with their trained values.

        The keys are ``slots``, ``steps``, both or neither; each is a field of ``Config``.
        """


MODELS: Registry[ModelPlugin] = Registry("model", "iodine_kit.models", ModelPlugin)
