"""A decode whose derivatives are formulas: of the loss, and those the refinement network looks at (section 2.2).

Automatic differentiation would go through the likelihood twice and keep all of its steps. Here the forward pass ends
with the gradients that are inputs, and the backward pass starts from responsibilities (``gradients.py``). Where no
input passes a gradient on, loss and inputs ask for the same one, up to a factor: it is computed once, weights and all,
and nothing is kept.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from iodine_kit.models.iodine.config import LikelihoodName
from iodine_kit.models.iodine.decoder import DecoderWeights, pull, run
from iodine_kit.models.iodine.likelihood_gradients import Explained, explain, pull_back


class Settings(NamedTuple):
    """How to decode.

    Attributes:
        sigmoid: whether RGB means pass through one.
        constant: appended to every latent, or none.
        patch: side of the patch that a place of the decoder's grid draws.
        precision: of the decoder.
        share: of every image in the objective whose gradients are inputs.
        refines: whether those are wanted. ``counts``: whether the loss weighs this decode.
        leave_out: whether the counterfactual is wanted. ``posterior``: whether the component posterior is.
        recompute: decode again in the backward pass instead of keeping activations.
        stream: whether the loss alone passes gradients on, so that they can be had at once.
    """

    likelihood: LikelihoodName
    scale: float
    sigmoid: bool
    constant: float | None
    patch: int
    precision: torch.dtype
    share: float
    refines: bool
    counts: bool
    leave_out: bool
    posterior: bool
    recompute: bool
    stream: bool


class ClosedForm(torch.autograd.Function):
    """(settings, image, z, the decoder's weights) → (NLL; means, logits, masks, posterior; values without a graph).

    The latter are NLL per image, log-likelihood, counterfactual, ∂/∂means, ∂/∂logits and, last, ∂/∂z.
    """

    @staticmethod
    def forward(ctx: Any, settings: Settings, image_BCHW: Tensor, z_NZ: Tensor, *weights: Tensor) -> tuple[Tensor, ...]:
        decoder = _decoder(settings, image_BCHW, weights)
        out_N4HW, seen = run(z_NZ, decoder)
        mean, logit, explained, counterfactual = _look(settings, image_BCHW, out_N4HW, leave_out=settings.leave_out)
        nll_B = -explained.loglik_BHW.sum((1, 2))
        at_once = settings.stream and settings.counts
        dmean, dlogit, dz_NZ = (nll_B.new_empty(0) for _ in range(3))
        dweights: tuple[Tensor, ...] = ()
        if settings.refines or at_once:
            dmean, dlogit = pull_back(explained, -settings.share, None, None)
            gradient = _of_output(settings, mean, dmean, dlogit)
            dz_NZ, dweights = pull(gradient, z_NZ, seen, decoder, to_weights=at_once)
        ctx.settings, ctx.count = settings, len(weights)
        if settings.stream:
            ctx.save_for_backward(dz_NZ, *dweights)
        elif settings.recompute:
            ctx.save_for_backward(image_BCHW, z_NZ, *weights)
        else:
            ctx.save_for_backward(image_BCHW, z_NZ, *weights, *seen, mean, *explained)
        with_graph = (mean, logit, explained.mask_BKHW, explained.posterior_BKHW)
        without_graph = (nll_B, explained.loglik_BHW, counterfactual, dmean, dlogit, dz_NZ)
        ctx.mark_non_differentiable(*without_graph, *(with_graph if settings.stream else ()))
        ctx.set_materialize_grads(False)
        return nll_B.sum(), *with_graph, *without_graph

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dnll: Tensor | None, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        if ctx.settings.stream:
            return _scaled(ctx, dnll)
        image_BCHW, z_NZ, *saved = ctx.saved_tensors
        weights = tuple(saved[: ctx.count])
        decoder = _decoder(ctx.settings, image_BCHW, weights)
        if ctx.settings.recompute:
            out_N4HW, seen = run(z_NZ, decoder)
            mean, _, explained, _ = _look(ctx.settings, image_BCHW, out_N4HW, leave_out=False)
        else:
            *seen, mean = saved[ctx.count : -len(Explained._fields)]
            explained = Explained(*saved[-len(Explained._fields) :])
        dmean, dlogit, dmask, dposterior = gradients[:4]
        if not ctx.settings.posterior:  # a compiler gives a gradient of zeros to what was left empty
            dposterior = None
        by_mean, by_logit = pull_back(explained, 0.0 if dnll is None else -dnll, dmask, dposterior)
        gradient = _of_output(ctx.settings, mean, _plus(by_mean, dmean), _plus(by_logit, dlogit))
        dz_NZ, dweights = pull(gradient, z_NZ, seen, decoder, to_weights=True)
        return None, None, dz_NZ, None, None, *dweights


def _decoder(settings: Settings, image_BCHW: Tensor, weights: tuple[Tensor, ...]) -> DecoderWeights:
    border_HI, border_WI, latent_ZO, grid_HWO, *rest = weights
    size = (image_BCHW.shape[2], image_BCHW.shape[3])
    whole = DecoderWeights(
        border_HI, border_WI, latent_ZO, grid_HWO, tuple(rest), settings.constant, settings.patch, size
    )
    return whole.to(settings.precision)


def _look(
    settings: Settings, image_BCHW: Tensor, out_N4HW: Tensor, *, leave_out: bool
) -> tuple[Tensor, Tensor, Explained, Tensor]:
    """Means, logits, and what the likelihood says, in the image's precision and with a plane for every channel."""
    planes_N4HW = out_N4HW.to(image_BCHW.dtype).contiguous()
    planes_BK4HW = planes_N4HW.view(len(image_BCHW), -1, *planes_N4HW.shape[1:])
    mean, logit = planes_BK4HW[:, :, 1:], planes_BK4HW[:, :, 0]
    mean = torch.sigmoid(mean) if settings.sigmoid else mean
    said = explain(
        settings.likelihood, image_BCHW, mean, logit, settings.scale,
        leave_out=leave_out, posterior=settings.posterior,
    )  # fmt: skip
    return mean, logit, *said


def _of_output(settings: Settings, mean_BKCHW: Tensor, dmean_BKCHW: Tensor, dlogit_BKHW: Tensor) -> Tensor:
    """The gradient of the decoder's output ``[N, 4, H, W]``."""
    if settings.sigmoid:
        dmean_BKCHW = dmean_BKCHW * mean_BKCHW * (1 - mean_BKCHW)
    return torch.cat([dlogit_BKHW[:, :, None], dmean_BKCHW], 2).flatten(0, 1)


def _scaled(ctx: Any, dnll: Tensor | None) -> tuple[Tensor | None, ...]:
    """What the forward pass found, in the proportion in which the loss asks for it."""
    count: int = ctx.count
    dz_NZ, *dweights = ctx.saved_tensors
    if dnll is None or not dz_NZ.numel():
        return (None,) * (3 + count)
    factor: Tensor = dnll / ctx.settings.share
    found: list[Tensor | None] = [None, None, *(dweight * factor for dweight in dweights)]
    return (None, None, dz_NZ * factor, *(found if dweights else [None] * count))


def _plus(first: Tensor, second: Tensor | None) -> Tensor:
    return first if second is None else first + second
