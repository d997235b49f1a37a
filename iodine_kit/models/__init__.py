"""Models: each module or package of this folder is one, named for it, and offers what :class:`ModelPlugin` says."""

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
    """How a model computes; what it computes stays the same but for rounding.

    Attributes:
        precision: of convolutions; likelihood, softmax, layer norms and gradients are ``float32`` at least.
        recompute: compute the decoder's activations again in the backward pass instead of keeping them.
        closed_form: gradients that are inputs by formula; else by automatic differentiation, which is slower.
    """

    precision: Literal["float32", "bfloat16"] = "float32"
    recompute: bool = False
    closed_form: bool = True


@dataclass(frozen=True)
class LossTerms:
    """A training loss and its terms, in nats per image: sums over the images at hand over the size of the whole batch.

    The terms of all parts of a batch add up to the batch's mean.

    Attributes:
        loss: scalar to differentiate, ``nll + kl``.
        nll, kl: scalars, weighted over the decodes as the loss is, with their graphs; β is in ``kl``.
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
    """What a model inferred for images ``[B, 3, H, W]``; S = T+1 decodes. All tensors are detached.

    Attributes:
        step_mask_BSHW: ``uint8``, the slot with the largest mask, at every decode.
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
    """May be set at any time."""

    beta: Tensor
    """Weight of the KL term in the loss, and in the gradients that are inputs: a scalar buffer that is not saved. It
    starts at the configuration's value; training may fill in another one at every step."""

    def noise(self, generator: Generator | None, microbatch: Microbatch) -> Tensor:
        """Draw a training step's noise for the images of a part.

        It is drawn for the whole batch, so that parts of it see what the whole would have seen.
        """

    def forward(self, image_BCHW: Tensor, noise: Tensor, total: int) -> LossTerms:
        """Return the training loss for images in [0, 1] out of a batch of ``total``: a function of tensors only."""

    def loss(self, image_BCHW: Tensor, generator: Generator | None, microbatch: Microbatch | None = None) -> LossTerms:
        """Do both in turn; without a ``part`` the images are the whole batch."""

    def infer(
        self,
        image_BCHW: Tensor,
        generator: Generator | None,
        *,
        slots: int | None = None,
        steps: int | None = None,
    ) -> Inference:
        """Segment images in [0, 1], with another number of slots or refinement steps if asked."""

    def decode(self, latent_BKZ: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
        """Draw scenes from their slots' latents: soft masks ``[B, K, H, W]`` and RGB means ``[B, K, 3, H, W]``."""


class ModelPlugin(Protocol):
    """What a module of this folder offers."""

    VERSION: int
    """Raised whenever the same configuration and data would train another model."""

    PRESETS: Mapping[str, Any]
    """Published configurations by name; ``model.preset`` selects one."""

    DEFAULT_PRESETS: Mapping[str, str]
    """Data set name → name of the preset that training on it starts from. Other data sets get no preset."""

    Config: type[Config]

    def build(self, config: Any, seed: int) -> Any:
        """Return a newly initialised :class:`Model` that is a ``torch.nn.Module``."""

    def check_image(self, config: Any, height: int, width: int) -> None:
        """Raise :class:`iodine_kit.errors.ImageSizeError` if the network cannot process images of this size."""

    def test_time_options(self, config: Any) -> Mapping[str, int]:
        """Return the fields of ``config`` that inference may override, with their trained values.

        The keys are ``slots``, ``steps``, both or neither; each is a field of ``Config``.
        """


MODELS: Registry[ModelPlugin] = Registry("model", "iodine_kit.models", ModelPlugin)
