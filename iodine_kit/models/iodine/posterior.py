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


def sample(
    loc_NZ: Tensor, scale_NZ: Tensor, generator: torch.Generator | None, first: int = 0, total: int | None = None
) -> Tensor:
    """One reparametrised sample z = loc + scale · ε; ε are rows ``first`` and on of ``total`` drawn from ``generator``.

    They are drawn on the generator's device and moved: devices have generators of their own kind, and drawing on the
    CPU gives every device the same noise. Drawing for the whole batch gives every part of it the noise it would have.
    """
    rows, latent = loc_NZ.shape
    source = generator.device if generator is not None else loc_NZ.device
    shape = (rows if total is None else total, latent)
    noise_MZ = torch.randn(shape, generator=generator, device=source, dtype=loc_NZ.dtype)
    return loc_NZ + scale_NZ * noise_MZ[first : first + rows].to(loc_NZ.device, non_blocking=True)


def kl_to_prior(loc: Tensor, scale: Tensor, prior: float) -> Tensor:
    """KL(N(loc, scale²) ‖ N(0, prior²)) in nats, summed over the last axis (the Z latents)."""
    ratio = scale / prior
    return 0.5 * (ratio**2 + (loc / prior) ** 2 - 1 - 2 * ratio.log()).sum(-1)
