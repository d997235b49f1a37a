"""Adam with ε where PyTorch adds it and where TensorFlow does, each against its formula in float64."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from unit.training.toy_model import Batches, Mean, trainer

from iodine_kit.models import LossTerms
from iodine_kit.pipeline import load
from iodine_kit.training.config import TrainConfig

SCALE = torch.tensor([1e-9, 1e-7, 1e-3], dtype=torch.float64)
"""Gradients below ε, near it and far above."""
STEPS, RATE, BETA1, BETA2, EPSILON = 40, 0.1, 0.95, 0.999, 1e-8


class Pulled(Mean):
    """A model whose gradient is the mean of the images times :data:`SCALE`."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(3, dtype=torch.float64))
        self.seen: list[Tensor] = []

    def forward(self, image: Tensor, noise: Tensor, total: int) -> LossTerms:
        gradient = image.double().mean() * SCALE
        self.seen.append(gradient)
        nll = (self.weight * gradient).sum()
        zeros = torch.zeros(2, dtype=torch.float64)
        return LossTerms(nll, nll, nll * 0, zeros, zeros.expand(2, 2))


def by_formula(gradients: list[Tensor], epsilon: str) -> Tensor:
    """TensorFlow: w −= α √(1 − β2^t) / (1 − β1^t) · m / (√v + ε). PyTorch: w −= α m̂ / (√v̂ + ε)."""
    weight = m = v = torch.zeros(3, dtype=torch.float64)
    for t, gradient in enumerate(gradients, 1):
        m, v = BETA1 * m + (1 - BETA1) * gradient, BETA2 * v + (1 - BETA2) * gradient**2
        if epsilon == "tensorflow":
            rate = RATE * math.sqrt(1 - BETA2**t) / (1 - BETA1**t)
            weight = weight - rate * m / (v.sqrt() + EPSILON)
        else:
            weight = weight - RATE * (m / (1 - BETA1**t)) / ((v / (1 - BETA2**t)).sqrt() + EPSILON)
    return weight


@pytest.mark.parametrize("epsilon", ["pytorch", "tensorflow"])
def test_updates_follow_the_formula(epsilon: Any, tmp_path: Path) -> None:
    model = Pulled()
    constant: dict[str, Any] = {"schedule": "constant", "learning_rate": RATE, "epsilon": EPSILON}
    trainer(tmp_path, model, steps=STEPS, adam_epsilon=epsilon, **constant).run(Batches())
    expected = {name: by_formula(model.seen, name) for name in ("pytorch", "tensorflow")}
    torch.testing.assert_close(model.weight.detach(), expected[epsilon], rtol=1e-12, atol=0)
    assert (expected["tensorflow"] / expected["pytorch"])[0] < 0.5 and len(model.seen) == STEPS


def test_pytorchs_epsilon_is_the_default_and_configurations_without_the_key_are_valid() -> None:
    values = TrainConfig().model_dump(mode="json")
    assert values.pop("adam_epsilon") == "pytorch"
    assert TrainConfig.model_validate(values) == TrainConfig()


@pytest.mark.parametrize(
    ("name", "batch", "published", "rate"),
    [("clevr6", 4, 32, 1e-3), ("multi_dsprites", 16, 128, 3e-4), ("tetrominoes", 128, 256, 3e-4)],
)
def test_the_published_pipelines_use_the_releases_adam(name: str, batch: int, published: int, rate: float) -> None:
    train = load(f"greff2019_{name}")["train"]
    assert train["learning_rate"] == rate * math.sqrt(batch / published) and train["batch_size"] == batch
    assert (train["adam_epsilon"], train["beta1"]) == ("tensorflow", 0.95)


def test_fused_adam_makes_no_update_while_found_inf_is_1() -> None:
    """PyTorch documents this attribute for its gradient scaler only; training relies on it to skip steps."""
    weight = nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer: Any = torch.optim.Adam([weight], lr=0.1, fused=True)
    seen = []
    for found_inf, gradient in ((0.0, 1.0), (1.0, math.nan), (1.0, 5.0), (0.0, 1.0)):
        weight.grad = torch.full((2,), gradient)
        optimizer.found_inf = torch.tensor(found_inf)
        optimizer.step()
        moments = optimizer.state[weight]
        seen.append([float(moments["step"]), *weight.tolist(), *moments["exp_avg"].tolist()])
    assert seen[0] == seen[1] == seen[2]
    assert [row[0] for row in seen] == [1, 1, 1, 2]
    assert seen[3][1:] == pytest.approx([0.8, -2.2, 0.19, 0.19])  # as after two steps with the gradient 1
