"""Layers with a backward pass of their own beside what PyTorch does without one."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from iodine_kit.models.iodine.layers import add_shared, elu

LAYOUTS = {"rows": torch.contiguous_format, "channels last": torch.channels_last}
TYPES = {torch.float64: 1e-12, torch.float32: 1e-6, torch.bfloat16: 2e-2}


def image(batch: int, dtype: torch.dtype, layout: torch.memory_format, seed: int) -> Tensor:
    drawn = torch.randn((batch, 3, 4, 5), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return drawn.to(dtype).contiguous(memory_format=layout).requires_grad_()


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("upstream", LAYOUTS)
def test_what_slots_share_is_added_and_pulled_back_as_by_broadcasting(
    upstream: str, layout: str, dtype: torch.dtype
) -> None:
    own, shared = image(6, dtype, LAYOUTS[layout], 0), image(2, dtype, LAYOUTS[layout], 1)
    gradient = image(6, dtype, LAYOUTS[upstream], 2).detach()
    plain = own + shared.repeat_interleave(3, 0)
    found = add_shared(own, shared)
    assert torch.equal(found, plain)
    ours = torch.autograd.grad(found, [own, shared], gradient)
    theirs = torch.autograd.grad(plain, [own, shared], gradient)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one.double(), other.double(), rtol=TYPES[dtype], atol=TYPES[dtype])


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("upstream", LAYOUTS)
def test_elu_and_its_gradient_are_pytorchs(upstream: str, layout: str, dtype: torch.dtype) -> None:
    x, gradient = image(6, dtype, LAYOUTS[layout], 0), image(6, dtype, LAYOUTS[upstream], 2).detach()
    expected = F.elu(x)
    (wanted,) = torch.autograd.grad(expected, x, gradient)
    found = elu(x.clone())
    (got,) = torch.autograd.grad(found, x, gradient)
    assert torch.equal(found, expected)
    torch.testing.assert_close(got.double(), wanted.double(), rtol=TYPES[dtype], atol=TYPES[dtype])
