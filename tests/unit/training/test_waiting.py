"""A step never needs a value from the device: the host would wait for a GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from unit.training.toy_model import Batches, Mean, trainer

from iodine_kit.config import build
from iodine_kit.models import iodine

WAITING = {
    "_local_scalar_dense",
    "item",
    "equal",
    "is_nonzero",
    "nonzero",
    "masked_select",
    "unique",
    "_unique2",
    "index",
}
"""Operations of whose result the host needs the values or the shape, or that may index with values of the host."""


class ForbidWaiting(TorchDispatchMode):
    """Raises an error for operations that wait for a GPU."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.overloadpacket.__name__ in WAITING:
            raise AssertionError(f"{func} waits for the device")
        return func(*args, **(kwargs or {}))


def iodine_model() -> nn.Module:
    values = {"preset": "release-tetrominoes", "steps": 2, "latent": 3, "gradient_reduction": "per-image"}
    return iodine.build(build(iodine.Config, values, "model"), seed=0)


@pytest.mark.parametrize("model", [Mean, iodine_model])
def test_a_step_with_all_options_waits_for_nothing(tmp_path: Path, model: Any) -> None:
    one = trainer(tmp_path, model(), ema=0.9, geco_target=1.0, skip_nonfinite=2, accumulate=2)
    image = Batches(values={0: 100}).whole(0).image.repeat(8, 1).repeat(8, 2)
    for _ in range(2):  # the first step creates Adam's moments
        with ForbidWaiting():
            one._make_step(image)
    with pytest.raises(AssertionError, match="waits for the device"), ForbidWaiting():
        torch.ones(()).item()
