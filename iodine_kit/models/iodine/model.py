"""IODINE's iteration: sample, decode, score, compute gradients, refine (Greff et al. 2019, algorithm 1).

Training and inference use the same loop. The gradients that are *inputs* are those of λ, the RGB means and the mask
logits, never of parameters, so inference works with all parameters frozen.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Generator, Tensor, nn

from iodine_kit.models import Computation, Inference, LossTerms
from iodine_kit.models.iodine.config import FLAT_INPUTS, SPATIAL_INPUTS, IodineConfig, StepWeightsName, check_slots
from iodine_kit.models.iodine.decode_step import Decode, DecodeContext, supports_closed_form
from iodine_kit.models.iodine.decoder import BroadcastDecoder
from iodine_kit.models.iodine.likelihood import blend
from iodine_kit.models.iodine.refinement import (
    LSTMState,
    RefinementInputs,
    RefinementNetwork,
    StaticFeatures,
    input_channels,
)
from iodine_kit.records import Microbatch

_PRECISION = {"bfloat16": torch.bfloat16}


class Iodine(nn.Module):
    """The model. Images are ``[B, 3, H, W]`` in [0, 1]."""

    beta: Tensor
    """β, the KL weight; scalar."""

    def __init__(self, config: IodineConfig) -> None:
        super().__init__()
        self.config = config
        self.computation = Computation()
        # A buffer, because torch.compile would compile the step again whenever a number in the graph changes.
        self.register_buffer("beta", torch.tensor(config.beta), persistent=False)
        channels = input_channels(config)
        spatial = sum(channels[name] for name in config.inputs if name in SPATIAL_INPUTS)
        flat = sum(channels[name] for name in config.inputs if name in FLAT_INPUTS)
        self.initial = nn.Parameter(_initial_posterior(config), requires_grad=config.learn_initial)
        self.decoder = BroadcastDecoder(config.decoder, config.latent)
        self.inputs = RefinementInputs(config)
        self.refinement = RefinementNetwork(config.refinement, spatial, flat, 2 * config.latent)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def noise(self, generator: Generator | None, microbatch: Microbatch) -> Tensor:
        """The noise of a training step for the images of a microbatch, ``[T+1, N, Z]``."""
        return self._noise(generator, microbatch, self.config.slots, self.config.steps)

    def loss(self, image_BCHW: Tensor, generator: Generator | None, microbatch: Microbatch | None = None) -> LossTerms:
        """The training loss Σ_t w_t (NLL_t + β KL_t), in nats per image (section 2.2, eq. 4)."""
        microbatch = microbatch or Microbatch(0, len(image_BCHW), len(image_BCHW))
        noise_TNZ = self.noise(generator, microbatch).to(image_BCHW.device, non_blocking=True)
        return self(image_BCHW, noise_TNZ, microbatch.total)  # type: ignore[no-any-return]

    def forward(self, image_BCHW: Tensor, noise_TNZ: Tensor, total: int) -> LossTerms:
        """The loss of images that belong to a batch of ``total``, given the noise of every decode."""
        config = self.config
        decodes = self.iterate(image_BCHW, noise_TNZ, config.slots, training=True, total=total)
        nlls, kls = zip(*((decode.nll, decode.kl_BK.sum(0)) for decode in decodes), strict=True)
        nll_T, kl_TK = torch.stack(nlls) / total, torch.stack(kls) / total
        weights = step_weights(config.step_weights, config.steps)
        nll, kl = _weighted(weights, nll_T), self.beta * _weighted(weights, kl_TK.sum(1))
        return LossTerms(nll + kl, nll, kl, nll_T.detach(), kl_TK.detach())

    def infer(
        self,
        image_BCHW: Tensor,
        generator: Generator | None,
        *,
        slots: int | None = None,
        steps: int | None = None,
    ) -> Inference:
        """Segment images; ``slots`` and ``steps`` may differ from training (sections 4.1 and 4.3).

        Raises:
            ValueError: for one slot if the counterfactual is an input.
        """
        slots = self.config.slots if slots is None else slots
        steps = self.config.steps if steps is None else steps
        check_slots(self.config, slots)
        microbatch = Microbatch(0, len(image_BCHW), len(image_BCHW))
        noise_TNZ = self._noise(generator, microbatch, slots, steps).to(image_BCHW.device)
        masks, nlls, kls = [], [], []
        # Automatic differentiation works neither in inference mode nor on tensors that were created in it; copies work.
        with torch.inference_mode(False), torch.no_grad():
            for decode in self.iterate(image_BCHW.clone(), noise_TNZ.clone(), slots, training=False):
                masks.append(decode.logit_BKHW.argmax(1).to(torch.uint8))
                nlls.append(decode.nll_B)
                kls.append(decode.kl_BK.sum(1))
        mask_BKHW, mean_BKCHW = decode.mask_BKHW, decode.mean_BKCHW
        return Inference(
            step_mask_BSHW=torch.stack(masks, 1),
            mask_BKHW=mask_BKHW,
            mean_BKCHW=mean_BKCHW,
            reconstruction_BCHW=blend(mean_BKCHW, mask_BKHW),
            loc_BKZ=decode.loc_BKZ,
            scale_BKZ=decode.scale_BKZ,
            nll_BS=torch.stack(nlls, 1),
            kl_BS=torch.stack(kls, 1),
        )

    def decode(self, latent_BKZ: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
        """Masks ``[B, K, H, W]`` and RGB means ``[B, K, 3, H, W]``, not clipped, of slots with these latents."""
        weights = self.decoder.prepare(height, width)
        mean_N3HW, logit_NHW = self.decoder(latent_BKZ.flatten(0, 1), weights)
        shape = latent_BKZ.shape[:2]
        return logit_NHW.unflatten(0, shape).softmax(1), mean_N3HW.unflatten(0, shape)

    def iterate(
        self, image_BCHW: Tensor, noise_TNZ: Tensor, slots: int, *, training: bool, total: int | None = None
    ) -> Iterator[Decode]:
        """Yield T+1 decodes, one per row of the noise, with T refinement steps between them.

        Slots start from the same λ and differ only in the noise of their samples. In ``training``, gradients flow
        through the whole iteration; otherwise each step is freed when it is over. ``total`` is the size of the whole
        batch, if these images are only some of it.
        """
        config, steps = self.config, len(noise_TNZ) - 1
        context = self._context(image_BCHW, training, total or len(image_BCHW))
        static = self.refinement.static_features(self.inputs, image_BCHW, context.precision)
        in_loss = [weight > 0 for weight in step_weights(config.step_weights, steps)]
        zp_NL = self.initial.expand(len(image_BCHW) * slots, -1)
        state: LSTMState = None
        for step, noise_NZ in enumerate(noise_TNZ):
            decode = context.decode(zp_NL, noise_NZ, feeds_refinement=step < steps, in_loss=in_loss[step])
            yield decode
            if step < steps:
                update_NL, state = self._refine(static, decode, state)
                zp_NL = (zp_NL.detach() if config.truncate else zp_NL) + update_NL

    def _noise(self, generator: Generator | None, microbatch: Microbatch, slots: int, steps: int) -> Tensor:
        rows = slice(microbatch.first * slots, (microbatch.first + microbatch.count) * slots)
        return draw_noise(generator, steps + 1, rows, microbatch.total * slots, self.config.latent, self.initial.dtype)

    def _context(self, image_BCHW: Tensor, training: bool, total: int) -> DecodeContext:
        config, computation = self.config, self.computation
        return DecodeContext(
            config=config,
            decoder=self.decoder,
            weights=self.decoder.prepare(image_BCHW.shape[2], image_BCHW.shape[3]),
            image_BCHW=image_BCHW,
            beta=self.beta,
            training=training,
            image_weight=1 / total if config.gradient_reduction == "batch-mean" else 1.0,
            precision=_PRECISION.get(computation.precision, image_BCHW.dtype),
            recompute=computation.recompute,
            closed_form=computation.closed_form and supports_closed_form(config),
        )

    def _refine(self, static: StaticFeatures, decode: Decode, state: LSTMState) -> tuple[Tensor, LSTMState]:
        values, rows = decode.inputs(), len(decode.zp_NL)
        per_slot_NCHW = self.inputs.per_slot_maps(values, rows)
        flat_NF = self.inputs.flat_features(values, rows, decode.zp_NL)
        return self.refinement(static, per_slot_NCHW, flat_NF, rows, state)  # type: ignore[no-any-return]


def draw_noise(
    generator: Generator | None, decodes: int, rows: slice, total: int, latent: int, dtype: torch.dtype
) -> Tensor:
    """Standard normal noise for the samples of all decodes of a step, ``[decodes, N, Z]``, on the generator's device.

    The noise is drawn for the ``total`` rows of the whole batch, of which ``rows`` are returned. So a microbatch gets
    the noise that it has in the whole batch, on every device. Decodes are drawn one after the other, so that the first
    ones do not depend on the number of those that follow.
    """
    device = generator.device if generator is not None else None
    drawn = (torch.randn((total, latent), generator=generator, device=device, dtype=dtype) for _ in range(decodes))
    return torch.stack([noise_MZ[rows] for noise_MZ in drawn])


def _weighted(weights: list[float], value_T: Tensor) -> Tensor:
    return torch.stack([weight * value for weight, value in zip(weights, value_T.unbind(), strict=True)]).sum()


def step_weights(name: StepWeightsName, steps: int) -> list[float]:
    """Weights of the losses of the T+1 decodes; see :class:`IodineConfig`."""
    if name == "linear":
        return [t / steps for t in range(steps + 1)] if steps else [1.0]  # a single decode needs a weight above 0
    if name == "linear-from-one":
        return [(t + 1) / (steps + 1) for t in range(steps + 1)]
    return [1.0] * (steps + 1) if name == "uniform" else [0.0] * steps + [1.0]


def _initial_posterior(config: IodineConfig) -> Tensor:
    """λ0, one vector ``[2Z]``. The release names no initialiser, which means Glorot uniform in TensorFlow 1."""
    length = 2 * config.latent
    if config.initial_posterior == "glorot-uniform":
        limit = (3 / length) ** 0.5
        return torch.empty(length).uniform_(-limit, limit)
    start = torch.zeros(length)
    if config.initial_posterior == "prior":
        raw = {"sqrt-softplus": torch.tensor(1.0).expm1().log(), "softplus": torch.tensor(1.0).expm1().log()}
        if config.prior == "standard-normal":
            start[config.latent :] = raw.get(config.posterior_scale, torch.tensor(0.0))
    return start
