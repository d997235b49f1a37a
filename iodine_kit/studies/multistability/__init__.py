"""multistability: infer the same images with many noises, and count the different segmentations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from iodine_kit import config as configuration
from iodine_kit.records import Bytes
from iodine_kit.reporting import colours
from iodine_kit.reporting.image_grid import enlargement, mask_picture, tile
from iodine_kit.studies._experiment import Evaluated, Experiment
from iodine_kit.studies._findings import Findings, Table
from iodine_kit.studies._scores import INTERVALS
from iodine_kit.studies.multistability.analysis import coupling_rows, mode_rows, observations, plots, threshold_rows
from iodine_kit.studies.multistability.inferences import RepeatedInferences
from iodine_kit.studies.multistability.modes import Linkage

VERSION = 1
SUMMARY = "the same images with many noises: different segmentations, their ELBOs, symmetry and coupling of slots"
QUESTION = (
    "Does refinement always end in the same segmentation, does the ELBO identify the best one, and what makes "
    "inference in a mixture of objects hard?"
)
TAKES_RUN = True
BASE = {"infer": {"restarts": 1}}


class Config(configuration.Config):
    """What the study varies.

    Attributes:
        noises: number of inferences of every scene, each with its own noise.
        scenes: number of scenes, from the start of the split.
        threshold: ARI at or above which two segmentations count as the same.
        linkage: ``complete``: any two segmentations of a mode are the same; ``single``: modes are connected
            components; ``average``: between the two.
        pixels: the pixels that two segmentations are compared on: those of the objects, as for FG-ARI, or all.
        pictured: number of scenes in the picture.
    """

    noises: Annotated[int, Field(ge=2, le=200)] = 24
    scenes: Annotated[int, Field(ge=1)] = 160
    threshold: Annotated[float, Field(gt=0, le=1)] = 0.8
    linkage: Linkage = "complete"
    pixels: Literal["foreground", "all"] = "foreground"
    pictured: Annotated[int, Field(ge=1, le=20)] = 5


def conduct(experiment: Experiment) -> Callable[[], Findings]:
    """Infer and evaluate the same scenes once for each noise."""
    run, dataset = experiment.trained()
    config: Config = experiment.config
    first = int(experiment.tables.get("infer", {}).get("seed", 0))
    results = [
        experiment.evaluate(run, dataset, f"noise {seed}", {"infer": {"seed": seed, "scenes": config.scenes}})
        for seed in range(first, first + config.noises)
    ]
    return lambda: analyse(results, config)


def analyse(results: list[Evaluated], config: Config) -> Findings:
    """Three tables, two plots, a picture and sentences; ``results`` are by noise."""
    repeated = RepeatedInferences(results, config.threshold, config.linkage, all_pixels=config.pixels == "all")
    pixels = "of the objects" if config.pixels == "foreground" else "of the image"
    sentences, facts = observations(repeated)
    return Findings(
        observations=sentences,
        method=[
            f"Each of {repeated.scenes} scenes was inferred {repeated.noises} times with the same weights; only the "
            "noise of the samples differs. Two segmentations are compared by the ARI of their masks over the pixels "
            f"{pixels}, so the order of the slots does not matter. Modes are clusters of scipy's hierarchical "
            f"clustering with {config.linkage} linkage, cut at an ARI of {config.threshold:g}.",
            "An object's slot is the slot that has most of its pixels. The chi-square test uses the slot of the first "
            "object of every scene, once for every noise.",
            INTERVALS,
        ],
        tables=[
            Table(
                "Scenes by their number of modes.",
                {"modes": "Modes", "scenes": "Scenes", "largest": "Share of the largest mode",
                 "fg_ari": "FG-ARI, mean over noises", "fg_ari_best_elbo": "FG-ARI of the highest ELBO",
                 "fg_ari_best": "Highest FG-ARI", "elbo_range": "Range of the ELBO, nats"},
                mode_rows(repeated),
            ),
            Table(
                "By refinement step.",
                {"steps": "Step", "coupled": "Two objects in one slot", "fg_ari": "FG-ARI", "nll": "NLL"},
                coupling_rows(repeated),
            ),
            Table(
                "By the ARI at or above which two segmentations count as the same.",
                {"threshold": "ARI", "several": "Scenes with several modes", "modes": "Modes per scene"},
                threshold_rows(repeated),
            ),
        ],
        plots=plots(repeated),
        picture=draw(repeated, config.pictured),
        facts=facts,
    )  # fmt: skip


_SIDE, _MOST_NOISES = 70, 6


def draw(repeated: RepeatedInferences, count: int) -> tuple[Bytes, str]:
    """``uint8[H', W', 3]`` and a caption: one line per scene, from the scene with most modes to that with fewest."""
    ranked = np.argsort(-repeated.mode_counts_S, kind="stable")
    order = ranked[np.unique(np.linspace(0, len(ranked) - 1, min(count, len(ranked))).round().astype(int))]
    lines = [_line(repeated, int(scene)) for scene in order]
    shown = min(_MOST_NOISES, repeated.noises)
    captions = ["input", "true mask", *(f"inference {place + 1}" for place in range(shown))]
    keys = ", ".join(f"{repeated.truth.keys[scene]} ({repeated.mode_counts_S[scene]})" for scene in order)
    hatch = "" if repeated.ignored is None else ", and pixels to ignore are hatched in the true mask"
    caption = (
        f"From left to right: input, true mask, and {shown} inferences with different noises. The inferences show each "
        "mode once before any mode is repeated, the most frequent mode first. A slot has the colour of the object it "
        f"matches; true background is dark{hatch}. Scenes and, in brackets, their numbers of modes, from the most to "
        f"the fewest: {keys}."
    )
    return tile(lines, enlargement(repeated.truth.mask.shape[1:], _SIDE), captions), caption


def _line(repeated: RepeatedInferences, scene: int) -> list[Bytes]:
    truth = repeated.truth.mask[scene]
    parts = [repeated.truth.image[scene], mask_picture(truth, (0,), repeated.ignored)]
    for noise in _chosen(repeated.modes_RS[:, scene]):
        mask = repeated.masks_RSDHW[noise, scene, -1]
        shared = colours.overlap(truth, mask, repeated.slots, repeated.ignored)
        palette = colours.slot_colours(shared, colours.match_slots(shared))
        inside = ~np.isin(truth, repeated.background)[..., None]
        parts.append(np.where(inside, palette[mask], palette[mask] // 4).astype(np.uint8))
    return parts


def _chosen(modes_R: np.ndarray[tuple[int], np.dtype[np.int64]]) -> list[int]:
    """Which inferences to show, at most six: each mode once before any mode is repeated."""
    place = np.array([np.count_nonzero(modes_R[:i] == mode) for i, mode in enumerate(modes_R)])
    return [int(i) for i in np.lexsort((modes_R, place))[:_MOST_NOISES]]
