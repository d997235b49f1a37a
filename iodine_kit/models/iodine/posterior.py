"""The diagonal Gaussian posterior q(z_k | λ_k), its prior and their divergence (section 2.2).

λ has 2Z numbers per slot: the first Z are the mean, the last Z the raw scale, which a parametrisation makes positive.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from iodine_kit.models.iodine.config import PriorName, ScaleName


def scale_of(raw: Tensor, name: ScaleName) -> Tensor:
    """Standard deviation from the raw parameter: √softplus (release), softplus, or exp(raw / 2)."""
    if name == "sqrt-softplus":
        return F.softplus(raw).sqrt()
    return F.softplus(raw) if name == "softplus" else (0.5 * raw).exp()


def prior_scale(prior: PriorName, name: ScaleName) -> float:
    """The prior's standard deviation; its mean is 0.

    ``zero-parameters`` is what the all-zero λ stands for (release: √ln 2 ≈ 0.8326); ``standard-normal`` is 1.
    """
    if prior == "standard-normal":
        return 1.0
    return {"sqrt-softplus": math.sqrt(math.log(2)), "softplus": math.log(2), "log-variance": 1.0}[name]


def draw_noise(
    generator: torch.Generator | None, decodes: int, rows: slice, total: int, latent: int, dtype: torch.dtype
) -> Tensor:
    """Standard normal noise for the samples of a step's decodes, ``[decodes, N, Z]``, on the generator's device.

    Drawn for the ``total`` rows of a whole batch, of which ``rows`` are returned: parts of a batch get the noise that
    they would have had in the whole, and all devices, whose own generators differ, get the same. Decodes are drawn in
    turn, so that the first ones do not depend on how many follow.
    """
    device = generator.device if generator is not None else None
    drawn = (torch.randn((total, latent), generator=generator, device=device, dtype=dtype) for _ in range(decodes))
    return torch.stack([noise_MZ[rows] for noise_MZ in drawn])


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


def kl_to_prior(loc: Tensor, scale: Tensor, prior: float) -> Tensor:
    """KL(N(loc, scale²) ‖ N(0, prior²)) in nats, summed over the last axis (the Z latents)."""
    ratio = scale / prior
    return 0.5 * (ratio**2 + (loc / prior) ** 2 - 1 - 2 * ratio.log()).sum(-1)
