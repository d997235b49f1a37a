"""IODINE's iteration: sample, decode, score, look at the gradients, refine (Greff et al. 2019, algorithm 1).

One loop serves training and inference. The gradients that are *inputs* come from ``torch.autograd.grad`` with respect
to λ, the RGB means and the mask logits, never to parameters; so inference works with every parameter frozen.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from iodine_kit.models import Computation, Inference, LossTerms, Part
from iodine_kit.models.iodine import likelihood
from iodine_kit.models.iodine.config import (
    FLAT_INPUTS,
    GRADIENT_INPUTS,
    SPATIAL_INPUTS,
    InputName,
    IodineConfig,
    StepWeightsName,
    check_slots,
)
from iodine_kit.models.iodine.decoder import BroadcastDecoder
from iodine_kit.models.iodine.inputs import RefinementInputs, input_channels
from iodine_kit.models.iodine.posterior import kl_to_prior, prior_scale, sample, scale_of
from iodine_kit.models.iodine.refinement import RefinementNetwork, State


@dataclass(frozen=True)
class Decode:
    """One pass from λ to the loss. N = B·K; ``objective`` is the scalar whose gradients are inputs."""

    zp_NL: Tensor
    loc_BKZ: Tensor
    scale_BKZ: Tensor
    mean_BKCHW: Tensor
    logit_BKHW: Tensor
    terms: likelihood.PixelTerms
    nll_B: Tensor
    kl_BK: Tensor
    objective: Tensor


class Iodine(nn.Module):
    """The model. Images are ``[B, 3, H, W]`` in [0, 1]."""

    def __init__(self, config: IodineConfig) -> None:
        super().__init__()
        self.config = config
        self.computation = Computation()
        channels = input_channels(config)
        spatial = sum(channels[name] for name in config.inputs if name in SPATIAL_INPUTS)
        flat = sum(channels[name] for name in config.inputs if name in FLAT_INPUTS)
        self.initial = nn.Parameter(_initial_posterior(config), requires_grad=config.learn_initial)
        self.decoder = BroadcastDecoder(config.decoder, config.latent)
        self.inputs = RefinementInputs(config)
        self.refinement = RefinementNetwork(config.refinement, spatial, flat, 2 * config.latent)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def loss(self, image_BCHW: Tensor, generator: Generator | None, part: Part | None = None) -> LossTerms:
        """Σ_t w_t (NLL_t + β KL_t) in nats per image (section 2.2, eq. 4)."""
        config, total = self.config, part.total if part else len(image_BCHW)
        decodes = list(self.iterate(image_BCHW, generator, config.slots, config.steps, keep_graph=True, part=part))
        nll_T = torch.stack([decode.nll_B.sum() for decode in decodes]) / total
        kl_TK = torch.stack([decode.kl_BK.sum(0) for decode in decodes]) / total
        weights_T = step_weights(config.step_weights, config.steps).to(nll_T)
        nll, kl = weights_T @ nll_T, config.beta * (weights_T @ kl_TK.sum(1))
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
        masks, nlls, kls = [], [], []
        # Refinement needs gradients with respect to λ, whatever the caller's mode; an image made in inference mode
        # may not take part in them, a copy of it may.
        with torch.inference_mode(False), torch.enable_grad():
            for decode in self.iterate(image_BCHW.clone(), generator, slots, steps, keep_graph=False):
                masks.append(decode.logit_BKHW.argmax(1).to(torch.uint8))
                nlls.append(decode.nll_B.detach())
                kls.append(decode.kl_BK.detach().sum(1))
        mask_BKHW, mean_BKCHW = decode.terms.mask_BKHW.detach(), decode.mean_BKCHW.detach()
        return Inference(
            step_mask_BSHW=torch.stack(masks, 1),
            mask_BKHW=mask_BKHW,
            mean_BKCHW=mean_BKCHW,
            reconstruction_BCHW=likelihood.blend(mean_BKCHW, mask_BKHW),
            loc_BKZ=decode.loc_BKZ.detach(),
            scale_BKZ=decode.scale_BKZ.detach(),
            nll_BS=torch.stack(nlls, 1),
            kl_BS=torch.stack(kls, 1),
        )

    def iterate(
        self,
        image_BCHW: Tensor,
        generator: Generator | None,
        slots: int,
        steps: int,
        *,
        keep_graph: bool,
        part: Part | None = None,
    ) -> Iterator[Decode]:
        """Yield ``steps + 1`` decodes with ``steps`` refinements between them.

        Slots start from the same λ and differ only through the noise of their samples. With ``keep_graph`` gradients
        flow through the whole iteration (training); without, every step is forgotten once it is over.
        """
        part = part or Part(0, len(image_BCHW))
        zp_NL = self.initial.expand(len(image_BCHW) * slots, -1)
        state: State = None
        for step in range(steps + 1):
            if not keep_graph or not zp_NL.requires_grad:
                zp_NL = zp_NL.detach().requires_grad_()
            decode = self._decode(image_BCHW, zp_NL, generator, slots, part)
            yield decode
            if step < steps:
                with torch.set_grad_enabled(keep_graph):
                    update_NL, state = self._refine(image_BCHW, decode, state, keep_graph)
                zp_NL = (zp_NL.detach() if self.config.truncate else zp_NL) + update_NL

    def _decode(self, image_BCHW: Tensor, zp_NL: Tensor, generator: Generator | None, slots: int, part: Part) -> Decode:
        config, (height, width) = self.config, image_BCHW.shape[-2:]
        loc_NZ, raw_NZ = zp_NL.chunk(2, 1)
        scale_NZ = scale_of(raw_NZ, config.posterior_scale)
        z_NZ = sample(loc_NZ, scale_NZ, generator, part.first * slots, part.total * slots)
        mean_NCHW, logit_NHW = self.decoder(z_NZ, height, width)
        mean_BKCHW, logit_BKHW = _split(mean_NCHW, slots), _split(logit_NHW, slots)
        terms = likelihood.pixel_terms(config.likelihood, image_BCHW, mean_BKCHW, logit_BKHW, config.likelihood_scale)
        nll_B = -terms.loglik_BHW.sum((1, 2))
        prior = prior_scale(config.prior, config.posterior_scale)
        kl_BK = _split(kl_to_prior(loc_NZ, scale_NZ, prior), slots)
        each_B = nll_B + config.beta * kl_BK.sum(1)
        objective = each_B.sum() / (part.total if config.gradient_reduction == "batch-mean" else 1)
        loc_BKZ, scale_BKZ = _split(loc_NZ, slots), _split(scale_NZ, slots)
        return Decode(zp_NL, loc_BKZ, scale_BKZ, mean_BKCHW, logit_BKHW, terms, nll_B, kl_BK, objective)

    def _refine(self, image_BCHW: Tensor, decode: Decode, state: State, keep_graph: bool) -> tuple[Tensor, State]:
        slots = decode.logit_BKHW.shape[1]
        values = self._values(image_BCHW, decode, keep_graph)
        spatial_NCHW, flat_NF = self.inputs(values, image_BCHW, slots)
        update_NL, state = self.refinement(spatial_NCHW, flat_NF, state)
        return update_NL, state

    def _values(self, image_BCHW: Tensor, decode: Decode, keep_graph: bool) -> dict[InputName, Tensor]:
        """Every input that is used and not constant, as ``[N, C, H, W]``, ``[B, C, H, W]`` or ``[N, F]``."""
        config = self.config
        second_order = keep_graph and any(
            name in config.inputs and name not in config.stopped for name in GRADIENT_INPUTS
        )
        dzp_NL, dmean_BKCHW, dlogit_BKHW = torch.autograd.grad(
            decode.objective,
            (decode.zp_NL, decode.mean_BKCHW, decode.logit_BKHW),
            retain_graph=keep_graph,
            create_graph=second_order,
        )
        values: dict[InputName, Tensor] = {
            "components": decode.mean_BKCHW.flatten(0, 1),
            "dcomponents": dmean_BKCHW.flatten(0, 1),
            "dmask": dlogit_BKHW.flatten(0, 1)[:, None],
            "log_prob": decode.terms.loglik_BHW[:, None],
            "mask": decode.logit_BKHW.flatten(0, 1)[:, None],
            "pred_mask": decode.terms.mask_BKHW.flatten(0, 1)[:, None],
            "dzp": dzp_NL,
            "zp": decode.zp_NL,
        }
        if "posterior" in config.inputs:
            posterior_BKHW = likelihood.component_posterior(decode.terms.component_BKHW)
            values["posterior"] = posterior_BKHW.flatten(0, 1)[:, None]
        if "counterfactual" in config.inputs:
            values["counterfactual"] = self._counterfactual(image_BCHW, decode).flatten(0, 1)[:, None]
        return values

    def _counterfactual(self, image_BCHW: Tensor, decode: Decode) -> Tensor:
        config = self.config
        with torch.set_grad_enabled("counterfactual" not in config.stopped):
            return likelihood.counterfactual(
                config.likelihood,
                image_BCHW,
                decode.mean_BKCHW,
                decode.logit_BKHW,
                config.likelihood_scale,
                decode.terms,
            )


def _split(x_N: Tensor, slots: int) -> Tensor:
    """View the first axis N as ``[B, K]``."""
    return x_N.view(-1, slots, *x_N.shape[1:])


def step_weights(name: StepWeightsName, steps: int) -> Tensor:
    """Weights ``float64[T+1]`` of the decodes' losses."""
    t = torch.arange(steps + 1, dtype=torch.float64)
    if name == "linear":
        return t / steps if steps else torch.ones_like(t)  # a single decode has to count
    if name == "linear-from-one":
        return (t + 1) / (steps + 1)
    return torch.ones_like(t) if name == "uniform" else (t == steps).double()


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
