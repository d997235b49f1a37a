"""Notes and progress of long work, for a terminal, a notebook or nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

Advance = Callable[..., None]
"""Called as ``advance(count, loss=0.5, …)``; keyword arguments are shown beside the bar."""

Show = Callable[[int, Mapping[str, Any]], None]
"""Called as ``show(step, row)`` with a row of the training log; a row may have any keys, or lack some.

Known are ``loss nll kl nll_steps kl_slots grad_norm learning_rate geco_multiplier skipped fg_ari val_loss``,
and, beside the log, ``images_per_second memory_bytes seconds_left``.
"""


class Reporter(Protocol):
    """Where notes and progress go."""

    def note(self, text: str, *, routine: bool = False) -> None:
        """Show one sentence. ``routine`` ones repeat on every call of a stage; who calls it often may omit them."""

    def track(self, label: str, total: int, done: int = 0) -> AbstractContextManager[Advance]:
        """Show progress from ``done`` to ``total`` while the context is open."""

    def watch(self, total: int, done: int = 0) -> AbstractContextManager[Show]:
        """Show how training goes from step ``done`` to step ``total`` while the context is open.

        Rows of steps up to ``done`` are what came before an interruption.
        """


class Silent(Reporter):
    """Shows nothing."""

    def note(self, text: str, *, routine: bool = False) -> None:
        pass

    @contextmanager
    def track(self, label: str, total: int, done: int = 0) -> Iterator[Advance]:
        yield lambda count, **fields: None

    @contextmanager
    def watch(self, total: int, done: int = 0) -> Iterator[Show]:
        yield lambda step, row: None
