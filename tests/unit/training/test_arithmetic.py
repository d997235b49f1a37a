"""What a model's formulas foresee, compared with what PyTorch's counter and the tensors of a step say."""

from __future__ import annotations

from typing import Any

import pytest

from iodine_kit.models import iodine
from iodine_kit.training.estimate import estimate_step

SMALL: dict[str, Any] = {
    "slots": 3, "steps": 2, "latent": 8, "decoder": {"channels": [16, 24], "patch": 2, "kernel": 3},
    "refinement": {"channels": [16, 8], "mlp": [16], "lstm": 12, "kernel": 3, "patch": 4, "coordinates": "cosine"},
}  # fmt: skip
CHOICES: list[dict[str, Any]] = [
    {"preset": "release-tetrominoes"},
    {"preset": "paper-multi-dsprites", "slots": 3},
    {**SMALL, "inputs": ["components", "dcomponents", "dmask", "image", "dzp", "zp"]}
    | {"stopped": ["components", "dcomponents", "dmask", "image", "dzp", "zp"], "step_weights": "uniform"},
]


@pytest.mark.parametrize("choice", CHOICES, ids=["release", "paper", "stopped"])
def test_the_formulas_agree_with_a_step_that_was_followed(choice: dict[str, Any]) -> None:
    config = iodine.Config.model_validate(choice)
    followed = estimate_step(iodine.build(config, 0), 2, 24, 20)
    foreseen = iodine.arithmetic(config, 24, 20)
    assert foreseen.parameters == followed.parameters
    assert foreseen.training_flops == pytest.approx(followed.flops_per_image, rel=0.1)
    assert foreseen.inference_flops < foreseen.training_flops
    assert 0.5 < 2 * foreseen.training_bytes / followed.activation_bytes < 2
