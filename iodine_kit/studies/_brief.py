"""Fewer words: a study runs the same stages many times, and each would tell the same."""

from __future__ import annotations

from contextlib import AbstractContextManager

from iodine_kit.progress import Advance, Reporter, Show

_SAID_OFTEN = ("up to date: ", "note: ")


class Brief:
    """Passes everything on but what an artifact that is there, or the same configuration again, has to say."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter

    def note(self, text: str) -> None:
        if not text.startswith(_SAID_OFTEN):
            self._reporter.note(text)

    def track(self, label: str, total: int, done: int = 0) -> AbstractContextManager[Advance]:
        return self._reporter.track(label, total, done)

    def watch(self, total: int, done: int = 0) -> AbstractContextManager[Show]:
        return self._reporter.watch(total, done)
