"""Errors that a user can cause: one class per kind of mistake, each with its own exit status.

The message of every error is one sentence that names the file, says what is wrong, and says what to do. The command
line prints it without a traceback and exits with ``exit_status``. Status 2 is reserved for wrong usage of the command
line.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import ClassVar

INTERRUPTED = 130
"""Exit status after Ctrl-C or SIGTERM, as in shells."""


class IodineKitError(Exception):
    """Base class of all errors that a user can cause and fix."""

    exit_status: ClassVar[int] = 1


class ConfigError(IodineKitError):
    """A key or value of the configuration is wrong, or a configuration file cannot be read."""

    exit_status = 3


class UnknownNameError(IodineKitError):
    """No data set, format, model, metric or other plug-in has this name."""

    exit_status = 4


class SourceError(IodineKitError):
    """A source of data is missing or cannot be reached."""

    exit_status = 5


class CorruptDataError(IodineKitError):
    """The bytes of a file contradict its format: the file is truncated, altered, or has another format."""

    exit_status = 6


class SchemaError(IodineKitError):
    """A file is intact, but does not contain what is needed."""

    exit_status = 7


class CountError(IodineKitError):
    """There are fewer scenes than requested, or a split is empty."""

    exit_status = 8


class ImageSizeError(IodineKitError):
    """The model or the crop cannot take images of this size."""

    exit_status = 9


class ArtifactNotFoundError(IodineKitError):
    """The store has no matching artifact."""

    exit_status = 10


class ArtifactCorruptError(IodineKitError):
    """The files of an artifact differ from its manifest."""

    exit_status = 11


class ResumeError(IodineKitError):
    """A run cannot be resumed, or existing work would be overwritten."""

    exit_status = 12


class DivergedError(IodineKitError):
    """Training met a loss or gradient that is not finite."""

    exit_status = 13


class StorageError(IodineKitError):
    """The operating system refused to read or write, for example because the disk is full."""

    exit_status = 14


class RankLostError(IodineKitError):
    """A process of a distributed run ended without an error message, or cannot be reached."""

    exit_status = 15


class MemoryLimitError(IodineKitError):
    """The machine or its GPU has too little memory for the work."""

    exit_status = 16


class BelowThresholdError(IodineKitError):
    """An evaluation is worse than its threshold; its results were written."""

    exit_status = 17


class RemoteError(IodineKitError):
    """A remote, to which artifacts are pushed, cannot be reached, or refuses access."""

    exit_status = 18


class TimeLimitReached(IodineKitError):  # noqa: N818 - not a mistake: the run stopped at the limit that the user set
    """A run stopped at its time limit and saved its state."""

    exit_status = 75


FINAL = (CorruptDataError, CountError, ImageSizeError, SchemaError)
"""Errors that the same command would raise again: what it finished before is not worth keeping."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` with the nearest known name, whatever its case; if none is near, all names."""
    known = sorted(known)
    spelling = {one.lower(): one for one in known}
    nearest = difflib.get_close_matches(name.lower(), spelling, n=1, cutoff=0.6)
    if nearest:
        return f"; did you mean '{spelling[nearest[0]]}'?"
    return f"; known: {', '.join(known) or 'none'}"
