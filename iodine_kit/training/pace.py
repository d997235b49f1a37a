"""How fast training goes; for people only, never part of the log."""

from __future__ import annotations

import time

import torch

from iodine_kit.training.memory import peak_bytes


class Pace:
    """Watches the clock from step ``first`` on."""

    def __init__(self, first: int, steps: int, images_per_step: int, device: torch.device) -> None:
        self._first, self._steps, self._images, self._device = first, steps, images_per_step, device
        self._start = self._then = time.monotonic()
        self._before = first

    def seconds_per_step(self, step: int) -> float:
        """Mean since the beginning."""
        return (time.monotonic() - self._start) / max(step - self._first, 1)

    def facts(self, step: int) -> dict[str, float]:
        """``seconds_per_step`` for the facts of the run, if it made a step since the beginning."""
        return {"seconds_per_step": round(self.seconds_per_step(step), 5)} if step > self._first else {}

    def figures(self, step: int) -> dict[str, float]:
        """Speed since the last call, peak memory, and how long it may take yet."""
        now = time.monotonic()
        speed = (step - self._before) * self._images / max(now - self._then, 1e-9)
        self._then, self._before = now, step
        left = (self._steps - step) * self.seconds_per_step(step)
        return {"images_per_second": speed, "memory_bytes": peak_bytes(self._device), "seconds_left": left}
