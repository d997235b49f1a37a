"""Requests to stop a run after its present step: signals and the time limit.

This module imports no torch.
"""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType
from typing import Any

_STOP_SIGNALS = tuple(
    signal.Signals(getattr(signal, name)) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


class StopRequest:
    """Context in which SIGTERM, SIGHUP and the first SIGINT only set ``signalled``; a second SIGINT interrupts at once.

    SIGTERM may arrive more than once, from a scheduler and from torchrun, also after Ctrl-C; it never interrupts. The
    time limit of a run is a request, too.
    """

    def __init__(self, max_seconds: float) -> None:
        self._deadline = time.monotonic() + max_seconds if max_seconds else None
        self._signal: str | None = None
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in _STOP_SIGNALS:
                self._previous[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *error: object) -> None:
        self._restore(*_STOP_SIGNALS)

    @property
    def signalled(self) -> bool:
        """Whether a signal asked the process to stop."""
        return self._signal is not None

    @property
    def out_of_time(self) -> bool:
        """Whether the time limit has passed."""
        return self._deadline is not None and time.monotonic() >= self._deadline

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._signal = signal.Signals(number).name
        if number == signal.SIGINT:
            self._restore(signal.SIGINT)

    def _restore(self, *numbers: signal.Signals) -> None:
        for number in numbers:
            if number in self._previous:
                signal.signal(number, self._previous.pop(number))
