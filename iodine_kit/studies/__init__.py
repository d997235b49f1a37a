"""Studies: vary one factor, rerun the stages, report the results. Each module of this folder is one study."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from iodine_kit.registry import Registry

if TYPE_CHECKING:
    from iodine_kit.config import Config
    from iodine_kit.progress import Reporter
    from iodine_kit.store import Artifact, Store
    from iodine_kit.studies._experiment import Experiment
    from iodine_kit.studies._findings import Findings

PAGE, MARKDOWN, JSON, CSV = "index.html", "study.md", "study.json", "table.csv"
SVG, PNG, SCENES = "figure.svg", "figure.png", "scenes.png"
SUMMARY_FILES = (MARKDOWN, SVG, PNG, CSV, JSON, SCENES)
"""Files small enough for a repository; only a study with a picture writes ``scenes.png``."""


class StudyPlugin(Protocol):
    """What a module of this folder offers."""

    VERSION: int
    """Raised whenever the same artifacts would give another result."""

    SUMMARY: str
    """One line for lists."""

    QUESTION: str
    """The question that the study answers, in one or two sentences for its page."""

    TAKES_RUN: bool
    """Whether the study needs only one trained run; otherwise it trains its own runs from the pipeline."""

    BASE: Mapping[str, Mapping[str, Any]]
    """Values that replace those of the pipeline's tables, for example for shorter runs; the user's values win."""

    Config: type[Config]
    """The ``[study]`` table."""

    def conduct(self, experiment: Experiment) -> Callable[[], Findings]:
        """Bring all artifacts of the study up to date, and return the function that analyses them."""


STUDIES: Registry[StudyPlugin] = Registry("study", "iodine_kit.studies", StudyPlugin)


def study(
    name: str,
    store: Store,
    reporter: Reporter,
    *,
    pipeline: str | None = None,
    run: str | None = None,
    settings: Sequence[str] = (),
    overwrite: bool = False,
) -> Artifact:
    """Conduct a study, or return its artifact if that is up to date.

    Args:
        name: one of :data:`STUDIES`.
        pipeline: file or name of the base pipeline. Defaults to ``quickstart`` if the study trains its own runs, or if
            the store has no run.
        run: a trained run, for a study that needs only one. Defaults to the newest run if ``pipeline`` is not given.
        settings: overrides such as ``"study.seeds=[0, 1]"`` or ``"train.steps=600"``.
        overwrite: rebuild the study's own artifact; artifacts of the stages are reused.

    Returns:
        An artifact of kind ``study`` with the files named above.

    Raises:
        ConfigError: if ``run`` is given for a study that trains its own runs, or together with ``pipeline``.
    """
    from iodine_kit.studies._study import conduct_study

    return conduct_study(name, store, reporter, pipeline=pipeline, run=run, settings=settings, overwrite=overwrite)
