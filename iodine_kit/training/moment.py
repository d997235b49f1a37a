"""What is to be done after a step beside going on."""

from __future__ import annotations

from dataclasses import dataclass

from iodine_kit.training.config import TrainConfig, TrainExecution
from iodine_kit.training.distributed import World
from iodine_kit.training.stop import StopRequest


@dataclass(frozen=True)
class Moment:
    """The end of a step, the same on all ranks."""

    logging: bool
    validating: bool
    saving: bool
    signalled: bool
    timed: bool

    @property
    def looking(self) -> bool:
        """Whether the host has to wait for what the device has to tell."""
        return self.logging or self.saving


def after(
    step: int, config: TrainConfig, execution: TrainExecution, validates: bool, stop: StopRequest, world: World
) -> Moment:
    """What is due after ``step`` steps. If one rank is to stop all do, after the same step: they ask at every one."""
    last = step >= config.steps

    def due(every: int) -> bool:
        return every > 0 and (last or step % every == 0)

    validating = validates and due(config.validate_every)
    logging, saving = validating or due(config.log_every), due(execution.checkpoint_every)
    stopping = not last and world.any(stop.signalled or stop.out_of_time)
    signalled = stopping and world.any(stop.signalled)
    return Moment(logging, validating, saving or stopping, signalled, timed=stopping and not signalled)
