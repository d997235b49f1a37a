"""IODINE's iteration: sample, decode, score, look at the gradients, refine (Greff et al. 2019, algorithm 1).

One loop serves training and inference. The gradients that are *inputs* are taken with respect to λ, the RGB means and
the mask logits, never to parameters; so inference works with every parameter frozen.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Generator, Tensor, nn

from iodine_kit.models import Computation, Inference, LossTerms
from iodine_kit.models.iodine.config import FLAT_INPUTS, SPATIAL_INPUTS, IodineConfig, StepWeightsName, check_slots
from iodine_kit.models.iodine.decode_step import Decode, Decoding, by_formula
from iodine_kit.models.iodine.decoder import BroadcastDecoder
from iodine_kit.models.iodine.inputs import RefinementInputs, input_channels
from iodine_kit.models.iodine.likelihood import blend
from iodine_kit.models.iodine.posterior import draw_noise
from iodine_kit.models.iodine.refinement import Begun, RefinementNetwork, State
from iodine_kit.records import Microbatch

_PRECISION = {"bfloat16": torch.bfloat16}


class Iodine(nn.Module):
    """The model. Images are ``[B, 3, H, W]`` in [0, 1]."""

    def __init__(self, config: IodineConfig) -> None:
        super().__init__()
        self.config = config
        self.computation = Computation()
        # A buffer, because a number in the graph would have to be compiled anew whenever it changes.
        self.register_buffer("beta", torch.tensor(config.beta), persistent=False)
        channels = input_channels(config)
        spatial = sum(channels[name] for name in config.inputs if name in SPATIAL_INPUTS)
        flat = sum(channels[name] for name in config.inputs if name in FLAT_INPUTS)
        self.initial = nn.Parameter(_initial_posterior(config), requires_grad=config.learn_initial)
        self.decoder = BroadcastDecoder(config.decoder, config.latent)
        self.inputs = RefinementInputs(config)
        self.refinement = RefinementNetwork(config.refinement, spatial, flat, 2 * config.latent)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    beta: Tensor
    """β, the weight of the KL term; scalar."""

    def noise(self, generator: Generator | None, microbatch: Microbatch) -> Tensor:
        """The noise of a training step for the images of a microbatch, ``[T+1, N, Z]``."""
        return self._noise(generator, microbatch, self.config.slots, self.config.steps)

    def loss(self, image_BCHW: Tensor, generator: Generator | None, microbatch: Microbatch | None = None) -> LossTerms:
        """Σ_t w_t (NLL_t + β KL_t) in nats per image (section 2.2, eq. 4)."""
        microbatch = microbatch or Microbatch(0, len(image_BCHW), len(image_BCHW))
        noise_TNZ = self.noise(generator, microbatch).to(image_BCHW.device, non_blocking=True)
        return self(image_BCHW, noise_TNZ, microbatch.total)  # type: ignore[no-any-return]

    def forward(self, image_BCHW: Tensor, noise_TNZ: Tensor, total: int) -> LossTerms:
        """The loss of images that are part of a batch of ``total``, given the noise of every decode."""
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
            ValueError: for one slot where the counterfactual is an input.
        """
        slots = self.config.slots if slots is None else slots
        steps = self.config.steps if steps is None else steps
        check_slots(self.config, slots)
        microbatch = Microbatch(0, len(image_BCHW), len(image_BCHW))
        noise_TNZ = self._noise(generator, microbatch, slots, steps).to(image_BCHW.device)
        masks, nlls, kls = [], [], []
        # Differentiating automatically is not possible in inference mode, nor for an image made in it; a copy will do.
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
        """Yield T+1 decodes, one for each noise, with T refinements between them.

        Slots start from the same λ and differ only through the noise of their samples. In ``training``, gradients flow
        through the whole iteration; else every step is forgotten once it is over. ``total`` is the size of the whole
        batch, if these images are a part of one.
        """
        config, steps = self.config, len(noise_TNZ) - 1
        decoding = self._decoding(image_BCHW, training, total or len(image_BCHW))
        begun = self.refinement.begin(self.inputs, image_BCHW, decoding.precision)
        counts = [weight > 0 for weight in step_weights(config.step_weights, steps)]
        zp_NL = self.initial.expand(len(image_BCHW) * slots, -1)
        state: State = None
        for step, noise_NZ in enumerate(noise_TNZ):
            decode = decoding.decode(zp_NL, noise_NZ, refines=step < steps, counts=counts[step])
            yield decode
            if step < steps:
                update_NL, state = self._refine(begun, decode, state)
                zp_NL = (zp_NL.detach() if config.truncate else zp_NL) + update_NL

    def _noise(self, generator: Generator | None, microbatch: Microbatch, slots: int, steps: int) -> Tensor:
        rows = slice(microbatch.first * slots, (microbatch.first + microbatch.count) * slots)
        return draw_noise(generator, steps + 1, rows, microbatch.total * slots, self.config.latent, self.initial.dtype)

    def _decoding(self, image_BCHW: Tensor, training: bool, total: int) -> Decoding:
        config, computation = self.config, self.computation
        return Decoding(
            config,
            self.decoder,
            self.decoder.prepare(image_BCHW.shape[2], image_BCHW.shape[3]),
            image_BCHW,
            self.beta,
            training=training,
            share=1 / total if config.gradient_reduction == "batch-mean" else 1.0,
            precision=_PRECISION.get(computation.precision, image_BCHW.dtype),
            recompute=computation.recompute,
            closed_form=computation.closed_form and by_formula(config),
        )

    def _refine(self, begun: Begun, decode: Decode, state: State) -> tuple[Tensor, State]:
        values, rows = decode.inputs(), len(decode.zp_NL)
        slot_NCHW = self.inputs.of_slots(values, rows)
        flat_NF = self.inputs.flat_of(values, rows, decode.zp_NL)
        return self.refinement(begun, slot_NCHW, flat_NF, rows, state)  # type: ignore[no-any-return]


def _weighted(weights: list[float], value_T: Tensor) -> Tensor:
    return torch.stack([weight * value for weight, value in zip(weights, value_T.unbind(), strict=True)]).sum()


def step_weights(name: StepWeightsName, steps: int) -> list[float]:
    """Weights of the T+1 decodes' losses."""
    if name == "linear":
        return [t / steps for t in range(steps + 1)] if steps else [1.0]  # a single decode has to count
    if name == "linear-from-one":
        return [(t + 1) / (steps + 1) for t in range(steps + 1)]
    return [1.0] * (steps + 1) if name == "uniform" else [0.0] * steps + [1.0]


def _initial_posterior(config: IodineConfig) -> Tensor:
    """λ0, one vector ``[2Z]``. The release gives no initialiser, which in TensorFlow 1 means Glorot uniform."""
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
