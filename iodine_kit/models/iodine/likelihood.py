"""IODINE's pixel likelihoods (Greff et al. 2019, section 2.1, eq. 2) and their gradients, as pure functions.

Every function takes the image ``x_BCHW``, the slots' RGB means ``mean_BKCHW`` and mask logits ``logit_BKHW``. Suffixes:
B scenes, K slots, C = 3 colour channels, H and W pixels. Units are nats. The normalising constants are included, so
values of one likelihood are comparable between images; values of two likelihoods are not comparable.

:func:`pixel_terms` is for automatic differentiation. :func:`likelihood_terms` and :func:`pull_back` give the gradients
by formula. With π = softmax(logits), the responsibilities r_k = π_k p(x | k) / Σ_j π_j p(x | j) of the mixture, and
s_kc the slope of log p(x | k) in the mean μ_kc:

    mixture        ∂ log p / ∂μ_kc = r_k s_kc        ∂ log p / ∂logit_k = r_k − π_k
    weighted mean  ∂ log p / ∂μ_kc = π_k q_c         ∂ log p / ∂logit_k = π_k Σ_c q_c (μ_kc − Σ_j π_j μ_jc)

where q_c is the slope of the one Gaussian's log density in its mean.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from iodine_kit.models.iodine.config import LikelihoodName

LogDensity = Callable[[Tensor, Tensor, float], Tensor]
DensityAndSlope = Callable[[Tensor, Tensor, float], tuple[Tensor, Tensor]]
LARGE_SHARE = 0.75
"""At most one slot can have a larger share of a pixel."""


@dataclass(frozen=True)
class PixelTerms:
    """The likelihood at every pixel and its parts, which are also refinement inputs (section 2.3).

    Attributes:
        loglik_BHW: log p(x_i) of the whole model.
        mask_BKHW: mixing weights π, the softmax of the mask logits over slots.
        component_BKHW: log p(x_i | slot k), joint over the colour channels, without π.
    """

    loglik_BHW: Tensor
    mask_BKHW: Tensor
    component_BKHW: Tensor


def logistic_logpdf(x: Tensor, loc: Tensor, scale: float) -> Tensor:
    """Log density of Logistic(loc, scale): −z − 2 log(1 + e^{−z}) − log s, with z = (x − loc) / s."""
    z = (x - loc) / scale
    return -z - 2 * F.softplus(-z, threshold=40) - math.log(scale)  # above 40, softplus(x) is x even in float64


def gaussian_logpdf(x: Tensor, loc: Tensor, scale: float) -> Tensor:
    """Log density of Normal(loc, scale²)."""
    z = (x - loc) / scale
    return -0.5 * z * z - (math.log(scale) + 0.5 * math.log(2 * math.pi))


def mixture(x_BCHW: Tensor, mean_BKCHW: Tensor, logit_BKHW: Tensor, scale: float, logpdf: LogDensity) -> PixelTerms:
    """Each pixel belongs to one slot: p(x_i) = Σ_k π_ik Π_c p(x_ic | μ_ikc)  (eq. 2).

    One component per pixel: the product over channels is inside the sum over slots.
    """
    component_BKHW = logpdf(x_BCHW[:, None], mean_BKCHW, scale).sum(2)
    logmask_BKHW = F.log_softmax(logit_BKHW, dim=1)
    loglik_BHW = torch.logsumexp(logmask_BKHW + component_BKHW, dim=1)
    return PixelTerms(loglik_BHW, logmask_BKHW.exp(), component_BKHW)


def weighted_mean(x_BCHW: Tensor, mean_BKCHW: Tensor, logit_BKHW: Tensor, scale: float) -> PixelTerms:
    """One Gaussian around the blended image: p(x_i) = Π_c N(x_ic; Σ_k π_ik μ_ikc, σ²).

    Not from the paper: EfficientMORL (Emami et al. 2021) explains its better Multi-dSprites score by this change.
    """
    mask_BKHW = logit_BKHW.softmax(1)
    blend_BCHW = blend(mean_BKCHW, mask_BKHW)
    component_BKHW = gaussian_logpdf(x_BCHW[:, None], mean_BKCHW, scale).sum(2)
    return PixelTerms(gaussian_logpdf(x_BCHW, blend_BCHW, scale).sum(1), mask_BKHW, component_BKHW)


def pixel_terms(
    name: LikelihoodName, x_BCHW: Tensor, mean_BKCHW: Tensor, logit_BKHW: Tensor, scale: float
) -> PixelTerms:
    """Evaluate the likelihood called ``name`` with the fixed ``scale`` (logistic s or Gaussian σ)."""
    if name == "weighted-mean-gaussian":
        return weighted_mean(x_BCHW, mean_BKCHW, logit_BKHW, scale)
    logpdf = logistic_logpdf if name == "mixture-logistic" else gaussian_logpdf
    return mixture(x_BCHW, mean_BKCHW, logit_BKHW, scale, logpdf)


def blend(mean_BKCHW: Tensor, mask_BKHW: Tensor) -> Tensor:
    """The reconstruction Σ_k π_k μ_k, ``[B, C, H, W]``."""
    weight_BK1HW = mask_BKHW[:, :, None]
    whole_BCHW = weight_BK1HW[:, 0] * mean_BKCHW[:, 0]
    for k in range(1, mean_BKCHW.shape[1]):  # on CPUs several times as fast as a sum over a short axis
        whole_BCHW = torch.addcmul(whole_BCHW, weight_BK1HW[:, k], mean_BKCHW[:, k])
    return whole_BCHW


def over_channels(x_BKCHW: Tensor) -> Tensor:
    """The sum over the colour channels, ``[B, K, H, W]``; on CPUs several times as fast as ``sum`` over that axis."""
    red, *others = x_BKCHW.unbind(2)
    return sum(others, red)


def mixture_without_each(terms: PixelTerms, logit_BKHW: Tensor) -> Tensor:
    """log p(x_i) of the mixture without slot k, its masks renormalised over the other slots, ``[B, K, H, W]``.

    With a single slot, no slot remains and the value is −∞.
    """
    return _logsumexp_of_others(logit_BKHW + terms.component_BKHW) - _logsumexp_of_others(logit_BKHW)


def blend_without_each(x_BCHW: Tensor, mean_BKCHW: Tensor, logit_BKHW: Tensor, scale: float) -> Tensor:
    """log p(x_i) of the blended image without slot k: log N(x; Σ_{j≠k} π_j μ_j / Σ_{j≠k} π_j, σ²), ``[B, K, H, W]``."""
    mask_BKHW = logit_BKHW.softmax(1)
    large_BKHW = mask_BKHW > LARGE_SHARE
    rest_BCHW = blend(mean_BKCHW, logit_BKHW.masked_fill(large_BKHW, -math.inf).softmax(1))
    mask_BK1HW, others_BKHW = mask_BKHW[:, :, None], 1 - mask_BKHW.masked_fill(large_BKHW, 0.0)
    without_BKCHW = (blend(mean_BKCHW, mask_BKHW)[:, None] - mask_BK1HW * mean_BKCHW) / others_BKHW[:, :, None]
    blend_BKCHW = torch.where(large_BKHW[:, :, None], rest_BCHW[:, None], without_BKCHW)
    return gaussian_logpdf(x_BCHW[:, None], blend_BKCHW, scale).sum(2)


def counterfactual(
    name: LikelihoodName,
    x_BCHW: Tensor,
    mean_BKCHW: Tensor,
    logit_BKHW: Tensor,
    scale: float,
    terms: PixelTerms,
) -> Tensor:
    """The counterfactual of slot k: log p(x_i) − log p(x_i without slot k), ``[B, K, H, W]`` (section 2.3)."""
    if name == "weighted-mean-gaussian":
        without_BKHW = blend_without_each(x_BCHW, mean_BKCHW, logit_BKHW, scale)
    else:
        without_BKHW = mixture_without_each(terms, logit_BKHW)
    return terms.loglik_BHW[:, None] - without_BKHW


def component_posterior(component_BKHW: Tensor) -> Tensor:
    """p(x_i | k) / (Σ_j p(x_i | j) + 1e−6): densities without mixing weights; near 0 where no slot fits the pixel."""
    density_BKHW = component_BKHW.exp()
    return density_BKHW / (density_BKHW.sum(1, keepdim=True) + 1e-6)


def log_one_minus_share(value_BKHW: Tensor, total_BHW: Tensor, share_BKHW: Tensor) -> Tensor:
    """log(1 − p_k), where p is ``share``, the softmax of ``value`` over slots, and ``total`` its logsumexp.

    Where a share is above :data:`LARGE_SHARE`, 1 − p_k could cancel; there the other slots are summed instead. So the
    work is proportional to K, not to K².
    """
    large_BKHW = share_BKHW > LARGE_SHARE
    rest_BHW = torch.logsumexp(value_BKHW.masked_fill(large_BKHW, -math.inf), dim=1) - total_BHW
    return torch.where(large_BKHW, rest_BHW[:, None], torch.log1p(-share_BKHW.masked_fill(large_BKHW, 0.0)))


def _logsumexp_of_others(value_BKHW: Tensor) -> Tensor:
    total_BHW = torch.logsumexp(value_BKHW, dim=1)
    return total_BHW[:, None] + log_one_minus_share(value_BKHW, total_BHW, (value_BKHW - total_BHW[:, None]).exp())


@dataclass(frozen=True)
class LikelihoodTerms:
    """Values and slopes of a likelihood at every pixel, from which :func:`pull_back` computes gradients.

    Attributes:
        loglik_BHW, mask_BKHW: as in :class:`PixelTerms`.
        posterior_BKHW: :func:`component_posterior`; empty if it was not requested.
        component_slope_BKCHW: slope of log p(x | k) in μ_k; empty if the posterior was not requested.
        weight_BKHW, slope_BKCHW: their product is ∂ log p / ∂μ_k; the slope may have one slot for all.
        logit_slope_BKHW: ∂ log p / ∂logit_k.
    """

    loglik_BHW: Tensor
    mask_BKHW: Tensor
    posterior_BKHW: Tensor
    component_slope_BKCHW: Tensor
    weight_BKHW: Tensor
    slope_BKCHW: Tensor
    logit_slope_BKHW: Tensor


def likelihood_terms(
    name: LikelihoodName,
    x_BCHW: Tensor,
    mean_BKCHW: Tensor,
    logit_BKHW: Tensor,
    scale: float,
    *,
    counterfactual: bool,
    posterior: bool = True,
) -> tuple[LikelihoodTerms, Tensor]:
    """Evaluate the likelihood called ``name``; return its terms and the counterfactual ``[B, K, H, W]``.

    Without ``counterfactual``, the latter is empty. ``posterior`` requests the component posterior, which takes as
    long as all other terms.
    """
    if name == "weighted-mean-gaussian":
        return _weighted_mean_terms(x_BCHW, mean_BKCHW, logit_BKHW, scale, counterfactual, posterior)
    density = logistic if name == "mixture-logistic" else gaussian
    return _mixture_terms(density, x_BCHW, mean_BKCHW, logit_BKHW, scale, counterfactual, posterior)


def pull_back(
    terms: LikelihoodTerms, dloglik: Tensor | float, dmask_BKHW: Tensor | None, dposterior_BKHW: Tensor | None
) -> tuple[Tensor, Tensor]:
    """From gradients of log p(x), π and the posterior to those of means and logits: ``(dmean_BKCHW, dlogit_BKHW)``.

    ``dloglik`` is one number for all pixels, or a scalar tensor.
    """
    dmean_BKCHW = (terms.weight_BKHW * dloglik)[:, :, None] * terms.slope_BKCHW
    dlogit_BKHW = terms.logit_slope_BKHW * dloglik
    if dmask_BKHW is not None:
        dlogit_BKHW += _through_softmax(terms.mask_BKHW, dmask_BKHW)
    if dposterior_BKHW is not None:
        dcomponent_BKHW = _through_softmax(terms.posterior_BKHW, dposterior_BKHW)
        dmean_BKCHW += dcomponent_BKHW[:, :, None] * terms.component_slope_BKCHW
    return dmean_BKCHW, dlogit_BKHW


def logistic(x: Tensor, loc: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Log density of Logistic(loc, scale), and its slope in ``loc``: tanh(z/2) / s with z = (x − loc) / s."""
    z = (x - loc) / scale
    distance = z.abs()
    decay = distance.neg().exp_()  # e^{−|z|}, at most 1
    log_density = torch.log1p(decay).mul_(-2).sub_(distance).sub_(math.log(scale))
    return log_density, z.sign_().mul_((1 - decay).div_((1 + decay).mul_(scale)))


def gaussian(x: Tensor, loc: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Log density of Normal(loc, scale²), and its slope in ``loc``: z / σ with z = (x − loc) / σ."""
    z = (x - loc) / scale
    return -0.5 * z * z - (math.log(scale) + 0.5 * math.log(2 * math.pi)), z / scale


def _mixture_terms(
    density: DensityAndSlope,
    x_BCHW: Tensor,
    mean_BKCHW: Tensor,
    logit_BKHW: Tensor,
    scale: float,
    counterfactual: bool,
    posterior: bool,
) -> tuple[LikelihoodTerms, Tensor]:
    log_density_BKCHW, slope_BKCHW = density(x_BCHW[:, None], mean_BKCHW, scale)
    component_BKHW = over_channels(log_density_BKCHW)
    joint_BKHW = logit_BKHW + component_BKHW
    all_joint_BHW, all_logit_BHW = joint_BKHW.logsumexp(1), logit_BKHW.logsumexp(1)
    mask_BKHW = (logit_BKHW - all_logit_BHW[:, None]).exp_()
    responsibility_BKHW = (joint_BKHW - all_joint_BHW[:, None]).exp_()
    loglik_BHW = all_joint_BHW - all_logit_BHW
    terms = LikelihoodTerms(
        loglik_BHW=loglik_BHW, mask_BKHW=mask_BKHW, weight_BKHW=responsibility_BKHW, slope_BKCHW=slope_BKCHW,
        posterior_BKHW=component_posterior(component_BKHW) if posterior else loglik_BHW.new_empty(0),
        component_slope_BKCHW=slope_BKCHW, logit_slope_BKHW=responsibility_BKHW - mask_BKHW,
    )  # fmt: skip
    if not counterfactual:
        return terms, loglik_BHW.new_empty(0)
    log_other_masks_BKHW = log_one_minus_share(logit_BKHW, all_logit_BHW, mask_BKHW)
    return terms, log_other_masks_BKHW - log_one_minus_share(joint_BKHW, all_joint_BHW, responsibility_BKHW)


def _weighted_mean_terms(
    x_BCHW: Tensor, mean_BKCHW: Tensor, logit_BKHW: Tensor, scale: float, counterfactual: bool, posterior: bool
) -> tuple[LikelihoodTerms, Tensor]:
    mask_BKHW = logit_BKHW.softmax(1)
    blend_BCHW = blend(mean_BKCHW, mask_BKHW)
    log_density_BCHW, slope_BCHW = gaussian(x_BCHW, blend_BCHW, scale)
    difference_BKCHW = mean_BKCHW - blend_BCHW[:, None]
    logit_slope_BKHW = mask_BKHW * over_channels(slope_BCHW[:, None] * difference_BKCHW)
    loglik_BHW = log_density_BCHW.sum(1)
    posterior_BKHW = component_slope_BKCHW = loglik_BHW.new_empty(0)
    if posterior:
        component_BKCHW, component_slope_BKCHW = gaussian(x_BCHW[:, None], mean_BKCHW, scale)
        posterior_BKHW = component_posterior(over_channels(component_BKCHW))
    terms = LikelihoodTerms(
        loglik_BHW=loglik_BHW, mask_BKHW=mask_BKHW, weight_BKHW=mask_BKHW, slope_BKCHW=slope_BCHW[:, None],
        posterior_BKHW=posterior_BKHW, component_slope_BKCHW=component_slope_BKCHW, logit_slope_BKHW=logit_slope_BKHW,
    )  # fmt: skip
    if not counterfactual:
        return terms, loglik_BHW.new_empty(0)
    return terms, loglik_BHW[:, None] - blend_without_each(x_BCHW, mean_BKCHW, logit_BKHW, scale)


def _through_softmax(share_BKHW: Tensor, gradient_BKHW: Tensor) -> Tensor:
    """Pull a gradient back through p = softmax(a), or through shares proportional to e^{a_k}."""
    weighted_BKHW = share_BKHW * gradient_BKHW
    return weighted_BKHW - share_BKHW * weighted_BKHW.sum(1, keepdim=True)
