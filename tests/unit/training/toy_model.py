"""A model with known results, whose parameter approaches the mean of the images, and grey images for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from iodine_kit.models import Computation, LossTerms
from iodine_kit.progress import Silent
from iodine_kit.records import Microbatch, SceneBatch
from iodine_kit.training.config import TrainConfig, TrainExecution
from iodine_kit.training.loop import Trainer
from iodine_kit.training.run_files import METRICS, WEIGHTS

NO_LOSS, NO_GRADIENT = 255, 254
"""Values of images for which the loss is NaN, or only the gradient is infinite."""
STRENGTH = 0.3


class Mean(nn.Module):
    """nll = Σ (w − x̄ + small noise)², equal at both decodes (the last one counts); kl = β 0.3 Σ w² in 2 slots."""

    def __init__(self, width: int = 3) -> None:
        super().__init__()
        self.computation = Computation()
        self.register_buffer("beta", torch.tensor(1.0), persistent=False)
        self.weight = nn.Parameter(torch.zeros(width))
        self.unused = nn.Parameter(torch.ones(2, 1))
        self.frozen = nn.Parameter(torch.ones(1), requires_grad=False)

    def noise(self, generator: torch.Generator, microbatch: Microbatch) -> Tensor:
        noise = 1e-3 * torch.randn(microbatch.total, 3, generator=generator)
        return noise[microbatch.first : microbatch.first + microbatch.count]

    def forward(self, image: Tensor, noise: Tensor, total: int) -> LossTerms:
        nll = ((self.weight - image.mean((2, 3)) + noise) ** 2).sum() / total
        value = (image.max() * 255).round()
        nll = torch.where(value == NO_LOSS, torch.nan, nll)
        huge = torch.where(value == NO_GRADIENT, 1e30, 0.0)  # squared, it is more than float32 can hold
        nll = nll + ((self.weight - self.weight.detach()) * huge * huge).sum()
        kl = self.beta * STRENGTH * (self.weight**2).sum() * len(image) / total
        return LossTerms(nll + kl, nll, kl, nll.detach().expand(2), (kl.detach() / 2).expand(2, 2))


class Batches:
    """Two grey images per step; ``at`` calls functions before steps, and ``values`` sets the grey value of steps."""

    def __init__(self, at: Mapping[int, Callable[[], object]] | None = None, values: Mapping[int, int] | None = None):
        self.at, self.values = at or {}, values or {}

    def whole(self, step: int) -> SceneBatch:
        image = np.full((2, 1, 1, 3), self.values.get(step, 40 * (step % 5)), np.uint8)
        image[1] //= 2
        return SceneBatch((f"scene-{step}", "other"), image, image[..., 0])

    def prefetched(self, start: int, stop: int) -> Iterator[SceneBatch]:
        for step in range(start, stop):
            self.at.get(step, lambda: None)()
            yield self.whole(step)


class Notes(Silent):
    """Collects the texts of all notes."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def note(self, text: str, *, routine: bool = False) -> None:
        self.texts.append(text)


def trainer(directory: Path, model: nn.Module | None = None, notes: Notes | None = None, **options: Any) -> Trainer:
    """A restored trainer of 12 steps by default.

    Options are those of both configurations and of ``Trainer``, and ``validate``, with which it is run.
    """
    directory.mkdir(exist_ok=True)
    config = {"steps": 12, "batch_size": 2, "learning_rate": 0.1, "log_every": 1}
    execution: dict[str, Any] = {"device": "cpu", "tensorboard": False}
    validate, rest = options.pop("validate", None), dict[str, Any]()
    for name, value in options.items():
        owner = config if name in TrainConfig.model_fields else execution
        (owner if name in {**TrainConfig.model_fields, **TrainExecution.model_fields} else rest)[name] = value
    made = Trainer(
        model or Mean(), TrainConfig(**config), TrainExecution(**execution), directory, notes or Silent(), **rest
    )
    made.restore()
    made.run = partial(made.run, validate=validate)  # type: ignore[method-assign]
    return made


def result(directory: Path) -> dict[str, bytes]:
    """The files that a finished run leaves, by name."""
    paths = [directory / WEIGHTS, directory / METRICS, *directory.glob("nonfinite-*")]
    return {path.name: path.read_bytes() for path in paths}
