"""Errors for people: one class per kind of mistake, each with its own exit status.

The message of every error is one sentence that names the file, the place and what to do. The command line prints it
without a traceback and ends with ``exit_status``; status 2 is left to the command line's own usage errors.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import ClassVar

INTERRUPTED = 130
"""Exit status after Ctrl-C or SIGTERM, as shells have it."""


class IodineKitError(Exception):
    """Base of every error that a user can cause and mend."""

    exit_status: ClassVar[int] = 1


class ConfigError(IodineKitError):
    """A configuration value or key is wrong, or a configuration file cannot be read."""

    exit_status = 3


class UnknownNameError(IodineKitError):
    """No data set, format, model, metric or other plug-in has this name."""

    exit_status = 4


class SourceError(IodineKitError):
    """A source of data is missing or cannot be reached."""

    exit_status = 5


class CorruptDataError(IodineKitError):
    """The bytes of a file contradict its format: truncated, altered, or another format altogether."""

    exit_status = 6


class SchemaError(IodineKitError):
    """A file is intact, but it holds something else than what was asked for."""

    exit_status = 7


class CountError(IodineKitError):
    """There are fewer scenes than asked for, or a split is empty."""

    exit_status = 8


class ImageSizeError(IodineKitError):
    """The model cannot take images of this size."""

    exit_status = 9


class ArtifactNotFoundError(IodineKitError):
    """The store has no artifact that fits."""

    exit_status = 10


class ArtifactCorruptError(IodineKitError):
    """An artifact's files differ from its manifest."""

    exit_status = 11


class ResumeError(IodineKitError):
    """A run cannot be continued, or an interrupted one would be overwritten."""

    exit_status = 12


class DivergedError(IodineKitError):
    """Training met a loss or gradient that is not finite."""

    exit_status = 13


class StorageError(IodineKitError):
    """The operating system refused to read or write (disk full, permissions)."""

    exit_status = 14


class RankLostError(IodineKitError):
    """A process of a distributed run ended without a word, or cannot be reached."""

    exit_status = 15


class MemoryLimitError(IodineKitError):
    """The machine or its GPU has too little memory for what was asked."""

    exit_status = 16


class BelowThresholdError(IodineKitError):
    """An evaluation is worse than the threshold that was set for it; its results were written."""

    exit_status = 17


class TimeLimitReached(IodineKitError):  # noqa: N818 - not a mistake: the run stopped where it was told to
    """A run stopped at its time limit, its state saved."""

    exit_status = 75


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest known name, or the list of what is known."""
    known = sorted(known)
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if nearest:
        return f"; did you mean '{nearest[0]}'?"
    return f"; known: {', '.join(known) or 'none'}"
