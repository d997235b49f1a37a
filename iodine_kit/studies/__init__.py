"""Studies: what happens if one thing is changed. Each module of this folder is one and offers :class:`StudyPlugin`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from iodine_kit.registry import Registry

if TYPE_CHECKING:
    from iodine_kit.config import Config
    from iodine_kit.studies._experiment import Bench
    from iodine_kit.studies._findings import Findings


class StudyPlugin(Protocol):
    """What a module of this folder offers."""

    VERSION: int
    """Raised whenever the same artifacts would give another result."""

    SUMMARY: str
    """One line for lists."""

    QUESTION: str
    """What it asks, in a sentence or two, for its page."""

    TAKES_RUN: bool
    """Whether one trained run is all it needs; else it trains its own from the pipeline."""

    BASE: Mapping[str, Mapping[str, Any]]
    """Values of the pipeline's tables that the study changes unless told otherwise, as short runs or one inference."""

    Config: type[Config]
    """The ``[study]`` table."""

    def conduct(self, bench: Bench) -> Callable[[], Findings]:
        """Bring all artifacts it needs up to date, and return the function that looks at them."""


STUDIES: Registry[StudyPlugin] = Registry("study", "iodine_kit.studies", StudyPlugin)
