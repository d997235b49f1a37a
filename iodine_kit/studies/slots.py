"""slots: vary the number of slots at test time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import numpy as np
from pydantic import Field

from iodine_kit import config as configuration
from iodine_kit.artifacts.predictions_and_truth import PredictionsFacts
from iodine_kit.evaluation.probing.slots import owned_shares
from iodine_kit.formatting import percent
from iodine_kit.predictions.file import PREDICTIONS, PredictionReader
from iodine_kit.studies._experiment import Evaluated, Experiment
from iodine_kit.studies._findings import Cell, Findings, Table, estimates_in, line_plot, line_series
from iodine_kit.studies._scores import (
    ARI_TEXT,
    INTERVALS,
    Floats64,
    estimate,
    fg_ari,
    final,
    format_estimate,
    mse,
)

VERSION = 1
SUMMARY = "other numbers of slots K at test time: FG-ARI, ELBO and slots in use by K"
QUESTION = "Do slots that a scene does not need stay empty, and what is lost if there are fewer slots than objects?"
TAKES_RUN = True
BASE = {"infer": {"restarts": 1}}


class Config(configuration.Config):
    """What the study varies.

    Attributes:
        slots: numbers of slots K. Defaults to 2 … one more than twice the K of training.
        active_share: share of the image's pixels that a slot must own to count as in use.
    """

    slots: tuple[Annotated[int, Field(ge=1, le=255)], ...] = ()
    active_share: Annotated[float, Field(gt=0, lt=1)] = 0.01


def conduct(experiment: Experiment) -> Callable[[], Findings]:
    """Infer and evaluate once for each K."""
    run, dataset = experiment.trained()
    trained, share = int(run.config["model"]["slots"]), experiment.config.active_share
    slots = sorted(set(experiment.config.slots)) or list(range(2, 2 * trained + 2))
    results = {k: experiment.evaluate(run, dataset, f"K = {k}", {"infer": {"slots": k}}) for k in slots}
    return lambda: analyse(results, trained, share)


def active_slots(evaluated: Evaluated, share: float) -> Floats64:
    """Number of slots of every scene that own at least ``share`` of the pixels, ``float64[N]``."""
    masks = np.asarray(PredictionReader(evaluated.predictions.path / PREDICTIONS).column("mask"))
    owned = owned_shares(masks, PredictionsFacts.of(evaluated.predictions).slots or 0)
    result: Floats64 = (owned >= share).sum(1).astype(np.float64)
    return result


def analyse(results: dict[int, Evaluated], trained: int, share: float) -> Findings:
    """A table, three plots and sentences."""
    rows: list[dict[str, Cell]] = [
        {
            "slots": k,
            "fg_ari": estimate(fg_ari(evaluated)),
            "elbo": estimate(final(evaluated)),
            "active": estimate(active_slots(evaluated, share)),
            "mse": float(mse(evaluated).mean()),
        }
        for k, evaluated in results.items()
    ]
    slots, mark = list(results), (float(trained), f"training, K = {trained}")
    scores, elbos, active = (estimates_in(rows, name) for name in ("fg_ari", "elbo", "active"))
    plots = [
        line_plot(title, unit, "slots K", [line_series("", slots, values)], mark)
        for title, unit, values in (
            ("FG-ARI", "mean over scenes", scores),
            ("ELBO", "nats per image", elbos),
            ("Slots in use", "mean over scenes", active),
        )
    ]
    best = max(range(len(rows)), key=lambda i: scores[i].mean)
    highest = max(range(len(rows)), key=lambda i: elbos[i].mean)
    observations = [
        f"FG-ARI is highest with K = {slots[best]}: {format_estimate(scores[best])}; "
        f"the ELBO is highest with K = {slots[highest]}: {format_estimate(elbos[highest])}."
    ]
    if trained in results:
        here, end = slots.index(trained), len(slots) - 1
        change = estimate(fg_ari(results[slots[end]]) - fg_ari(results[trained]))
        observations.append(
            f"From K = {trained}, as in training, to K = {slots[end]}, FG-ARI changes by {format_estimate(change)} on "
            f"the same scenes, and the number of slots in use changes from {format_estimate(active[here])} to "
            f"{format_estimate(active[end])}."
        )
    return Findings(
        observations=observations,
        method=[
            f"A slot is in use if its mask is the largest in {percent(share)} of the pixels or more (background "
            "pixels count).",
            f"{ARI_TEXT} {INTERVALS}",
        ],
        tables=[
            Table(
                f"Trained with K = {trained}.",
                {"slots": "K", "fg_ari": "FG-ARI", "elbo": "ELBO", "active": "Slots in use", "mse": "MSE"},
                rows,
            )
        ],
        plots=plots,
        facts={"trained_slots": trained, "best_slots": slots[best], "highest_elbo_slots": slots[highest]},
    )
