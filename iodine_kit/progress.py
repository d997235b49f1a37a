"""How long work tells a person about itself, without knowing whether anyone watches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

Advance = Callable[..., None]
"""Called as ``advance(count, loss=0.5, …)``; keyword arguments are shown beside the bar."""


class Reporter(Protocol):
    """Where notes and progress go."""

    def note(self, text: str) -> None:
        """Tell one sentence."""

    def track(self, label: str, total: int, done: int = 0) -> AbstractContextManager[Advance]:
        """Show progress from ``done`` to ``total`` while the context is open."""


class Silent:
    """Tells nobody."""

    def note(self, text: str) -> None:
        pass

    @contextmanager
    def track(self, label: str, total: int, done: int = 0) -> Iterator[Advance]:
        yield lambda count, **fields: None
