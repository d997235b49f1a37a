"""IODINE's pixel likelihoods, as pure functions beside their equations (Greff et al. 2019, section 2.1, eq. 2).

Every function takes the image ``x_BCHW``, the slots' RGB means ``mean_BKCHW`` and mask logits ``logit_BKHW`` and is
differentiable. Suffixes: B scenes, K slots, C = 3 colour channels, H and W pixels. Units are nats; the normalising
constants are included, so figures compare between images, never between likelihoods.
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
LARGE = 0.75
"""A share of a pixel that only one slot can have."""


@dataclass(frozen=True)
class PixelTerms:
    """What the likelihood says of every pixel, and what the refinement inputs are made of (section 2.3).

    Attributes:
        loglik_BHW: log p(x_i), the whole model's.
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

    The component is chosen once per pixel: the product over channels stands inside the sum over slots.
    """
    component_BKHW = logpdf(x_BCHW[:, None], mean_BKCHW, scale).sum(2)
    logmask_BKHW = F.log_softmax(logit_BKHW, dim=1)
    loglik_BHW = torch.logsumexp(logmask_BKHW + component_BKHW, dim=1)
    return PixelTerms(loglik_BHW, logmask_BKHW.exp(), component_BKHW)


def weighted_mean(x_BCHW: Tensor, mean_BKCHW: Tensor, logit_BKHW: Tensor, scale: float) -> PixelTerms:
    """One Gaussian around the blended image: p(x_i) = Π_c N(x_ic; Σ_k π_ik μ_ikc, σ²).

    Not the paper's: the change with which EfficientMORL (Emami et al. 2021) explains its better Multi-dSprites score.
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
    for k in range(1, mean_BKCHW.shape[1]):  # several times as fast on CPUs as a sum over a short axis
        whole_BCHW = torch.addcmul(whole_BCHW, weight_BK1HW[:, k], mean_BKCHW[:, k])
    return whole_BCHW


def over_channels(x_BKCHW: Tensor) -> Tensor:
    """The sum over the colour channels, ``[B, K, H, W]``; several times as fast on CPUs as one over a short axis."""
    red, *others = x_BKCHW.unbind(2)
    return sum(others, red)


def mixture_without_each(terms: PixelTerms, logit_BKHW: Tensor) -> Tensor:
    """log p(x_i) of the mixture without slot k, its masks renormalised over the other slots, ``[B, K, H, W]``.

    With a single slot nothing is left, and the answer is −∞.
    """
    return _logsumexp_of_others(logit_BKHW + terms.component_BKHW) - _logsumexp_of_others(logit_BKHW)


def blend_without_each(x_BCHW: Tensor, mean_BKCHW: Tensor, logit_BKHW: Tensor, scale: float) -> Tensor:
    """The same for the blended image: log N(x; Σ_{j≠k} π_j μ_j / Σ_{j≠k} π_j, σ²), ``[B, K, H, W]``."""
    mask_BKHW = logit_BKHW.softmax(1)
    large_BKHW = mask_BKHW > LARGE
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
    """How much slot k matters at a pixel: log p(x_i) − log p(x_i without slot k), ``[B, K, H, W]`` (section 2.3)."""
    if name == "weighted-mean-gaussian":
        without_BKHW = blend_without_each(x_BCHW, mean_BKCHW, logit_BKHW, scale)
    else:
        without_BKHW = mixture_without_each(terms, logit_BKHW)
    return terms.loglik_BHW[:, None] - without_BKHW


def component_posterior(component_BKHW: Tensor) -> Tensor:
    """p(x_i | k) / (Σ_j p(x_i | j) + 1e−6): densities without mixing weights, near 0 where no slot fits at all."""
    density_BKHW = component_BKHW.exp()
    return density_BKHW / (density_BKHW.sum(1, keepdim=True) + 1e-6)


def log_of_rest(value_BKHW: Tensor, total_BHW: Tensor, share_BKHW: Tensor) -> Tensor:
    """log(1 − p_k), where p is ``share``, the softmax of ``value`` over slots, and ``total`` its logsumexp.

    Where a share is :data:`LARGE`, 1 − p_k might cancel: there the others are summed anew. So the work is that of K
    slots, not of K².
    """
    large_BKHW = share_BKHW > LARGE
    rest_BHW = torch.logsumexp(value_BKHW.masked_fill(large_BKHW, -math.inf), dim=1) - total_BHW
    return torch.where(large_BKHW, rest_BHW[:, None], torch.log1p(-share_BKHW.masked_fill(large_BKHW, 0.0)))


def _logsumexp_of_others(value_BKHW: Tensor) -> Tensor:
    total_BHW = torch.logsumexp(value_BKHW, dim=1)
    return total_BHW[:, None] + log_of_rest(value_BKHW, total_BHW, (value_BKHW - total_BHW[:, None]).exp())
