"""Gradients of the pixel likelihoods by formula, as pure functions: what automatic differentiation would find.

With π = softmax(logits), r_k = π_k p(x | k) / Σ_j π_j p(x | j) the responsibilities of the mixture, and s_kc the slope
of log p(x | k) in the mean μ_kc:

    mixture        ∂ log p / ∂μ_kc = r_k s_kc        ∂ log p / ∂logit_k = r_k − π_k
    weighted mean  ∂ log p / ∂μ_kc = π_k q_c         ∂ log p / ∂logit_k = π_k Σ_c q_c (μ_kc − Σ_j π_j μ_jc)

where q_c is the slope of the one Gaussian's log density in its mean. Shapes and suffixes as in ``likelihood.py``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from iodine_kit.models.iodine.config import LikelihoodName
from iodine_kit.models.iodine.likelihood import (
    blend,
    blend_without_each,
    component_posterior,
    log_of_rest,
    over_channels,
)

Density = Callable[[Tensor, Tensor, float], tuple[Tensor, Tensor]]


class Explained(NamedTuple):
    """A likelihood's values and slopes at every pixel.

    Attributes:
        loglik_BHW, mask_BKHW: as in :class:`iodine_kit.models.iodine.likelihood.PixelTerms`.
        posterior_BKHW: :func:`iodine_kit.models.iodine.likelihood.component_posterior`, ``score_BKCHW`` the slope of
            log p(x | k) in μ_k; both empty if the posterior was not asked for.
        weight_BKHW, slope_BKCHW: ∂ log p / ∂μ_k is their product; the slope may have one slot for all.
        lean_BKHW: ∂ log p / ∂logit_k.
    """

    loglik_BHW: Tensor
    mask_BKHW: Tensor
    posterior_BKHW: Tensor
    score_BKCHW: Tensor
    weight_BKHW: Tensor
    slope_BKCHW: Tensor
    lean_BKHW: Tensor


def explain(
    name: LikelihoodName,
    x_BCHW: Tensor,
    mean_BKCHW: Tensor,
    logit_BKHW: Tensor,
    scale: float,
    *,
    leave_out: bool,
    posterior: bool = True,
) -> tuple[Explained, Tensor]:
    """Evaluate the likelihood called ``name`` and, if asked to ``leave_out`` each slot, how much it matters.

    ``posterior`` says whether the component posterior is wanted, which costs as much as all the rest. The
    counterfactual ``[B, K, H, W]`` is log p(x) − log p(x without slot k), for a mixture
    log((1 − π_k) / (1 − r_k)); without ``leave_out`` it is empty.
    """
    if name == "weighted-mean-gaussian":
        return _weighted_mean(x_BCHW, mean_BKCHW, logit_BKHW, scale, leave_out, posterior)
    density = logistic if name == "mixture-logistic" else gaussian
    return _mixture(density, x_BCHW, mean_BKCHW, logit_BKHW, scale, leave_out, posterior)


def pull_back(
    explained: Explained, dloglik: Tensor | float, dmask_BKHW: Tensor | None, dposterior_BKHW: Tensor | None
) -> tuple[Tensor, Tensor]:
    """From gradients of log p(x), π and the posterior to those of means and logits: ``(dmean_BKCHW, dlogit_BKHW)``.

    ``dloglik`` is a number for all pixels, or a scalar tensor.
    """
    dmean_BKCHW = (explained.weight_BKHW * dloglik)[:, :, None] * explained.slope_BKCHW
    dlogit_BKHW = explained.lean_BKHW * dloglik
    if dmask_BKHW is not None:
        dlogit_BKHW += _through_softmax(explained.mask_BKHW, dmask_BKHW)
    if dposterior_BKHW is not None:
        dcomponent_BKHW = _through_softmax(explained.posterior_BKHW, dposterior_BKHW)
        dmean_BKCHW += dcomponent_BKHW[:, :, None] * explained.score_BKCHW
    return dmean_BKCHW, dlogit_BKHW


def logistic(x: Tensor, loc: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Log density of Logistic(loc, scale), and its slope in ``loc``: tanh(z/2) / s with z = (x − loc) / s."""
    z = (x - loc) / scale
    size = z.abs()
    small = size.neg().exp_()  # e^{−|z|}, at most 1
    log_density = torch.log1p(small).mul_(-2).sub_(size).sub_(math.log(scale))
    return log_density, z.sign_().mul_((1 - small).div_((1 + small).mul_(scale)))


def gaussian(x: Tensor, loc: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Log density of Normal(loc, scale²), and its slope in ``loc``: z / σ with z = (x − loc) / σ."""
    z = (x - loc) / scale
    return -0.5 * z * z - (math.log(scale) + 0.5 * math.log(2 * math.pi)), z / scale


def _mixture(
    density: Density,
    x_BCHW: Tensor,
    mean_BKCHW: Tensor,
    logit_BKHW: Tensor,
    scale: float,
    leave_out: bool,
    posterior: bool,
) -> tuple[Explained, Tensor]:
    log_density_BKCHW, score_BKCHW = density(x_BCHW[:, None], mean_BKCHW, scale)
    component_BKHW = over_channels(log_density_BKCHW)
    joint_BKHW = logit_BKHW + component_BKHW
    all_joint_BHW, all_logit_BHW = joint_BKHW.logsumexp(1), logit_BKHW.logsumexp(1)
    mask_BKHW = (logit_BKHW - all_logit_BHW[:, None]).exp_()
    share_BKHW = (joint_BKHW - all_joint_BHW[:, None]).exp_()
    loglik_BHW = all_joint_BHW - all_logit_BHW
    posterior_BKHW = component_posterior(component_BKHW) if posterior else loglik_BHW.new_empty(0)
    lean_BKHW = share_BKHW - mask_BKHW
    explained = Explained(loglik_BHW, mask_BKHW, posterior_BKHW, score_BKCHW, share_BKHW, score_BKCHW, lean_BKHW)
    if not leave_out:
        return explained, loglik_BHW.new_empty(0)
    rest_BKHW = log_of_rest(logit_BKHW, all_logit_BHW, mask_BKHW)
    return explained, rest_BKHW - log_of_rest(joint_BKHW, all_joint_BHW, share_BKHW)


def _weighted_mean(
    x_BCHW: Tensor, mean_BKCHW: Tensor, logit_BKHW: Tensor, scale: float, leave_out: bool, posterior: bool
) -> tuple[Explained, Tensor]:
    mask_BKHW = logit_BKHW.softmax(1)
    blend_BCHW = blend(mean_BKCHW, mask_BKHW)
    log_density_BCHW, slope_BCHW = gaussian(x_BCHW, blend_BCHW, scale)
    apart_BKCHW = mean_BKCHW - blend_BCHW[:, None]
    lean_BKHW = mask_BKHW * over_channels(slope_BCHW[:, None] * apart_BKCHW)
    loglik_BHW = log_density_BCHW.sum(1)
    posterior_BKHW = score_BKCHW = loglik_BHW.new_empty(0)
    if posterior:
        component_BKCHW, score_BKCHW = gaussian(x_BCHW[:, None], mean_BKCHW, scale)
        posterior_BKHW = component_posterior(over_channels(component_BKCHW))
    slope_B1CHW = slope_BCHW[:, None]
    explained = Explained(loglik_BHW, mask_BKHW, posterior_BKHW, score_BKCHW, mask_BKHW, slope_B1CHW, lean_BKHW)
    if not leave_out:
        return explained, loglik_BHW.new_empty(0)
    return explained, loglik_BHW[:, None] - blend_without_each(x_BCHW, mean_BKCHW, logit_BKHW, scale)


def _through_softmax(share_BKHW: Tensor, gradient_BKHW: Tensor) -> Tensor:
    """Pull a gradient back through p = softmax(a), or through shares that are e^{a_k} over one sum of them."""
    weighted_BKHW = share_BKHW * gradient_BKHW
    return weighted_BKHW - share_BKHW * weighted_BKHW.sum(1, keepdim=True)
