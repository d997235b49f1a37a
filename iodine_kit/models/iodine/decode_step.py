"""One decode: sample z from the posterior q(z | λ), decode it, score it, and compute the gradients that are inputs.

λ has 2Z numbers per slot: the first Z are the mean, the last Z the raw scale, which a function makes positive.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from iodine_kit.models.iodine import likelihood
from iodine_kit.models.iodine.analytic_decode import DecodeOptions, analytic_decode
from iodine_kit.models.iodine.config import (
    GRADIENT_INPUTS,
    SPATIAL_INPUTS,
    InputName,
    IodineConfig,
    PriorName,
    ScaleName,
)
from iodine_kit.models.iodine.decoder import BroadcastDecoder, DecoderWeights
from iodine_kit.models.iodine.refinement import STATIC_INPUTS


@dataclass(frozen=True, kw_only=True)
class Decode:
    """One decode, from λ to the loss. B scenes, K slots, N = B·K.

    Attributes:
        zp_NL, loc_BKZ, scale_BKZ: λ, and mean and standard deviation of its posterior.
        mean_BKCHW, logit_BKHW, mask_BKHW: RGB means, mask logits and masks.
        nll: scalar, the sum of ``nll_B``, which has no graph; nats.
        kl_BK: of every slot, nats.
        loglik_BHW: log-likelihood of every pixel, an input of the refinement network.
        posterior_BKHW, counterfactual_BKHW: two more inputs; ``None`` if they were not requested.
        dzp_NL, dmean_BKCHW, dlogit_BKHW: gradients of the objective; ``None`` after the last decode.
    """

    zp_NL: Tensor
    loc_BKZ: Tensor
    scale_BKZ: Tensor
    mean_BKCHW: Tensor
    logit_BKHW: Tensor
    mask_BKHW: Tensor
    nll: Tensor
    nll_B: Tensor
    kl_BK: Tensor
    loglik_BHW: Tensor
    posterior_BKHW: Tensor | None
    counterfactual_BKHW: Tensor | None = None
    dzp_NL: Tensor | None = None
    dmean_BKCHW: Tensor | None = None
    dlogit_BKHW: Tensor | None = None

    def detached(self) -> Decode:
        """The same without graphs."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{name: value.detach() for name, value in values.items() if value is not None})

    def inputs(self) -> dict[InputName, Tensor]:
        """All inputs that change from step to step, as ``[N, C, H, W]``, ``[B, C, H, W]`` or ``[N, F]``."""
        assert self.dzp_NL is not None and self.dmean_BKCHW is not None and self.dlogit_BKHW is not None
        maps: dict[InputName, Tensor] = {
            "dmask": self.dlogit_BKHW, "mask": self.logit_BKHW, "pred_mask": self.mask_BKHW,
        }  # fmt: skip
        if self.posterior_BKHW is not None:
            maps["posterior"] = self.posterior_BKHW
        if self.counterfactual_BKHW is not None:
            maps["counterfactual"] = self.counterfactual_BKHW
        return {
            **{name: value.flatten(0, 1)[:, None] for name, value in maps.items()},
            "components": self.mean_BKCHW.flatten(0, 1),
            "dcomponents": self.dmean_BKCHW.flatten(0, 1),
            "log_prob": self.loglik_BHW[:, None],
            "dzp": self.dzp_NL,
            "zp": self.zp_NL,
        }


@dataclass(frozen=True, kw_only=True)
class DecodeContext:
    """What all decodes of an iteration have in common.

    Attributes:
        beta: KL weight; scalar.
        training: whether gradients of the decodes will be needed.
        image_weight: weight of every image in the objective whose gradients are inputs: 1 over the batch size, or 1.
        precision: of the decoder.
        recompute, closed_form: see :class:`iodine_kit.models.Computation`.
    """

    config: IodineConfig
    decoder: BroadcastDecoder
    weights: DecoderWeights
    image_BCHW: Tensor
    beta: Tensor
    training: bool
    image_weight: float
    precision: torch.dtype
    recompute: bool
    closed_form: bool

    @property
    def needs_counterfactual(self) -> bool:
        """Whether the counterfactual is an input."""
        return "counterfactual" in self.config.inputs

    @property
    def prior(self) -> float:
        """The prior's standard deviation."""
        return prior_scale(self.config.prior, self.config.posterior_scale)

    def decode(self, zp_NL: Tensor, noise_NZ: Tensor, *, feeds_refinement: bool, in_loss: bool) -> Decode:
        """Decode λ.

        Args:
            zp_NL: λ.
            noise_NZ: standard normal noise of the sample.
            feeds_refinement: whether the gradients that are inputs are needed.
            in_loss: whether the weight of this decode in the loss is above 0.
        """
        if self.closed_form:
            return self._analytic(zp_NL, noise_NZ, feeds_refinement=feeds_refinement, in_loss=in_loss)
        decode = self._autodiff(zp_NL, noise_NZ, feeds_refinement=feeds_refinement)
        return decode if self.training else decode.detached()

    def _analytic(self, zp_NL: Tensor, noise_NZ: Tensor, *, feeds_refinement: bool, in_loss: bool) -> Decode:
        """Compute the gradients by formula."""
        config, slots = self.config, len(zp_NL) // len(self.image_BCHW)
        z_NZ, loc_NZ, scale_NZ, kl_BK = self._sample(zp_NL, noise_NZ, slots)
        counterfactual = feeds_refinement and self.needs_counterfactual
        posterior = feeds_refinement and "posterior" in config.inputs
        options = DecodeOptions(
            likelihood=config.likelihood, scale=config.likelihood_scale, sigmoid=config.decoder.rgb == "sigmoid",
            constant=self.weights.constant, patch=config.decoder.patch, precision=self.precision,
            image_weight=self.image_weight, feeds_refinement=feeds_refinement, in_loss=in_loss,
            counterfactual=counterfactual, posterior=posterior, recompute=self.recompute,
            loss_only=self.training and not needs_graph(config),
        )  # fmt: skip
        result = analytic_decode(options, self.image_BCHW, z_NZ, self.weights)
        dzp_NL = None
        if feeds_refinement:
            with torch.no_grad():
                kl_weight = self.image_weight * self.beta
                dzp_NL = lambda_gradient(result.dz_NZ, noise_NZ, zp_NL, config.posterior_scale, self.prior, kl_weight)
        return Decode(
            zp_NL=zp_NL, loc_BKZ=_split(loc_NZ, slots), scale_BKZ=_split(scale_NZ, slots),
            mean_BKCHW=result.mean_BKCHW, logit_BKHW=result.logit_BKHW, mask_BKHW=result.mask_BKHW,
            nll=result.nll, nll_B=result.nll_B, kl_BK=kl_BK, loglik_BHW=result.loglik_BHW,
            posterior_BKHW=result.posterior_BKHW if posterior else None,
            counterfactual_BKHW=result.counterfactual_BKHW if counterfactual else None,
            dzp_NL=dzp_NL,
            dmean_BKCHW=result.dmean_BKCHW if feeds_refinement else None,
            dlogit_BKHW=result.dlogit_BKHW if feeds_refinement else None,
        )  # fmt: skip

    def _autodiff(self, zp_NL: Tensor, noise_NZ: Tensor, *, feeds_refinement: bool) -> Decode:
        """Compute the gradients by automatic differentiation: slower, but of second order if an input needs that."""
        config, slots = self.config, len(zp_NL) // len(self.image_BCHW)
        if not self.training or not zp_NL.requires_grad:
            zp_NL = zp_NL.detach().requires_grad_()
        with torch.enable_grad():
            z_NZ, loc_NZ, scale_NZ, kl_BK = self._sample(zp_NL, noise_NZ, slots)
            decoder = partial(checkpoint, self.decoder, use_reentrant=False) if self.recompute else self.decoder
            mean_N3HW, logit_NHW = decoder(z_NZ, self.weights.to(self.precision))
            mean, logit = _split(mean_N3HW, slots), _split(logit_NHW, slots)
            terms = likelihood.pixel_terms(config.likelihood, self.image_BCHW, mean, logit, config.likelihood_scale)
            nll_B = -terms.loglik_BHW.sum((1, 2))
            posterior = likelihood.component_posterior(terms.component_BKHW)
            needs_counterfactual = feeds_refinement and self.needs_counterfactual
            counterfactual = self._counterfactual(mean, logit, terms) if needs_counterfactual else None
            objective = self.image_weight * (nll_B.sum() + self.beta * kl_BK.sum())
            dzp, dmean, dlogit = (
                self._gradients(objective, zp_NL, mean, logit) if feeds_refinement else (None, None, None)
            )
        return Decode(
            zp_NL=zp_NL, loc_BKZ=_split(loc_NZ, slots), scale_BKZ=_split(scale_NZ, slots),
            mean_BKCHW=mean, logit_BKHW=logit, mask_BKHW=terms.mask_BKHW,
            nll=nll_B.sum(), nll_B=nll_B.detach(), kl_BK=kl_BK, loglik_BHW=terms.loglik_BHW,
            posterior_BKHW=posterior, counterfactual_BKHW=counterfactual,
            dzp_NL=dzp, dmean_BKCHW=dmean, dlogit_BKHW=dlogit,
        )  # fmt: skip

    def _counterfactual(self, mean_BKCHW: Tensor, logit_BKHW: Tensor, terms: likelihood.PixelTerms) -> Tensor:
        name, scale = self.config.likelihood, self.config.likelihood_scale
        with torch.set_grad_enabled(self.training and "counterfactual" not in self.config.stopped):
            return likelihood.counterfactual(name, self.image_BCHW, mean_BKCHW, logit_BKHW, scale, terms)

    def _sample(self, zp_NL: Tensor, noise_NZ: Tensor, slots: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """A reparametrised sample z = loc + scale · ε; loc, scale and the KL per slot ``[B, K]``."""
        loc_NZ, raw_NZ = zp_NL.chunk(2, 1)
        scale_NZ = scale_of(raw_NZ, self.config.posterior_scale)
        kl_BK = _split(kl_to_prior(loc_NZ, scale_NZ, self.prior), slots)
        return loc_NZ + scale_NZ * noise_NZ, loc_NZ, scale_NZ, kl_BK

    def _gradients(self, objective: Tensor, *places: Tensor) -> tuple[Tensor, ...]:
        second_order = self.training and is_second_order(self.config)
        return torch.autograd.grad(objective, places, retain_graph=self.training, create_graph=second_order)


def is_second_order(config: IodineConfig) -> bool:
    """Whether gradients flow through inputs that are gradients themselves."""
    return any(name in config.inputs and name not in config.stopped for name in GRADIENT_INPUTS)


def needs_graph(config: IodineConfig) -> bool:
    """Whether an input that is not stopped passes a gradient to the means or masks of a decode."""
    depends_on_decode = set(SPATIAL_INPUTS) - set(STATIC_INPUTS)
    return any(name in depends_on_decode for name in set(config.inputs) - set(config.stopped))


def supports_closed_form(config: IodineConfig) -> bool:
    """Whether the formulas cover the inputs: those that they give without a graph must be stopped."""
    without_graph: set[InputName] = {*GRADIENT_INPUTS, "counterfactual", "log_prob"}
    return not (without_graph & set(config.inputs)) - set(config.stopped)


def scale_of(raw: Tensor, name: ScaleName) -> Tensor:
    """Standard deviation from the raw parameter: √softplus (release), softplus, or exp(raw / 2)."""
    if name == "sqrt-softplus":
        return F.softplus(raw).sqrt()
    return F.softplus(raw) if name == "softplus" else (0.5 * raw).exp()


def prior_scale(prior: PriorName, name: ScaleName) -> float:
    """The prior's standard deviation; its mean is 0.

    ``zero-parameters`` is the one of the all-zero λ (release: √ln 2 ≈ 0.8326); ``standard-normal`` is 1.
    """
    if prior == "standard-normal":
        return 1.0
    return {"sqrt-softplus": math.sqrt(math.log(2)), "softplus": math.log(2), "log-variance": 1.0}[name]


def kl_to_prior(loc: Tensor, scale: Tensor, prior: float) -> Tensor:
    """KL(N(loc, scale²) ‖ N(0, prior²)) in nats, summed over the last axis (the Z latents)."""
    ratio = scale / prior
    return 0.5 * (ratio**2 + (loc / prior) ** 2 - 1 - 2 * ratio.log()).sum(-1)


def lambda_gradient(
    dz_NZ: Tensor, noise_NZ: Tensor, zp_NL: Tensor, name: ScaleName, prior: float, kl_weight: Tensor | float
) -> Tensor:
    """∂/∂λ of a loss of z = loc + scale · ε with gradient ``dz``, plus ``kl_weight`` times the KL; ``[N, 2Z]``."""
    loc_NZ, raw_NZ = zp_NL.chunk(2, 1)
    scale_NZ = scale_of(raw_NZ, name)
    dscale_NZ = dz_NZ * noise_NZ + kl_weight * (scale_NZ / prior**2 - 1 / scale_NZ)
    slope_NZ = 0.5 * scale_NZ if name == "log-variance" else torch.sigmoid(raw_NZ)
    if name == "sqrt-softplus":
        slope_NZ = slope_NZ / (2 * scale_NZ)
    return torch.cat([dz_NZ + (kl_weight / prior**2) * loc_NZ, dscale_NZ * slope_NZ], 1)


def _split(x_N: Tensor, slots: int) -> Tensor:
    """View the first axis N as ``[B, K]``."""
    return x_N.reshape(-1, slots, *x_N.shape[1:])
