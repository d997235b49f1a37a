"""A decode whose gradients are computed by formula: that of the loss, and those that are inputs (section 2.2).

Automatic differentiation would differentiate the likelihood twice and keep all intermediate values. Here the forward
pass ends with the gradients that are inputs, and the backward pass starts from responsibilities (``likelihood.py``).
If no input passes a gradient on, loss and inputs need the same gradient, up to a factor: it is computed once, in the
forward pass, for weights, too, and no activation is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from iodine_kit.models.iodine.config import LikelihoodName
from iodine_kit.models.iodine.decoder import DecoderWeights, decode_backward, decode_forward
from iodine_kit.models.iodine.likelihood import LikelihoodTerms, likelihood_terms, pull_back


@dataclass(frozen=True)
class DecodeOptions:
    """How to decode.

    Attributes:
        likelihood, scale: of a pixel.
        sigmoid: whether a sigmoid is applied to the RGB means.
        constant: appended to every latent, or none.
        patch: side of the patch of pixels that a position of the decoder's grid draws.
        precision: of the decoder.
        image_weight: weight of every image in the objective whose gradients are inputs.
        feeds_refinement: whether those gradients are needed.
        in_loss: whether the weight of this decode in the loss is above 0.
        counterfactual, posterior: whether these inputs are needed.
        recompute: whether to decode again in the backward pass instead of keeping activations.
        loss_only: whether only the loss passes gradients on, so that they can be computed in the forward pass.
    """

    likelihood: LikelihoodName
    scale: float
    sigmoid: bool
    constant: float | None
    patch: int
    precision: torch.dtype
    image_weight: float
    feeds_refinement: bool
    in_loss: bool
    counterfactual: bool
    posterior: bool
    recompute: bool
    loss_only: bool


@dataclass(frozen=True)
class DecodeResult:
    """What :func:`analytic_decode` computes.

    Attributes:
        nll: scalar, the sum of ``nll_B``; nats.
        mean_BKCHW, logit_BKHW, mask_BKHW, posterior_BKHW: RGB means, mask logits, masks, component posterior.
        nll_B, loglik_BHW, counterfactual_BKHW: without a graph.
        dmean_BKCHW, dlogit_BKHW, dz_NZ: gradients of the weighted NLL, without a graph.

    Values that were not requested are empty.
    """

    nll: Tensor
    mean_BKCHW: Tensor
    logit_BKHW: Tensor
    mask_BKHW: Tensor
    posterior_BKHW: Tensor
    nll_B: Tensor
    loglik_BHW: Tensor
    counterfactual_BKHW: Tensor
    dmean_BKCHW: Tensor
    dlogit_BKHW: Tensor
    dz_NZ: Tensor


def analytic_decode(options: DecodeOptions, image_BCHW: Tensor, z_NZ: Tensor, weights: DecoderWeights) -> DecodeResult:
    """Decode latents and score them. ``nll`` and, unless ``loss_only``, means, masks and posterior have gradients."""
    tensors = (weights.border_HI, weights.border_WI, *weights.tensors)
    return DecodeResult(*_AnalyticDecode.apply(options, image_BCHW, z_NZ, *tensors))  # type: ignore[no-untyped-call]


class _AnalyticDecode(torch.autograd.Function):
    """(options, image, z, tensors of the decoder) → the fields of :class:`DecodeResult` in their order."""

    @staticmethod
    def forward(
        ctx: Any, options: DecodeOptions, image_BCHW: Tensor, z_NZ: Tensor, *weights: Tensor
    ) -> tuple[Tensor, ...]:
        decoder = _decoder(options, image_BCHW, weights)
        out_N4HW, activations = decode_forward(z_NZ, decoder)
        mean, logit, terms, counterfactual = _score(options, image_BCHW, out_N4HW, options.counterfactual)
        nll_B = -terms.loglik_BHW.sum((1, 2))
        weights_now = options.loss_only and options.in_loss
        dmean, dlogit, dz_NZ = (nll_B.new_empty(0) for _ in range(3))
        dweights: tuple[Tensor, ...] = ()
        if options.feeds_refinement or weights_now:
            dmean, dlogit = pull_back(terms, -options.image_weight, None, None)
            gradient = _of_output(options, mean, dmean, dlogit)
            dz_NZ, dweights = decode_backward(gradient, z_NZ, activations, decoder, to_weights=weights_now)
        ctx.options, ctx.count = options, len(weights)
        if options.loss_only:
            ctx.save_for_backward(dz_NZ, *dweights)
        elif options.recompute:
            ctx.save_for_backward(image_BCHW, z_NZ, *weights)
        else:
            ctx.save_for_backward(image_BCHW, z_NZ, *weights, *_pack(activations, mean, terms))
        differentiable = (mean, logit, terms.mask_BKHW, terms.posterior_BKHW)
        constant = (nll_B, terms.loglik_BHW, counterfactual, dmean, dlogit, dz_NZ)
        ctx.mark_non_differentiable(*constant, *(differentiable if options.loss_only else ()))
        ctx.set_materialize_grads(False)
        return nll_B.sum(), *differentiable, *constant

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any,
        dnll: Tensor | None,
        dmean: Tensor | None,
        dlogit: Tensor | None,
        dmask: Tensor | None,
        dposterior: Tensor | None,
        *of_constants: None,
    ) -> tuple[Tensor | None, ...]:
        options: DecodeOptions = ctx.options
        if options.loss_only:
            return _scaled(ctx, dnll)
        image_BCHW, z_NZ, *saved = ctx.saved_tensors
        weights, kept = tuple(saved[: ctx.count]), saved[ctx.count :]
        decoder = _decoder(options, image_BCHW, weights)
        if options.recompute:
            out_N4HW, activations = decode_forward(z_NZ, decoder)
            mean, _, terms, _ = _score(options, image_BCHW, out_N4HW, counterfactual=False)
        else:
            activations, mean, terms = _unpack(kept)
        if not options.posterior:  # a compiler gives the empty posterior a gradient of zeros
            dposterior = None
        by_mean, by_logit = pull_back(terms, 0.0 if dnll is None else -dnll, dmask, dposterior)
        gradient = _of_output(options, mean, _plus(by_mean, dmean), _plus(by_logit, dlogit))
        dz_NZ, dweights = decode_backward(gradient, z_NZ, activations, decoder, to_weights=True)
        return None, None, dz_NZ, None, None, *dweights


def _decoder(options: DecodeOptions, image_BCHW: Tensor, weights: tuple[Tensor, ...]) -> DecoderWeights:
    border_HI, border_WI, latent_ZO, grid_HWO, *rest = weights
    whole = DecoderWeights(
        border_HI=border_HI,
        border_WI=border_WI,
        latent_ZO=latent_ZO,
        grid_HWO=grid_HWO,
        rest=tuple(rest),
        constant=options.constant,
        patch=options.patch,
        size=(image_BCHW.shape[2], image_BCHW.shape[3]),
    )
    return whole.to(options.precision)


def _score(
    options: DecodeOptions, image_BCHW: Tensor, out_N4HW: Tensor, counterfactual: bool
) -> tuple[Tensor, Tensor, LikelihoodTerms, Tensor]:
    """Means, logits, likelihood and counterfactual, in the image's precision and with one plane per channel."""
    planes_N4HW = out_N4HW.to(image_BCHW.dtype).contiguous()
    planes_BK4HW = planes_N4HW.view(len(image_BCHW), -1, *planes_N4HW.shape[1:])
    mean, logit = planes_BK4HW[:, :, 1:], planes_BK4HW[:, :, 0]
    mean = torch.sigmoid(mean) if options.sigmoid else mean
    terms, without_slot = likelihood_terms(
        options.likelihood, image_BCHW, mean, logit, options.scale,
        counterfactual=counterfactual, posterior=options.posterior,
    )  # fmt: skip
    return mean, logit, terms, without_slot


def _pack(activations: list[Tensor], mean: Tensor, terms: LikelihoodTerms) -> tuple[Tensor, ...]:
    """What the backward pass needs of the forward pass, in a row."""
    return (
        terms.loglik_BHW, terms.mask_BKHW, terms.posterior_BKHW, terms.component_slope_BKCHW, terms.weight_BKHW,
        terms.slope_BKCHW, terms.logit_slope_BKHW, mean, *activations,
    )  # fmt: skip


def _unpack(saved: Sequence[Tensor]) -> tuple[list[Tensor], Tensor, LikelihoodTerms]:
    """Undo :func:`_pack`."""
    loglik, mask, posterior, component_slope, weight, slope, logit_slope, mean, *activations = saved
    terms = LikelihoodTerms(
        loglik_BHW=loglik, mask_BKHW=mask, posterior_BKHW=posterior, component_slope_BKCHW=component_slope,
        weight_BKHW=weight, slope_BKCHW=slope, logit_slope_BKHW=logit_slope,
    )  # fmt: skip
    return activations, mean, terms


def _of_output(options: DecodeOptions, mean_BKCHW: Tensor, dmean_BKCHW: Tensor, dlogit_BKHW: Tensor) -> Tensor:
    """The gradient of the decoder's output ``[N, 4, H, W]``."""
    if options.sigmoid:
        dmean_BKCHW = dmean_BKCHW * mean_BKCHW * (1 - mean_BKCHW)
    return torch.cat([dlogit_BKHW[:, :, None], dmean_BKCHW], 2).flatten(0, 1)


def _scaled(ctx: Any, dnll: Tensor | None) -> tuple[Tensor | None, ...]:
    """Scale the gradients of the forward pass by the loss's gradient."""
    count: int = ctx.count
    dz_NZ, *dweights = ctx.saved_tensors
    if dnll is None or not dz_NZ.numel():
        return (None,) * (3 + count)
    factor: Tensor = dnll / ctx.options.image_weight
    of_weights: list[Tensor | None] = [None, None, *(dweight * factor for dweight in dweights)]
    return (None, None, dz_NZ * factor, *(of_weights if dweights else [None] * count))


def _plus(first: Tensor, second: Tensor | None) -> Tensor:
    return first if second is None else first + second
