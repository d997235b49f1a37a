"""One training step: the gradient over all parts of a batch, its clip, Adam, and what the step measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from iodine_kit.records import Bytes, Part
from iodine_kit.tensors import images_to, send, step_generator
from iodine_kit.training.config import TrainConfig
from iodine_kit.training.distributed import World
from iodine_kit.training.schedule import adam_epsilon, kl_weight, learning_rate
from iodine_kit.training.state import TrainingState


@dataclass(frozen=True)
class Reading:
    """The figures of one step, in nats per image.

    Attributes:
        step: counted from 1.
        loss: what was differentiated.
        nll_steps: negative log-likelihood at every decode.
        kl_slots: KL of every slot at the last decode.
        grad_norm: global norm of the gradient before clipping.
        multiplier: of the likelihood, GECO's or 1.
    """

    step: int
    loss: float
    nll_steps: list[float]
    kl_slots: list[float]
    grad_norm: float
    multiplier: float

    @property
    def finite(self) -> bool:
        """Whether the step made an update, unless an earlier one was one too many."""
        return math.isfinite(self.loss) and math.isfinite(self.grad_norm)


@dataclass(frozen=True)
class Pending:
    """A reading on the device: loss, NLL of all decodes, KL of all slots, gradient norm and multiplier in a row."""

    step: int
    decodes: int
    values: Tensor

    def reading(self, values: list[float]) -> Reading:
        """Name the values."""
        end = 1 + self.decodes
        return Reading(self.step, values[0], values[1:end], values[end:-2], values[-2], values[-1])


def look(pending: list[Pending]) -> list[Reading]:
    """Bring readings to the host, all in one transfer."""
    if not pending:
        return []
    rows = torch.stack([one.values for one in pending]).tolist()
    return [one.reading(row) for one, row in zip(pending, rows, strict=True)]


class Update:
    """Makes the steps of a run; never waits for the device."""

    def __init__(self, state: TrainingState, config: TrainConfig, parts: Sequence[Part], world: World) -> None:
        self._state, self._config, self._parts, self._world = state, config, parts, world
        self._device = next(state.model.parameters()).device
        model: Any = state.model
        self._beta: Tensor | None = None if config.kl_schedule == "constant" else model.beta
        self._final_beta = 1.0 if self._beta is None else float(self._beta)

    def __call__(self, image_BHWC: Bytes) -> Pending:
        """Take a step on this rank's images. A loss or gradient that is not finite changes nothing."""
        state, config = self._state, self._config
        state.optimizer.zero_grad(set_to_none=True)
        if self._beta is not None:
            self._beta.fill_(kl_weight(config, state.step, self._final_beta))
        loss, nll_T, kl_K = self._gradient(image_BHWC)
        norm: Tensor = nn.utils.clip_grad_norm_(state.model.parameters(), config.clip_norm)
        held = state.guard.holds(loss.isfinite() & norm.isfinite())
        for group in state.optimizer.param_groups:
            group["lr"], group["eps"] = learning_rate(config, state.step), adam_epsilon(config, state.step)
        state.optimizer.found_inf = held.float()  # type: ignore[attr-defined]
        state.optimizer.step()
        multiplier = torch.ones_like(loss)
        if state.geco:
            multiplier = state.geco.log_multiplier.exp()
            state.geco.update(nll_T[-1], held)
        if state.average:
            state.average.update(state.step, held)
        state.step += 1
        values = torch.cat([loss[None], nll_T, kl_K, norm[None], multiplier[None]])
        return Pending(state.step, len(nll_T), values)

    def _gradient(self, image_BHWC: Bytes) -> tuple[Tensor, Tensor, Tensor]:
        """Leave the gradient of the whole batch in the parameters; return its loss, NLL by decode and KL by slot."""
        total: Any = 0
        for part in self._parts:
            start = part.first - self._parts[0].first
            terms = self._terms(images_to(self._device, image_BHWC[start : start + part.count]), part)
            loss = self._state.geco.loss(terms.nll, terms.kl) if self._state.geco else terms.loss
            loss.backward()
            total = total + torch.cat([loss.detach()[None], terms.nll_T, terms.kl_TK[-1]]).float()
        gradients = [p.grad for p in self._state.model.parameters() if p.grad is not None]
        self._world.add([*gradients, total])
        decodes = len(terms.nll_T)
        return total[0], total[1 : 1 + decodes], total[1 + decodes :]

    def _terms(self, image_BCHW: Tensor, part: Part) -> Any:
        generator = step_generator(self._config.seed, self._state.step)  # anew, for noise is drawn for the whole batch
        model: Any = self._state.model
        return model(image_BCHW, send(model.noise(generator, part), self._device), part.total)
