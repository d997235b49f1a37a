"""One decode: from λ to the loss, and to the gradients that the refinement network looks at."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import partial

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from iodine_kit.models.iodine import likelihood
from iodine_kit.models.iodine.analytic_decode import ClosedForm, Settings
from iodine_kit.models.iodine.config import GRADIENT_INPUTS, SPATIAL_INPUTS, InputName, IodineConfig
from iodine_kit.models.iodine.decoder import BroadcastDecoder, DecoderWeights
from iodine_kit.models.iodine.inputs import STILL
from iodine_kit.models.iodine.posterior import kl_to_prior, lambda_gradient, prior_scale, scale_of

_OF_THE_DECODE = set(SPATIAL_INPUTS) - set(STILL)


@dataclass(frozen=True)
class Decode:
    """One pass from λ to the loss. B scenes, K slots, N = B·K.

    Attributes:
        zp_NL, loc_BKZ, scale_BKZ: λ and the posterior that it stands for.
        mean_BKCHW, logit_BKHW, mask_BKHW: RGB means, mask logits and masks.
        nll: scalar, the sum of ``nll_B``, which is without a graph; nats.
        kl_BK: of every slot, nats.
        loglik_BHW: a further input of the refinement network.
        posterior_BKHW, counterfactual_BKHW: two more, none where they are not asked for.
        dzp_NL, dmean_BKCHW, dlogit_BKHW: gradients of the objective; none after the last decode.
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


@dataclass(frozen=True)
class Decoding:
    """What all decodes of a step have in common.

    Attributes:
        beta: weight of the KL term; scalar.
        training: whether gradients will be wanted of the decodes.
        share: of every image in the objective whose gradients are inputs: 1 over the size of the batch, or 1.
        precision: of the decoder.
        recompute, closed_form: see :class:`iodine_kit.models.Computation`.
    """

    config: IodineConfig
    decoder: BroadcastDecoder
    weights: DecoderWeights
    image_BCHW: Tensor
    beta: Tensor
    training: bool
    share: float
    precision: torch.dtype
    recompute: bool
    closed_form: bool

    @property
    def leaves_out(self) -> bool:
        """Whether the counterfactual is an input."""
        return "counterfactual" in self.config.inputs

    @property
    def prior(self) -> float:
        """The prior's standard deviation."""
        return prior_scale(self.config.prior, self.config.posterior_scale)

    def decode(self, zp_NL: Tensor, noise_NZ: Tensor, *, refines: bool, counts: bool) -> Decode:
        """Decode λ; ``refines`` asks for the gradients that are inputs, ``counts`` says that the loss weighs it."""
        if self.closed_form:
            return self._by_formula(zp_NL, noise_NZ, refines=refines, counts=counts)
        decode = self._automatically(zp_NL, noise_NZ, refines=refines)
        return decode if self.training else decode.detached()

    def _by_formula(self, zp_NL: Tensor, noise_NZ: Tensor, *, refines: bool, counts: bool) -> Decode:
        config, slots = self.config, len(zp_NL) // len(self.image_BCHW)
        z_NZ, loc_NZ, scale_NZ, kl_BK = self._sample(zp_NL, noise_NZ, slots)
        looks = refines and "posterior" in config.inputs
        settings = Settings(
            config.likelihood, config.likelihood_scale, config.decoder.rgb == "sigmoid", self.weights.constant,
            config.decoder.patch, precision=self.precision, share=self.share, refines=refines, counts=counts,
            recompute=self.recompute, leave_out=refines and self.leaves_out, posterior=looks,
            stream=self.training and not needs_graph(config),
        )  # fmt: skip
        nll, *values, dz_NZ = ClosedForm.apply(  # type: ignore[no-untyped-call]
            settings, self.image_BCHW, z_NZ, self.weights.border_HI, self.weights.border_WI, *self.weights.tensors
        )
        mean, logit, mask, posterior, nll_B, loglik, counterfactual, dmean, dlogit = values
        dzp_NL = None
        if refines:
            with torch.no_grad():
                kl_weight = self.share * self.beta
                dzp_NL = lambda_gradient(dz_NZ, noise_NZ, zp_NL, config.posterior_scale, self.prior, kl_weight)
        return Decode(
            zp_NL, _split(loc_NZ, slots), _split(scale_NZ, slots), mean, logit, mask, nll, nll_B, kl_BK,
            loglik, posterior if looks else None, counterfactual if refines and self.leaves_out else None, dzp_NL,
            dmean if refines else None, dlogit if refines else None,
        )  # fmt: skip

    def _automatically(self, zp_NL: Tensor, noise_NZ: Tensor, *, refines: bool) -> Decode:
        """The same by automatic differentiation: slower, and of second order where an input that is a gradient asks."""
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
            without = self._without_each(mean, logit, terms) if refines and self.leaves_out else None
            objective = self.share * (nll_B.sum() + self.beta * kl_BK.sum())
            gradients = self._gradients(objective, zp_NL, mean, logit) if refines else (None, None, None)
        return Decode(
            zp_NL, _split(loc_NZ, slots), _split(scale_NZ, slots), mean, logit, terms.mask_BKHW, nll_B.sum(),
            nll_B.detach(), kl_BK, terms.loglik_BHW, posterior, without, *gradients,
        )  # fmt: skip

    def _without_each(self, mean_BKCHW: Tensor, logit_BKHW: Tensor, terms: likelihood.PixelTerms) -> Tensor:
        name, scale = self.config.likelihood, self.config.likelihood_scale
        with torch.set_grad_enabled(self.training and "counterfactual" not in self.config.stopped):
            return likelihood.counterfactual(name, self.image_BCHW, mean_BKCHW, logit_BKHW, scale, terms)

    def _sample(self, zp_NL: Tensor, noise_NZ: Tensor, slots: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """A reparametrised sample z = loc + scale · ε, loc, scale and the KL per slot ``[B, K]``."""
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
    """Whether anything but the loss passes a gradient to a decode's means and masks: an input that is not stopped."""
    return any(name in _OF_THE_DECODE for name in set(config.inputs) - set(config.stopped))


def by_formula(config: IodineConfig) -> bool:
    """Whether the closed form covers this choice of inputs: what it gives without a graph has to be stopped."""
    without_graph: set[InputName] = {*GRADIENT_INPUTS, "counterfactual", "log_prob"}
    return not (without_graph & set(config.inputs)) - set(config.stopped)


def _split(x_N: Tensor, slots: int) -> Tensor:
    """View the first axis N as ``[B, K]``."""
    return x_N.reshape(-1, slots, *x_N.shape[1:])
