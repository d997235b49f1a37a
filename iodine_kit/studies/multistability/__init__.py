"""multistability: the same images with many noises, and what that tells of inference in a mixture of objects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import Field

from iodine_kit import config as configuration
from iodine_kit.studies._experiment import Bench, Scored
from iodine_kit.studies._findings import Findings, Table
from iodine_kit.studies._scores import INTERVALS
from iodine_kit.studies.multistability.analysis import coupling_rows, mode_rows, plots, sentences, threshold_rows
from iodine_kit.studies.multistability.inferences import Many
from iodine_kit.studies.multistability.modes import Linkage
from iodine_kit.studies.multistability.picture import draw

VERSION = 1
SUMMARY = "the same images with many noises: different decompositions, their ELBOs, symmetry and coupling of slots"
QUESTION = (
    "Does refinement always end in the same decomposition, does the ELBO know which one is best, and what makes "
    "inference in a mixture of objects hard?"
)
TAKES_RUN = True
BASE = {"infer": {"restarts": 1}}


class Config(configuration.Config):
    """What to try.

    Attributes:
        noises: inferences of every scene.
        scenes: the first of the split.
        threshold: ARI from which on two decompositions are the same one.
        linkage: ``complete``: any two of a mode are the same; ``single``: connected components.
        pixels: those that two decompositions are compared on: the objects', as FG-ARI does, or all.
        pictured: scenes to picture.
    """

    noises: Annotated[int, Field(ge=2, le=200)] = 24
    scenes: Annotated[int, Field(ge=1)] = 160
    threshold: Annotated[float, Field(gt=0, le=1)] = 0.8
    linkage: Linkage = "complete"
    pixels: Literal["foreground", "all"] = "foreground"
    pictured: Annotated[int, Field(ge=1, le=20)] = 5


def conduct(bench: Bench) -> Callable[[], Findings]:
    """One inference of the same scenes for every noise."""
    run, dataset = bench.trained()
    config: Config = bench.config
    first = int(bench.tables.get("infer", {}).get("seed", 0))
    found = [
        bench.score(run, dataset, f"noise {seed}", {"infer": {"seed": seed, "scenes": config.scenes}})
        for seed in range(first, first + config.noises)
    ]
    return lambda: look(found, config)


def look(found: list[Scored], config: Config) -> Findings:
    """Tables, plots, a picture and what they show."""
    many = Many(found, config.threshold, config.linkage, everywhere=config.pixels == "all")
    pixels = "of the objects" if config.pixels == "foreground" else "of the image"
    said, facts = sentences(many)
    return Findings(
        seen=said,
        method=[
            f"Each of {many.scenes} scenes was inferred {many.noises} times by the same weights; only the noise of the "
            f"samples differs. Two decompositions are compared by the ARI of their masks over the pixels {pixels}, so "
            "that the slots' order does not matter. Modes are clusters of scipy's hierarchical clustering with "
            f"{config.linkage} linkage, cut where the ARI falls below {config.threshold:g}.",
            "An object's slot is the one that takes most of its pixels. The chi-square test takes the slot of the "
            "first object of every scene, once for every noise.",
            INTERVALS,
        ],
        tables=[
            Table(
                "Scenes by their number of modes.",
                {"modes": "Modes", "scenes": "Scenes", "largest": "Share of the largest mode",
                 "fg_ari": "FG-ARI, mean over noises", "fg_ari_best_elbo": "FG-ARI of the best ELBO",
                 "fg_ari_best": "Best FG-ARI of all", "elbo_range": "Range of the ELBO, nats"},
                mode_rows(many),
            ),
            Table(
                "After every refinement step.",
                {"steps": "Step", "coupled": "Two objects in one slot", "fg_ari": "FG-ARI", "nll": "NLL"},
                coupling_rows(many),
            ),
            Table(
                "By the ARI from which on two decompositions are the same.",
                {"threshold": "ARI", "several": "Scenes with several modes", "modes": "Modes per scene"},
                threshold_rows(many),
            ),
        ],
        plots=plots(many),
        picture=draw(many, config.pictured),
        facts=facts,
    )  # fmt: skip
