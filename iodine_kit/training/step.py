"""One training step: the gradient of the whole batch, clipping, Adam, and the metrics of the step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from iodine_kit.records import Bytes, Microbatch
from iodine_kit.tensors import images_to, send, step_generator
from iodine_kit.training.config import TrainConfig
from iodine_kit.training.distributed import World
from iodine_kit.training.schedule import adam_epsilon, kl_weight, learning_rate
from iodine_kit.training.state import TrainingState


@dataclass(frozen=True)
class StepMetrics:
    """The metrics of one step, in nats per image.

    Attributes:
        step: counted from 1.
        loss: the loss whose gradient was taken.
        nll_steps: negative log-likelihood at every decode.
        kl_slots: KL of every slot at the last decode.
        grad_norm: global norm of the gradient before clipping.
        multiplier: factor of the likelihood: GECO's multiplier, or 1.
    """

    step: int
    loss: float
    nll_steps: list[float]
    kl_slots: list[float]
    grad_norm: float
    multiplier: float

    @property
    def finite(self) -> bool:
        """Whether loss and gradient norm are finite, so that the step could change the weights."""
        return math.isfinite(self.loss) and math.isfinite(self.grad_norm)


@dataclass(frozen=True)
class DeviceMetrics:
    """The metrics of one step that are still on the device; the fields are those of :class:`StepMetrics`."""

    step: int
    loss: Tensor
    nll_T: Tensor
    kl_K: Tensor
    grad_norm: Tensor
    multiplier: Tensor

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """All values, in the order of the fields."""
        return self.loss, self.nll_T, self.kl_K, self.grad_norm, self.multiplier


def fetch_metrics(pending: Sequence[DeviceMetrics]) -> list[StepMetrics]:
    """Copy the metrics of several steps to the host in one transfer, which waits for the device."""
    if not pending:
        return []
    flat = torch.cat([tensor.reshape(-1) for metrics in pending for tensor in metrics.tensors])
    values = iter(flat.tolist())
    return [
        StepMetrics(
            step=metrics.step,
            loss=next(values),
            nll_steps=list(islice(values, len(metrics.nll_T))),
            kl_slots=list(islice(values, len(metrics.kl_K))),
            grad_norm=next(values),
            multiplier=next(values),
        )
        for metrics in pending
    ]


class TrainingStep:
    """Makes the steps of a run; never waits for the device."""

    def __init__(
        self, state: TrainingState, config: TrainConfig, microbatches: Sequence[Microbatch], world: World
    ) -> None:
        self._state, self._config, self._microbatches, self._world = state, config, microbatches, world
        self._device = next(state.model.parameters()).device
        model: Any = state.model
        self._beta: Tensor | None = None if config.kl_schedule == "constant" else model.beta
        self._final_beta = 1.0 if self._beta is None else float(self._beta)

    def __call__(self, image_BHWC: Bytes) -> DeviceMetrics:
        """Make one step with this rank's images. A loss or gradient that is not finite changes no weight."""
        state, config = self._state, self._config
        state.optimizer.zero_grad(set_to_none=True)
        if self._beta is not None:
            self._beta.fill_(kl_weight(config, state.step, self._final_beta))
        loss, nll_T, kl_K = self._gradient(image_BHWC)
        norm: Tensor = nn.utils.clip_grad_norm_(state.model.parameters(), config.clip_norm)
        skip = state.guard.must_skip(loss.isfinite() & norm.isfinite())
        for group in state.optimizer.param_groups:
            group["lr"], group["eps"] = learning_rate(config, state.step), adam_epsilon(config, state.step)
        # Fused Adam makes no update if this tensor is 1. PyTorch's gradient scaler uses the same attribute.
        state.optimizer.found_inf = skip.float()  # type: ignore[attr-defined]
        state.optimizer.step()
        multiplier = torch.ones_like(loss)
        if state.geco:
            multiplier = state.geco.log_multiplier.exp()
            state.geco.update(nll_T[-1], skip)
        if state.ema:
            state.ema.update(state.step, skip)
        state.step += 1
        return DeviceMetrics(state.step, loss, nll_T, kl_K, norm, multiplier)

    def _gradient(self, image_BHWC: Bytes) -> tuple[Tensor, Tensor, Tensor]:
        """Leave the gradient of the whole batch in the parameters; return its loss, NLL per decode and KL per slot."""
        loss: Any = 0
        nll_T: Any = 0
        kl_K: Any = 0
        for microbatch in self._microbatches:
            start = microbatch.first - self._microbatches[0].first
            terms = self._terms(images_to(self._device, image_BHWC[start : start + microbatch.count]), microbatch)
            objective = self._state.geco.loss(terms.nll, terms.kl) if self._state.geco else terms.loss
            objective.backward()
            loss = loss + objective.detach().float()
            nll_T, kl_K = nll_T + terms.nll_T.float(), kl_K + terms.kl_TK[-1].float()
        gradients = [p.grad for p in self._state.model.parameters() if p.grad is not None]
        self._world.all_reduce([*gradients, loss, nll_T, kl_K])
        return loss, nll_T, kl_K

    def _terms(self, image_BCHW: Tensor, microbatch: Microbatch) -> Any:
        generator = step_generator(self._config.seed, self._state.step)  # a new one: noise is drawn for the whole batch
        model: Any = self._state.model
        return model(image_BCHW, send(model.noise(generator, microbatch), self._device), microbatch.total)
